// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// listing4 is a listing of table ip t with chains and rules as JSON members.
func listing4(t testing.TB, members ...string) Ruleset {
	t.Helper()
	n, warnings, err := ParseNFT(strings.NewReader(`{"nftables": [{"table": {"family": "ip", "name": "t", "handle": 1}}, `+strings.Join(members, ", ")+`]}`), nil)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v", err, warnings)
	}
	return Ruleset{Backend: "nft", NFT: n}
}

func chain4(name, kind, hook string, prio int, policy string) string {
	return fmt.Sprintf(`{"chain": {"family": "ip", "table": "t", "name": %q, "type": %q, "hook": %q, "prio": %d, "policy": %q}}`, name, kind, hook, prio, policy)
}

func rule4(chain string, handle int, expr string) string {
	return fmt.Sprintf(`{"rule": {"family": "ip", "table": "t", "chain": %q, "handle": %d, "expr": [%s]}}`, chain, handle, expr)
}

// node is a namespace with the address 192.168.50.1 and a route to everything but 203.0.113.0/24.
func node(sets ...Ruleset) *World {
	own := netip.MustParseAddr("192.168.50.1")
	return &World{Sets: sets, Local: func(a netip.Addr) bool { return a == own || a.IsLoopback() },
		Route: func(a netip.Addr) (string, bool) {
			return "eth0", !netip.MustParsePrefix("203.0.113.0/24").Contains(a)
		},
		Source: func(dev string, six bool) netip.Addr {
			if dev == "eth0" && !six {
				return own
			}
			return netip.Addr{}
		}}
}

// dry walks one packet from 10.244.1.10 in and to its ends.
func dry(w *World, dst string, dport uint16) *DryRun {
	d := &DryRun{}
	p := Packet{Proto: "tcp", Src: netip.MustParseAddr("10.244.1.10"), Sport: 40000, Dst: netip.MustParseAddr(dst), Dport: dport, In: "cni0", SYN: true}
	local, onward := d.Receive("node", w, []Way{{Packet: p, Share: 1, Sure: true}})
	d.Accepted("node", true, local)
	d.Accepted("node", false, onward)
	d.Finish()
	return d
}

// met lists steps as "table/chain number".
func met(d *DryRun) []string {
	var out []string
	for _, s := range d.Steps {
		out = append(out, fmt.Sprintf("%s/%s %d", s.Table, s.Chain, s.Number))
	}
	return out
}

// endWords is one end in words.
func endWords(e *End) string {
	s := fmt.Sprintf("%s %s %.3f", e.Verdict, e.To, e.Share)
	if e.From != "" {
		s += " from " + e.From
	}
	if !e.Sure {
		s += " maybe"
	}
	return s
}

func allEnds(d *DryRun) []string {
	var out []string
	for i := range d.Ends {
		out = append(out, endWords(&d.Ends[i]))
	}
	return out
}

const acceptAll = ":PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"

// Topology: every table of iptables at every hook, and nftables' base chains between and beside them. The packet is forwarded. Expectation:
// the kernel's order, whatever the order in the listings; of type nat, the kernel's place and only then the chain's own priority.
func TestTheOrderOfHooksAndTablesIsTheKernels(t *testing.T) {
	var save strings.Builder
	for _, table := range []string{"security", "filter", "nat", "mangle", "raw"} {
		save.WriteString("*" + table + "\n" + acceptAll)
		for _, hook := range []string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"} {
			fmt.Fprintf(&save, "-A %s -j LOG\n", hook)
		}
		save.WriteString("COMMIT\n")
	}
	nft := listing4(t, chain4("late", "filter", "prerouting", -90, "accept"), chain4("early", "filter", "prerouting", -310, "accept"), chain4("nat-first", "nat", "prerouting", -500, "accept"),
		chain4("forward", "filter", "forward", -10, "accept"), rule4("late", 1, `{"counter": null}`), rule4("early", 2, `{"counter": null}`), rule4("nat-first", 3, `{"counter": null}`), rule4("forward", 4, `{"counter": null}`))
	d := dry(node(nft, text(t, save.String())), "10.244.2.20", 80)
	want := []string{"t/early 1", "raw/PREROUTING 1", "mangle/PREROUTING 1", "t/nat-first 1", "nat/PREROUTING 1", "t/late 1",
		"mangle/FORWARD 1", "t/forward 1", "filter/FORWARD 1", "security/FORWARD 1", "mangle/POSTROUTING 1", "nat/POSTROUTING 1"}
	if got := met(d); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	d = dry(node(nft, text(t, save.String())), "192.168.50.1", 80)
	want = append(want[:6:6], "mangle/INPUT 1", "filter/INPUT 1", "security/INPUT 1", "nat/INPUT 1")
	if got := met(d); !slices.Equal(got, want) {
		t.Errorf("to the node: got  %q\nwant %q", got, want)
	}
}

