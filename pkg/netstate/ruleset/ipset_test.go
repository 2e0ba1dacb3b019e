// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func kubeProxyFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../../../testdata/kube-proxy-1.31/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ipsets(t testing.TB, save string) *IPSets {
	t.Helper()
	s, warnings, err := ParseIPSets(strings.NewReader(save))
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v %v", warnings, err)
	}
	return s
}

// from is a packet "proto src:sport dst:dport" that came in at cni0 and leaves by eth0.
func from(t testing.TB, s string) Packet {
	t.Helper()
	w := strings.Fields(s)
	src, dst := netip.MustParseAddrPort(w[1]), netip.MustParseAddrPort(w[2])
	return Packet{Proto: w[0], Src: src.Addr(), Sport: src.Port(), Dst: dst.Addr(), Dport: dst.Port(), In: "cni0", Out: "eth0"}
}

func (a answer) String() string { return [...]string{"no", "maybe", "yes"}[a] }

func TestKubeProxysSetsParse(t *testing.T) {
	s := ipsets(t, string(kubeProxyFile(t, "ipvs.ipset")))
	if len(s.Sets) != 34 {
		t.Errorf("%d sets", len(s.Sets))
	}
	elements := 0
	for _, set := range s.Sets {
		elements += len(set.Elements)
		if set.Partial || set.Strange {
			t.Errorf("%s is not whole", set.Name)
		}
	}
	if ip := s.Set("KUBE-CLUSTER-IP"); elements != 16 || len(ip.Elements) != 7 || ip.Type != "hash:ip,port" || ip.Family != "inet" || ip.Elements[0] != "10.96.0.10,udp:53" {
		t.Errorf("%d elements; %+v", elements, ip)
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back IPSets
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back.Sets, s.Sets) {
		t.Errorf("after JSON: %v %s", err, b)
	}
}

const manySets = `create ip hash:ip family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x1
add ip 10.0.0.1
add ip 10.0.0.2 packets 3 bytes 252 comment "one \"two\" nomatch"
create masked hash:ip family inet hashsize 1024 maxelem 65536 netmask 24 bucketsize 12 initval 0x1
add masked 10.1.2.0
create leaving hash:ip family inet hashsize 1024 maxelem 65536 timeout 600 bucketsize 12 initval 0x1
add leaving 10.0.0.1 timeout 594
add leaving 10.0.0.2 timeout 0
create ip6 hash:ip family inet6 hashsize 1024 maxelem 65536 bucketsize 12 initval 0x1
add ip6 2001:db8::1
create cali40s:AbC-d_3 hash:net family inet hashsize 1024 maxelem 1048576 bucketsize 12 initval 0x1
add cali40s:AbC-d_3 10.0.0.0/8
add cali40s:AbC-d_3 10.2.0.0/16 nomatch
add cali40s:AbC-d_3 10.2.3.0/24
add cali40s:AbC-d_3 10.9.9.9 nomatch
create net6 hash:net family inet6 hashsize 1024 maxelem 65536 bucketsize 12 initval 0x1
add net6 2001:db8::/33
create ipport hash:ip,port family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x1
add ipport 10.0.0.1,tcp:80
add ipport 10.0.0.1,sctp:81
create ping hash:ip,port family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x1
add ping 10.0.0.1,icmp:echo-request
add ping 10.0.0.1,vrrp:0
create ipportip hash:ip,port,ip family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x1
add ipportip 10.0.0.1,udp:53,10.0.0.9
create ipportnet hash:ip,port,net family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x1
add ipportnet 10.0.0.1,tcp:80,10.0.0.0/28
add ipportnet 10.0.0.1,tcp:80,10.0.0.8/29 nomatch
create netport hash:net,port family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x1
add netport 10.0.0.0/30,tcp:80
create netnet hash:net,net family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x1
add netnet 10.0.0.0/30,10.5.0.0/16
create netiface hash:net,iface family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x1
add netiface 0.0.0.0/0,cni0
add netiface 10.7.0.0/16,eth wildcard
add netiface 10.8.0.0/16,physdev:veth1
create ports bitmap:port range 0-65535
add ports 80
create ips bitmap:ip range 10.0.0.0-10.0.255.255
add ips 10.0.0.1
create both list:set size 8
add both ip
add both cali40s:AbC-d_3
create pairs list:set size 8
add pairs ipport
add pairs ports
`

