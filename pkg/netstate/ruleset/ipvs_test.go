// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func servers(t testing.TB) *IPVS {
	t.Helper()
	v, warnings, err := ParseIPVSADM(bytes.NewReader(kubeProxyFile(t, "ipvs.ipvsadm")))
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v %v", warnings, err)
	}
	return v
}

// kubeProxyServers is what kube-proxy programmed in IPVS mode on node1 for the objects in testdata/api.
var kubeProxyServers = map[string][]string{
	"tcp 192.168.50.1:30080": {"10.244.2.20:8080"}, "tcp 10.244.1.0:30080": {"10.244.2.20:8080"}, "tcp 10.244.1.1:30080": {"10.244.2.20:8080"},
	"tcp 10.0.0.1:443": {"192.0.2.2:9443"}, "tcp 10.96.0.10:53": {"10.244.2.53:53"}, "udp 10.96.0.10:53": {"10.244.2.53:53"},
	"tcp 10.96.0.80:80": {"10.244.1.20:8080", "10.244.2.20:8080"}, "tcp 10.96.0.81:80": {"10.244.2.20:8080"}, "tcp 10.96.0.82:80": nil,
	"tcp 10.96.0.83:80": {"10.244.1.20:8080", "10.244.2.20:8080"},
}

func reals(s *VirtualServer) []string {
	var out []string
	for _, r := range s.Available() {
		out = append(out, netip.AddrPortFrom(r.Addr, r.Port).String())
	}
	return out
}

func TestKubeProxysServers(t *testing.T) {
	v := servers(t)
	if len(v.Servers) != len(kubeProxyServers) {
		t.Errorf("%d virtual servers", len(v.Servers))
	}
	for at, want := range kubeProxyServers {
		proto, addr, _ := strings.Cut(at, " ")
		to := netip.MustParseAddrPort(addr)
		s := v.Virtual(proto, to.Addr(), to.Port())
		if s == nil || !reflect.DeepEqual(reals(s), want) {
			t.Errorf("%s: %+v, want %v", at, s, want)
		}
		if v.Virtual(proto, to.Addr(), to.Port()+1) != nil || v.Virtual("sctp", to.Addr(), to.Port()) != nil {
			t.Errorf("%s takes other packets too", at)
		}
	}
	// what is read is what was written
	var b strings.Builder
	for i := range v.Servers {
		s := &v.Servers[i]
		fmt.Fprintln(&b, s)
		for k := range s.Real {
			fmt.Fprintln(&b, s.Line(&s.Real[k]))
		}
	}
	if want := string(kubeProxyFile(t, "ipvs.ipvsadm")); b.String() != want {
		t.Errorf("written again:\n%s", b.String())
	}
	if sticky := v.Virtual("tcp", netip.MustParseAddr("10.96.0.83"), 80); !sticky.Persistent || sticky.Timeout != 10800 || sticky.Scheduler != "rr" {
		t.Errorf("%+v", sticky)
	}
	js, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back IPVS
	if err := json.Unmarshal(js, &back); err != nil || !reflect.DeepEqual(back.Servers, v.Servers) {
		t.Errorf("after JSON: %v %s", err, js)
	}
}

// ways are all ways of a packet through a built-in chain.
func ways(s *Ruleset, table, hook string, p Packet) []outcome {
	for i := range s.Tables {
		if s.Tables[i].Name == table {
			w := &walk{set: s, table: &s.Tables[i], q: &Question{Packet: p}}
			return w.builtin(hook, newState(p.Mark))
		}
	}
	return nil
}

