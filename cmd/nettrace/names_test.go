// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/internal/apitest"
	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/render"
)

// shopFile is the lab's cluster as a file, without a lab.
func shopFile(t *testing.T) string {
	t.Helper()
	b, err := lab.ClusterYAML(lab.Services())
	if err != nil {
		t.Fatal(err)
	}
	// a pod that no lab on this machine has
	b = append(b, "---\nkind: Pod\nmetadata: {namespace: shop, name: far}\nspec: {nodeName: node9}\nstatus: {phase: Running, podIP: 192.0.2.99}\n"...)
	name := filepath.Join(t.TempDir(), "lab.yaml")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// scopeArgs are the --scope flags of a lab.
func scopeArgs(l *lab.Lab) []string {
	var out []string
	for _, s := range l.Scopes() {
		out = append(out, "--scope", s)
	}
	return out
}

// aPod is a pod of the Service shop/web.
const aPod = `shop/web-7d9c5b8f4-(abcde|fghij)`

// named checks a flow from shop/client to svc/shop/web: every place is a pod or a node, every sentence is in names, and the DNAT is from the
// Service to a pod.
func named(t *testing.T, out string) {
	t.Helper()
	lines := schematest.Lines(t, []byte(out))
	var start struct{ Flow map[string]any }
	if err := json.Unmarshal([]byte(strings.SplitN(out, "\n", 2)[0]), &start); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(start.Flow["srcRef"], start.Flow["dstRef"]); got != "map[kind:Pod name:client namespace:shop] map[kind:Service name:web namespace:shop port:http]" {
		t.Errorf("the flow's ends are %s", got)
	}
	address := regexp.MustCompile(`\b(10|192)\.\d+\.\d+\.\d+`)
	dnat := 0
	for _, l := range lines["journey"] {
		var j journey.Journey
		b, err := json.Marshal(l)
		if err == nil {
			err = json.Unmarshal(b, &j)
		}
		if err != nil {
			t.Fatal(err)
		}
		if j.Packet.SrcRef == nil || j.Packet.DstRef == nil {
			t.Errorf("journey %d: an end has no name", j.ID)
		}
		for _, h := range j.Hops {
			if h.Where == nil || h.Where.Kind != "pod" && h.Where.Kind != "host" {
				t.Errorf("journey %d: %s is at %+v", j.ID, h.What, h.Where)
			}
			if address.MatchString(h.What) {
				t.Errorf("journey %d: an address instead of a name: %s", j.ID, h.What)
			}
			if h.NAT == nil || h.NAT.Undo {
				continue
			}
			dnat++
			if !regexp.MustCompile(`^DNAT: destination svc/shop/web:http becomes ` + aPod + `:8080$`).MatchString(h.What) {
				t.Errorf("the translation: %s", h.What)
			}
			if h.Ref == nil || h.Ref.String() != "svc/shop/web:http" {
				t.Errorf("the translation is of %v", h.Ref)
			}
		}
	}
	if dnat == 0 {
		t.Errorf("no DNAT in\n%s", out)
	}
}

func TestFlowByNames(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "names")
	file := shopFile(t)
	for _, dst := range []string{"svc/shop/web:http", "web.shop.svc.cluster.local:80", "shop/web:80"} {
		args := append([]string{"flow", "shop/client", dst, "--probe", "--cluster", file, "-o", "json"}, scopeArgs(l)...)
		code, out, errs := call(t, args...)
		if code != 0 || errs != "" {
			t.Fatalf("%s: exit %d: %s\n%s", dst, code, errs, out)
		}
		named(t, out)
	}
	args := append([]string{"flow", "deploy/shop/web", "shop/client:http", "--probe", "--cluster", file}, scopeArgs(l)...)
	code, out, errs := call(t, args...)
	if code != 0 || !strings.Contains(out, "tcp shop/web-7d9c5b8f4-fghij (10.244.1.20) → shop/client:8080") && !strings.Contains(out, "→ pod/shop/client:http (10.244.1.10:8080)") && !strings.Contains(out, "→ shop/client (10.244.1.10:8080)") {
		t.Errorf("from a Deployment's pod: exit %d: %s\n%s", code, errs, out)
	}
	args = append([]string{"flow", "shop/client", "svc/shop/web:http", "--probe", "--cluster", file, "--addresses"}, scopeArgs(l)...)
	code, out, errs = call(t, args...)
	if code != 0 || !regexp.MustCompile(`DNAT: destination svc/shop/web:http \(10\.96\.0\.80:80\) becomes `+aPod+`:8080 \(10\.244\.[12]\.20:8080\)`).MatchString(out) ||
		!strings.Contains(out, "svc/shop/web:http stands for shop/web-7d9c5b8f4-fghij (10.244.1.20:8080) on node1;") {
		t.Errorf("--addresses: exit %d: %s\n%s", code, errs, out)
	}
}