func TestMembership(t *testing.T) {
	s := ipsets(t, manySets)
	for _, tc := range []struct {
		packet, set, want string
	}{
		{"tcp 10.0.0.9:1 10.0.0.1:80", "ip dst", "yes"},
		{"tcp 10.0.0.9:1 10.0.0.2:80", "ip dst", "yes"},
		{"tcp 10.0.0.9:1 10.0.0.1:80", "ip src", "no"},
		{"tcp 10.0.0.9:1 10.0.0.1:80", "ip dst,dst", "yes"}, // what is too much is not asked
		{"tcp 10.0.0.9:1 10.1.2.77:80", "masked dst", "yes"},
		{"tcp 10.0.0.9:1 10.1.3.0:80", "masked dst", "no"},
		{"tcp 10.0.0.9:1 10.0.0.1:80", "leaving dst", "maybe"},
		{"tcp 10.0.0.9:1 10.0.0.2:80", "leaving dst", "yes"},
		{"tcp 10.0.0.9:1 10.0.0.1:80", "ip6 dst", "no"}, // another family
		{"tcp [2001:db8::2]:1 [2001:db8::1]:80", "ip6 dst", "yes"},
		{"tcp [2001:db8::2]:1 [2001:db8::1]:80", "ip dst", "no"},
		{"tcp 10.0.0.9:1 10.2.3.4:80", "cali40s:AbC-d_3 dst", "yes"}, // the most specific decides
		{"tcp 10.0.0.9:1 10.2.4.4:80", "cali40s:AbC-d_3 dst", "no"},
		{"tcp 10.0.0.9:1 10.9.9.9:80", "cali40s:AbC-d_3 dst", "no"},
		{"tcp 10.0.0.9:1 10.3.9.9:80", "cali40s:AbC-d_3 dst", "yes"},
		{"tcp 10.0.0.9:1 11.3.9.9:80", "cali40s:AbC-d_3 dst", "no"},
		{"tcp 10.0.0.9:1 10.9.9.9:80", "cali40s:AbC-d_3 dst --return-nomatch", "yes"},
		{"tcp 10.0.0.9:1 10.3.9.9:80", "cali40s:AbC-d_3 dst --return-nomatch", "no"},
		{"tcp 10.0.0.9:1 10.0.0.1:80", "ip dst --return-nomatch", "yes"}, // no exceptions in such a type
		{"tcp [2001:db8:7::1]:1 [2001:db8:8000::1]:80", "net6 src", "yes"},
		{"tcp [2001:db8:7::1]:1 [2001:db8:8000::1]:80", "net6 dst", "no"},
		{"tcp 10.0.0.9:1 10.0.0.1:80", "ipport dst,dst", "yes"},
		{"udp 10.0.0.9:1 10.0.0.1:80", "ipport dst,dst", "no"},
		{"sctp 10.0.0.9:1 10.0.0.1:81", "ipport dst,dst", "yes"},
		{"tcp 10.0.0.1:80 10.0.0.9:1", "ipport src,src", "yes"},
		{"tcp 10.0.0.1:80 10.0.0.9:1", "ipport src,dst", "no"},
		{"tcp 10.0.0.9:1 10.0.0.1:80", "ipport dst", "no"}, // too few dimensions are never in it
		{"icmp 10.0.0.9:0 10.0.0.1:0", "ipport dst,dst", "no"},
		{"gre 10.0.0.9:0 10.0.0.1:0", "ipport dst,dst", "maybe"},
		{"icmp 10.0.0.9:0 10.0.0.1:0", "ping dst,dst", "maybe"}, // its type is not known
		{"udp 10.0.0.9:1 10.0.0.1:53", "ipportip dst,dst,src", "yes"},
		{"udp 10.0.0.8:1 10.0.0.1:53", "ipportip dst,dst,src", "no"},
		{"tcp 10.0.0.7:1 10.0.0.1:80", "ipportnet dst,dst,src", "yes"},
		{"tcp 10.0.0.9:1 10.0.0.1:80", "ipportnet dst,dst,src", "no"},
		{"tcp 10.0.0.9:1 10.0.0.2:80", "netport dst,dst", "yes"},
		{"tcp 10.0.0.9:1 10.0.0.4:80", "netport dst,dst", "no"},
		{"tcp 10.0.0.3:1 10.5.1.1:80", "netnet src,dst", "yes"},
		{"tcp 10.0.0.3:1 10.6.1.1:80", "netnet src,dst", "no"},
		{"tcp 10.0.0.3:1 10.6.1.1:80", "netiface dst,src", "yes"},
		{"tcp 10.0.0.3:1 10.6.1.1:80", "netiface dst,dst", "no"},
		{"tcp 10.0.0.3:1 10.7.1.1:80", "netiface dst,dst", "yes"},
		{"tcp 10.0.0.3:1 10.8.1.1:80", "netiface dst,dst", "maybe"}, // asks for bridge ports
		{"tcp 10.0.0.3:1 10.8.1.1:80", "ports dst", "yes"},
		{"udp 10.0.0.3:80 10.8.1.1:9", "ports src", "yes"},
		{"udp 10.0.0.3:80 10.8.1.1:9", "ports dst", "no"},
		{"sctp 10.0.0.3:1 10.8.1.1:80", "ports dst", "no"},
		{"tcp 10.0.0.3:1 10.0.0.1:80", "ips dst", "yes"},
		{"tcp 10.0.0.3:1 10.0.0.1:80", "ips src", "no"},
		{"tcp 10.0.0.3:1 10.0.0.1:80", "both dst", "yes"},
		{"tcp 10.0.0.3:1 10.77.0.1:80", "both dst", "yes"},
		{"tcp 10.0.0.3:1 10.2.0.1:80", "both dst", "no"},
		{"tcp 10.0.0.3:1 10.0.0.9:80", "pairs dst,dst", "yes"}, // of the second set the first dimension is a port
		{"tcp 10.0.0.3:1 10.0.0.9:81", "pairs dst,dst", "no"},
		{"tcp 10.0.0.3:1 10.0.0.1:80", "pairs dst,dst", "yes"},
		{"tcp 10.0.0.3:1 10.0.0.1:80", "unheard-of dst", "maybe"},
		{"tcp 10.0.0.3:1 10.0.0.1:80", "ip sideways", "maybe"},
		{"tcp 10.0.0.3:1 10.0.0.1:80", "ip dst --packets-gt 3", "maybe"},
		{"tcp 10.0.0.3:1 10.0.0.7:80", "ip dst --packets-gt 3", "no"},
		{"tcp 10.0.0.3:1 10.0.0.1:80", "ip dst ! --update-counters", "yes"},
	} {
		p := from(t, tc.packet)
		p.Sets = s
		for _, neg := range []string{"", "! "} {
			conds, _ := conditions(split("-m set " + neg + "--match-set " + tc.set + " -m tcp -j DROP"))
			want := map[string]answer{"no": no, "maybe": maybe, "yes": yes}[tc.want]
			if neg != "" {
				want = not(want)
			}
			if got := matches(conds, &p, 0); got != want {
				t.Errorf("%s in %s%s: %v, want %v", tc.packet, neg, tc.set, got, want)
			}
		}
	}
	p := from(t, "tcp 10.0.0.9:1 10.0.0.1:80")
	if !s.Contains("ip", "dst", &p) || s.Contains("ip", "src", &p) || s.Contains("leaving", "dst", &p) || (*IPSets)(nil).Contains("ip", "dst", &p) {
		t.Error("Contains")
	}
	conds, _ := conditions(split("-m set --match-set ip dst -j DROP"))
	if got := matches(conds, &p, 0); got != maybe {
		t.Errorf("without sets: %v", got)
	}
}

