// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/k8smeta/kubeproxy"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces")
	}
}

// there lists the namespaces and devices of this machine that a lab could leave.
func there(t *testing.T) string {
	t.Helper()
	var all []string
	for _, p := range []string{netns.Dir + "/*", "/sys/class/net/*", StateDir + "/*"} {
		found, err := filepath.Glob(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	sort.Strings(all)
	return strings.Join(all, "\n")
}

// added lists what is there after and was not before; what went meanwhile is somebody else's.
func added(before, after string) string {
	var out []string
	for _, x := range strings.Split(after, "\n") {
		if !strings.Contains("\n"+before+"\n", "\n"+x+"\n") {
			out = append(out, x)
		}
	}
	return strings.Join(out, " ")
}

func up(t *testing.T, o Options) *Lab {
	t.Helper()
	l, err := Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(); err != nil {
			t.Error(err)
		}
	})
	if err := l.Serve(); err != nil {
		t.Fatal(err)
	}
	return l
}

// see is what the client pod sees of a destination.
func see(t *testing.T, l *Lab, from, proto, to string) probe.Outcome {
	t.Helper()
	dst, err := netip.ParseAddrPort(to)
	if err != nil {
		dst = netip.AddrPortFrom(netip.MustParseAddr(to), 0)
	}
	r, err := probe.Send(context.Background(), probe.Request{NetNS: l.Path(from), Proto: proto, Dst: dst, Size: 300, Timeout: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return r.Result
}

// Topology: two labs side by side, one with each iptables backend. Action: probes. Expectation: everything that must work works, what has no
// endpoint is refused, and nothing is left afterwards.
func TestTwoLabsSideBySide(t *testing.T) {
	needRoot(t)
	before := there(t)
	t.Cleanup(func() {
		if x := added(before, there(t)); x != "" {
			t.Errorf("left behind: %s", x)
		}
	})
	labs := []*Lab{up(t, Options{Prefix: "one"}), up(t, Options{Prefix: "two", Backend: "iptables-nft"})}
	for _, l := range labs {
		for _, tc := range []struct {
			from, proto, to string
			want            probe.Outcome
		}{
			{"client", "tcp", "10.244.1.20:8080", probe.Connected},
			{"client", "tcp", "10.244.2.20:8080", probe.Connected},
			{"client", "tcp", "[fd00:10:244:2::20]:8080", probe.Connected},
			{"client", "tcp", "10.96.0.80:80", probe.Connected},
			{"client", "tcp", "10.96.0.81:80", probe.Connected},
			{"client", "tcp", "10.96.0.84:80", probe.Connected},
			{"client", "udp", "10.96.0.85:9000", probe.Connected},
			{"client", "icmp", "10.244.2.20", probe.Connected},
			{"client", "icmp", "192.168.50.100", probe.Connected},
			{External, "tcp", "192.168.50.2:30080", probe.Connected},
			{"node1", "tcp", "10.96.0.81:80", probe.Connected},
			{"web-b", "tcp", "10.244.1.10:8080", probe.Connected},
			{"client", "tcp", "10.96.0.82:80", probe.Refused},
			{"client", "tcp", "10.244.2.20:8081", probe.Refused},
			{"client", "udp", "10.244.2.20:9001", probe.Refused},
		} {
			if got := see(t, l, tc.from, tc.proto, tc.to); got != tc.want {
				t.Errorf("%s: %s from %s to %s: %s, want %s", l.Prefix(), tc.proto, tc.from, tc.to, got, tc.want)
			}
		}
	}
	if _, err := Up(t.Context(), Options{Prefix: "one"}); err == nil || !strings.Contains(err.Error(), "lab down --prefix one") {
		t.Errorf("a second lab with the same prefix: %v", err)
	}
	if err := netns.Create("mine-" + Fabric); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = netns.Delete("mine-" + Fabric) }()
	got := Prefixes()
	if !slices.Contains(got, "one") || !slices.Contains(got, "two") || slices.Contains(got, "mine") {
		t.Errorf("labs that are up: %v", got)
	}
}

// Interrupted before any of its steps, a lab leaves nothing.
func TestInterruptedUpLeavesNothing(t *testing.T) {
	needRoot(t)
	before := there(t)
	for stop := 0; ; stop++ {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		l, err := Up(ctx, Options{Prefix: "stop", OnStep: func(string) {
			if n == stop {
				cancel()
			}
			n++
		}})
		cancel()
		if err == nil {
			if err := l.Down(); err != nil {
				t.Fatal(err)
			}
			if stop < 8 {
				t.Errorf("only %d steps", stop)
			}
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("interrupted at step %d: %v", stop, err)
		}
		if x := added(before, there(t)); strings.Contains(x, "stop-") {
			t.Fatalf("interrupted at step %d leaves: %s", stop, x)
		}
	}
}

func TestDownIsTolerant(t *testing.T) {
	needRoot(t)
	if err := netns.Create("part-node1"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Down("part"); err != nil {
			t.Error(err)
		}
	}
	if _, err := netns.Inode(netns.Dir + "/part-node1"); err == nil {
		t.Error("a part of a lab is left")
	}
	if err := Down("../../etc"); err == nil {
		t.Error("a prefix can be a path")
	}
}

// A state file with the id of a process that is another one now: it is not signalled.
func TestRecycledProcessIsNotEnded(t *testing.T) {
	self := os.Getpid()
	start, err := startTime(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(state{PID: self, Start: start + "0"}); err != nil {
		t.Error(err)
	}
	if err := stop(state{PID: 1 << 22, Start: "1"}); err != nil {
		t.Errorf("a process that is gone: %v", err)
	}
}

// Every broken case breaks what it says, and every healthy one works: the client sees what the case expects.
func TestCasesDoWhatTheySay(t *testing.T) {
	cases, err := Cases()
	if err != nil {
		t.Fatal(err)
	}
	slugs := regexp.MustCompile(`^[a-z0-9-]+$`)
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.Name] || !slugs.MatchString(c.Name) || c.Title == "" || len(c.Teaches) < 80 {
			t.Errorf("case %q: name, title or lesson is not good enough", c.Name)
		}
		seen[c.Name] = true
		healthy := strings.HasPrefix(c.Name, "healthy-")
		// what arrives and is not answered, or costs too much, is delivered as well, but has a cause
		delivered := c.Expect.Outcome == "delivered"
		if healthy != (delivered && c.Expect.Cause == "") || healthy != (c.Layer == "") || healthy != (c.Expect.Cause == "") || delivered != (c.Expect.Exit == 0) {
			t.Errorf("case %s: outcome %s, layer %q, cause %q, exit %d do not fit", c.Name, c.Expect.Outcome, c.Layer, c.Expect.Cause, c.Expect.Exit)
		}
		if (len(c.Expect.Hops) == 0) != (c.Expect.Outcome == "unseen") || c.Expect.Client == "" || len(c.Expect.Confidence) == 0 {
			t.Errorf("case %s expects too little", c.Name)
		}
	}
}

