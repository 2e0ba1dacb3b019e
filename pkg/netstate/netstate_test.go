// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func ip(s string) netip.Addr       { return netip.MustParseAddr(s) }

// small is a node with a pod.
func small() *Snapshot {
	return &Snapshot{Namespaces: []Namespace{
		{Inode: 1, Name: "node1", Node: "node1", Host: true,
			Links: []Link{{Index: 1, Name: "lo", Addrs: []netip.Prefix{prefix("127.0.0.1/8")}}, {Index: 2, Name: "eth0", Addrs: []netip.Prefix{prefix("192.168.50.1/24")}},
				{Index: 3, Name: "cni0", Kind: "bridge", Addrs: []netip.Prefix{prefix("10.244.1.1/24")}}, {Index: 4, Name: "veth1", Kind: "veth", Master: 3, PeerIndex: 2}},
			Routes: []Route{{Table: 254, Dst: prefix("0.0.0.0/0"), Dev: "eth0"}, {Table: 254, Dst: prefix("10.244.2.0/24"), Dev: "flannel.1"}, {Table: 254, Dst: prefix("10.244.2.128/25"), Type: "blackhole"},
				{Table: 255, Dst: prefix("192.168.50.1/32"), Type: "local", Dev: "eth0"}, {Table: 255, Dst: prefix("192.168.50.255/32"), Type: "broadcast", Dev: "eth0"}, {Table: 100, Dst: prefix("10.9.0.0/16"), Dev: "x"}},
			Neighs:  []Neigh{{Dev: "cni0", IP: ip("10.244.1.10"), MAC: "aa", State: "REACHABLE"}},
			FDB:     []FDBEntry{{Dev: "flannel.1", MAC: "02", Dst: ip("192.168.50.2")}},
			Sockets: []Socket{{Proto: "tcp", Local: netip.MustParseAddrPort("0.0.0.0:22")}, {Proto: "udp", Local: netip.MustParseAddrPort("0.0.0.0:8472")}}},
		{Inode: 2, Name: "pod", Node: "node1", Links: []Link{{Index: 2, Name: "eth0", Kind: "veth", PeerIndex: 4, Addrs: []netip.Prefix{prefix("10.244.1.10/24")}}}},
	}}
}

func TestQueries(t *testing.T) {
	s := small()
	n := s.ByInode(1)
	if n == nil || n.Name != "node1" || s.ByInode(9) != nil || s.ByInode(0) != nil {
		t.Error("ByInode")
	}
	if o := s.OwnersOf(ip("10.244.1.10")); len(o) != 1 || o[0].NS.Name != "pod" || o[0].Link.Name != "eth0" {
		t.Errorf("OwnersOf: %+v", o)
	}
	if s.Host("node1") != n || s.Host("node9") != nil {
		t.Error("Host")
	}
	if n.Link("cni0") == nil || n.Link("nope") != nil || n.LinkByIndex(4).Name != "veth1" || n.LinkByIndex(99) != nil {
		t.Error("Link")
	}
	if !n.IsLocal(ip("192.168.50.1")) || n.IsLocal(ip("10.244.1.10")) || !n.IsLocal(ip("127.0.0.9")) {
		t.Error("IsLocal")
	}
	for a, want := range map[string]string{"10.244.2.20": "flannel.1", "8.8.8.8": "eth0", "192.168.50.1": "eth0", "192.168.50.255": "eth0"} {
		if r, ok := n.RouteFor(ip(a)); !ok || r.Dev != want {
			t.Errorf("RouteFor(%s) = %+v", a, r)
		}
	}
	if r, _ := n.RouteFor(ip("10.244.2.200")); r.Type != "blackhole" {
		t.Errorf("the longest prefix: %+v", r)
	}
	if r, _ := n.RouteFor(ip("10.9.1.1")); r.Dst.Bits() != 0 {
		t.Errorf("a table that no rule names: %+v", r)
	}
	if _, ok := n.RouteFor(ip("fd00::1")); ok {
		t.Error("an IPv6 route out of nothing")
	}
	if x, ok := n.Neigh("cni0", ip("10.244.1.10")); !ok || x.MAC != "aa" {
		t.Error("Neigh")
	}
	if _, ok := n.Neigh("eth0", ip("10.244.1.10")); ok {
		t.Error("a neighbour on another device")
	}
	if !n.HasFDB("flannel.1", "02") || n.HasFDB("flannel.1", "03") || len(n.Listeners("tcp")) != 1 {
		t.Error("HasFDB or Listeners")
	}
	local, bridge := s.LocalIn(), s.BridgeOf()
	if !local(2, ip("10.244.1.10")) || local(1, ip("10.244.1.10")) || local(9, ip("10.244.1.10")) {
		t.Error("LocalIn")
	}
	if b, i := bridge(1, 4); b != "cni0" || i != 3 {
		t.Errorf("BridgeOf: %s %d", b, i)
	}
	if b, _ := bridge(1, 2); b != "" {
		t.Errorf("eth0 is on %s", b)
	}
}