func TestBrokenSets(t *testing.T) {
	long := "create a hash:ip family inet hashsize 1 maxelem 1\nadd a " + strings.Repeat("1", maxIPSetLine)
	for _, tc := range []struct{ name, save, want, in string }{
		{"cut in an element", "create a hash:ip family inet\nadd a 10.0.0.1\nadd a 10.0.0", "ends inside line 3", "maybe"},
		{"cut in a set", "create a hash:ip family inet\nadd a 10.0.0.1\ncreate b ha", "ends inside line 3", "maybe"},
		{"a type of tomorrow", "create a hash:flow family inet\nadd a 10.0.0.7\n", "sets of the type hash:flow are not understood", "maybe"},
		{"by MAC address", "create a hash:mac hashsize 1\nadd a 00:00:00:00:00:01\n", "not understood", "maybe"},
		{"an option of tomorrow", "create a hash:ip family inet fuzzy\nadd a 10.0.0.7\n", "option fuzzy", "maybe"},
		{"a mask", "create a hash:ip family inet bitmask 255.0.255.0\n", "option bitmask", "maybe"},
		{"a netmask of nothing", "create a hash:ip family inet netmask x\n", `netmask "x"`, "maybe"},
		{"no address", "create a hash:ip family inet\nadd a hello\n", "element of the set a is not understood", "maybe"},
		{"a part too many", "create a hash:ip family inet\nadd a 10.0.0.1,tcp:80\n", "not understood", "maybe"},
		{"a part too few", "create a hash:ip,port family inet\nadd a 10.0.0.1\n", "not understood", "maybe"},
		{"an element's option of tomorrow", "create a hash:ip family inet\nadd a 10.0.0.1 upsidedown\n", "not understood", "maybe"},
		{"an option without its value", "create a hash:ip family inet\nadd a 10.0.0.1 timeout\n", "not understood", "maybe"},
		{"an element of no set", "add a 10.0.0.1\n", "was not created", "maybe"},
		{"a set twice", "create a hash:ip family inet\ncreate a hash:ip family inet\n", "is there already", "no"},
		{"nonsense", "create a hash:ip family inet\nhello\n", "neither a set nor an element", "maybe"},
		{"a line of 64 KiB", long, "longer than", "maybe"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, warnings, err := ParseIPSets(strings.NewReader(tc.save))
			if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], tc.want) || !strings.HasPrefix(warnings[0], "ipsets: ") {
				t.Errorf("%v %q, want %q", err, warnings, tc.want)
			}
			p := from(t, "tcp 10.0.0.3:1 10.9.9.9:80")
			if got := s.member("a", []string{"dst", "dst"}, &p, false, false).String(); got != tc.in {
				t.Errorf("another address is in it: %v, want %v", got, tc.in)
			}
		})
	}
	if s, _, err := ParseIPSets(failing{}); err == nil || s == nil {
		t.Error("a read error is none")
	}
	// of a set that is not whole, an address that is there is there; a network that is there may have an exception that was not read
	s, _, _ := ParseIPSets(strings.NewReader("create n hash:net family inet\nadd n 10.0.0.0/8\nadd n x\ncreate a hash:ip family inet\nadd a 10.0.0.1\nadd a x\n"))
	p := from(t, "tcp 10.0.0.3:1 10.0.0.1:80")
	if n, a := s.member("n", []string{"dst"}, &p, false, false), s.member("a", []string{"dst"}, &p, false, false); n != maybe || a != yes {
		t.Errorf("%v %v", n, a)
	}
	var lists IPSets
	if err := json.Unmarshal([]byte(`{"sets":[null,{"name":"l","type":"list:set","elements":["l","k"]},{"name":"k","type":"hash:ip","elements":["?"]}]}`), &lists); err != nil {
		t.Fatal(err)
	}
	if a := lists.member("l", []string{"dst"}, &p, false, false); a != maybe {
		t.Errorf("a list in itself: %v", a)
	}
	(&IPSets{}).Cut()
	for _, kind := range []string{"hash:ip,ip,ip", "hash:flow", "", "bitmap:ip,mac", "hash:port", "hash:iface,net", "hash:net,set", "hash:ip,port,ip,port"} {
		odd := IPSets{Sets: []*IPSet{{Name: "a", Type: kind, Elements: []string{"10.0.0.1,10.0.0.1,10.0.0.1"}}}}
		if a := odd.member("a", []string{"dst", "dst", "dst", "dst"}, &p, false, false); a != maybe {
			t.Errorf("type %q: %v", kind, a)
		}
	}
}