// Topology: kube-proxy's rules, sets and servers in IPVS mode. Action: a packet to each virtual server, from a pod and from elsewhere. Expectation:
// one way through every chain, without a doubt, which leads to IPVS in INPUT; from elsewhere it is marked for masquerading.
func TestKubeProxysRulesWithSets(t *testing.T) {
	rs := load(t, "ipvs-iptables-legacy.save", "iptables-legacy")
	sets := ipsets(t, string(kubeProxyFile(t, "ipvs.ipset")))
	yes, no := true, false
	for at := range kubeProxyServers {
		proto, addr, _ := strings.Cut(at, " ")
		to := netip.MustParseAddrPort(addr)
		for src, marked := range map[string]bool{"10.244.1.10": false, "192.168.50.9": to.Port() != 30080} {
			p := Packet{Proto: proto, Src: netip.MustParseAddr(src), Sport: 40000, Dst: to.Addr(), Dport: to.Port(), In: "cni0", CTState: "NEW", LocalSrc: &no, LocalDst: &yes, Sets: sets}
			nat := ways(&rs, "nat", "PREROUTING", p)
			if len(nat) != 1 || !nat[0].sure || nat[0].verdict != "ACCEPT" || (nat[0].mark == 0x4000) != marked {
				t.Errorf("%s from %s: nat %+v", at, src, nat)
			} else if nodePort := to.Port() == 30080; nodePort != (nat[0].rule == nil) || !nodePort && nat[0].rule.Number != 4 {
				t.Errorf("%s from %s: by %+v", at, src, nat[0].rule)
			}
			if in := ways(&rs, "filter", "INPUT", p); len(in) != 1 || !in[0].sure || in[0].verdict != "ACCEPT" {
				t.Errorf("%s from %s: filter %+v", at, src, in)
			}
		}
		if to.Port() == 30080 {
			continue
		}
		wrong := Packet{Proto: proto, Src: netip.MustParseAddr("10.244.1.10"), Sport: 40000, Dst: to.Addr(), Dport: 7, In: "cni0", CTState: "NEW", LocalSrc: &no, LocalDst: &yes, Sets: sets}
		found := Find([]Ruleset{rs}, Question{Hook: "INPUT", Verdict: "drop", Reject: true, Packet: wrong})
		if len(found) != 1 || !found[0].Sure || found[0].Chain != "KUBE-IPVS-FILTER" || found[0].Owner.By != "kube-proxy" {
			t.Errorf("%s, port 7: %+v", at, found)
		}
	}
	// a pod that reaches itself through the Service is masqueraded
	hairpin := Packet{Proto: "tcp", Src: netip.MustParseAddr("10.244.1.20"), Sport: 40000, Dst: netip.MustParseAddr("10.244.1.20"), Dport: 8080, Out: "cni0", CTState: "NEW", LocalSrc: &no, LocalDst: &no, Sets: sets}
	found := Find([]Ruleset{rs}, Question{Hook: "POSTROUTING", Verdict: "snat", Packet: hairpin})
	if len(found) != 1 || !found[0].Sure || found[0].Verdict != "MASQUERADE" || found[0].Number != 1 {
		t.Errorf("hairpin: %+v", found)
	}
	hairpin.Src = netip.MustParseAddr("10.244.1.10")
	if found := Find([]Ruleset{rs}, Question{Hook: "POSTROUTING", Verdict: "snat", Packet: hairpin}); len(found) != 0 {
		t.Errorf("no hairpin: %+v", found)
	}
}

// The listings of the other modes have nothing that is not understood either.
func TestKubeProxysNFTListings(t *testing.T) {
	n := parseNFT(t, string(kubeProxyFile(t, "iptables-nft.json")))
	rules := 0
	for _, table := range n.Tables {
		for _, c := range table.Chains {
			rules += len(c.Rules)
			if text := string(kubeProxyFile(t, "iptables-nft.nft")); !strings.Contains(text, "chain "+c.Name+" {") {
				t.Errorf("chain %s is not in the listing", c.Name)
			}
		}
	}
	if want := strings.Count(string(kubeProxyFile(t, "iptables-nft.json")), `{"rule": `); rules != want || want == 0 {
		t.Errorf("%d rules, want %d", rules, want)
	}
}

const proc = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A600050:0050 rr persistent 2700000 FFFFFFFF
  -> 0AF40214:1F90      Masq    1      3          40
  -> 0AF40114:1F90      Route   0      1          0
UDP  0A60000A:0035 sh ops
TCP  [fd00:0000:0000:0000:0000:0000:0000:0050]:0050 wlc
  -> [fd00:0001:0000:0000:0000:0000:0000:0014]:1F90      Tunnel  100    0          0
FWM  00000007 lc
  -> C0000202:24E3      Local   1      0          0
FWM  00000007 lc
  -> [fd00:0001:0000:0000:0000:0000:0000:0014]:0050      Bypass  1      0          0
