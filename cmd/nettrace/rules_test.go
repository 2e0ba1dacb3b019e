// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/lab"
)

// savedFixtures are rules that kube-proxy 1.31 wrote on the node 192.168.50.1.
var savedFixtures = []string{"iptables-legacy.save", "iptables-nft.save", "nftables.json"}

func fixture(name string) string { return "../../testdata/kube-proxy-1.31/" + name }

// apiList reads one of the lists of API objects that the fixtures were made from.
func apiList(t *testing.T, name string, items any) {
	t.Helper()
	b, err := os.ReadFile("../../testdata/api/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	list := struct{ Items any }{items}
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
}

// virtual is a port of a Service as the API has it, with its ready endpoints.
type virtual struct {
	name, proto string
	at          netip.AddrPort
	nodePort    int
	local       bool // external traffic only to endpoints of the node
	endpoints   []string
}

// virtuals reads every Service port with a ClusterIP and the endpoints of its slices.
func virtuals(t *testing.T) []virtual {
	t.Helper()
	type meta struct {
		Namespace, Name string
		Labels          map[string]string
	}
	var services []struct {
		Metadata meta
		Spec     struct {
			ClusterIP             string
			ExternalTrafficPolicy string
			Ports                 []struct {
				Name, Protocol string
				Port           uint16
				NodePort       int
			}
		}
	}
	var slicesOf []struct {
		Metadata meta
		Ports    []struct {
			Name, Protocol string
			Port           uint16
		}
		Endpoints []struct {
			Addresses  []netip.Addr
			Conditions struct{ Ready *bool }
		}
	}
	apiList(t, "services", &services)
	apiList(t, "endpointslices", &slicesOf)
	var out []virtual
	for _, s := range services {
		for _, p := range s.Spec.Ports {
			ip, err := netip.ParseAddr(s.Spec.ClusterIP)
			if err != nil {
				continue
			}
			v := virtual{name: s.Metadata.Namespace + "/" + s.Metadata.Name + ":" + p.Name, proto: strings.ToLower(p.Protocol), at: netip.AddrPortFrom(ip, p.Port), nodePort: p.NodePort, local: s.Spec.ExternalTrafficPolicy == "Local"}
			for _, x := range slicesOf {
				if x.Metadata.Namespace != s.Metadata.Namespace || x.Metadata.Labels["kubernetes.io/service-name"] != s.Metadata.Name {
					continue
				}
				for _, xp := range x.Ports {
					for _, e := range x.Endpoints {
						if xp.Name == p.Name && xp.Protocol == p.Protocol && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
							v.endpoints = append(v.endpoints, netip.AddrPortFrom(e.Addresses[0], xp.Port).String())
						}
					}
				}
			}
			slices.Sort(v.endpoints)
			out = append(out, v)
		}
	}
	return out
}

// dryRecords runs 'nettrace rules' for JSON, which must follow the schema, and returns its records.
func dryRecords(t *testing.T, want int, args ...string) map[string][]map[string]any {
	t.Helper()
	code, out, errs := call(t, append([]string{"rules", "--no-kubernetes", "-o", "json"}, args...)...)
	if code != want || errs != "" {
		t.Errorf("%q: exit %d, want %d: %s", args, code, want, errs)
	}
	kinds := schematest.Lines(t, []byte(out))
	if len(kinds["start"]) != 1 || len(kinds["ruling"]) != 1 {
		t.Fatalf("%q: %d starts, %d rulings", args, len(kinds["start"]), len(kinds["ruling"]))
	}
	return kinds
}

// destinations are where the flow can end, with their shares.
func destinations(ruling map[string]any) map[string]float64 {
	out := map[string]float64{}
	ends, _ := ruling["ends"].([]any)
	for _, e := range ends {
		m, _ := e.(map[string]any)
		p, _ := m["probability"].(float64)
		out[fmt.Sprint(m["to"])] += p
	}
	return out
}

