// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

// reached is a request packet in the pod; end is whether its way to a socket was seen.
func reached(id int, flags string, end journey.End) journey.Journey {
	return journey.Journey{ID: id, Direction: journey.Request, Attempt: 1, End: end, Complete: true, Hops: []journey.Hop{{Stage: journey.StageSocket, NetNS: podNS, Node: "node1", Where: inPod()}},
		Packet: journey.Packet{Proto: "tcp", Flags: flags, Len: 60, Tuple: journey.Tuple{Src: client, Sport: 40000, Dst: server, Dport: 8080}}}
}

// outdated is a request packet that the pod dropped for its timestamp.
func outdated(id int) journey.Journey {
	j := reached(id, "PSH,ACK", journey.Dropped)
	j.Packet.Seq = uint32(id)
	j.Packet.Len, j.Hops = 252, []journey.Hop{{Stage: journey.StageDrop, NetNS: podNS, Node: "node1", Where: inPod(), Location: "tcp_validate_incoming", Reason: "TCP_RFC7323_PAWS", Verdict: "drop"}}
	return j
}

func TestListenerChecks(t *testing.T) {
	timeout, sent := &probe.Result{Result: probe.Timeout}, &probe.Result{Result: probe.Timeout, Sent: 200}
	queue := func(recv, send uint32) func(*netstate.Snapshot) {
		return func(s *netstate.Snapshot) {
			s.Namespaces[1].Sockets[0].RecvQ, s.Namespaces[1].Sockets[0].SendQ = recv, send
		}
	}
	both := func(all ...func(*netstate.Snapshot)) func(*netstate.Snapshot) {
		return func(s *netstate.Snapshot) {
			for _, f := range all {
				f(s)
			}
		}
	}
	noCookies := func(s *netstate.Snapshot) {
		s.Namespaces[1].Sysctls = map[string]string{"net.ipv4.tcp_syncookies": "0"}
	}
	syn, open := []journey.Journey{reached(1, "SYN", journey.Open)}, []journey.Journey{reached(1, "SYN", journey.Delivered), reached(2, "PSH,ACK", journey.Delivered)}
	open[1].Packet.Len = 252
	ack := []journey.Journey{reached(1, "SYN", journey.Delivered), reached(2, "ACK", journey.Delivered)}
	large := goneAt(3, 1400)
	judgeAll(t, []judged{
		{"accept queue", Input{Journeys: syn, Probe: timeout}, both(grown(1, "TcpExt.ListenOverflows"), queue(2, 1)), "dropped application accept-queue-full confirmed", "2 connections wait"},
		{"accept queue that is empty again", Input{Journeys: syn, Probe: timeout}, grown(1, "TcpExt.ListenOverflows"), "dropped application accept-queue-full likely", "grew by 3"},
		{"accept queue of an IPv4 listener", Input{Journeys: syn, Probe: timeout}, both(grown(1, "TcpExt.ListenOverflows"), func(s *netstate.Snapshot) {
			s.Namespaces[1].Sockets = []netstate.Socket{{Proto: "tcp", Local: netip.AddrPortFrom(server, 8080), RecvQ: 9, SendQ: 8}}
		}), "dropped application accept-queue-full confirmed", "9 connections wait"},
		{"SYN queue", Input{Journeys: syn, Probe: timeout}, both(grown(1, "TcpExt.TCPReqQFullDrop"), noCookies), "dropped application syn-queue-full confirmed", "tcp_syncookies = 0"},
		{"SYN queue, by drops only", Input{Journeys: syn, Probe: timeout}, grown(1, "TcpExt.ListenDrops"), "dropped application syn-queue-full likely", "TcpExtListenDrops by 3"},
		{"SYN drops of another time", Input{Journeys: open, Probe: sent}, grown(1, "TcpExt.ListenDrops"), "delivered application application-stuck likely", ""},
		{"window", Input{Journeys: open, Probe: sent}, both(grown(1, "TcpExt.TCPToZeroWindowAdv"), queue(1, 4)), "delivered application zero-window confirmed", "closed its window 3 times"},
		{"window of an accepted connection", Input{Journeys: open, Probe: sent}, grown(1, "TcpExt.TCPToZeroWindowAdv"), "delivered application zero-window likely", ""},
		{"timestamps where no point sees the drop", Input{Journeys: open, Probe: sent}, grown(1, "TcpExt.PAWSEstab"), "dropped service timestamps-rejected likely", "TcpExtPAWSEstab grew by 3"},
		{"timestamps of copies, where drops are seen", Input{Journeys: open, Probe: sent, DropReasons: true}, grown(1, "TcpExt.PAWSEstab"), "delivered application application-stuck likely", ""},
		{"timestamps of copies, behind a closed window", Input{Journeys: open, Probe: sent}, both(grown(1, "TcpExt.PAWSEstab"), grown(1, "TcpExt.TCPToZeroWindowAdv")), "delivered application zero-window likely", ""},
		{"timestamps of what was overtaken, behind a closed window", Input{Journeys: append(slices.Clone(open), outdated(3), outdated(4)), Probe: sent, DropReasons: true}, grown(1, "TcpExt.TCPToZeroWindowAdv"), "delivered application zero-window likely", ""},
		{"timestamps of what was overtaken, of a flow that got its answer", Input{Journeys: append(slices.Clone(open), outdated(3), outdated(4)), Probe: &probe.Result{Result: probe.Connected, Sent: 200, Acked: true}}, nil, "delivered   confirmed", ""},
		{"stuck before accept", Input{Journeys: open, Probe: sent}, queue(1, 4), "delivered application application-stuck confirmed", "1 connections wait to be accepted"},
		{"stuck after accept", Input{Journeys: open, Probe: sent}, nil, "delivered application application-stuck likely", "T is stopped"},
		{"the data did not arrive", Input{Journeys: ack, Probe: sent}, nil, "delivered application no-answer inconclusive", ""},
		{"part of the data is lost", Input{Journeys: append(slices.Clone(open), large), Probe: sent}, nil, "lost underlay tunnel-lost-in-fabric likely", ""},
		{"nothing was sent", Input{Journeys: open, Probe: timeout}, nil, "delivered application no-answer inconclusive", ""},
		{"counters of an answered flow mean nothing", Input{Journeys: open, Probe: &probe.Result{Result: probe.Connected}}, both(grown(1, "TcpExt.ListenOverflows"), queue(2, 1)), "delivered   confirmed", ""},
		{"counters of another namespace", Input{Journeys: syn, Probe: timeout}, grown(0, "TcpExt.ListenOverflows"), "lost pod-network no-further-sight inconclusive", ""},
	})
}

