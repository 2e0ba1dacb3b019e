// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// balancing is a node on which kube-proxy uses IPVS.
func balancing(t *testing.T) *Snapshot {
	t.Helper()
	v, warnings, err := ruleset.ParseIPVSADM(strings.NewReader(`-A -t 10.96.0.80:80 -s rr
-a -t 10.96.0.80:80 -r 10.244.1.20:8080 -m -w 1
-a -t 10.96.0.80:80 -r 10.244.2.20:8080 -m -w 2
-A -t 10.96.0.82:80 -s rr
-A -t 10.96.0.84:80 -s rr
-a -t 10.96.0.84:80 -r 10.244.2.20:8080 -m -w 0
-A -t 10.96.0.85:80 -s sh
-a -t 10.96.0.85:80 -r 10.244.2.20:80 -g -w 1
-A -f 7 -s lc
-a -f 7 -r 10.244.2.21:8080 -m -w 1
-A -t 192.168.50.1:30080 -s rr
-a -t 192.168.50.1:30080 -r 10.244.2.20:8080 -m -w 1
-A -t 192.168.50.1:30081 -s rr
-a -t 192.168.50.1:30081 -r 10.244.2.20:8080 -m -w 1
-A -t [fd00::50]:80 -s rr
-a -t [fd00::50]:80 -r [fd00:1::14]:8080 -m -w 1
`))
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	s := small()
	n := &s.Namespaces[0]
	n.IPVS = v
	if n.IPSets, _, err = ruleset.ParseIPSets(strings.NewReader("create KUBE-NODE-PORT-TCP bitmap:port range 0-65535\nadd KUBE-NODE-PORT-TCP 30080\n")); err != nil {
		t.Fatal(err)
	}
	n.Links = append(n.Links, Link{Index: 90, Name: "kube-ipvs0", Kind: "dummy", Addrs: []netip.Prefix{netip.MustParsePrefix("10.96.0.80/32"), netip.MustParsePrefix("fd00::50/128")}})
	return s
}

// toward is a journey of a SYN to a virtual server, with the hops behind the one at which it came in.
func toward(dst string, hops ...journey.Hop) *journey.Journey {
	to := netip.MustParseAddrPort(dst)
	src := ip("10.244.1.10")
	if to.Addr().Is6() {
		src = ip("fd00:1::10")
	}
	j := &journey.Journey{Direction: journey.Request, Packet: journey.Packet{Proto: "tcp", Flags: "SYN", Tuple: journey.Tuple{Src: src, Sport: 4, Dst: to.Addr(), Dport: to.Port()}}}
	j.Hops = append([]journey.Hop{{NetNS: 1, Stage: journey.StageDeviceRx, Dev: "veth1"}}, hops...)
	for i := range j.Hops {
		j.Hops[i].NetNS = 1
	}
	return j
}

func dnat(from, to string) journey.Hop {
	return journey.Hop{Stage: journey.StageNAT, NAT: &journey.NAT{Type: "dnat", From: from, To: to}}
}

