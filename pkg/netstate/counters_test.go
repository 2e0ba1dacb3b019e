// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"context"
	"maps"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/nettrace-io/nettrace/internal/netns"
)

func TestCounterFiles(t *testing.T) {
	for _, tc := range []struct {
		name  string
		parse func([]byte, map[string]uint64)
		text  string
		want  map[string]uint64
	}{
		{"pairs", parsePairs, "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 2 3\nIpExt: InOctets\nIpExt: 9\n", map[string]uint64{"TcpExt.ListenOverflows": 2, "TcpExt.ListenDrops": 3}},
		{"several groups", parsePairs, "Ip: Forwarding ReasmFails\nIp: 1 4\nTcp: MaxConn InCsumErrors\nTcp: -1 5\n", map[string]uint64{"Ip.ReasmFails": 4, "Tcp.InCsumErrors": 5}},
		{"values without names", parsePairs, "TcpExt: 1 2\n\nTcpExt: ListenDrops\nTcpExt: 7\n", map[string]uint64{"TcpExt.ListenDrops": 7}},
		{"more names than values", parsePairs, "TcpExt: ListenDrops ListenOverflows\nTcpExt: 7\n", map[string]uint64{}},
		{"no number", parsePairs, "TcpExt: ListenDrops\nTcpExt: x\n", map[string]uint64{}},
		{"sockets", parseSockstat, "sockets: used 15\nTCP: inuse 1 orphan 2 tw 3 alloc 9 mem 123\nUDP: inuse 0 mem 0\n", map[string]uint64{"Sockets.TCP.inuse": 1, "Sockets.TCP.orphan": 2, "Sockets.TCP.tw": 3}},
		{"sockets cut off", parseSockstat, "TCP: inuse 1 orphan\n", map[string]uint64{"Sockets.TCP.inuse": 1}},
		{"conntrack of two CPUs", parseConntrack, "entries  invalid insert_failed drop early_drop\n00000001 0000000a 00000002 00000000 00000000\n00000001 00000001 00000001 00000003 00000000\n",
			map[string]uint64{"Conntrack.invalid": 11, "Conntrack.insert_failed": 3, "Conntrack.drop": 3, "Conntrack.early_drop": 0}},
		{"conntrack cut off", parseConntrack, "entries drop\n0000\n", map[string]uint64{}},
		{"backlogs of two CPUs", parseSoftnet, "0000abcd 00000002 00000000\n00000001 0000000f 00000000\n", map[string]uint64{"Softnet.dropped": 17}},
		{"backlogs cut off", parseSoftnet, "0000abcd\n0000 x\n", map[string]uint64{}},
		{"nothing", parsePairs, "", map[string]uint64{}},
	} {
		got := map[string]uint64{}
		tc.parse([]byte(tc.text), got)
		if !maps.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func FuzzCounters(f *testing.F) {
	f.Add([]byte("TcpExt: ListenDrops\nTcpExt: 7\n"))
	f.Add([]byte("entries drop\n0001 0002\n"))
	f.Add([]byte("TCP: inuse 1 tw\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		into := map[string]uint64{}
		for _, parse := range []func([]byte, map[string]uint64){parsePairs, parseSockstat, parseConntrack, parseSoftnet} {
			parse(b, into)
		}
		if len(into) > len(counterNames)+8 {
			t.Errorf("%d counters of which nobody asked: %v", len(into), into)
		}
	})
}

func TestDelta(t *testing.T) {
	at := func(inode uint32, v map[string]uint64) *Snapshot {
		return &Snapshot{Namespaces: []Namespace{{Inode: inode, Counters: v}}}
	}
	one, three := map[string]uint64{"a": 1}, map[string]uint64{"a": 3}
	for _, tc := range []struct {
		name          string
		before, after *Snapshot
		want          uint64
		ok            bool
	}{
		{"grew", at(1, one), at(1, three), 2, true},
		{"stayed", at(1, one), at(1, one), 0, true},
		{"went back", at(1, three), at(1, one), 0, false},
		{"another namespace", at(2, one), at(1, three), 0, false},
		{"not read before", at(1, nil), at(1, three), 0, false},
		{"not read after", at(1, one), at(1, nil), 0, false},
		{"no snapshot", nil, at(1, three), 0, false},
	} {
		if got, ok := Delta(tc.before, tc.after, 1, "a"); got != tc.want || ok != tc.ok {
			t.Errorf("%s: %d %v", tc.name, got, ok)
		}
	}
}

// Topology: a namespace with a device that has a queueing discipline. Action: read it. Expectation: its kind, and the counters of the namespace.
func TestReadCounters(t *testing.T) {
	path := spaces(t, "netstate-count", 1)[0].Path
	if err := netns.Do(path, func() error {
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}); err != nil {
			return err
		}
		l, err := netlink.LinkByName("br0")
		if err != nil {
			return err
		}
		return netlink.QdiscAdd(&netlink.GenericQdisc{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}, QdiscType: "pfifo"})
	}); err != nil {
		t.Fatal(err)
	}
	s := Read(context.Background(), []Ref{{Path: path, Name: "x"}})
	n := &s.Namespaces[0]
	if l := n.Link("br0"); l == nil || l.Qdisc != "pfifo" || l.QdiscDrops != 0 {
		t.Errorf("the device is %+v", l)
	}
	for _, c := range []string{"TcpExt.ListenOverflows", "Ip.ReasmFails", "Sockets.TCP.inuse"} {
		if v, ok := n.Counters[c]; !ok || v != 0 {
			t.Errorf("%s is %d (there: %v) in a new namespace", c, v, ok)
		}
	}
	if _, ok := n.Counters["Softnet.dropped"]; !ok {
		t.Error("the backlogs of the CPUs are not counted")
	}
	if n.Sysctls["net.ipv4.ip_local_port_range"] == "" {
		t.Errorf("sysctls: %v", n.Sysctls)
	}
	if len(n.Unread) > 0 {
		t.Errorf("unread: %q", n.Unread)
	}
}