// Policy rules name the tables, in their order; what they ask besides the destination makes the answer unsure.
func TestRoutesByPolicy(t *testing.T) {
	any4 := prefix("0.0.0.0/0")
	rules := func(more ...PolicyRule) []PolicyRule {
		return slices.Concat([]PolicyRule{{Priority: 0, Dst: any4, Table: 255}}, more, []PolicyRule{{Priority: 32766, Dst: any4, Table: 254}, {Priority: 32767, Dst: any4, Table: 253}})
	}
	for _, tc := range []struct {
		name   string
		policy []PolicyRule
		to     string
		dev    string
		sure   bool
	}{
		{"no rules of its own", nil, "10.9.1.1", "eth0", true},
		{"a table for every packet", rules(PolicyRule{Priority: 100, Dst: any4, Table: 100}), "10.9.1.1", "x", true},
		{"that table has no route", rules(PolicyRule{Priority: 100, Dst: any4, Table: 100}), "10.244.2.20", "flannel.1", true},
		{"a table for that destination", rules(PolicyRule{Priority: 100, Dst: prefix("10.9.0.0/16"), Table: 100}), "10.9.1.1", "x", true},
		{"a table for another destination", rules(PolicyRule{Priority: 100, Dst: prefix("10.8.0.0/16"), Table: 100}), "10.9.1.1", "eth0", true},
		{"a table for some sources", rules(PolicyRule{Priority: 100, Dst: any4, Table: 100, Selects: true}), "10.9.1.1", "eth0", false},
		{"the answer comes before that rule", rules(PolicyRule{Priority: 100, Dst: any4, Table: 100, Selects: true}), "192.168.50.1", "eth0", true},
		{"a rule without a table", rules(PolicyRule{Priority: 100, Dst: any4}), "10.9.1.1", "eth0", false},
		{"rules of IPv6 only", []PolicyRule{{Priority: 100, Dst: prefix("::/0"), Table: 100, Selects: true}}, "10.9.1.1", "eth0", true},
	} {
		n := small().ByInode(1)
		n.Policy = tc.policy
		if r, ok, sure := n.Routed(ip(tc.to)); !ok || r.Dev != tc.dev || sure != tc.sure {
			t.Errorf("%s: %+v %v, sure %v", tc.name, r, ok, sure)
		}
	}
}

// Topology: a namespace with two policy rules. Action: read it, and one that has none. Expectation: all of the first are there in order, none of the
// second.
func TestReadPolicyRules(t *testing.T) {
	refs := spaces(t, "netstate-rule", 2)
	if err := netns.Do(refs[0].Path, func() error {
		from, to := netlink.NewRule(), netlink.NewRule()
		from.Priority, from.Table, from.Src = 200, 100, &net.IPNet{IP: net.IPv4(10, 1, 0, 0).To4(), Mask: net.CIDRMask(16, 32)}
		to.Priority, to.Table, to.Dst = 100, 101, &net.IPNet{IP: net.IPv4(10, 2, 0, 0).To4(), Mask: net.CIDRMask(16, 32)}
		return errors.Join(netlink.RuleAdd(from), netlink.RuleAdd(to))
	}); err != nil {
		t.Fatal(err)
	}
	s := Read(context.Background(), refs)
	any4 := prefix("0.0.0.0/0")
	want := []PolicyRule{{0, any4, 255, false}, {100, prefix("10.2.0.0/16"), 101, false}, {200, any4, 100, true}, {32766, any4, 254, false}, {32767, any4, 253, false}}
	if got := s.Namespaces[0].Policy; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := s.Namespaces[1].Policy; len(got) != 0 || len(s.Namespaces[1].Unread) != 0 {
		t.Errorf("without rules of its own: %+v, unread %q", got, s.Namespaces[1].Unread)
	}
}

func TestQueriesOnNothing(t *testing.T) {
	var s *Snapshot
	var n *Namespace
	if s.ByInode(1) != nil || s.OwnersOf(ip("10.0.0.1")) != nil || s.Host("x") != nil || s.LocalIn() != nil || s.BridgeOf() != nil {
		t.Error("a missing snapshot answers")
	}
	_, route := n.RouteFor(ip("10.0.0.1"))
	_, neigh := n.Neigh("x", ip("10.0.0.1"))
	if n.Link("x") != nil || n.LinkByIndex(1) != nil || n.IsLocal(ip("10.0.0.1")) || route || neigh || n.HasFDB("x", "y") || n.Listeners("tcp") != nil {
		t.Error("a missing namespace answers")
	}
}