// Each case is a ruleset, a packet from 10.244.1.10 that comes in at cni0, and where it ends.
func TestWhereAFlowEnds(t *testing.T) {
	filter := func(rules string) string { return "*filter\n" + acceptAll + rules + "COMMIT\n" }
	nat := func(rules string) string { return "*nat\n" + acceptAll + rules + "COMMIT\n" }
	for _, tc := range []struct {
		name, save, dst string
		ends            []string
		decision        string
	}{
		{"no rules", "", "10.244.2.20", []string{"accept 10.244.2.20:80 1.000"}, EndAccept},
		{"a rule that drops", filter("-A FORWARD -p tcp -j DROP\n"), "10.244.2.20", []string{"drop 10.244.2.20:80 1.000"}, EndDrop},
		{"it is not asked for what is local", filter("-A FORWARD -p tcp -j DROP\n"), "192.168.50.1", []string{"accept 192.168.50.1:80 1.000"}, EndAccept},
		{"a policy", "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -p udp -j ACCEPT\nCOMMIT\n", "10.244.2.20", []string{"drop 10.244.2.20:80 1.000"}, EndDrop},
		{"a chance of a drop", filter("-A FORWARD -m statistic --mode random --probability 0.25 -j DROP\n"), "10.244.2.20", []string{"accept 10.244.2.20:80 0.750", "drop 10.244.2.20:80 0.250"}, EndUnknown},
		{"every fourth", filter("-A FORWARD -m statistic --mode nth --every 4 --packet 0 -j REJECT\n"), "10.244.2.20", []string{"accept 10.244.2.20:80 0.750", "reject 10.244.2.20:80 0.250"}, EndUnknown},
		{"but every fourth", filter("-A FORWARD -m statistic --mode nth ! --every 4 --packet 0 -j REJECT\n-A FORWARD -j DROP\n"), "10.244.2.20", []string{"reject 10.244.2.20:80 0.750", "drop 10.244.2.20:80 0.250"}, EndDrop},
		{"a match that is not known", filter("-A FORWARD -m bpf --bytecode 1 -j DROP\n"), "10.244.2.20", []string{"accept 10.244.2.20:80 1.000 maybe", "drop 10.244.2.20:80 1.000 maybe"}, EndUnknown},
		{"a match that is not known and makes no difference", filter("-A FORWARD -m bpf --bytecode 1 -j LOG\n"), "10.244.2.20", []string{"accept 10.244.2.20:80 1.000"}, EndAccept},
		{"a match that is not known before the same end", filter("-A FORWARD -m bpf --bytecode 1 -j DROP\n-A FORWARD -j DROP\n"), "10.244.2.20", []string{"drop 10.244.2.20:80 1.000 maybe", "drop 10.244.2.20:80 1.000 maybe"}, EndDrop},
		{"a mark that may be set decides later", "*mangle\n" + acceptAll + "-A PREROUTING -m bpf --bytecode 1 -j MARK --set-mark 0x1\nCOMMIT\n" + filter("-A FORWARD -m mark --mark 0x1 -j DROP\n"), "10.244.2.20",
			[]string{"accept 10.244.2.20:80 1.000 maybe", "drop 10.244.2.20:80 1.000 maybe"}, EndUnknown},
		{"a target that is not known", filter("-A FORWARD -j SYNPROXY\n-A FORWARD -j ACCEPT\n"), "10.244.2.20", []string{"unknown 10.244.2.20:80 1.000 maybe"}, EndUnknown},
		{"a mark of the kernel's making", filter("-A FORWARD -j HMARK --hmark-mod 4\n-A FORWARD -m mark --mark 0x2/0x2 -j DROP\n"), "10.244.2.20", []string{"accept 10.244.2.20:80 1.000 maybe", "drop 10.244.2.20:80 1.000 maybe"}, EndUnknown},
		{"a queue", filter("-A FORWARD -j NFQUEUE --queue-num 0\n"), "10.244.2.20", []string{"queue 10.244.2.20:80 1.000"}, EndUnknown},
		{"DNAT decides what is asked next", nat("-A PREROUTING -j DNAT --to-destination 192.168.50.1:8080\n") + filter("-A INPUT -p tcp -m tcp --dport 8080 -j REJECT\n"), "10.96.0.1", []string{"reject 192.168.50.1:8080 1.000"}, EndReject},
		{"DNAT without a port", nat("-A PREROUTING -j DNAT --to-destination 10.244.2.21\n"), "10.96.0.1", []string{"accept 10.244.2.21:80 1.000"}, EndAccept},
		{"the state of what was translated", nat("-A PREROUTING -j DNAT --to-destination 10.244.2.21\n") + filter("-A FORWARD -m conntrack --ctstate DNAT -j DROP\n"), "10.96.0.1", []string{"drop 10.244.2.21:80 1.000"}, EndDrop},
		{"DNAT to a range", nat("-A PREROUTING -j DNAT --to-destination 10.244.2.21-10.244.2.23\n"), "10.96.0.1", []string{"unknown 10.96.0.1:80 1.000"}, EndUnknown},
		{"DNAT to where no route leads", nat("-A PREROUTING -j DNAT --to-destination 203.0.113.9\n"), "10.96.0.1", []string{"no-route 203.0.113.9:80 1.000"}, EndNoRoute},
		{"a redirect needs the device's address", nat("-A PREROUTING -p tcp -j REDIRECT --to-ports 15001\n"), "10.96.0.1", []string{"unknown 10.96.0.1:80 1.000"}, EndUnknown},
		{"masquerade", nat("-A POSTROUTING -o eth0 -j MASQUERADE\n"), "10.244.2.20", []string{"accept 10.244.2.20:80 1.000 from 192.168.50.1"}, EndAccept},
		{"SNAT", nat("-A POSTROUTING -j SNAT --to-source 192.0.2.1\n"), "10.244.2.20", []string{"accept 10.244.2.20:80 1.000 from 192.0.2.1"}, EndAccept},
		{"untracked packets are not translated", "*raw\n" + acceptAll + "-A PREROUTING -j CT --notrack\nCOMMIT\n" + nat("-A PREROUTING -j DNAT --to-destination 10.244.2.21\n") + filter("-A FORWARD -m conntrack --ctstate UNTRACKED -j DROP\n"), "10.96.0.1",
			[]string{"drop 10.96.0.1:80 1.000"}, EndDrop},
		{"raw comes before conntrack", "*raw\n" + acceptAll + "-A PREROUTING -m conntrack --ctstate NEW -j DROP\nCOMMIT\n", "10.96.0.1", []string{"accept 10.96.0.1:80 1.000"}, EndAccept},
		{"a goto does not come back", filter(":A - [0:0]\n-A FORWARD -g A\n-A FORWARD -j DROP\n-A A -p udp -j DROP\n"), "10.244.2.20", []string{"accept 10.244.2.20:80 1.000"}, EndAccept},
		{"a jump does", filter(":A - [0:0]\n-A FORWARD -j A\n-A FORWARD -j DROP\n-A A -p udp -j DROP\n"), "10.244.2.20", []string{"drop 10.244.2.20:80 1.000"}, EndDrop},
		{"a circle", filter(":A - [0:0]\n-A FORWARD -j A\n-A A -j A\n"), "10.244.2.20", []string{"unknown 10.244.2.20:80 1.000 maybe"}, EndUnknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := dry(node(text(t, tc.save)), tc.dst, 80)
			if got := allEnds(d); !slices.Equal(got, tc.ends) {
				t.Errorf("ends %q, want %q", got, tc.ends)
			}
			if got := Decision(d.Ends); got != tc.decision {
				t.Errorf("decision %s, want %s", got, tc.decision)
			}
		})
	}
}