func TestTooManyElements(t *testing.T) {
	var b strings.Builder
	b.WriteString("create a bitmap:port range 0-65535\ncreate b bitmap:port range 0-65535\n")
	for range maxIPSetElements + 2 {
		b.WriteString("add a 80\n")
	}
	b.WriteString("add b 81\n")
	s, warnings, err := ParseIPSets(strings.NewReader(b.String()))
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "only the first") || !s.Set("a").Partial || !s.Set("b").Partial {
		t.Errorf("%v %v", warnings, err)
	}
}

// fullSet has 65,536 elements, the most that ipset makes room for when it is not told.
func fullSet() string {
	var b strings.Builder
	b.WriteString("create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 65536 maxelem 65536 bucketsize 12 initval 0x1\n")
	for i := range 1 << 16 {
		fmt.Fprintf(&b, "add KUBE-CLUSTER-IP 10.96.%d.%d,tcp:80\n", i>>8, i&255)
	}
	return b.String()
}

// Topology: a set of 65,536 elements. Action: 1,000 lookups, after one that makes the index. Expectation: they take less time than 50 that look
// at every element would.
func TestLookupsDoNotGrowWithTheSet(t *testing.T) {
	s := ipsets(t, fullSet())
	p := from(t, "tcp 10.0.0.3:1 10.96.200.7:80")
	ask := func() answer { return s.member("KUBE-CLUSTER-IP", []string{"dst", "dst"}, &p, false, false) }
	if ask() != yes {
		t.Fatal("it is not in it")
	}
	begin := time.Now()
	for range 1000 {
		ask()
	}
	lookups := time.Since(begin)
	begin = time.Now()
	set, found := s.Set("KUBE-CLUSTER-IP"), 0
	for _, e := range set.Elements {
		if m, ok := parseMember(set, e); ok && m.port == 80 {
			found++
		}
	}
	if scan := time.Since(begin); found != 1<<16 || lookups > 50*scan {
		t.Errorf("1,000 lookups take %v, one look at all elements %v", lookups, scan)
	}
}