func TestASnapshotSurvivesJSON(t *testing.T) {
	b, err := json.Marshal(small())
	if err != nil {
		t.Fatal(err)
	}
	var back Snapshot
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*small(), back) {
		t.Errorf("%+v\n%+v", *small(), back)
	}
}

func rules(t testing.TB, save, backend string) ruleset.Ruleset {
	t.Helper()
	rs, warn, err := ruleset.Parse(strings.NewReader(save), backend, "ip")
	if err != nil || warn != nil {
		t.Fatal(err, warn)
	}
	return rs
}

// A packet that was translated and then dropped: both rules are found, from what the journey says of it.
func TestAttribute(t *testing.T) {
	s := small()
	s.Namespaces[0].Rulesets = []ruleset.Ruleset{
		rules(t, `*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-SVC-X - [0:0]
-A PREROUTING -d 10.96.0.80/32 -p tcp -m comment --comment "shop/web:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-X
-A POSTROUTING -o eth0 -j MASQUERADE
-A KUBE-SVC-X -p tcp -m comment --comment "shop/web:http" -m tcp -j DNAT --to-destination 10.244.2.20:8080
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
-A INPUT -p udp -m udp --dport 8472 -j DROP
-A FORWARD -i cni0 -o flannel.1 -d 10.244.2.20/32 -p tcp -m tcp --dport 8080 -j DROP
COMMIT
`, "iptables-legacy"),
		rules(t, "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n", "iptables-nft"),
	}
	to := journey.Tuple{Src: ip("10.244.1.10"), Sport: 4, Dst: ip("10.244.2.20"), Dport: 8080}
	hops := func(last ...journey.Hop) []journey.Hop {
		h := []journey.Hop{
			{NetNS: 2, Stage: journey.StageDeviceTx, Dev: "eth0"},
			{NetNS: 1, Stage: journey.StageDeviceRx, Dev: "veth1"},
			{NetNS: 1, Stage: journey.StageBridge, Dev: "cni0", Port: "veth1"},
			{NetNS: 1, Stage: journey.StageNAT, NAT: &journey.NAT{Type: "dnat", From: "10.96.0.80:80", To: "10.244.2.20:8080"}, Tuple: &to},
			{NetNS: 1, Stage: journey.StageRoute, Route: &journey.Route{OIF: "flannel.1"}},
		}
		return append(h, last...)
	}
	packet := journey.Packet{Proto: "tcp", Flags: "SYN", Tuple: journey.Tuple{Src: ip("10.244.1.10"), Sport: 4, Dst: ip("10.96.0.80"), Dport: 80}}
	drop := func(location, hook string) journey.Hop {
		return journey.Hop{NetNS: 1, Stage: journey.StageDrop, Location: location, Hook: hook, CT: &journey.CT{State: "NEW"}}
	}
	j := journey.Journey{Packet: packet, Hops: hops(drop("nf_hook_slow", "FORWARD"))}
	Attribute(s, nil, &j)
	if r := j.Hops[3].Rule; r == nil || r.Chain != "KUBE-SVC-X" || r.Number != 1 || j.Hops[3].Ref.String() != "svc/shop/web:http" || r.Certainty != "inferred" {
		t.Errorf("translation: %+v %v", r, j.Hops[3].Ref)
	}
	if r := j.Hops[5].Rule; r == nil || r.Backend != "iptables-legacy" || r.Number != 1 || !strings.Contains(r.Text, "flannel.1") {
		t.Errorf("drop: %+v", r)
	}
	j = journey.Journey{Packet: packet, Hops: hops(drop("nft_do_chain", "FORWARD"))}
	Attribute(s, nil, &j)
	if r := j.Hops[5].Rule; r == nil || r.Backend != "iptables-nft" || r.Number != 0 || r.Verdict != "DROP" {
		t.Errorf("drop by nft: %+v", r)
	}
	outer := drop("nf_hook_slow", "INPUT")
	outer.Outer = &journey.Tuple{Src: ip("192.168.50.2"), Sport: 5, Dst: ip("192.168.50.1"), Dport: 8472}
	j = journey.Journey{Packet: packet, Hops: []journey.Hop{{NetNS: 1, Stage: journey.StageDeviceRx, Dev: "eth0", Outer: outer.Outer}, outer}}
	Attribute(s, nil, &j)
	if r := j.Hops[1].Rule; r == nil || r.Chain != "INPUT" || r.Number != 1 {
		t.Errorf("the tunnel's packet: %+v", r)
	}
	source := journey.Hop{NetNS: 1, Stage: journey.StageNAT, NAT: &journey.NAT{Type: "snat", From: "10.244.1.10:4", To: "192.168.50.1:9"}, Tuple: &journey.Tuple{Src: ip("192.168.50.1"), Sport: 9, Dst: ip("8.8.8.8"), Dport: 53}}
	j = journey.Journey{Packet: packet, Hops: []journey.Hop{{NetNS: 1, Stage: journey.StageRoute, Route: &journey.Route{OIF: "eth0"}}, source}}
	Attribute(s, nil, &j)
	if j.Hops[1].NAT.Type != "masquerade" {
		t.Errorf("masquerade: %+v", j.Hops[1].NAT)
	}
	j = journey.Journey{Packet: packet, Hops: hops(drop("nf_hook_slow", "FORWARD"))}
	Attribute(nil, nil, &j)
	if j.Hops[5].Rule != nil {
		t.Error("a rule out of nothing")
	}
}

