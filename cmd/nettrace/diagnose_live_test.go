// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/lab"
)

// diagnosed are cases of the lab from all five layers, and healthy ones. What is asked for is what a user knows: who cannot reach what.
var diagnosed = []struct {
	name  string
	to    string // another destination than the case's, which a user would rather name
	slow  bool   // the kernel takes 3 s to say that a neighbour does not answer
	blind bool   // the static checks alone cannot know it: only packets tell
}{
	{name: "host-firewall-drops-tunnel"}, {name: "underlay-neighbour-failed", slow: true}, {name: "vni-mismatch"}, {name: "no-route-to-vtep"},
	{name: "tunnel-lost-in-fabric", blind: true}, {name: "underlay-mtu-silent", blind: true}, // the echoes between the nodes find the hole that a connect does not meet
	{name: "fdb-entry-missing"}, {name: "reply-route-missing"}, {name: "ip-forward-off"}, {name: "forward-policy-drop-legacy"},
	{name: "pod-link-down", slow: true}, {name: "pod-default-route-missing"}, {name: "rp-filter"},
	{name: "no-endpoints", to: "svc/shop/empty:http"}, {name: "service-not-programmed"}, {name: "stale-endpoint-same-node", slow: true, to: "svc/shop/gone:http"}, {name: "wrong-target-port", to: "svc/shop/skewed:http"},
	{name: "nodeport-filtered"},
	{name: "dns-no-endpoints", to: "svc/kube-system/kube-dns:dns"}, {name: "dns-not-listening"}, {name: "dns-blocked-by-policy"}, {name: "dns-wrong-nameserver"},
	{name: "not-listening"}, {name: "listens-on-localhost"}, {name: "network-policy-drop"},
	{name: "healthy-cross-node"}, {name: "healthy-service", to: "svc/shop/web-node:http"}, {name: "healthy-dns", to: "svc/shop/web:http"}, {name: "healthy-service-nftables"}, {name: "healthy-same-node"},
}

// diagnoseIn diagnoses a broken lab without being told the case.
func diagnoseIn(t *testing.T, l *lab.Lab, c lab.Case, to string, more ...string) (code int, last map[string]any, kinds map[string][]map[string]any, stderr string) {
	t.Helper()
	file, err := l.WriteCluster()
	if err != nil {
		t.Fatal(err)
	}
	from := "shop/client"
	if c.Probe.From != "client" {
		from = "netns:" + l.NetNS(c.Probe.From)
	}
	args := append([]string{"diagnose", from, to, "-o", "json", "--cluster", file}, more...)
	for _, s := range caseScopes(l, c) {
		args = append(args, "--scope", s)
	}
	var out, errs bytes.Buffer
	code = run(t.Context(), args, streams{strings.NewReader(""), &out, &errs})
	kinds = schematest.Lines(t, out.Bytes())
	if n := len(kinds["diagnosis"]); n != 1 {
		t.Fatalf("exit code %d, %d diagnoses: %s", code, n, errs.String())
	}
	return code, kinds["diagnosis"][0], kinds, errs.String()
}

// broken is a lab with a case's failure, until the test ends.
func broken(t *testing.T, c lab.Case) *lab.Lab {
	t.Helper()
	if m := lab.Missing(c); len(m) > 0 {
		t.Fatalf("the case needs %v", m)
	}
	prefix, err := freePrefix()
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.Up(t.Context(), lab.Options{Prefix: prefix, Backend: c.Backend, Services: c.Services, Objects: c.Objects})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Down(prefix); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if err := l.Down(); err != nil {
			t.Error(err)
		}
	})
	if err := l.Serve(); err != nil {
		t.Fatal(err)
	}
	if err := l.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return l
}