// apiOf is an API server that has the lab's objects, and its kubeconfig.
func apiOf(t *testing.T, l *lab.Lab) (*apitest.Server, string) {
	t.Helper()
	s := apitest.New(t, l.Objects()...)
	name, err := s.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	return s, name
}

func TestFlowAsksAnAPIServer(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "names")
	for _, dst := range []string{"svc/shop/web:http", "shop/web:80"} {
		s, config := apiOf(t, l)
		code, out, errs := call(t, append([]string{"flow", "shop/client", dst, "--probe", "--kubeconfig", config, "-o", "json"}, scopeArgs(l)...)...)
		if code != 0 || errs != "" {
			t.Fatalf("%s: exit %d: %s\n%s", dst, code, errs, out)
		}
		named(t, out)
		asked := s.Requests()
		t.Logf("%s: %d requests", dst, len(asked))
		if len(asked) > 10 {
			t.Errorf("%s: %d requests:\n%s", dst, len(asked), strings.Join(asked, "\n"))
		}
		for _, r := range asked {
			if strings.HasPrefix(r, "GET /api/v1/pods") && !strings.Contains(r, "fieldSelector=") {
				t.Errorf("lists all pods: %s", r)
			}
		}
	}
}

// What the API server does not give is missing and said once; the trace goes on. A name that needs it is an error.
func TestFlowWithoutPermissions(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "names")
	s, config := apiOf(t, l)
	s.Deny("pods", http.StatusForbidden)
	s.Deny("endpointslices", http.StatusForbidden)
	args := append([]string{"flow", "10.244.1.10", "svc/shop/web:http", "--probe", "--kubeconfig", config}, scopeArgs(l)...)
	code, out, errs := call(t, args...)
	if code != 0 || !strings.Contains(out, "svc/shop/web:http") || strings.Count(errs, "RBAC does not allow to list pods") != 1 || strings.Count(errs, "RBAC does not allow to list endpointslices") != 1 {
		t.Errorf("exit %d: %s\n%s", code, errs, out)
	}
	code, out, errs = call(t, append([]string{"flow", "shop/client", "svc/shop/web:http", "--probe", "--kubeconfig", config}, scopeArgs(l)...)...)
	if code != 1 || out != "" || !strings.Contains(errs, `"shop/client" cannot be looked up: RBAC does not allow to`) {
		t.Errorf("exit %d: %s\n%s", code, errs, out)
	}
	s.Stop()
	code, out, errs = call(t, append([]string{"flow", "10.244.1.10", "10.96.0.81:80", "--probe", "--kubeconfig", config}, scopeArgs(l)...)...)
	if code != 0 || strings.Count(errs, "cannot be asked") != 1 {
		t.Errorf("a server that is gone: exit %d: %s\n%s", code, errs, out)
	}
	broken := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(broken, []byte("clusters: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs = call(t, append([]string{"flow", "10.244.1.10", "10.96.0.81:80", "--probe", "--kubeconfig", broken}, scopeArgs(l)...)...)
	if code != 0 || strings.Count(errs, "read the kubeconfig") != 1 {
		t.Errorf("a broken kubeconfig: exit %d: %s\n%s", code, errs, out)
	}
}

// An address that nobody named is looked up while the trace runs, and the recording has the answer.
func TestAddressesAreLookedUpOnTheWay(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "names")
	s, config := apiOf(t, l)
	s.Deny("endpointslices", http.StatusForbidden) // so that the endpoint's pod is not known before
	file := filepath.Join(t.TempDir(), "flow.nt")
	scope := l.Scopes()[0] // node1 only: the endpoint is elsewhere
	code, live, errs := call(t, "flow", "shop/client", "svc/shop/web-node:http", "--probe", "--kubeconfig", config, "-o", "json", "--scope", scope, "--record", file)
	if code != 0 {
		t.Fatalf("exit %d: %s\n%s", code, errs, live)
	}
	if !strings.Contains(live[strings.LastIndex(strings.TrimSpace(live), "\n"):], "shop/web-7d9c5b8f4-abcde:8080 (10.244.2.20:8080)") {
		t.Errorf("the verdict does not name the endpoint: %s", live)
	}
	if _, replay, _ := call(t, "replay", file, "-o", "json"); replay != live {
		t.Error("the replay differs from the live run")
	}
}