func TestParseSocket(t *testing.T) {
	m := make([]byte, 72)
	m[0] = unix.AF_INET
	binary.BigEndian.PutUint16(m[4:], 8080)
	copy(m[8:], []byte{10, 0, 0, 1})
	binary.NativeEndian.PutUint32(m[56:], 2)
	binary.NativeEndian.PutUint32(m[60:], 128)
	binary.NativeEndian.PutUint32(m[68:], 4711)
	if s, ok := parseSocket("tcp", m); !ok || s != (Socket{Proto: "tcp", Local: netip.MustParseAddrPort("10.0.0.1:8080"), RecvQ: 2, SendQ: 128, inode: 4711}) {
		t.Errorf("%+v", s)
	}
	m[0] = unix.AF_INET6
	if s, ok := parseSocket("tcp", m); !ok || !s.Local.Addr().Is6() {
		t.Errorf("%+v", s)
	}
	m[0] = 77
	if _, ok := parseSocket("tcp", m); ok {
		t.Error("an unknown family")
	}
	if _, ok := parseSocket("tcp", m[:71]); ok {
		t.Error("a short message")
	}
}

func FuzzParseSocket(f *testing.F) {
	f.Add(make([]byte, 72))
	f.Fuzz(func(t *testing.T, b []byte) { parseSocket("udp", b) })
}

func TestLimitedOutput(t *testing.T) {
	l := limited{max: 5}
	for range 3 {
		if n, err := l.Write([]byte("abc")); n != 3 || err != nil {
			t.Fatal(n, err)
		}
	}
	if l.String() != "abcab" {
		t.Errorf("%q", l.String())
	}
	r := &reader{n: &Namespace{}}
	if bound(r, "routes", maxEntries+1) != maxEntries || !strings.Contains(r.n.TruncNote, "routes") || bound(r, "x", 3) != 3 {
		t.Errorf("bound: %q", r.n.TruncNote)
	}
}