SCTP 0A600051:0000 rr
`

func TestParseProc(t *testing.T) {
	v, warnings, err := ParseIPVSProc(strings.NewReader(proc), 4*time.Millisecond)
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	ip := netip.MustParseAddr
	want := []VirtualServer{
		{Proto: "tcp", Addr: ip("10.96.0.80"), Port: 80, Scheduler: "rr", Persistent: true, Timeout: 10800, Real: []RealServer{
			{Addr: ip("10.244.2.20"), Port: 8080, Method: "masquerading", Weight: 1, Active: 3, Inactive: 40}, {Addr: ip("10.244.1.20"), Port: 8080, Method: "direct routing", Active: 1}}},
		{Proto: "udp", Addr: ip("10.96.0.10"), Port: 53, Scheduler: "sh"},
		{Proto: "tcp", Addr: ip("fd00::50"), Port: 80, Scheduler: "wlc", Real: []RealServer{{Addr: ip("fd00:1::14"), Port: 8080, Method: "tunneling", Weight: 100}}},
		{FWMark: 7, Scheduler: "lc", Real: []RealServer{{Addr: ip("192.0.2.2"), Port: 9443, Method: "local", Weight: 1}}},
		{FWMark: 7, Scheduler: "lc", Real: []RealServer{{Addr: ip("fd00:1::14"), Port: 80, Method: "bypass", Weight: 1}}},
		{Proto: "sctp", Addr: ip("10.96.0.81"), Scheduler: "rr"},
	}
	if !reflect.DeepEqual(v.Servers, want) {
		t.Errorf("%+v", v.Servers)
	}
	s := v.Virtual("tcp", ip("10.96.0.80"), 80)
	if got := reals(s); len(got) != 1 || got[0] != "10.244.2.20:8080" { // the other is drained
		t.Errorf("available: %v", got)
	}
	for at, want := range map[string]string{"10.244.2.20:8080": "-a -t 10.96.0.80:80 -r 10.244.2.20:8080 -m -w 1", "10.244.1.20:8080": "-a -t 10.96.0.80:80 -r 10.244.1.20:8080 -g -w 0", "10.244.1.20:8081": ""} {
		r := s.Server(netip.MustParseAddrPort(at))
		if (r == nil) != (want == "") || r != nil && s.Line(r) != want {
			t.Errorf("%s: %+v", at, r)
		}
	}
	if m4, m6 := v.Marked(7, false), v.Marked(7, true); m4 == nil || m6 == nil || m4.String() != "-A -f 7 -s lc" || m6.Line(&m6.Real[0]) != "-a -f 7 -r [fd00:1::14]:80 -w 1" {
		t.Errorf("%v %v", m4, m6)
	}
	if v.Marked(8, false) != nil || v.Marked(0, false) != nil || (*IPVS)(nil).Marked(7, false) != nil || (*IPVS)(nil).Virtual("tcp", ip("10.96.0.80"), 80) != nil {
		t.Error("a server of nothing")
	}
	if s := v.Virtual("sctp", ip("10.96.0.81"), 4242); s == nil || s.String() != "-A --sctp-service 10.96.0.81:0 -s rr" { // port 0 is every port
		t.Errorf("%v", s)
	}
	// kernels of 300 ticks in a second do not count in whole nanoseconds
	if v, _, _ := ParseIPVSProc(strings.NewReader("TCP  0A600050:0050 rr persistent 3240000 FFFFFFFF"), 3333333); v.Servers[0].Timeout != 10800 || v.Servers[0].String() != "-A -t 10.96.0.80:80 -s rr -p 10800" {
		t.Errorf("%+v", v.Servers)
	}
	if v, _, _ := ParseIPVSProc(strings.NewReader("TCP  0A600050:0050 rr persistent 3240000 FFFFFFFF"), 0); v.Servers[0].String() != "-A -t 10.96.0.80:80 -s rr -p" {
		t.Errorf("%+v", v.Servers)
	}
}

func TestBrokenServers(t *testing.T) {
	adm, proc := ParseIPVSADM, func(s string) (*IPVS, []string, error) { return ParseIPVSProc(strings.NewReader(s), time.Millisecond) }
	for _, tc := range []struct {
		text string
		proc bool
		want string
	}{
		{"-A -t hello -s rr", false, "neither a virtual nor a real server"},
		{"-A -x 10.0.0.1:80 -s rr", false, "neither"},
		{"-A -f 0 -s rr", false, "neither"},
		{"-A", false, "neither"},
		{"-A -t 10.0.0.1:80 -s", false, "neither"},
		{"-A -t 10.0.0.1:80 -p x", false, "neither"},
		{"-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m", false, "without its virtual server"},
		{"-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -m", false, "line 2 is neither"},
		{"-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.0.2:80 -w -1", false, "neither"},
		{"-A -t 10.0.0.1:80 --tomorrow 7", false, "option --tomorrow"},
		{"-A -t 10.0.0.1:80 -s rr -p" + strings.Repeat(" ", maxIPVSLine), false, "longer than"},
		{"TCP  0A600050:0050", true, "neither"},
		{"TCP  0A600050 rr", true, "neither"},
		{"TCP  0A60005G:0050 rr", true, "neither"},
		{"TCP  0A600050:10050 rr", true, "neither"},
		{"TCP  [fd00::zz]:0050 rr", true, "neither"},
		{"FWM  00000000 rr", true, "neither"},
		{"  -> 0AF40214:1F90      Masq    1      3          40", true, "without its virtual server"},
		{"TCP  0A600050:0050 rr\n  -> 0AF40214:1F90      Magic    1      3          40", true, "line 2 is neither"},
		{"TCP  0A600050:0050 rr\n  -> 0AF40214:1F90      Masq", true, "line 2 is neither"},
		{"TCP  0A600050:0050 rr\n  -> 0AF40214:1F90      Masq    x      3          40", true, "line 2 is neither"},
		{"hello", true, "neither"},
	} {
		read := func(s string) (*IPVS, []string, error) { return adm(strings.NewReader(s)) }
		if tc.proc {
			read = proc
		}
		v, warnings, err := read(tc.text)
		if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "IPVS: ") || !strings.Contains(warnings[0], tc.want) {
			t.Errorf("%q: %q %v", tc.text, warnings, err)
		}
		for i := range v.Servers {
			if len(v.Servers[i].Real) > 0 {
				t.Errorf("%q: %+v", tc.text, v.Servers[i])
			}
		}
	}
	if _, _, err := adm(failing{}); err == nil {
		t.Error("a read error is none")
	}
	// the real servers of a virtual server that is not understood are not those of the one before
	v, warnings, _ := proc("TCP  0A600050:0050 rr\nTCP  hello rr\n  -> 0AF40214:1F90      Masq    1      3          40\n")
	if len(v.Servers) != 1 || len(v.Servers[0].Real) != 0 || len(warnings) != 2 {
		t.Errorf("%+v %v", v.Servers, warnings)
	}
}

func TestTooManyServers(t *testing.T) {
	v, warnings, err := ParseIPVSADM(strings.NewReader(strings.Repeat("-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m\n", maxVirtualServers+2)))
	if err != nil || len(v.Servers) != maxVirtualServers || len(warnings) != 1 || !strings.Contains(warnings[0], "only 131072 virtual") {
		t.Errorf("%d %v %v", len(v.Servers), warnings, err)
	}
	v, warnings, err = ParseIPVSADM(strings.NewReader("-A -t 10.0.0.1:80 -s rr\n" + strings.Repeat("-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m\n", maxRealServers+2)))
	if err != nil || len(v.Servers[0].Real) != maxRealServers || len(warnings) != 1 {
		t.Errorf("%d %v %v", len(v.Servers[0].Real), warnings, err)
	}
}

func FuzzParseIPVS(f *testing.F) {
	f.Add(proc)
	f.Add("-A -t 10.96.0.83:80 -s rr -p 10800\n-a -t 10.96.0.83:80 -r 10.244.1.20:8080 -m -w 1\n-A -f 1 -s rr -6")
	f.Add("TCP  0A600050:0050 rr persistent 99999999999 FFFFFFFF\nTCP  [::1%x]:1 y")
	f.Fuzz(func(t *testing.T, s string) {
		for _, v := range func() []*IPVS {
			a, _, err1 := ParseIPVSADM(strings.NewReader(s))
			b, _, err2 := ParseIPVSProc(strings.NewReader(s), 4*time.Millisecond)
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			return []*IPVS{a, b}
		}() {
			for i := range v.Servers {
				one := &v.Servers[i]
				if found := v.Virtual(one.Proto, one.Addr, one.Port); one.FWMark == 0 && found == nil || one.FWMark != 0 && len(one.Real) == 0 && v.Marked(one.FWMark, false) == nil {
					t.Errorf("%s is not found", one)
				}
				for k := range one.Real {
					if one.Server(netip.AddrPortFrom(one.Real[k].Addr, one.Real[k].Port)) == nil || one.Line(&one.Real[k]) == "" {
						t.Errorf("%s lacks a server", one)
					}
				}
			}
		}
	})
}