// The same for nftables.
func TestWhereAFlowEndsInNFTables(t *testing.T) {
	forward := chain4("forward", "filter", "forward", 0, "accept")
	pre := chain4("pre", "nat", "prerouting", -100, "accept")
	for _, tc := range []struct {
		name     string
		members  []string
		ends     []string
		decision string
	}{
		{"a verdict", []string{forward, rule4("forward", 1, `{"drop": null}`)}, []string{"drop 10.96.0.1:80 1.000"}, EndDrop},
		{"a policy", []string{chain4("forward", "filter", "forward", 0, "drop")}, []string{"drop 10.96.0.1:80 1.000"}, EndDrop},
		{"accepted in one base chain, dropped in the next", []string{chain4("a", "filter", "forward", -1, "accept"), forward, rule4("a", 1, `{"accept": null}`), rule4("forward", 2, `{"drop": null}`)}, []string{"drop 10.96.0.1:80 1.000"}, EndDrop},
		{"what is not known", []string{forward, rule4("forward", 1, `{"xt": null}, {"drop": null}`)}, []string{"accept 10.96.0.1:80 1.000 maybe", "drop 10.96.0.1:80 1.000 maybe"}, EndUnknown},
		{"a draw in a match", []string{forward, rule4("forward", 1, `{"match": {"op": "<", "left": {"numgen": {"mode": "random", "mod": 10, "offset": 0}}, "right": 3}}, {"drop": null}`)}, []string{"accept 10.96.0.1:80 0.700", "drop 10.96.0.1:80 0.300"}, EndUnknown},
		{"a draw of ranges", []string{pre, `{"chain": {"family": "ip", "table": "t", "name": "x"}}`, rule4("x", 1, `{"dnat": {"addr": "10.0.0.1", "port": 81}}`), rule4("pre", 2,
			`{"vmap": {"key": {"numgen": {"mode": "random", "mod": 8, "offset": 0}}, "data": {"set": [[{"range": [0, 5]}, {"goto": {"target": "x"}}], [6, {"drop": null}]]}}}`)},
			[]string{"accept 10.0.0.1:81 0.750", "accept 10.96.0.1:80 0.125", "drop 10.96.0.1:80 0.125"}, EndUnknown},
		{"DNAT to a map is not followed", []string{pre, rule4("pre", 1, `{"dnat": {"addr": {"map": {"key": {"numgen": {"mode": "inc", "mod": 2}}, "data": {"set": [[0, "10.0.0.1"], [1, "10.0.0.2"]]}}}}}`)}, []string{"unknown 10.96.0.1:80 1.000 maybe"}, EndUnknown},
		{"only the first that translates", []string{pre, chain4("more", "nat", "prerouting", -99, "accept"), rule4("pre", 1, `{"dnat": {"addr": "10.0.0.1", "port": 81}}`), rule4("more", 2, `{"dnat": {"addr": "10.0.0.2", "port": 82}}`)}, []string{"accept 10.0.0.1:81 1.000"}, EndAccept},
		{"notrack", []string{chain4("raw", "filter", "prerouting", -300, "accept"), pre, rule4("raw", 1, `{"notrack": null}`), rule4("pre", 2, `{"dnat": {"addr": "10.0.0.1", "port": 81}}`)}, []string{"accept 10.96.0.1:80 1.000"}, EndAccept},
		{"a map that is missing", []string{forward, rule4("forward", 1, `{"vmap": {"key": {"payload": {"protocol": "ip", "field": "daddr"}}, "data": "@gone"}}`)}, []string{"accept 10.96.0.1:80 1.000 maybe", "unknown 10.96.0.1:80 1.000 maybe"}, EndUnknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := dry(node(listing4(t, tc.members...)), "10.96.0.1", 80)
			if got := allEnds(d); !slices.Equal(got, tc.ends) {
				t.Errorf("ends %q, want %q", got, tc.ends)
			}
			if got := Decision(d.Ends); got != tc.decision {
				t.Errorf("decision %s, want %s", got, tc.decision)
			}
		})
	}
}