// Topology: rules that a real kube-proxy wrote, in three modes. Action: a pod connects to each Service of the API objects they came from.
// Expectation: exactly the endpoints of its EndpointSlices; a Service without any is rejected by the rule that says so.
func TestRulesGiveEachServiceItsEndpoints(t *testing.T) {
	all := virtuals(t)
	if len(all) < 6 {
		t.Fatalf("only %d Service ports in the fixture", len(all))
	}
	for _, file := range savedFixtures {
		empty := 0
		for _, v := range all {
			want := 0
			if len(v.endpoints) == 0 {
				want = exitVerdict
				empty++
			}
			kinds := dryRecords(t, want, "10.244.1.10", v.at.String(), "--proto", v.proto, "--rules", fixture(file))
			ruling := kinds["ruling"][0]
			if len(v.endpoints) == 0 {
				steps := kinds["rule"]
				last := steps[len(steps)-1]
				if ruling["end"] != "reject" || last["verdict"] != "REJECT" || !strings.HasPrefix(fmt.Sprint(last["comment"]), v.name) {
					t.Errorf("%s: %s: %v by %v", file, v.name, ruling["end"], last)
				}
				if ref, _ := last["ref"].(map[string]any); ref == nil || "shop/"+fmt.Sprint(ref["name"])+":http" != v.name {
					t.Errorf("%s: %s: the rule belongs to %v", file, v.name, last["ref"])
				}
				continue
			}
			got := destinations(ruling)
			if names := slices.Sorted(maps.Keys(got)); ruling["end"] != "accept" || !slices.Equal(names, v.endpoints) {
				t.Errorf("%s: %s: %v, %q; want %q", file, v.name, ruling["end"], names, v.endpoints)
			}
			if v.name == "shop/web:http" && (got["10.244.1.20:8080"] != 0.5 || got["10.244.2.20:8080"] != 0.5) {
				t.Errorf("%s: the shares are %v", file, got)
			}
		}
		if empty == 0 {
			t.Error("no Service without endpoints in the fixture")
		}
	}
}

// Topology: the same rules; the NodePort's external policy is Local, its only endpoint on the other node. Expectation: from outside it is dropped, by
// the rule that says why; from a pod it goes by the external chain to the endpoint.
func TestRulesOfANodePort(t *testing.T) {
	i := slices.IndexFunc(virtuals(t), func(v virtual) bool { return v.nodePort == 30080 })
	if i < 0 || !virtuals(t)[i].local {
		t.Fatal("the fixture has no NodePort 30080 with the external policy Local")
	}
	v := virtuals(t)[i]
	for _, file := range savedFixtures {
		args := []string{"192.168.50.1:30080", "--local", "192.168.50.1", "--in", "eth0", "--rules", fixture(file)}
		out := dryRecords(t, exitVerdict, append([]string{"192.168.50.100"}, args...)...)
		last := out["rule"][len(out["rule"])-1]
		if out["ruling"][0]["end"] != "drop" || !strings.HasPrefix(fmt.Sprint(last["comment"]), v.name) || last["hook"] != "INPUT" {
			t.Errorf("%s: from outside: %v by %v", file, out["ruling"][0]["end"], last)
		}
		if !leadsTo(out["rule"], "KUBE-EXT-", "vmap @service-nodeports") {
			t.Errorf("%s: from outside the external chain is not entered", file)
		}
		in := dryRecords(t, exitOK, append([]string{"10.244.1.10"}, args...)...)
		if got := slices.Sorted(maps.Keys(destinations(in["ruling"][0]))); !slices.Equal(got, v.endpoints) || !inChain(in["rule"], "KUBE-EXT-", "external-") {
			t.Errorf("%s: from a pod: %q", file, got)
		}
	}
}

func leadsTo(steps []map[string]any, verdict, text string) bool {
	return slices.ContainsFunc(steps, func(s map[string]any) bool {
		return strings.HasPrefix(fmt.Sprint(s["verdict"]), verdict) || strings.Contains(fmt.Sprint(s["text"]), text)
	})
}

func inChain(steps []map[string]any, prefixes ...string) bool {
	return slices.ContainsFunc(steps, func(s map[string]any) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(fmt.Sprint(s["chain"]), p) })
	})
}