func TestClientChecks(t *testing.T) {
	refusedBy := func(words string) *probe.Result { return &probe.Result{Result: probe.Unreachable, Error: words} }
	self := Flow{Proto: "tcp", Src: server.String(), Dst: client.String(), Dport: 80}
	ports := func(used uint64) func(*netstate.Snapshot) {
		return func(s *netstate.Snapshot) {
			s.Namespaces[1].Sysctls = map[string]string{"net.ipv4.ip_local_port_range": "40000\t40001"}
			s.Namespaces[1].Counters["Sockets.TCP.inuse"], s.Namespaces[1].Counters["Sockets.TCP.tw"] = 1, used-1
		}
	}
	judgeAll(t, []judged{
		{"no route", Input{Flow: self, Probe: refusedBy(networkUnreachable)}, nil, "unseen pod-network pod-default-route-missing confirmed", "none of the 0 routes"},
		{"a route by now", Input{Flow: self, Probe: refusedBy(networkUnreachable)}, func(s *netstate.Snapshot) {
			s.Namespaces[1].Routes = []netstate.Route{{Table: 254, Dst: netip.MustParsePrefix("0.0.0.0/0"), Type: "unicast", Dev: "eth0"}}
		}, "unseen pod-network pod-default-route-missing likely", "there is a route now"},
		{"an unreachable route", Input{Flow: self, Probe: refusedBy("no route to host")}, nil, "unseen   inconclusive", ""},
		{"a packet was made", Input{Flow: self, Probe: refusedBy(networkUnreachable), Journeys: []journey.Journey{goneAt(1, 60)}}, nil, "lost underlay tunnel-lost-in-fabric likely", ""},
		{"no port", Input{Flow: self, Probe: refusedBy(noAddress)}, ports(2), "unseen application client-ports-exhausted confirmed", "has 2 ports, and 2 TCP sockets"},
		{"no port, by bind", Input{Flow: self, Probe: refusedBy(addressInUse)}, ports(2), "unseen application client-ports-exhausted confirmed", "TIME-WAIT"},
		{"no port, and an earlier connection's end is dropped", Input{Flow: self, Probe: refusedBy(noAddress), Journeys: lostAt(journey.Hop{Location: "tcp_v4_rcv", Reason: "NO_SOCKET"})}, ports(2), "unseen application client-ports-exhausted confirmed", "has 2 ports"},
		{"no port then", Input{Flow: self, Probe: refusedBy(noAddress)}, ports(1), "unseen application client-ports-exhausted likely", ""},
		{"a port that was asked for", Input{Flow: Flow{Src: server.String(), Dst: client.String(), Sport: 7}, Probe: refusedBy(addressInUse)}, ports(2), "unseen   inconclusive", ""},
	})
	for s, want := range map[string]uint64{"32768\t60999": 28232, "1 1": 1, "": 0, "5 4": 0, "x 9": 0, "1 70000": 0} {
		if n, ok := portRange(s); n != want || ok != (want > 0) {
			t.Errorf("%q has %d ports (%v), want %d", s, n, ok, want)
		}
	}
}