func TestAttributeIPVS(t *testing.T) {
	seen := func(method, from, to string) journey.Hop {
		return journey.Hop{Stage: journey.StageIPVS, Step: "real-server", IPVS: &journey.IPVS{Method: method, Virtual: from, Server: to}}
	}
	marked := func(h journey.Hop) journey.Hop { h.Mark = 7; return h }
	nothing := journey.Hop{Stage: journey.StageIPVS, Step: "no-server"}
	refused := journey.Hop{Stage: journey.StageDrop, Location: "nf_hook_slow", Hook: "INPUT", Verdict: "reject", Reason: "NETFILTER_DROP"}
	dropped := refused
	dropped.Verdict = "drop"
	forwarded := refused
	forwarded.Hook = "FORWARD"
	hook := journey.Hop{Stage: journey.StageNetfilter, Step: "hook", Hook: "INPUT"}
	bridge := journey.Hop{Stage: journey.StageBridge, Dev: "cni0"}
	nodePort := toward("192.168.50.1:30080", dnat("192.168.50.1:30080", "10.244.2.20:8080"))
	const line = "-a -t 10.96.0.80:80 -r 10.244.2.20:8080 -m -w 2"
	for _, tc := range []struct {
		name string
		j    *journey.Journey
		want []string // of each hop but the first: certainty, owner, text; "" for no rule
	}{
		{"the kernel told the connection", toward("10.96.0.80:80", hook, seen("masquerading", "10.96.0.80:80", "10.244.2.20:8080"), journey.Hop{Stage: journey.StageRoute}, dnat("10.96.0.80:80", "10.244.2.20:8080")),
			[]string{"", "exact kube-proxy " + line, "", "exact kube-proxy " + line}},
		{"only the translation was seen", toward("10.96.0.80:80", dnat("10.96.0.80:80", "10.244.2.20:8080")), []string{"inferred kube-proxy " + line}},
		{"IPv6", toward("[fd00::50]:80", dnat("[fd00::50]:80", "[fd00:1::14]:8080")), []string{"inferred kube-proxy -a -t [fd00::50]:80 -r [fd00:1::14]:8080 -m -w 1"}},
		{"a real server that the snapshot does not have", toward("10.96.0.80:80", seen("masquerading", "10.96.0.80:80", "10.244.9.9:8080"), dnat("10.96.0.80:80", "10.244.9.9:8080")),
			[]string{"exact kube-proxy -a -t 10.96.0.80:80 -r 10.244.9.9:8080 -m", "exact kube-proxy -a -t 10.96.0.80:80 -r 10.244.9.9:8080 -m"}},
		{"the same, by the translation", toward("10.96.0.80:80", dnat("10.96.0.80:80", "10.244.9.9:8080")), []string{""}},
		{"a virtual server that the snapshot does not have", toward("10.96.0.99:80", seen("direct routing", "10.96.0.99:80", "10.244.2.20:80")), []string{"exact  -a -t 10.96.0.99:80 -r 10.244.2.20:80 -g"}},
		{"a drained server keeps its connections", toward("10.96.0.84:80", dnat("10.96.0.84:80", "10.244.2.20:8080")), []string{"inferred  -a -t 10.96.0.84:80 -r 10.244.2.20:8080 -m -w 0"}},
		{"direct routing does not translate", toward("10.96.0.85:80", dnat("10.96.0.85:80", "10.244.2.20:80")), []string{""}},
		{"by mark", toward("10.7.7.7:80", marked(dnat("10.7.7.7:80", "10.244.2.21:8080"))), []string{"inferred  -a -f 7 -r 10.244.2.21:8080 -m -w 1"}},
		{"another translation than that of IPVS", toward("10.96.0.80:80", seen("masquerading", "10.96.0.80:80", "10.244.1.20:8080"), dnat("10.96.0.80:80", "10.244.9.9:1")), []string{"exact kube-proxy -a -t 10.96.0.80:80 -r 10.244.1.20:8080 -m -w 1", ""}},
		{"no real server", toward("10.96.0.82:80", hook, nothing, refused), []string{"", "exact  -A -t 10.96.0.82:80 -s rr", "exact  -A -t 10.96.0.82:80 -s rr"}},
		{"only the drop was seen", toward("10.96.0.82:80", refused), []string{"inferred  -A -t 10.96.0.82:80 -s rr"}},
		{"all are drained", toward("10.96.0.84:80", refused), []string{"inferred  -A -t 10.96.0.84:80 -s rr"}},
		{"one is there", toward("10.96.0.80:80", refused), []string{""}},
		{"its error was not seen", toward("10.96.0.82:80", dropped), []string{"inferred  -A -t 10.96.0.82:80 -s rr"}},
		{"a NodePort", nodePort, []string{"inferred kube-proxy -a -t 192.168.50.1:30080 -r 10.244.2.20:8080 -m -w 1"}},
		{"an address of the node that is no NodePort", toward("192.168.50.1:30081", dnat("192.168.50.1:30081", "10.244.2.20:8080")), []string{"inferred  -a -t 192.168.50.1:30081 -r 10.244.2.20:8080 -m -w 1"}},
		{"not where packets are forwarded", toward("10.96.0.82:80", forwarded), []string{""}},
		{"not IPVS's", toward("10.96.0.82:81", nothing, bridge, refused), []string{"", "", ""}},
		{"what is no address", toward("10.96.0.80:80", seen("masquerading", "x", "y"), dnat("x", "y")), []string{"", ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			Attribute(balancing(t), nil, tc.j)
			for i, want := range tc.want {
				got := ""
				if r := tc.j.Hops[i+1].Rule; r != nil {
					got = r.Certainty + " " + r.Owner + " " + r.Text
					if r.Backend != "ipvs" || (r.Family == "ip6") != tc.j.Packet.Dst.Is6() || (r.Verdict == "REJECT") != strings.HasPrefix(r.Text, "-A") {
						t.Errorf("hop %d: %+v", i+1, r)
					}
				}
				if got != want {
					t.Errorf("hop %d: %q, want %q", i+1, got, want)
				}
			}
		})
	}
}

