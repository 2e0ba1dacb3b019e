// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// Topology: node1 puts a SYN into VXLAN with VNI 1, node2 takes it out and tells no VNI. Expectation: the merged hop has the sender's, in the
// field and in the sentence; a tunnel that is another, or that nobody saw the packet being put into, gets none, and no sentence says 0.
func TestVNIOfTheSender(t *testing.T) {
	under := netip.MustParseAddr("192.168.50.2")
	for _, tc := range []struct {
		name string
		vni  uint32 // what node2 told
		set  func(left *journey.Journey, out *journey.Tunnel)
		want uint32
		what string
	}{
		{"the sender's tunnel", 0, func(*journey.Journey, *journey.Tunnel) {}, 1, "taken out of VXLAN VNI 1"},
		{"its address was translated on the way", 0, func(_ *journey.Journey, o *journey.Tunnel) { o.Outer.Src = netip.MustParseAddr("203.0.113.9") }, 1, "taken out of VXLAN VNI 1"},
		{"the far end as IPv6 writes it", 0, func(_ *journey.Journey, o *journey.Tunnel) { o.Outer.Dst = netip.AddrFrom16(under.As16()) }, 1, "taken out of VXLAN VNI 1"},
		{"packed anew between the nodes", 0, func(_ *journey.Journey, o *journey.Tunnel) { o.Outer.Dst = netip.MustParseAddr("192.168.60.2") }, 0, "taken out of VXLAN"},
		{"another port", 0, func(_ *journey.Journey, o *journey.Tunnel) { o.Outer.Dport = 4789 }, 0, "taken out of VXLAN"},
		{"another kind", 0, func(_ *journey.Journey, o *journey.Tunnel) { o.Type = "geneve" }, 0, "taken out of Geneve"},
		{"nobody saw it put in", 0, func(l *journey.Journey, _ *journey.Tunnel) { unpack(l) }, 0, "taken out of VXLAN"},
		{"node2's own word", 5, func(*journey.Journey, *journey.Tunnel) {}, 5, "its own sentence"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(1)
			left, came := w.send(w.tcp(journey.Request, "SYN", 1000, 60))
			out := &journey.Tunnel{Type: "vxlan", Op: "decap", VNI: tc.vni, Outer: journey.Tuple{Src: w.a.under, Sport: 50000, Dst: under, Dport: 8472}}
			tc.set(left, out)
			hop := journey.Hop{T: came.Hops[0].T, Node: "node2", Stage: journey.StageTunnel, Dev: "flannel.1", What: "taken out of VXLAN VNI 0", Tunnel: out}
			if tc.vni != 0 {
				hop.What = tc.what
			}
			came.Hops = append(came.Hops[:1:1], append([]journey.Hop{hop}, came.Hops[1:]...)...)
			c := w.merge(t)
			if len(c.journeys) != 1 {
				t.Fatalf("%d journeys", len(c.journeys))
			}
			got := decap(c.journeys[0])
			if got == nil || got.Tunnel.VNI != tc.want || got.What != tc.what {
				t.Errorf("%+v, want VNI %d, %q", got, tc.want, tc.what)
			}
		})
	}
}

// A part stays as it was read: while streams are read live, a way is put together again and again.
func TestJourneysLeaveTheirParts(t *testing.T) {
	a, b := halves()
	outer := journey.Tuple{Src: netip.MustParseAddr("192.168.50.1"), Dst: netip.MustParseAddr("192.168.50.2"), Dport: 8472}
	a.j.Hops[1].Tunnel = &journey.Tunnel{Type: "vxlan", Op: "encap", VNI: 9, Outer: outer}
	b.j.Hops = append(b.j.Hops, journey.Hop{Stage: journey.StageTunnel, What: "as it was read", Tunnel: &journey.Tunnel{Type: "vxlan", Op: "decap", Outer: outer}})
	c := &chain{parts: []*part{a, b}}
	for range 2 {
		if h := decap(c.journey()); h == nil || h.Tunnel.VNI != 9 || h.What != "taken out of VXLAN VNI 9" {
			t.Errorf("%+v", h)
		}
	}
	if h := decap(b.j); h.Tunnel.VNI != 0 || h.What != "as it was read" {
		t.Errorf("the part became %+v, %+v", h, h.Tunnel)
	}
}

// unpack leaves out that the packet was put into a tunnel.
func unpack(j *journey.Journey) {
	for i := range j.Hops {
		j.Hops[i].Tunnel = nil
	}
}

func decap(j *journey.Journey) *journey.Hop {
	for i := range j.Hops {
		if x := j.Hops[i].Tunnel; x != nil && x.Op == "decap" {
			return &j.Hops[i]
		}
	}
	return nil
}
