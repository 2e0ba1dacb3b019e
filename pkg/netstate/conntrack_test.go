// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/ti-mo/conntrack"
	"github.com/vishvananda/netlink"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/journey"
)

func tuple(src, dst string) journey.Tuple {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	return journey.Tuple{Src: s.Addr(), Sport: s.Port(), Dst: d.Addr(), Dport: d.Port()}
}

// Topology: a namespace with 20,000 conntrack entries. Action: read it with one packet that is asked for. Expectation: that packet's entry, found
// by its answer, and no other; nothing is listed.
func TestConntrackIsAskedNotListed(t *testing.T) {
	const entries = 20000
	ref := spaces(t, "netstate-ct", 1)[0]
	fd, err := vns.GetFromPath(ref.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fd.Close() }()
	h, err := netlink.NewHandleAt(fd, unix.NETLINK_NETFILTER)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	at := func(i int) (net.IP, uint16) { return net.IPv4(10, 9, byte(i/10000), 1).To4(), uint16(1024 + i%10000) }
	for i := range entries {
		src, sport := at(i)
		// translated on the way: to 10.96.0.80:80, answered by 10.244.2.20:8080
		if err := h.ConntrackCreate(netlink.ConntrackTable, unix.AF_INET, &netlink.ConntrackFlow{FamilyType: unix.AF_INET, TimeOut: 600,
			Forward:   netlink.IPTuple{Protocol: unix.IPPROTO_TCP, SrcIP: src, SrcPort: sport, DstIP: net.IPv4(10, 96, 0, 80).To4(), DstPort: 80},
			Reverse:   netlink.IPTuple{Protocol: unix.IPPROTO_TCP, SrcIP: net.IPv4(10, 244, 2, 20).To4(), SrcPort: 8080, DstIP: src, DstPort: sport},
			ProtoInfo: &netlink.ProtoInfoTCP{State: 3}}); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
	s := Read(context.Background(), []Ref{ref})
	inode := s.Namespaces[0].Inode
	if n := s.Namespaces[0].Sysctls["net.netfilter.nf_conntrack_count"]; n < fmt.Sprint(entries) || len(n) < 5 {
		t.Fatalf("the table has %s entries", n)
	}
	src, sport := at(12345)
	packet := tuple(fmt.Sprintf("%s:%d", src, sport), "10.244.2.20:8080")
	begin := time.Now()
	after := s.ReadAgain(context.Background(), []Ref{ref}, func(*Namespace) bool { return true },
		Asked{inode, "tcp", packet}, Asked{inode, "tcp", packet}, Asked{inode + 1, "tcp", tuple("10.9.0.1:1024", "10.96.0.80:80")}, Asked{inode, "udp", packet}, Asked{inode, "tcp", tuple("10.9.0.1:1", "10.96.0.80:80")})
	t.Logf("read with a look-up among %d entries in %v", entries, time.Since(begin))
	n := &after.Namespaces[0]
	if len(n.Tracked) != 1 || len(n.Unread) > 0 {
		t.Fatalf("entries %+v, unread %q", n.Tracked, n.Unread)
	}
	want := Tracked{Proto: "tcp", State: "ESTABLISHED", Orig: tuple(fmt.Sprintf("%s:%d", src, sport), "10.96.0.80:80"), Reply: reversed(packet)}
	if n.Tracked[0] != want {
		t.Errorf("%+v, want %+v", n.Tracked[0], want)
	}
	if n.Entry("tcp", reversed(packet)) == nil || n.Entry("tcp", want.Orig) == nil || n.Entry("udp", want.Orig) != nil || n.Entry("tcp", packet) != nil || (*Namespace)(nil).Entry("tcp", packet) != nil {
		t.Error("Entry finds by each direction of an entry, and nothing else")
	}
}

// Topology: a namespace with 20,000 connected sockets and one that listens. Action: read it. Expectation: the kernel sends the listening one only.
func TestSocketsAreFilteredInTheKernel(t *testing.T) {
	connected := 20000
	ref := spaces(t, "netstate-sk", 1)[0]
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	raised := limit
	if raised.Cur = uint64(connected) + 1000; raised.Cur > raised.Max {
		raised.Max = raised.Cur // which takes CAP_SYS_RESOURCE
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err != nil {
		connected, raised = int(limit.Max)-1000, limit
		t.Logf("%d sockets: no more may be open here", connected)
		raised.Cur = raised.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err != nil || connected < 1000 {
			t.Fatalf("%d sockets: %v", connected, err)
		}
	}
	t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit.Cur, Max: raised.Max}) })
	var open []int
	t.Cleanup(func() {
		for _, fd := range open {
			_ = unix.Close(fd)
		}
	})
	var sent int
	err := netns.Do(ref.Path, func() error {
		for i := range connected {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("socket %d: %w", i, err)
			}
			open = append(open, fd)
			if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 1 + i%60000, Addr: [4]byte{127, 0, byte(1 + i/60000), 1}}); err != nil {
				return fmt.Errorf("socket %d: %w", i, err)
			}
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		open = append(open, fd)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: 61000}); err != nil {
			return err
		}
		msgs, err := socketsIn(unix.AF_INET, unix.IPPROTO_UDP, stateClose)
		sent = len(msgs)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if sent != 1 {
		t.Errorf("the kernel sent %d sockets, want the one that has no peer", sent)
	}
	n := &Read(context.Background(), []Ref{ref}).Namespaces[0]
	if len(n.Sockets) != 1 || n.Sockets[0].Local.Port() != 61000 || n.TruncNote != "" {
		t.Errorf("sockets %+v, %q", n.Sockets, n.TruncNote)
	}
}

// What the library read of an entry becomes ours; an entry without addresses is an error, a state that is not known is left out.
func TestTrackedOf(t *testing.T) {
	flow := func(state uint8) *conntrack.Flow {
		f := conntrack.NewFlow(unix.IPPROTO_TCP, 0, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), 1024, 80, 0, 0)
		f.ProtoInfo.TCP = &conntrack.ProtoInfoTCP{State: state}
		return &f
	}
	want := Tracked{Proto: "tcp", Orig: tuple("10.0.0.1:1024", "10.0.0.2:80"), Reply: tuple("10.0.0.2:80", "10.0.0.1:1024")}
	for state, word := range map[uint8]string{1: "SYN_SENT", 3: "ESTABLISHED", 7: "TIME_WAIT", 200: ""} {
		want.State = word
		if got, err := trackedOf("tcp", flow(state)); err != nil || *got != want {
			t.Errorf("state %d: %+v, %v", state, got, err)
		}
	}
	udp := flow(3)
	udp.ProtoInfo.TCP = nil
	want.State, want.Proto = "", "udp"
	if got, err := trackedOf("udp", udp); err != nil || *got != want {
		t.Errorf("%+v, %v", got, err)
	}
	none := flow(3)
	none.TupleReply.IP.SourceAddress = netip.Addr{}
	if got, err := trackedOf("tcp", none); err == nil {
		t.Errorf("an entry without addresses: %+v", got)
	}
}
