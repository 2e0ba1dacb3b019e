// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

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
	{name: "host-firewall-drops-tunnel"}, {name: "underlay-neighbour-failed", slow: true}, {name: "vni-mismatch"}, {name: "tunnel-port-mismatch"}, {name: "no-route-to-vtep"},
	{name: "tunnel-lost-in-fabric", blind: true}, {name: "underlay-mtu-silent", blind: true}, // the echoes between the nodes find the hole that a connect does not meet
	{name: "fdb-entry-missing"}, {name: "fdb-wrong-host"}, {name: "route-missing"}, {name: "reply-route-missing"}, {name: "ip-forward-off"}, {name: "forward-policy-drop-legacy"},
	{name: "pod-link-down", slow: true}, {name: "pod-default-route-missing"}, {name: "hairpin-off", to: "svc/shop/self:http"}, {name: "rp-filter"},
	{name: "no-endpoints", to: "svc/shop/empty:http"}, {name: "service-not-programmed"}, {name: "stale-endpoint-same-node", slow: true, to: "svc/shop/gone:http"}, {name: "wrong-target-port", to: "svc/shop/skewed:http"},
	{name: "nodeport-filtered"},
	{name: "dns-no-endpoints", to: "svc/kube-system/kube-dns:dns"}, {name: "dns-not-listening"}, {name: "dns-blocked-by-policy"}, {name: "dns-wrong-nameserver"},
	{name: "not-listening"}, {name: "listens-on-localhost"}, {name: "network-policy-drop"}, {name: "rejected-with-reset"},
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
