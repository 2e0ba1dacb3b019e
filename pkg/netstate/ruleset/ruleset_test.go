// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
)

func load(t testing.TB, file, backend string) Ruleset {
	t.Helper()
	f, err := os.Open("../../../testdata/kube-proxy-1.31/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rs, warnings, err := Parse(f, backend, "ip")
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v", err, warnings)
	}
	return rs
}

func text(t testing.TB, s string) Ruleset {
	t.Helper()
	rs, _, err := Parse(strings.NewReader(s), "iptables-legacy", "ip")
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func packet(dst string, dport uint16) Packet {
	f := false
	return Packet{Proto: "tcp", Src: netip.MustParseAddr("10.244.1.10"), Sport: 40000, Dst: netip.MustParseAddr(dst), Dport: dport, In: "cni0", Out: "eth0", CTState: "NEW", SYN: true, LocalSrc: &f, LocalDst: &f}
}

func TestParseARealSave(t *testing.T) {
	for file, backend := range map[string]string{"iptables-legacy.save": "iptables-legacy", "iptables-nft.save": "iptables-nft"} {
		rs := load(t, file, backend)
		names := map[string]int{}
		for _, tb := range rs.Tables {
			for _, c := range tb.Chains {
				names[tb.Name+"/"+c.Name] = len(c.Rules)
			}
		}
		for chain, rules := range map[string]int{"filter/KUBE-FORWARD": 3, "nat/KUBE-SVC-67NZLRHBNDSAWJRO": 3, "nat/KUBE-SEP-KOXQODHDB22IS2XZ": 2, "filter/KUBE-SERVICES": 1} {
			if names[chain] != rules {
				t.Errorf("%s: %s has %d rules, want %d", file, chain, names[chain], rules)
			}
		}
	}
}

func TestParseDetails(t *testing.T) {
	rs := text(t, `# comment
*filter
:INPUT ACCEPT [1:2]
:MY - [0:0]
[12:3456] -A INPUT -p tcp -m comment --comment "say \"hi\" \\ there" -m comment --comment second -j MY
-A MY -g INPUT
-A MY
COMMIT
`)
	in, my := rs.Tables[0].Chains[0], rs.Tables[0].Chains[1]
	if in.Policy != "ACCEPT" || my.Policy != "" {
		t.Errorf("policies %q %q", in.Policy, my.Policy)
	}
	want := Rule{Number: 1, Text: `-p tcp -m comment --comment "say \"hi\" \\ there" -m comment --comment second -j MY`, Comment: `say "hi" \ there; second`, Target: "MY", Packets: 12, Bytes: 3456}
	if !reflect.DeepEqual(in.Rules[0], want) {
		t.Errorf("rule %+v", in.Rules[0])
	}
	if !my.Rules[0].Goto || my.Rules[0].Target != "INPUT" || my.Rules[1].Number != 2 || my.Rules[1].Text != "" {
		t.Errorf("rules %+v", my.Rules)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("pipe broke") }

func TestParseOfBrokenSaves(t *testing.T) {
	for _, tc := range []struct{ name, save, want string }{
		{"cut in the middle", "*filter\n:INPUT DROP [0:0]\n-A INPUT -j ACC", "ends inside table filter"},
		{"a rule without its chain", "*filter\n-A NOWHERE -j DROP\nCOMMIT\n", "was not declared"},
		{"a rule outside of a table", "-A INPUT -j DROP\n", "outside of a table"},
		{"broken counters", "*filter\n:INPUT DROP [0:0]\n[12 -A INPUT\nCOMMIT\n", "is no rule"},
		{"nonsense", "*filter\nhello\nCOMMIT\n", "is no rule"},
		{"a chain without policy", "*filter\n:X\nCOMMIT\n", "is no chain"},
		{"a rule of 5 MB", "*filter\n:INPUT DROP [0:0]\n-A INPUT -m comment --comment " + strings.Repeat("x", 5<<20), "longer than a rule can be"},
	} {
		_, warnings, err := Parse(strings.NewReader(tc.save), "iptables-nft", "ip")
		if err != nil || !strings.Contains(strings.Join(warnings, "\n"), tc.want) {
			t.Errorf("%s: %v, %q; want %q", tc.name, err, warnings, tc.want)
		}
	}
	if _, _, err := Parse(failing{}, "x", "ip"); err == nil {
		t.Error("a read error is none")
	}
	rs, warnings, _ := Parse(strings.NewReader("*filter\n:INPUT DROP [0:0]\n-A INPUT -m comment --comment \"\xff\xfe\" -j DROP\nCOMMIT\n"), "x", "ip")
	if got := rs.Tables[0].Chains[0].Rules[0].Comment; got != "\uFFFD" || len(warnings) > 0 {
		t.Errorf("a comment that is no UTF-8: %q, %v", got, warnings)
	}
}

func TestFindInKubeProxysRules(t *testing.T) {
	sets := []Ruleset{load(t, "iptables-legacy.save", "iptables-legacy")}
	yes := true
	nodePort := packet("192.168.50.1", 30080)
	nodePort.LocalDst, nodePort.In = &yes, "eth0"
	invalid := packet("10.244.2.20", 8080)
	invalid.CTState = "INVALID"
	for _, tc := range []struct {
		name string
		q    Question
		want string // chain number target
		own  Owner
		sure bool
	}{
		{"no endpoints", Question{Hook: "FORWARD", Verdict: "drop", Reject: true, Packet: packet("10.96.0.82", 80)}, "KUBE-SERVICES 1 REJECT",
			Owner{By: "kube-proxy", Namespace: "shop", Service: "empty", Port: "http", Why: "has no endpoints"}, true},
		{"the same from the node itself", Question{Hook: "OUTPUT", Verdict: "drop", Reject: true, Packet: packet("10.96.0.82", 80)}, "KUBE-SERVICES 1 REJECT",
			Owner{By: "kube-proxy", Namespace: "shop", Service: "empty", Port: "http", Why: "has no endpoints"}, true},
		{"another port of it", Question{Hook: "FORWARD", Verdict: "drop", Reject: true, Packet: packet("10.96.0.82", 81)}, "", Owner{}, false},
		{"no local endpoints", Question{Hook: "INPUT", Verdict: "drop", Packet: nodePort}, "KUBE-EXTERNAL-SERVICES 1 DROP",
			Owner{By: "kube-proxy", Namespace: "shop", Service: "web-node", Port: "http", Why: "has no local endpoints"}, true},
		{"INVALID", Question{Hook: "FORWARD", Verdict: "drop", Packet: invalid}, "KUBE-FORWARD 1 DROP", Owner{By: "kube-proxy"}, true},
		{"the first endpoint", Question{Hook: "PREROUTING", Verdict: "dnat", To: "10.244.1.20:8080", Packet: packet("10.96.0.80", 80)}, "KUBE-SEP-SQ3QUK7JLSKBNU6R 2 DNAT",
			Owner{By: "kube-proxy", Namespace: "shop", Service: "web", Port: "http"}, false},
		{"the last endpoint", Question{Hook: "PREROUTING", Verdict: "dnat", To: "10.244.2.20:8080", Packet: packet("10.96.0.80", 80)}, "KUBE-SEP-KOXQODHDB22IS2XZ 2 DNAT",
			Owner{By: "kube-proxy", Namespace: "shop", Service: "web", Port: "http"}, false},
		{"an endpoint that no rule has", Question{Hook: "PREROUTING", Verdict: "dnat", To: "10.244.9.9:8080", Packet: packet("10.96.0.80", 80)}, "", Owner{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			found := Find(sets, tc.q)
			if tc.want == "" {
				if len(found) > 0 {
					t.Errorf("found %+v", found[0])
				}
				return
			}
			if len(found) != 1 {
				t.Fatalf("%d rules fit: %+v", len(found), found)
			}
			f := found[0]
			if got := strings.Join([]string{f.Chain, string(rune('0' + f.Number)), f.Verdict}, " "); got != tc.want {
				t.Errorf("%s, want %s (by way of %v)", got, tc.want, f.Path)
			}
			if f.Owner != tc.own || f.Sure != tc.sure {
				t.Errorf("owner %+v, sure %v", f.Owner, f.Sure)
			}
		})
	}
	masq := packet("10.244.2.20", 8080)
	masq.Mark = 0x4000
	if found := Find(sets, Question{Hook: "POSTROUTING", Verdict: "snat", Packet: masq}); len(found) != 1 || found[0].Verdict != "MASQUERADE" {
		t.Errorf("masquerade: %+v", found)
	}
	masq.Mark = 0
	if found := Find(sets, Question{Hook: "POSTROUTING", Verdict: "snat", Packet: masq}); len(found) != 0 {
		t.Errorf("without the mark: %+v", found)
	}
}

// Each match, alone, on one packet: does the rule apply, may it, or not?
func TestMatches(t *testing.T) {
	tr, fa := true, false
	p := packet("10.96.0.80", 80)
	p.Mark, p.CTStatus, p.LocalDst, p.LocalSrc, p.PhysIn = 0x4001, []string{"DST_NAT"}, &fa, &tr, "veth1"
	for rule, want := range map[string]answer{
		"": yes, "-s 10.244.1.10/32": yes, "-s 10.244.0.0/16": yes, "! -s 10.244.0.0/16": no, "-d 10.96.0.80": yes, "-d 10.96.0.81": no, "-s bogus": maybe,
		"-p tcp": yes, "-p udp": no, "-p all": yes, "! -p tcp": no, "-i cni0": yes, "-i cni+": yes, "-i eth0": no, "! -i eth0": yes, "-o eth0": yes, "-o +": yes,
		"-p tcp -m tcp --dport 80": yes, "-p tcp -m tcp --dport 81": no, "-p tcp -m tcp --dport 79:81": yes, "-p tcp -m tcp --dport :79": no, "-p tcp -m tcp --dport 80:": yes,
		"-p tcp -m tcp ! --dport 80": no, "-p tcp -m tcp --sport 40000": yes, "-p tcp -m multiport --dports 22,80,443": yes, "-p tcp -m multiport --dports 22,443": no,
		"-p tcp -m multiport --ports 40000": yes, "-p tcp -m tcp --dport http": maybe, "-m conntrack --ctstate NEW": yes, "-m conntrack --ctstate RELATED,ESTABLISHED": no,
		"-m conntrack ! --ctstate NEW": no, "-m conntrack --ctstate DNAT": yes, "-m conntrack --ctstate SNAT": no, "-m state --state NEW": yes,
		"-m mark --mark 0x4000/0x4000": yes, "-m mark ! --mark 0x4000/0x4000": no, "-m mark --mark 0x4000": no, "-m mark --mark x": maybe,
		"-m addrtype --dst-type LOCAL": no, "-m addrtype --src-type LOCAL": yes, "-m addrtype --dst-type MULTICAST": maybe,
		"-m statistic --mode random --probability 0.5": maybe, "-m limit --limit 5/min": maybe, "-m set --match-set x dst": maybe, "-m recent --rcheck --name x": maybe,
		"-m nfacct --nfacct-name  x": yes, "-m physdev --physdev-in veth1": yes, "-m physdev --physdev-in veth2": no, "-m physdev --physdev-is-bridged": no,
		"-p tcp -m tcp --syn": yes, `-m comment --comment "-d 1.2.3.4 -j DROP"`: yes, "-m bpf --object-pinned /x": maybe, "-m newmatch": maybe, "-m newmatch -d 10.96.0.81": no,
		"--no-such-option 7": maybe,
	} {
		conds, _ := conditions(split(rule))
		if got := matches(conds, &p, p.Mark); got != want {
			t.Errorf("%q: %d, want %d", rule, got, want)
		}
	}
}

// Matches that look at what a packet is or where it is in a bridge.
func TestMatchesOfOtherPackets(t *testing.T) {
	tunnel := Packet{Proto: "4"}
	tunnel6 := Packet{Proto: "41"}
	between := Packet{PhysIn: "veth1", PhysOut: "veth2"}
	somewhere := Packet{PhysIn: "veth1", PhysOut: UnknownDevice}
	for _, tc := range []struct {
		p    *Packet
		rule string
		want answer
	}{
		{&tunnel, "-p 4", yes}, {&tunnel, "-p ipencap", yes}, {&tunnel, "-p ipv4", yes}, {&tunnel, "! -p ipencap", no}, {&tunnel, "-p ipip", no}, {&tunnel, "-p udp", no}, {&tunnel, "-p ipv6", no},
		{&tunnel6, "-p 41", yes}, {&tunnel6, "-p ipv6", yes}, {&tunnel6, "-p ipencap", no},
		{&between, "-m physdev --physdev-out veth2", yes}, {&between, "-m physdev --physdev-out veth1", no}, {&between, "-m physdev --physdev-is-bridged", yes},
		{&somewhere, "-m physdev --physdev-out veth2", maybe}, {&somewhere, "-m physdev --physdev-is-bridged", yes},
	} {
		conds, _ := conditions(split(tc.rule))
		if got := matches(conds, tc.p, 0); got != tc.want {
			t.Errorf("%q: %d, want %d", tc.rule, got, tc.want)
		}
	}
}

func TestWalks(t *testing.T) {
	for _, tc := range []struct{ name, rules, want string }{
		{"the policy", ":FORWARD DROP [0:0]\n-A FORWARD -d 10.0.0.1 -j ACCEPT", "FORWARD 0 sure"},
		{"accepted before", ":FORWARD DROP [0:0]\n-A FORWARD -s 10.244.0.0/16 -j ACCEPT", ""},
		{"may be accepted before", ":FORWARD DROP [0:0]\n-A FORWARD -m set --match-set ok src -j ACCEPT", "FORWARD 0"},
		{"a user chain", ":FORWARD ACCEPT [0:0]\n:X - [0:0]\n-A FORWARD -j X\n-A X -p udp -j DROP\n-A X -p tcp -j DROP", "X 2 sure"},
		{"RETURN leaves the chain", ":FORWARD ACCEPT [0:0]\n:X - [0:0]\n-A FORWARD -j X\n-A FORWARD -j DROP\n-A X -j RETURN\n-A X -j DROP", "FORWARD 2 sure"},
		{"goto does not come back", ":FORWARD DROP [0:0]\n:X - [0:0]\n-A FORWARD -g X\n-A FORWARD -j ACCEPT\n-A X -p udp -j ACCEPT", "FORWARD 0 sure"},
		{"a mark that a rule sets", ":FORWARD ACCEPT [0:0]\n-A FORWARD -j MARK --set-xmark 0x10000/0x10000\n-A FORWARD -m mark --mark 0x10000/0x10000 -j DROP", "FORWARD 2 sure"},
		{"a mark that a chain sets", ":FORWARD ACCEPT [0:0]\n:X - [0:0]\n-A FORWARD -j X\n-A FORWARD -m mark --mark 0x2/0x2 -j DROP\n-A X -j MARK --or-mark 0x2", "FORWARD 2 sure"},
		{"logging goes on", ":FORWARD ACCEPT [0:0]\n-A FORWARD -j LOG --log-prefix \"-j ACCEPT \"\n-A FORWARD -j DROP", "FORWARD 2 sure"},
		{"a loop of chains ends", ":FORWARD DROP [0:0]\n:X - [0:0]\n-A FORWARD -j X\n-A X -j X", "FORWARD 0"},
		{"may be accepted in a chain", ":FORWARD ACCEPT [0:0]\n:X - [0:0]\n-A FORWARD -j X\n-A FORWARD -j DROP\n-A X -m geoip --source-country XX -j ACCEPT", "FORWARD 2"},
		{"may be marked in a chain that only marks", ":FORWARD ACCEPT [0:0]\n:X - [0:0]\n-A FORWARD -j X\n-A FORWARD -j DROP\n-A X -m geoip --source-country XX -j LOG", "FORWARD 2 sure"},
		{"may be marked", ":FORWARD ACCEPT [0:0]\n-A FORWARD -m geoip --source-country XX -j MARK --set-xmark 0x2/0x2\n-A FORWARD -m mark --mark 0x2/0x2 -j DROP", "FORWARD 2"},
		{"accepted for good", ":FORWARD ACCEPT [0:0]", ""},
	} {
		found := Find([]Ruleset{text(t, "*filter\n"+tc.rules+"\nCOMMIT\n")}, Question{Hook: "FORWARD", Verdict: "drop", Packet: packet("10.244.2.20", 8080)})
		got := ""
		if len(found) > 0 {
			got = found[0].Chain + " " + string(rune('0'+found[0].Number))
			if found[0].Sure {
				got += " sure"
			}
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestBackendAndFamilyAreRespected(t *testing.T) {
	const drop = "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n"
	legacy := text(t, drop)
	nft, six := legacy, legacy
	nft.Backend, six.Family = "iptables-nft", "ip6"
	q := Question{Hook: "FORWARD", Verdict: "drop", Packet: packet("10.244.2.20", 8080)}
	if got := len(Find([]Ruleset{legacy, nft, six}, q)); got != 2 {
		t.Errorf("%d rulesets answer for IPv4", got)
	}
	q.Backend = "iptables-nft"
	if got := Find([]Ruleset{legacy, nft, six}, q); len(got) != 1 || got[0].Backend != "iptables-nft" {
		t.Errorf("the kernel said nft: %+v", got)
	}
}

func TestOwners(t *testing.T) {
	for _, tc := range []struct {
		chain, comment string
		path           []string
		want           Owner
	}{
		{"cali-tw-cali123", "cali:x; Drop if no policies passed packet", nil, Owner{By: "Calico", Policy: true}},
		{"cali-FORWARD", "", nil, Owner{By: "Calico"}},
		{"KUBE-POD-FW-ABC", "shop/web reject", nil, Owner{By: "kube-router", Policy: true}},
		{"KUBE-SVC-X", "shop/web -> 10.0.0.1:80", nil, Owner{By: "kube-proxy", Namespace: "shop", Service: "web"}},
		{"FORWARD", "", []string{"FORWARD"}, Owner{By: "node firewall"}},
		{"custom", "", []string{"FORWARD", "DOCKER-USER", "custom"}, Owner{By: "Docker"}},
		{"KUBE-SERVICES", "../../etc:passwd has no endpoints", nil, Owner{By: "kube-proxy"}},
	} {
		if got := OwnerOf(tc.chain, tc.comment, tc.path); got != tc.want {
			t.Errorf("%s %q: %+v, want %+v", tc.chain, tc.comment, got, tc.want)
		}
	}
}

func FuzzParseAndFind(f *testing.F) {
	for _, name := range []string{"iptables-legacy.save", "iptables-nft.save"} {
		b, err := os.ReadFile("../../../testdata/kube-proxy-1.31/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add("*filter\n:FORWARD DROP [0:0]\n-A FORWARD ! -s ! -j \"\nCOMMIT")
	f.Fuzz(func(t *testing.T, s string) {
		rs, _, err := Parse(strings.NewReader(s), "iptables-legacy", "ip")
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		for _, v := range []string{"drop", "dnat", "snat"} {
			for hook := range tablesOf {
				Find([]Ruleset{rs}, Question{Hook: hook, Verdict: v, To: "10.0.0.1:80", Packet: packet("10.96.0.80", 80)})
			}
		}
	})
}