// What starts on the node meets OUTPUT, and what is for the node comes in again without a second translation.
func TestSendFromTheNode(t *testing.T) {
	save := "*nat\n" + acceptAll + "-A OUTPUT -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 15001\n-A PREROUTING -j DNAT --to-destination 10.9.9.9\nCOMMIT\n*filter\n" + acceptAll + "-A INPUT -i lo -j ACCEPT\n-A INPUT -j DROP\nCOMMIT\n"
	d := &DryRun{}
	w := node(text(t, save))
	p := Packet{Proto: "tcp", Src: netip.MustParseAddr("192.168.50.1"), Sport: 40000, Dst: netip.MustParseAddr("10.96.0.1"), Dport: 80, SYN: true}
	local, onward := d.Send("node", w, []Way{{Packet: p, Share: 1, Sure: true}})
	d.Accepted("node", true, local)
	d.Finish()
	if got := fmt.Sprint(met(d), allEnds(d), len(onward)); got != "[nat/OUTPUT 1 filter/INPUT 1] [accept 127.0.0.1:15001 1.000] 0" {
		t.Error(got)
	}
	d = &DryRun{}
	p.Dst = netip.MustParseAddr("203.0.113.1")
	d.Send("node", w, []Way{{Packet: p, Share: 1, Sure: true}})
	if got := fmt.Sprint(allEnds(d)); got != "[no-route 203.0.113.1:80 1.000]" {
		t.Error(got)
	}
}