func TestCaseFilesWithMistakes(t *testing.T) {
	const good = "name: x\ntitle: t\nsetup:\n  - 'node1# true'\nprobe: {from: client, to: \"10.0.0.1:80\"}\nexpect: {outcome: delivered}\nteaches: it\n"
	if _, err := ParseCase("good.yaml", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, old, new, want string }{
		{"unknown field", "teaches: it", "teches: it", "x.yaml:7: unknown field"},
		{"unknown namespace", "from: client", "from: nobody", "x.yaml:5: probe: from \"nobody\""},
		{"a set-up line without a place", "'node1# true'", "'true'", "x.yaml:3: setup"},
		{"a set-up line at an unknown place", "node1#", "node7#", "x.yaml:3: setup"},
		{"no name", "name: x", "name: \"\"", "x.yaml:1: name"},
		{"no outcome", "{outcome: delivered}", "{exit: 2}", "x.yaml:6: expect"},
		{"an outcome that no verdict has", "outcome: delivered", "outcome: great", "x.yaml:6: expect"},
		{"a rule without its number", "{outcome: delivered}", "\n  outcome: delivered\n  rules: [iptables-nft filter/INPUT DROP]", "x.yaml:8: rules"},
		{"a confidence that no verdict has", "outcome: delivered", "outcome: delivered, confidence: [sure]", "x.yaml:6: expect"},
		{"a client's answer that no probe gives", "outcome: delivered", "outcome: delivered, client: happy", "x.yaml:6: expect"},
		{"an unknown layer", "title: t", "title: t\nlayer: physical", "x.yaml:3: layer"},
		{"an unknown protocol", "to: \"10.0.0.1:80\"", "to: \"10.0.0.1:80\", proto: quic", "x.yaml:5: probe"},
		{"points that there are none of", "title: t", "title: t\npoints: all", "x.yaml:3: points"},
		{"unknown backend", "title: t", "title: t\nbackend: ebtables", "x.yaml:3: backend"},
		{"a size that is too large", "to: \"10.0.0.1:80\"", "to: \"10.0.0.1:80\", size: 99999999", "x.yaml:5: probe"},
		{"a timeout that is none", "to: \"10.0.0.1:80\"", "to: \"10.0.0.1:80\", timeout: soon", "x.yaml:"},
		{"broken YAML", "title: t", "title: [t", "x.yaml:"},
		{"a number for a list", "  - 'node1# true'", "  7", "x.yaml:"},
	} {
		text := strings.Replace(good, tc.old, tc.new, 1)
		if text == good {
			t.Fatalf("%s changes nothing", tc.name)
		}
		if _, err := ParseCase("x.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q in one line", tc.name, err, tc.want)
		}
	}
	if _, err := FindCase("/nonexistent/x.yaml"); err == nil {
		t.Error("a file that is not there")
	}
}

func FuzzParseCase(f *testing.F) {
	f.Add([]byte("name: x\nprobe: {from: client, to: y}\nexpect: {outcome: z}\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<12 {
			return
		}
		if c, err := ParseCase("f.yaml", b); err == nil && c.Name == "" {
			t.Error("a case without a name")
		}
	})
}