// Cases from all five layers get their layer and cause without being told what was broken; healthy ones end well, with every layer fine.
func TestDiagnoseCases(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	layers := map[string]int{}
	for _, d := range diagnosed {
		t.Run(d.name, func(t *testing.T) {
			c, err := lab.FindCase(d.name)
			if err != nil {
				t.Fatal(err)
			}
			to := c.Probe.To
			if d.to != "" {
				to = d.to
			}
			begin := time.Now()
			timeout := "1500ms"
			if d.slow {
				timeout = "4s"
			}
			l := broken(t, c)
			code, x, kinds, stderr := diagnoseIn(t, l, c, to, "--timeout", timeout)
			t.Logf("%.1f s: %v %v %v: %v", time.Since(begin).Seconds(), x["layer"], x["cause"], x["confidence"], x["summary"])
			layers[c.Layer]++
			if c.Layer == "" {
				mustBeFine(t, code, x, kinds, stderr)
				return
			}
			if x["layer"] != c.Layer || x["cause"] != c.Expect.Cause || code != exitVerdict {
				t.Errorf("layer %v, cause %v, exit code %d; want %s, %s, 2. Evidence: %v\nlayers: %v", x["layer"], x["cause"], code, c.Layer, c.Expect.Cause, x["evidence"], x["layers"])
			}
			if fix, _ := x["fix"].([]any); len(fix) == 0 {
				t.Error("nothing to do is said")
			}
			mustGuess(t, l, c, to, d.blind)
		})
	}
	for _, l := range []string{"", "underlay", "pod-network", "service", "dns", "application"} {
		if layers[l] < 3 {
			t.Errorf("only %d cases of layer %q", layers[l], l)
		}
	}
}

// mustGuess: the static checks alone, which send nothing, come to the same layer and cause as likely, or, where only packets tell, do not name
// another.
func mustGuess(t *testing.T, l *lab.Lab, c lab.Case, to string, blind bool) {
	t.Helper()
	code, x, kinds, _ := diagnoseIn(t, l, c, to, "--no-probe")
	if len(kinds["verdict"])+len(kinds["journey"]) > 0 || x["traced"] != false {
		t.Error("--no-probe traced something")
	}
	switch {
	case blind && code != exitUnseen:
		t.Errorf("without a probe: exit code %d, layer %v: %v", code, x["layer"], x["summary"])
	case !blind && (code != exitVerdict || x["layer"] != c.Layer || x["cause"] != c.Expect.Cause || x["confidence"] != "likely"):
		t.Errorf("without a probe: exit code %d, layer %v, cause %v, %v: %v", code, x["layer"], x["cause"], x["confidence"], x["summary"])
	}
}

// mustBeFine: delivered, exit code 0, no warning, and no layer that is wrong or not known.
func mustBeFine(t *testing.T, code int, x map[string]any, kinds map[string][]map[string]any, stderr string) {
	t.Helper()
	if code != exitOK || x["outcome"] != "delivered" || x["layer"] != "" || x["warnings"] != nil || x["unmade"] != nil {
		b, _ := json.MarshalIndent(x, "", " ")
		t.Errorf("exit code %d: %s\n%s", code, b, stderr)
	}
	all, _ := x["layers"].([]any)
	for _, l := range all {
		m, _ := l.(map[string]any)
		if s := fmt.Sprint(m["status"]); s != "ok" && s != "not-applicable" {
			t.Errorf("layer %v", m)
		}
	}
	for _, r := range kinds["check"] {
		if r["status"] == "wrong" || r["status"] == "unknown" {
			t.Errorf("check %v", r)
		}
	}
}

// fromClient is the probe of a case that is made here: from the pod shop/client, TCP.
func fromClient() lab.Probe { return lab.Probe{From: "client", To: "10.96.0.81:80"} }

// The address works and its name does not: what was measured beside the probe is the fault, because clients use names.
func TestDiagnoseName(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	c := lab.Case{Name: "name", Probe: fromClient(), Setup: []string{`client# printf "nameserver 169.254.20.10\nsearch shop.svc.cluster.local\n" > {resolv:client}`}}
	l := broken(t, c)
	code, x, kinds, _ := diagnoseIn(t, l, c, "svc/shop/web-node:http")
	if code != exitVerdict || x["outcome"] != "delivered" || x["layer"] != "dns" || x["cause"] != "dns-wrong-nameserver" {
		t.Errorf("by name: exit code %d: %v", code, x)
	}
	if v := kinds["verdict"][0]; v["outcome"] != "delivered" || v["layer"] != "" {
		t.Errorf("the trace's own verdict is its: %v", v)
	}
	if code, x, _, _ = diagnoseIn(t, l, c, "10.244.2.20:8080"); code != exitOK || x["layer"] != "" {
		t.Errorf("by address nobody asks for a name: exit code %d: %v", code, x)
	}
}