// Topology: a Service with three endpoints, one of them on this node, whose packets FORWARD does not see. Expectation: rules say for which
// endpoints they are met, and with which share.
func TestStepsSayForWhomTheyAre(t *testing.T) {
	save := "*nat\n" + acceptAll + `:S - [0:0]
-A PREROUTING -d 10.96.0.1/32 -j S
-A S -m statistic --mode random --probability 0.3333333333 -j DNAT --to-destination 10.244.2.20:8080
-A S -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.244.3.20:8080
-A S -j DNAT --to-destination 192.168.50.1:8080
COMMIT
*filter
` + acceptAll + "-A INPUT -j ACCEPT\n-A FORWARD -d 10.244.3.20/32 -j DROP\n-A FORWARD -m bpf --bytecode 1 -j LOG\nCOMMIT\n"
	d := dry(node(text(t, save)), "10.96.0.1", 80)
	for _, s := range d.Steps {
		var want string
		switch fmt.Sprintf("%s/%s %d", s.Table, s.Chain, s.Number) {
		case "nat/PREROUTING 1":
			want = "1.00 true [] []"
		case "nat/S 1", "nat/S 2", "nat/S 3":
			want = "0.33 true [] []"
		case "filter/INPUT 1":
			want = "0.33 true [] []"
		case "filter/FORWARD 1":
			want = "0.33 true [10.244.3.20:8080] []"
		case "filter/FORWARD 2":
			want = "0.33 false [10.244.2.20:8080] [-m bpf --bytecode 1]"
		}
		if got := fmt.Sprintf("%.2f %v %v %v", s.Share, s.Sure, s.For, s.Unknown); got != want {
			t.Errorf("%s/%s %d: %s, want %s", s.Table, s.Chain, s.Number, got, want)
		}
	}
	if got := fmt.Sprint(allEnds(d)); got != "[accept 10.244.2.20:8080 0.333 drop 10.244.3.20:8080 0.333 accept 192.168.50.1:8080 0.333]" && len(d.Ends) != 3 {
		t.Error(got)
	}
	if d.Ends[0].Share < d.Ends[2].Share {
		t.Error("the likely ends are not first")
	}
}

func TestAPolicyIsAStepOfItsOwn(t *testing.T) {
	d := dry(node(text(t, "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -j LOG\nCOMMIT\n")), "10.244.2.20", 80)
	if len(d.Steps) != 2 || d.Steps[1].Number != 0 || d.Steps[1].Verdict != "DROP" || d.Steps[1].Share != 1 || d.Ends[0].Step != 2 {
		t.Errorf("%+v %+v", d.Steps, d.Ends)
	}
}

// A device that is not known may be any, and "+" is every one.
func TestAnUnknownDevice(t *testing.T) {
	for rule, want := range map[string]string{"-i eth0": EndUnknown, "! -i eth0": EndUnknown, "-i +": EndDrop, "-i eth+": EndUnknown} {
		d := &DryRun{}
		p := packet("10.244.2.20", 80)
		p.In, p.Out = UnknownDevice, ""
		_, on := d.Receive("", node(text(t, "*filter\n"+acceptAll+"-A FORWARD "+rule+" -j DROP\nCOMMIT\n")), []Way{{Packet: p, Share: 1, Sure: true}})
		d.Accepted("", false, on)
		if got := Decision(d.Ends); got != want {
			t.Errorf("%s: %s, want %s", rule, got, want)
		}
	}
}

func TestDecision(t *testing.T) {
	for _, tc := range []struct{ ends, want string }{
		{"", EndUnknown}, {"accept accept", EndAccept}, {"drop reject", EndDrop}, {"reject reject", EndReject}, {"accept drop", EndUnknown}, {"queue", EndUnknown}, {"no-route", EndNoRoute}, {"unknown drop", EndUnknown},
	} {
		var ends []End
		for _, v := range strings.Fields(tc.ends) {
			ends = append(ends, End{Verdict: v})
		}
		if got := Decision(ends); got != tc.want {
			t.Errorf("%q: %s, want %s", tc.ends, got, tc.want)
		}
	}
}