func BenchmarkIPSetParse(b *testing.B) {
	save := fullSet()
	for b.Loop() {
		if _, _, err := ParseIPSets(strings.NewReader(save)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIPSetIndex(b *testing.B) {
	save := fullSet()
	for b.Loop() {
		b.StopTimer()
		s, _, _ := ParseIPSets(strings.NewReader(save))
		b.StartTimer()
		s.Sets[0].prepare()
	}
}

func BenchmarkIPSetLookup(b *testing.B) {
	s := ipsets(b, fullSet())
	p := from(b, "tcp 10.0.0.3:1 10.96.200.7:80")
	for b.Loop() {
		if s.member("KUBE-CLUSTER-IP", []string{"dst", "dst"}, &p, false, false) != yes {
			b.Fatal("it is not in it")
		}
	}
}

// A recording's sets are what somebody wrote: whatever they say, a packet is in them, or not, or maybe.
func FuzzIPSetsOfARecording(f *testing.F) {
	f.Add([]byte(`{"sets":[{"name":"a","type":"hash:net,iface","family":"inet","elements":["10.0.0.0/8,eth0 wildcard","x"]},{"name":"l","type":"list:set","elements":["a","l"]}]}`), "l", "dst,dst")
	f.Add([]byte(`{"sets":[{"name":"a","type":"hash:ip,ip,ip","bits":-7,"elements":["::,::,::"]},null]}`), "a", "src,src,src")
	f.Add([]byte(`{"sets":[{"name":"a","type":"bitmap:ip","bits":200,"elements":["10.0.0.1","::1"]}]}`), "a", "dst")
	f.Fuzz(func(t *testing.T, recorded []byte, name, dirs string) {
		var s IPSets
		if json.Unmarshal(recorded, &s) != nil {
			return
		}
		for _, dst := range []string{"10.0.0.1", "::1", "::ffff:10.0.0.1"} {
			a := netip.MustParseAddr(dst)
			p := Packet{Proto: "udp", Src: a, Dst: a, Sport: 80, Dport: 80, In: "eth0", Out: "eth0", Sets: &s}
			conds, _ := conditions([]string{"-m", "set", "--match-set", name, dirs, "--return-nomatch"})
			if got := matches(conds, &p, 0); got < no || got > yes {
				t.Errorf("%d", got)
			}
		}
	})
}

func FuzzParseIPSets(f *testing.F) {
	f.Add(manySets, "both", "dst,dst")
	f.Add("create a hash:net,iface family inet\nadd a 10.0.0.0/8,eth0", "a", "src")
	f.Add("create a bitmap:ip range 1.1.1.1-1.1.1.2 netmask 200\nadd a 1.1.1.1 nomatch comment \"", "a", "")
	f.Fuzz(func(t *testing.T, save, name, dirs string) {
		s, _, err := ParseIPSets(strings.NewReader(save))
		if err != nil {
			t.Fatal(err)
		}
		for _, dst := range []string{"10.0.0.1", "2001:db8::1"} {
			a := netip.MustParseAddr(dst)
			p := Packet{Proto: "tcp", Src: a, Dst: a, Sport: 80, Dport: 80, In: "eth0", Out: "eth0", Sets: s}
			if got := s.member(name, strings.Split(dirs, ","), &p, false, false); got < no || got > yes {
				t.Errorf("%d", got)
			}
		}
		if _, err := json.Marshal(s); err != nil {
			t.Error(err)
		}
	})
}