// A rule that explains what happened comes before IPVS; and rules are asked with the namespace's sets.
func TestRulesBeforeIPVS(t *testing.T) {
	s := balancing(t)
	s.Namespaces[0].Rulesets = []ruleset.Ruleset{rules(t, `*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m set --match-set VIPS dst,dst -j DNAT --to-destination 10.244.2.20:8080
COMMIT
*filter
:INPUT ACCEPT [0:0]
-A INPUT -m set ! --match-set VIPS dst,dst -j REJECT --reject-with icmp-port-unreachable
COMMIT
`, "iptables-legacy")}
	sets, _, err := ruleset.ParseIPSets(strings.NewReader("create VIPS hash:ip,port family inet\nadd VIPS 10.96.0.80,tcp:80\n"))
	if err != nil {
		t.Fatal(err)
	}
	s.Namespaces[0].IPSets = sets
	j := toward("10.96.0.80:80", dnat("10.96.0.80:80", "10.244.2.20:8080"))
	Attribute(s, nil, j)
	if r := j.Hops[1].Rule; r == nil || r.Backend != "iptables-legacy" || r.Number != 1 {
		t.Errorf("%+v", r)
	}
	refused := journey.Hop{Stage: journey.StageDrop, Location: "nf_hook_slow", Hook: "INPUT", Verdict: "reject", Reason: "NETFILTER_DROP"}
	for dst, backend := range map[string]string{"10.96.0.80:80": "", "10.96.0.80:81": "iptables-legacy", "10.96.0.82:80": "iptables-legacy"} {
		j = toward(dst, refused)
		Attribute(s, nil, j)
		got := ""
		if r := j.Hops[1].Rule; r != nil {
			got = r.Backend
		}
		if got != backend {
			t.Errorf("%s is refused by %q, want %q", dst, got, backend)
		}
	}
	if !asksForSets(s.Namespaces[0].Rulesets) || asksForSets([]ruleset.Ruleset{rules(t, "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j DROP\nCOMMIT\n", "iptables-nft")}) {
		t.Error("asksForSets")
	}
}

// Topology: a namespace with sets, and in turn without and with a rule that asks for one. Action: read it. Expectation: sets are read when a rule
// needs them.
func TestReadSets(t *testing.T) {
	path := spaces(t, "netstate-sets", 1)[0].Path
	run := func(stdin, tool string, args ...string) error {
		return netns.Do(path, func() error {
			cmd := exec.Command(tool, args...)
			cmd.Stdin = strings.NewReader(stdin)
			return cmd.Run()
		})
	}
	if err := run("create s hash:ip,port comment counters\nadd s 10.0.0.1,tcp:80 comment \"a b\"\ncreate empty list:set\n", "ipset", "restore"); err != nil {
		t.Skipf("needs the kernel module ip_set_hash_ipport, which this kernel does not have, or ipset: %v", err)
	}
	read := func() *Namespace { return &Read(context.Background(), []Ref{{Path: path, Name: "x"}}).Namespaces[0] }
	if n := read(); n.IPSets != nil || n.IPVS != nil || len(n.Unread) > 0 {
		t.Errorf("without a rule: %+v %+v %q", n.IPSets, n.IPVS, n.Unread)
	}
	if err := run("*filter\n-A INPUT -p tcp -m set --match-set s dst,dst -j DROP\nCOMMIT\n", "iptables-legacy-restore"); err != nil {
		t.Fatal(err)
	}
	n := read()
	want := []string{`10.0.0.1,tcp:80 comment "a b"`}
	if set := n.IPSets.Set("s"); len(n.Unread) > 0 || set == nil || set.Type != "hash:ip,port" || !reflect.DeepEqual(set.Elements, want) || n.IPSets.Set("empty") == nil {
		t.Errorf("%+v %q", set, n.Unread)
	}
	t.Setenv("PATH", toolsBut(t, "ipset"))
	if n := read(); n.IPSets != nil || len(n.Unread) != 1 || n.Unread[0] != "ipsets could not be read: ipset is not installed" {
		t.Errorf("without the tool: %+v %q", n.IPSets, n.Unread)
	}
}

// toolsBut is a PATH with the tools that print rules, but one.
func toolsBut(t *testing.T, missing string) string {
	t.Helper()
	dir := t.TempDir()
	for _, tool := range []string{"iptables-legacy-save", "ip6tables-legacy-save", "iptables-nft-save", "ip6tables-nft-save", "nft", "ipset"} {
		if path, err := exec.LookPath(tool); err == nil && tool != missing {
			if err := os.Symlink(path, dir+"/"+tool); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func TestTick(t *testing.T) {
	if d := tick(); d < time.Millisecond || d > 10*time.Millisecond { // 100 to 1,000 in a second
		t.Errorf("a tick of %v", d)
	}
}
