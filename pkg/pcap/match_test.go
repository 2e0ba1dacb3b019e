// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

var (
	client  = netip.MustParseAddr("10.244.1.10")
	service = netip.MustParseAddr("10.96.0.80")
	pod     = netip.MustParseAddr("10.244.2.20")
)

const (
	rx = "netif_receive_skb"
	tx = "net_dev_start_xmit"
)

// journeyOf is a TCP packet's way that begins at start; each hop is ten later than the one before.
func journeyOf(id int, start uint64, hops ...journey.Hop) journey.Journey {
	j := journey.Journey{ID: id, Start: start, Hops: hops}
	j.Packet = journey.Packet{Proto: "tcp", IPID: 7, Seq: 9, Len: 60, Flags: "SYN", Tuple: journey.Tuple{Src: client, Sport: 1000, Dst: service, Dport: 80}}
	for i := range j.Hops {
		j.Hops[i].T = int64(10 * i)
		j.Hops[i].What = "step"
	}
	return j
}

func hop(netns, ifindex uint32, fn string) journey.Hop {
	return journey.Hop{NetNS: netns, Ifindex: ifindex, Func: fn}
}

func packetAt(time uint64, side Side, netns, ifindex uint32, dst netip.Addr, port uint16) Packet {
	return Packet{Time: time, Side: side, NetNS: netns, Ifindex: ifindex, IPID: 7, Seq: 9, Len: 4, Data: []byte("abcd"),
		Tuple: tracer.Tuple{Src: client, Sport: 1000, Dst: dst, Dport: port, Proto: tracer.ProtoTCP}}
}

func TestMatch(t *testing.T) {
	dnat := journey.Hop{NetNS: 2, Stage: journey.StageNAT, Tuple: &journey.Tuple{Src: client, Sport: 1000, Dst: pod, Dport: 8080}}
	way := []journey.Hop{hop(1, 2, tx), hop(2, 5, rx), dnat, hop(2, 6, tx)}
	echo := journeyOf(1, 100, hop(1, 2, tx))
	echo.Packet = journey.Packet{Proto: "icmp", Seq: 3, Tuple: journey.Tuple{Src: client, Dst: pod}}
	ping := packetAt(99, Egress, 1, 2, pod, 77)
	ping.Tuple.Sport, ping.Tuple.Proto, ping.IPID, ping.Seq = 77, tracer.ProtoICMP, 0, 0
	other := packetAt(111, Ingress, 2, 5, service, 80)
	other.IPID = 8
	for _, tc := range []struct {
		name     string
		packets  []Packet
		journeys []journey.Journey
		want     []HopRef
	}{
		{"a translated way", []Packet{packetAt(98, Egress, 1, 2, service, 80), packetAt(111, Ingress, 2, 5, service, 80), packetAt(128, Egress, 2, 6, pod, 8080)},
			[]journey.Journey{journeyOf(1, 100, way...)}, []HopRef{{0, 0}, {0, 1}, {0, 3}}},
		{"not translated where it should be", []Packet{packetAt(128, Egress, 2, 6, service, 80)}, []journey.Journey{journeyOf(1, 100, way...)}, []HopRef{NoHop}},
		{"another side", []Packet{packetAt(98, Ingress, 1, 2, service, 80)}, []journey.Journey{journeyOf(1, 100, way...)}, []HopRef{NoHop}},
		{"another namespace", []Packet{packetAt(98, Egress, 3, 2, service, 80)}, []journey.Journey{journeyOf(1, 100, way...)}, []HopRef{NoHop}},
		{"another packet", []Packet{other}, []journey.Journey{journeyOf(1, 100, way...)}, []HopRef{NoHop}},
		{"an echo has no ports", []Packet{ping}, []journey.Journey{echo}, []HopRef{{0, 0}}},
		{"alike, in order of time", []Packet{packetAt(198, Egress, 1, 2, service, 80), packetAt(98, Egress, 1, 2, service, 80)},
			[]journey.Journey{journeyOf(1, 100, hop(1, 2, tx)), journeyOf(2, 200, hop(1, 2, tx))}, []HopRef{{1, 0}, {0, 0}}},
		{"alike, both in the queue", []Packet{packetAt(90, Egress, 1, 2, service, 80), packetAt(91, Egress, 1, 2, service, 80)},
			[]journey.Journey{journeyOf(1, 100, hop(1, 2, tx)), journeyOf(2, 200, hop(1, 2, tx))}, []HopRef{{0, 0}, {1, 0}}},
		{"the first was not captured", []Packet{packetAt(201, Ingress, 1, 2, service, 80)},
			[]journey.Journey{journeyOf(1, 100, hop(1, 2, rx)), journeyOf(2, 200, hop(1, 2, rx))}, []HopRef{{1, 0}}},
		{"the second was not captured", []Packet{packetAt(101, Ingress, 1, 2, service, 80)},
			[]journey.Journey{journeyOf(1, 100, hop(1, 2, rx)), journeyOf(2, 200, hop(1, 2, rx))}, []HopRef{{0, 0}}},
		{"the second has no hop", []Packet{packetAt(98, Egress, 1, 2, service, 80), packetAt(198, Egress, 1, 2, service, 80)},
			[]journey.Journey{journeyOf(1, 100, hop(1, 2, tx))}, []HopRef{{0, 0}, NoHop}},
		{"no journeys", []Packet{other}, nil, []HopRef{NoHop}},
		{"no packets", nil, []journey.Journey{echo}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Match(tc.packets, tc.journeys); !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestComments(t *testing.T) {
	drop := journey.Hop{NetNS: 2, Stage: journey.StageDrop, Func: "kfree_skb"}
	js := []journey.Journey{journeyOf(3, 100, hop(1, 2, tx), hop(2, 5, rx), drop)}
	packets := []Packet{packetAt(111, Ingress, 2, 5, service, 80), packetAt(98, Egress, 1, 2, service, 80), packetAt(98, Egress, 9, 9, service, 80)}
	refs := Match(packets, js)
	got := comments(packets, refs, js, lastCopies(packets, refs, js))
	want := [][]string{{"journey 3 hop 2: step", "journey 3 dropped here: step"}, {"journey 3 hop 1: step"}, {"no hop"}}
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("packet %d: %q, want %q", i, got[i], want[i])
		}
	}
}

// A queue's drop: captured in front of the queue, where no hop is.
func TestCommentOfQueueDrop(t *testing.T) {
	js := []journey.Journey{journeyOf(3, 100, hop(1, 2, rx), journey.Hop{NetNS: 1, Stage: journey.StageDrop, Func: "kfree_skb", Ifindex: 4})}
	packets := []Packet{packetAt(101, Ingress, 1, 2, service, 80), packetAt(105, Egress, 1, 4, service, 80), packetAt(300, Egress, 1, 4, service, 80)}
	refs := Match(packets, js)
	got := comments(packets, refs, js, lastCopies(packets, refs, js))
	want := [][]string{{"journey 3 hop 1: step"}, {"journey 3 dropped here: step"}, {"no hop"}}
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("packet %d: %q, want %q", i, got[i], want[i])
		}
	}
}