// Of two nodes one is watched, as on a real node: what lies on the other one is named, never guessed, and a failure over there is no other fault
// here.
func TestDiagnoseFromOneNode(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	c := lab.Case{Name: "one", Probe: fromClient(), Setup: []string{"node2# iptables-legacy -I INPUT 1 -p udp -m udp --dport 8472 -j DROP"}}
	l := broken(t, c)
	file, err := l.WriteCluster()
	if err != nil {
		t.Fatal(err)
	}
	see := func(from, to string) (int, map[string]any) {
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"diagnose", from, to, "-o", "json", "--timeout", "1500ms", "--cluster", file, "--scope", l.Scopes()[0]}, streams{strings.NewReader(""), &out, &errs})
		kinds := schematest.Lines(t, out.Bytes())
		if len(kinds["diagnosis"]) != 1 {
			t.Fatalf("exit code %d, %s", code, errs.String())
		}
		return code, kinds["diagnosis"][0]
	}
	code, x := see("shop/client", "svc/shop/web-node:http")
	if code != exitUnseen || x["layer"] != "underlay" || x["confidence"] != "inconclusive" || !strings.Contains(fmt.Sprint(x["fix"]), "run nettrace on the node that has 192.168.50.2 next") {
		t.Errorf("exit code %d: %v", code, x)
	}
	if !strings.Contains(fmt.Sprint(x["unmade"]), "node2 is not on this kernel: run nettrace there too") {
		t.Errorf("unmade: %v", x["unmade"])
	}
	if code, x := see("shop/client", "10.244.1.20:8080"); code != exitOK || x["unmade"] != nil {
		t.Errorf("on one node all can be seen: exit code %d: %v", code, x)
	}
	code, x = see("shop/web-7d9c5b8f4-abcde", "10.244.1.10:8080")
	if code != exitUnseen || x["traced"] != false || !strings.Contains(fmt.Sprint(x["notTraced"]), "runs on node2") {
		t.Errorf("from a pod elsewhere: exit code %d: %v", code, x)
	}
}

// Privileges that are missing are named, with exit code 4, before anything is said about the flow.
func TestDiagnoseWithoutPrivileges(t *testing.T) {
	needRoot(t)
	cmd := nettrace(t, []string{"setpriv", "--bounding-set=-all", "--inh-caps=-all"}, "diagnose", "127.0.0.1", "127.0.0.2:80", "--no-kubernetes")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var ee *exec.ExitError
	if !errors.As(err, &ee) || ee.ExitCode() != exitPrivileges || !strings.Contains(errs.String(), "CAP_NET_ADMIN") || out.Len() > 0 {
		t.Errorf("%v, %q, stdout %q: want exit code 4 and the capabilities", err, errs.String(), out.String())
	}
	// the checks can be made and the trace cannot: both are said
	cmd = nettrace(t, []string{"unshare", "-m", "sh", "-c", `mount -t tmpfs none /sys/kernel/btf && exec "$0" "$@"`}, "diagnose", "127.0.0.1", "127.0.0.2:9", "--no-kubernetes", "-o", "json")
	out.Reset()
	errs.Reset()
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	kinds := schematest.Lines(t, out.Bytes())
	if !errors.As(err, &ee) || ee.ExitCode() != exitPrivileges || !strings.Contains(errs.String(), "BTF") || len(kinds["diagnosis"]) != 1 || !strings.Contains(fmt.Sprint(kinds["diagnosis"][0]["notTraced"]), "BTF") {
		t.Errorf("%v, %q: %v", err, errs.String(), kinds["diagnosis"])
	}
}

// Ctrl-C while the probe waits ends it in order, with 130.
func TestDiagnoseInterrupted(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	silent, err := net.ListenPacket("udp", "127.0.0.1:0") // takes the probe's datagram and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cmd := nettrace(t, nil, "diagnose", "127.0.0.1", silent.LocalAddr().String(), "--proto", "udp", "--timeout", "1m", "--no-kubernetes")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	if _, err := r.ReadString('\n'); err != nil { // the checks are made, the trace is attached
		t.Fatal(err)
	}
	if _, _, err := silent.ReadFrom(make([]byte, 2048)); err != nil { // the probe is on its way
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(r)
	var ee *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &ee) || ee.ExitCode() != exitInterrupted {
		t.Errorf("%v: want exit code 130\n%s", err, rest)
	}
}