// labelled is a labeller of the shop with a snapshot of one node.
func labelled(t *testing.T, change func(*k8smeta.Objects)) *labeller {
	t.Helper()
	o, err := k8smeta.ReadFile(shopFile(t))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(o)
	}
	l := &labeller{unknown: map[netip.Addr]bool{}}
	l.learn(&clusterNote{Now: time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC), Objects: *o})
	l.see(&netstate.Snapshot{Namespaces: []netstate.Namespace{
		{Inode: 1, Node: "node1", Host: true, Links: []netstate.Link{
			{Index: 2, Name: "eth0", Addrs: []netip.Prefix{netip.MustParsePrefix("192.168.50.1/24"), netip.MustParsePrefix("172.16.0.1/24")}},
			{Index: 5, Name: "veth5", Kind: "veth", PeerIndex: 2}, {Index: 6, Name: "veth6", Kind: "veth", PeerIndex: 2}}},
		{Inode: 10, Node: "node1", Links: []netstate.Link{{Index: 2, Name: "eth0", Kind: "veth", PeerIndex: 5, Addrs: []netip.Prefix{netip.MustParsePrefix("10.244.1.10/24")}}}},
		{Inode: 11, Node: "node1", PodUID: "00000000-0000-4000-8000-00000af40114", Links: []netstate.Link{{Index: 2, Name: "eth0", Kind: "veth", PeerIndex: 6}}},
		{Inode: 12, Node: "node1"},
	}})
	return l
}

func TestLabels(t *testing.T) {
	deleted := time.Date(2026, 1, 2, 11, 59, 18, 0, time.UTC)
	l := labelled(t, func(o *k8smeta.Objects) {
		o.Pods = append(o.Pods, k8smeta.Pod{Namespace: "shop", Name: "old", IPs: []netip.Addr{netip.MustParseAddr("10.244.1.99")}, Deleted: deleted},
			k8smeta.Pod{Namespace: "shop", Name: "job", IPs: []netip.Addr{netip.MustParseAddr("10.244.1.98")}, Phase: "Succeeded"})
	})
	for at, want := range map[string]string{
		"10.244.1.10:40000":  "shop/client:40000",
		"10.244.1.10:0":      "shop/client",
		"10.96.0.80:80":      "svc/shop/web:http",
		"10.96.0.80:81":      "svc/shop/web:81",
		"10.96.0.85:9000":    "svc/shop/echo:9000", // a udp Service at a tcp port
		"192.168.50.2:30080": "node/node2:30080",
		"172.16.0.1:22":      "node/node1:22",
		"10.244.2.0:0":       "node/node2",
		"10.244.1.99:8080":   "shop/old:8080 (deleted 42 s ago)",
		"10.244.1.98:8080":   "shop/job:8080 (ended)",
		"203.0.113.9:443":    "",
	} {
		a := netip.MustParseAddrPort(at)
		if got := l.name("tcp", a.Addr(), a.Port()); got != want {
			t.Errorf("%s is %q, want %q", at, got, want)
		}
	}
	if got := l.wanted(); len(got) != 1 || got[0].String() != "203.0.113.9" {
		t.Errorf("unknown: %v", got)
	}
	if got := l.wanted(); len(got) != 0 {
		t.Errorf("asked for again: %v", got)
	}
	w := l.words()
	if got := w.Peer(1, 5) + " " + w.Peer(1, 6) + " " + w.Peer(1, 2); got != "shop/client shop/web-7d9c5b8f4-fghij " {
		t.Errorf("the veths lead to %q", got)
	}
	if got := podsOf(l.snap, l.index); len(got) != 2 || got[10].Name != "client" || got[11].Name != "web-7d9c5b8f4-fghij" {
		t.Errorf("the namespaces are of %v", got)
	}
	l.addresses = true
	if got := l.words().Addr("tcp", netip.MustParseAddr("10.96.0.80"), 80); got != "svc/shop/web:http (10.96.0.80:80)" {
		t.Error(got)
	}
}