// Names come from --cluster as everywhere.
func TestRulesWithNames(t *testing.T) {
	file := clusterFile(t)
	code, out, errs := call(t, "rules", "shop/client", "svc/shop/web:http", "--cluster", file, "--rules", fixture("nftables.json"))
	if code != exitOK || !strings.Contains(out, "→ svc/shop/web:http (10.96.0.80:80)") || !strings.Contains(out, "one of 2 destinations") || errs != "" {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

// Bad input gets one sentence.
func TestRulesBadInput(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	brace := filepath.Join(dir, "brace")
	for name, content := range map[string]string{text: "hello\n", brace: "{\"x\": 1}"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save := fixture("iptables-legacy.save")
	for want, args := range map[string][]string{
		"has no rules: give what iptables-save":            {"10.0.0.1", "10.0.0.2:80", "--rules", text},
		"the listing is not what nft -j prints":            {"10.0.0.1", "10.0.0.2:80", "--rules", brace},
		"no such file":                                     {"10.0.0.1", "10.0.0.2:80", "--rules", filepath.Join(dir, "gone")},
		"is a listing of nft, not what iptables-legacy":    {"10.0.0.1", "10.0.0.2:80", "--rules", "legacy=" + brace},
		"names no file":                                    {"10.0.0.1", "10.0.0.2:80", "--rules", "nft="},
		"read " + dir + ":":                                {"10.0.0.1", "10.0.0.2:80", "--rules", dir},
		"write DST:PORT":                                   {"10.0.0.1", "10.0.0.2", "--rules", save},
		"icmp has no ports":                                {"10.0.0.1", "10.0.0.2:80", "--proto", "icmp", "--rules", save},
		"name SRC instead of 'any'":                        {"any", "10.0.0.2:80", "--rules", save},
		"--local \"x\": use addresses":                     {"10.0.0.1", "10.0.0.2:80", "--local", "x", "--rules", save},
		"--local is for --rules":                           {"10.0.0.1", "10.0.0.2:80", "--local", "10.0.0.2"},
		"leave --scope out":                                {"10.0.0.1", "10.0.0.2:80", "--rules", save, "--scope", "a"},
		"no device has such a name":                        {"10.0.0.1", "10.0.0.2:80", "--rules", save, "--in", "a/b"},
		"unknown protocol \"x\"":                           {"10.0.0.1", "10.0.0.2:80", "--rules", save, "--proto", "x"},
		"unknown output format \"x\": use one of json, st": {"10.0.0.1", "10.0.0.2:80", "--rules", save, "-o", "x"},
		"one is IPv4, the other IPv6":                      {"10.0.0.1", "[fd00::1]:80", "--rules", save},
		"give its address with --local":                    {"host", "10.0.0.2:80", "--rules", save},
		"accepts 2 arg(s)":                                 {"10.0.0.1"},
	} {
		code, out, errs := call(t, append([]string{"rules", "--no-kubernetes"}, args...)...)
		if code != exitUsage || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, want) {
			t.Errorf("%q: exit %d, %q %q; want %q", args, code, out, errs, want)
		}
	}
}

// Without privileges the rules of a node cannot be read: the tools would print none.
func TestRulesNeedPrivileges(t *testing.T) {
	needRoot(t)
	cmd := nettrace(t, []string{"setpriv", "--bounding-set=-all", "--inh-caps=-all"}, "rules", "10.0.0.1", "10.0.0.2:80", "--no-kubernetes")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != exitPrivileges || !strings.Contains(string(out), "missing CAP_NET_ADMIN and CAP_SYS_ADMIN") {
		t.Errorf("%v: %s", err, out)
	}
}

// Topology: the lab, its Services as three kinds of rules. Action: a dry run, then a real connection. Expectation: the rule that translated the
// real packet is among the dry run's, and so is its endpoint; what refused the other one is the rule that the dry run ends with.
func TestRulesAgreeWithARealPacket(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	for _, backend := range []string{"iptables-legacy", "iptables-nft", "nftables"} {
		t.Run(backend, func(t *testing.T) {
			l, err := lab.Up(t.Context(), lab.Options{Prefix: "dry", Backend: backend})
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
			var scopes []string
			for _, s := range l.Scopes() {
				scopes = append(scopes, "--scope", s)
			}
			for _, dst := range []string{"10.96.0.80:80", "10.96.0.82:80", "10.244.2.20:8080"} {
				args := append([]string{"netns:" + l.NetNS("client"), dst, "--no-kubernetes", "-o", "json"}, scopes...)
				dryCode, dryOut, errs := call(t, append([]string{"rules"}, args...)...)
				if errs != "" {
					t.Error(errs)
				}
				kinds := schematest.Lines(t, []byte(dryOut))
				liveCode, liveOut, _ := call(t, append([]string{"flow", "--probe"}, args...)...)
				if dryCode != liveCode {
					t.Errorf("%s: the dry run exits with %d, the real packet with %d\n%s%s", dst, dryCode, liveCode, dryOut, liveOut)
				}
				agree(t, dst, kinds["rule"], schematest.Lines(t, []byte(liveOut))["journey"])
			}
		})
	}
}

// agree compares the rules of a real packet's first journey with those of a dry run.
func agree(t *testing.T, dst string, steps, journeys []map[string]any) {
	t.Helper()
	met := map[string]bool{}
	for _, s := range steps {
		met[fmt.Sprint(s["backend"], s["table"], s["chain"], s["number"], s["handle"])] = true
	}
	found := 0
	for _, j := range journeys {
		hops, _ := j["hops"].([]any)
		for _, h := range hops {
			m, _ := h.(map[string]any)
			r, ok := m["rule"].(map[string]any)
			if !ok || j["direction"] != "request" || m["node"] != "node1" {
				continue
			}
			found++
			number := r["number"]
			if number == nil {
				number = 0
			}
			if key := fmt.Sprint(r["backend"], r["table"], r["chain"], number, r["handle"]); !met[key] {
				t.Errorf("%s: the real packet met %v, the dry run did not", dst, r)
			}
		}
	}
	if found == 0 && dst != "10.244.2.20:8080" {
		t.Errorf("%s: the real packet's story names no rule: nothing was compared", dst)
	}
}