// Topology: a namespace with a bridge, a port on it, a VXLAN device, routes, a listener and a rule. Action: read it. Expectation: all of it is
// there, and reading changed nothing.
func TestReadARealNamespace(t *testing.T) {
	path := spaces(t, "netstate-test", 1)[0].Path
	furnish(t, path)
	var ln net.Listener
	if err := netns.Do(path, func() (err error) {
		ln, err = net.Listen("tcp4", "10.1.1.1:8080")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := Read(context.Background(), []Ref{{Path: path, Name: "x", Node: "n", Host: true}, {Path: "/run/netns/there-is-none", Name: "gone"}, {Path: "/etc/passwd", Name: "file"}})
	n := &s.Namespaces[0]
	if len(n.Unread) > 0 {
		t.Errorf("unread: %q", n.Unread)
	}
	br, port, vx := n.Link("br1"), n.Link("port1"), n.Link("vx1")
	if br == nil || br.Kind != "bridge" || !br.Up || len(br.Addrs) == 0 || br.Addrs[0].Addr() != ip("10.1.1.1") {
		t.Errorf("bridge %+v", br)
	}
	if port == nil || port.Master != br.Index || port.Kind != "veth" || port.PeerIndex != n.Link("peer1").Index || port.Hairpin == nil || !*port.Hairpin {
		t.Errorf("port %+v", port)
	}
	if vx == nil || vx.VXLAN == nil || vx.VXLAN.VNI != 7 || vx.VXLAN.Port != 4789 || vx.VXLAN.Local != ip("10.1.1.1") {
		t.Errorf("vxlan %+v", vx)
	}
	if lo := n.Link("lo"); lo == nil || lo.Kind != "loopback" {
		t.Errorf("lo %+v", lo)
	}
	if r, ok := n.RouteFor(ip("10.9.9.9")); !ok || r.Type != "blackhole" {
		t.Errorf("route %+v", r)
	}
	if x, ok := n.Neigh("br1", ip("10.1.1.9")); !ok || x.State != "PERMANENT" {
		t.Errorf("neighbour %+v", x)
	}
	if got := n.Listeners("tcp"); len(got) != 1 || got[0].Local != netip.MustParseAddrPort("10.1.1.1:8080") {
		t.Errorf("listeners %+v", got)
	}
	if n.Sysctls["net.ipv4.ip_forward"] == "" || n.Sysctls["net.ipv4.conf.br1.rp_filter"] == "" {
		t.Errorf("sysctls %v", n.Sysctls)
	}
	if len(n.Rulesets) != 0 {
		t.Errorf("reading the rules of a namespace without any made %d rulesets", len(n.Rulesets))
	}
	if len(s.Namespaces[1].Unread) != 1 || len(s.Namespaces[2].Unread) != 1 || !strings.Contains(s.Namespaces[2].Unread[0], "is no namespace") {
		t.Errorf("what is no namespace: %q %q", s.Namespaces[1].Unread, s.Namespaces[2].Unread)
	}
	found := false
	for _, r := range Discover() {
		found = found || r.Path == path
	}
	if !found {
		t.Error("Discover does not find a named namespace")
	}
}

// furnish makes the devices of the test.
func furnish(t *testing.T, path string) {
	t.Helper()
	fd, err := vns.GetFromPath(path)
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	nl, err := netlink.NewHandleAt(fd, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br1"}}
	must(nl.LinkAdd(br))
	v := netlink.NewVeth(netlink.LinkAttrs{Name: "port1"})
	v.PeerName = "peer1"
	must(nl.LinkAdd(v))
	must(nl.LinkSetMaster(v, br))
	must(nl.LinkSetHairpin(v, true))
	must(nl.LinkSetUp(br))
	must(nl.AddrAdd(br, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 1, 1, 1), Mask: net.CIDRMask(24, 32)}}))
	must(nl.LinkAdd(&netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: "vx1"}, VxlanId: 7, SrcAddr: net.IPv4(10, 1, 1, 1), Port: 4789}))
	must(nl.RouteAdd(&netlink.Route{Dst: &net.IPNet{IP: net.IPv4(10, 9, 0, 0), Mask: net.CIDRMask(16, 32)}, Type: unix.RTN_BLACKHOLE}))
	must(nl.NeighSet(&netlink.Neigh{LinkIndex: br.Attrs().Index, State: unix.NUD_PERMANENT, IP: net.IPv4(10, 1, 1, 9), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9}}))
}

// A veth on the node is a namespace's when each end names the other's index; one end alone proves nothing.
func TestHostVeths(t *testing.T) {
	s := &Snapshot{Namespaces: []Namespace{
		{Inode: 1, Node: "node1", Host: true, Links: []Link{{Index: 5, Name: "veth5", Kind: "veth", PeerIndex: 2}, {Index: 6, Name: "veth6", Kind: "veth", PeerIndex: 3}, {Index: 7, Name: "eth0", PeerIndex: 2}}},
		{Inode: 2, Node: "node2", Host: true, Links: []Link{{Index: 6, Name: "other", Kind: "veth", PeerIndex: 2}}},
		{Inode: 10, Node: "node1", Links: []Link{{Index: 2, Kind: "veth", PeerIndex: 5}}},
		{Inode: 11, Node: "node1", Links: []Link{{Index: 2, Kind: "veth", PeerIndex: 6}}}, // veth6 says 3
		{Inode: 12, Node: "node1", Links: []Link{{Index: 2, Kind: "veth", PeerIndex: 7}}}, // no veth
		{Inode: 13, Node: "node3", Links: []Link{{Index: 2, Kind: "veth", PeerIndex: 5}}}, // of a node without a host namespace here
		{Inode: 14, Node: "node2", Links: []Link{{Index: 2, Kind: "veth", PeerIndex: 6}}},
	}}
	for inode, want := range map[uint32]string{1: "", 10: "veth5", 11: "", 12: "", 13: "", 14: "other", 99: ""} {
		got := ""
		for _, o := range s.HostVeths(inode) {
			got += o.Link.Name
		}
		if got != want {
			t.Errorf("namespace %d has %q, want %q", inode, got, want)
		}
	}
}