// A rule whose comment says nothing is known by its chain's name.
func TestChainsNameServices(t *testing.T) {
	l := labelled(t, nil)
	for chain, want := range map[string]string{
		"KUBE-SVC-67NZLRHBNDSAWJRO":                     "svc/shop/web:http",
		"KUBE-SEP-SQ3QUK7JLSKBNU6R":                     "svc/shop/web:http",
		"service-KHN6ECMT-shop/web/tcp/http":            "svc/shop/web:http",
		"service-2QRHZV4L-default/kubernetes/tcp/https": "svc/default/kubernetes:https",
		"KUBE-SVC-AAAAAAAAAAAAAAAA":                     "",
		"FORWARD":                                       "",
	} {
		j := &journey.Journey{Packet: journey.Packet{Proto: "tcp"}, Hops: []journey.Hop{{Stage: journey.StageDrop, Rule: &journey.Rule{Chain: chain}}}}
		l.label(j)
		got := ""
		if r := j.Hops[0].Ref; r != nil {
			got = r.String()
		}
		if got != want {
			t.Errorf("%s is of %q, want %q", chain, got, want)
		}
	}
}

func TestALabellerWithoutNamesChangesNothing(t *testing.T) {
	l := &labeller{unknown: map[netip.Addr]bool{}}
	l.see(&netstate.Snapshot{})
	j := &journey.Journey{Packet: journey.Packet{Proto: "tcp", Tuple: journey.Tuple{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2")}}, Hops: []journey.Hop{{Rule: &journey.Rule{Chain: "KUBE-SVC-67NZLRHBNDSAWJRO"}}}}
	l.label(j)
	if j.Packet.SrcRef != nil || j.Hops[0].Ref != nil || l.words().Addr != nil || l.name("tcp", j.Packet.Src, 1) != "" || len(l.wanted()) != 0 {
		t.Error("it named something")
	}
	if s, ok := l.policies("tcp", j.Packet.Src, j.Packet.Dst, 80); s != "" || ok {
		t.Errorf("policies: %q %v", s, ok)
	}
}

// A big cluster file does not go into a recording as a whole.
func TestRecordingsKeepWhatTheyNeed(t *testing.T) {
	n := &names{now: time.Now()}
	for i := range 5000 {
		n.objects.Pods = append(n.objects.Pods, k8smeta.Pod{Namespace: fmt.Sprintf("ns%d", i%500), Name: fmt.Sprint("p", i), IPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}})
	}
	got := n.relevant(map[netip.Addr]bool{netip.MustParseAddr("10.0.0.7"): true}, k8smeta.Ref{Namespace: "ns3"})
	if len(got.Objects.Pods) != 11 { // ten of ns3, and the one with the address
		t.Errorf("%d pods", len(got.Objects.Pods))
	}
	n.objects.Pods = n.objects.Pods[:100]
	if got := n.relevant(nil); len(got.Objects.Pods) != 100 {
		t.Errorf("a small one is cut to %d pods", len(got.Objects.Pods))
	}
}

// Names of a recording are as hostile as everything else in it.
func TestHostileNamesOfARecording(t *testing.T) {
	p := &pipeline{out: discard{}, names: labeller{unknown: map[netip.Addr]bool{}}}
	o := k8smeta.Objects{Pods: []k8smeta.Pod{{Namespace: "a", Name: "\x1b[2Jevil", IPs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}}}
	b, err := json.Marshal(clusterNote{Objects: o})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.note(noteOf(noteCluster, b)); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	r, err := render.New("story", &out, render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	j := &journey.Journey{ID: 1, Packet: journey.Packet{Proto: "tcp", Tuple: journey.Tuple{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2")}},
		Hops: []journey.Hop{{Stage: journey.StageNAT, NAT: &journey.NAT{Type: "snat", From: "10.0.0.1:1", To: "10.0.0.2:2"}}}}
	p.names.label(j)
	journey.Describe(j, p.names.words())
	if err := r.Journey(j); err != nil || strings.ContainsRune(out.String(), 0x1b) || !strings.Contains(out.String(), `\x1b[2Jevil`) {
		t.Errorf("%v: %q", err, out.String())
	}
	if err := p.note(noteOf(noteCluster, []byte("{"))); err == nil || !strings.Contains(err.Error(), "read the recording's cluster") {
		t.Errorf("%v", err)
	}
}