func TestExpand(t *testing.T) {
	got := (&Lab{prefix: "x"}).expand("ip link set {veth:web-b} down; {veth:nobody}")
	if !regexp.MustCompile(`^ip link set veth[0-9a-f]{8} down; \{veth:nobody\}$`).MatchString(got) {
		t.Error(got)
	}
}

// fixtureServices are the Services for which the kube-proxy of the fixtures wrote its rules.
func fixtureServices() []Service {
	ep := func(s, node string) Endpoint { return Endpoint{Addr: netip.MustParseAddrPort(s), Node: node} }
	a, w := ep("10.244.1.20:8080", "node1"), ep("10.244.2.20:8080", "node2")
	dns := ep("10.244.2.53:53", "node2")
	return []Service{
		{Namespace: "default", Name: "kubernetes", PortName: "https", Proto: "tcp", ClusterIP: addr("10.0.0.1"), Port: 443, Endpoints: []Endpoint{ep("192.0.2.2:9443", "")}},
		{Namespace: "kube-system", Name: "kube-dns", PortName: "dns", Proto: "udp", ClusterIP: addr("10.96.0.10"), Port: 53, Endpoints: []Endpoint{dns}},
		{Namespace: "kube-system", Name: "kube-dns", PortName: "dns-tcp", Proto: "tcp", ClusterIP: addr("10.96.0.10"), Port: 53, Endpoints: []Endpoint{dns}},
		{Namespace: "shop", Name: "empty", PortName: "http", Proto: "tcp", ClusterIP: addr("10.96.0.82"), Port: 80},
		{Namespace: "shop", Name: "sticky", PortName: "http", Proto: "tcp", ClusterIP: addr("10.96.0.83"), Port: 80, Sticky: true, Endpoints: []Endpoint{a, w}},
		{Namespace: "shop", Name: "web", PortName: "http", Proto: "tcp", ClusterIP: addr("10.96.0.80"), Port: 80, Endpoints: []Endpoint{a, w}},
		{Namespace: "shop", Name: "web-node", PortName: "http", Proto: "tcp", ClusterIP: addr("10.96.0.81"), Port: 80, NodePort: 30080, Local: true, Endpoints: []Endpoint{w}},
	}
}

// The rules are those of a real kube-proxy for the same Services: same chains, same rules, counters and nfacct aside.
func TestRulesAreKubeProxys(t *testing.T) {
	b, err := os.ReadFile("../../testdata/kube-proxy-1.31/iptables-legacy.save")
	if err != nil {
		t.Fatal(err)
	}
	services := fixtureServices()
	want, got := canonical(string(b)), canonical(KubeProxyRules("node1", ClusterCIDR.String(), services))
	for _, chain := range union(want, got) {
		if strings.Join(want[chain], "\n") != strings.Join(got[chain], "\n") {
			t.Errorf("chain %s:\n%s\nkube-proxy wrote:\n%s", chain, strings.Join(got[chain], "\n"), strings.Join(want[chain], "\n"))
		}
	}
	if len(want) < 20 {
		t.Errorf("only %d chains were compared", len(want))
	}
}

var nfacct = regexp.MustCompile(`-m nfacct --nfacct-name +\S+ `)

// canonical is a save as rules by chain. The order of Services in KUBE-SERVICES is kube-proxy's map order and means nothing. Rules of which
// only the nfacct counter differs from another one are left out.
func canonical(save string) map[string][]string {
	out := map[string][]string{}
	table := ""
	for _, l := range strings.Split(save, "\n") {
		switch {
		case strings.HasPrefix(l, "*"):
			table = l[1:] + "/"
		case strings.HasPrefix(l, ":KUBE"):
			name := table + strings.Fields(l[1:])[0]
			out[name] = append(out[name], "")
		case strings.Contains(l, "-A "):
			if strings.Contains(l, "localhost_nps_accepted_pkts") {
				continue
			}
			_, l, _ = strings.Cut(l, "-A ")
			name, rule, _ := strings.Cut(nfacct.ReplaceAllString(l, ""), " ")
			out[table+name] = append(out[table+name], rule)
		}
	}
	sort.Strings(out["nat/KUBE-SERVICES"])
	return out
}

func union(a, b map[string][]string) []string {
	set := map[string]bool{}
	for k := range a {
		set[k] = true
	}
	for k := range b {
		set[k] = true
	}
	var out []string
	for k := range set {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// The vectors of the names are those of pkg/k8smeta/kubeproxy; here is which of a Service's parts go into them.
func TestChainNames(t *testing.T) {
	s := Service{Namespace: "kube-system", Name: "kube-dns", PortName: "dns", Proto: "udp"}
	if got := s.chain(kubeproxy.KindService); got != "KUBE-SVC-TCOU7JCQXEZGVUNU" {
		t.Error(got)
	}
	if got := s.endpointChain(Endpoint{Addr: netip.MustParseAddrPort("10.244.0.2:53")}); got != "KUBE-SEP-YIL6JZP7A3QYXJU2" {
		t.Error(got)
	}
	s = Service{Namespace: "a", Name: "b"}
	if s.portName() != "a/b" {
		t.Error(fmt.Sprint("a Service without port name is ", s.portName()))
	}
}