// Many endpoints: shares stay even, and nothing is lost.
func TestAServiceWithManyEndpoints(t *testing.T) {
	const n = 200
	var b strings.Builder
	b.WriteString("*nat\n" + acceptAll)
	for i := range n {
		fmt.Fprintf(&b, "-A PREROUTING -m statistic --mode random --probability %.11f -j DNAT --to-destination 10.244.2.%d:8080\n", 1/float64(n-i), i+1)
	}
	b.WriteString("COMMIT\n")
	d := dry(node(text(t, b.String())), "10.96.0.1", 80)
	if len(d.Ends) != n {
		t.Fatalf("%d ends", len(d.Ends))
	}
	for _, e := range d.Ends {
		if math.Abs(e.Share-1.0/n) > 1e-6 || !e.Sure {
			t.Fatalf("%s", endWords(&e))
		}
	}
}

// Whatever the rules say, shares are shares and every step has its place.
func FuzzDryRun(f *testing.F) {
	f.Add("*filter\n"+acceptAll+"-A FORWARD -m statistic --mode random --probability 2 -j DROP\nCOMMIT\n", "10.0.0.1")
	f.Add("*nat\n"+acceptAll+"-A PREROUTING -j DNAT --to-destination [::1]:99999\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n", "fd00::1")
	f.Add("*filter\n:FORWARD DROP\n:A -\n-A A -g A\n-A FORWARD ! -j A\n", "127.0.0.1")
	f.Fuzz(func(t *testing.T, save, dst string) {
		a, err := netip.ParseAddr(dst)
		if err != nil || len(save) > 4096 {
			return
		}
		rs, _, err := Parse(strings.NewReader(save), "iptables-legacy", pick(a.Is6(), "ip6", "ip"))
		if err != nil {
			return
		}
		d := dry(node(rs), a.String(), 80)
		if len(d.Ends) == 0 {
			t.Fatal("no end")
		}
		for _, e := range d.Ends {
			if !(e.Share >= 0 && e.Share <= 1) || e.Step > len(d.Steps) {
				t.Fatalf("%+v", e)
			}
		}
		for _, s := range d.Steps {
			if !(s.Share >= 0 && s.Share <= 1) || s.Chain == "" {
				t.Fatalf("%+v", s)
			}
		}
	})
}

func pick(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// Topology: two namespaces whose rules ask a set of one name; the first has the sender in it, the second does not, and a third did not read its
// sets. Expectation: each namespace's rules are answered by its own.
func TestDryRunAsksEachNamespacesSets(t *testing.T) {
	rules := text(t, "*filter\n"+acceptAll+"-A FORWARD -m set --match-set S src -j DROP\nCOMMIT\n")
	with := node(rules)
	with.IPSets = ipsets(t, "create S hash:ip family inet\nadd S 10.244.1.10\n")
	without := node(rules)
	without.IPSets = ipsets(t, "create S hash:ip family inet\nadd S 10.244.1.11\n")
	unread := node(rules)
	for _, tc := range []struct {
		name string
		way  []*World
		end  string
		sure bool
	}{
		{"in the set", []*World{with}, EndDrop, true},
		{"not in the set", []*World{without}, EndAccept, true},
		{"in the second one's", []*World{without, with}, EndDrop, true},
		{"the first one's set is not the second's", []*World{without, unread}, EndUnknown, false},
	} {
		d := &DryRun{}
		ways := []Way{{Packet: Packet{Proto: "tcp", Src: netip.MustParseAddr("10.244.1.10"), Sport: 40000, Dst: netip.MustParseAddr("10.244.2.20"), Dport: 80, In: "cni0", SYN: true, Sets: with.IPSets}, Share: 1, Sure: true}}
		for _, w := range tc.way {
			_, ways = d.Receive("", w, ways)
		}
		d.Accepted("", false, ways)
		d.Finish()
		if got := Decision(d.Ends); got != tc.end || (len(d.Ends) == 1 && d.Ends[0].Sure) != tc.sure {
			t.Errorf("%s: %s, %+v", tc.name, got, d.Ends)
		}
	}
}
