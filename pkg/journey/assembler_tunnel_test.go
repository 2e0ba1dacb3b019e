// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

func TestTunnel(t *testing.T) {
	outer := tracer.Tuple{Src: netip.MustParseAddr("192.168.50.1"), Dst: netip.MustParseAddr("192.168.50.2"), Sport: 5, Dport: 4789, Proto: tracer.ProtoUDP}
	send, recv := ev(2, tracer.PointTX, 2, "eth0", "phys"), ev(3, tracer.PointRX, 3, "eth0", "phys")
	send.Outer, recv.Outer, send.VNI, recv.VNI = outer, outer, 42, 42
	js := play(Options{}, ev(1, tracer.PointTX, 2, "vxlan.calico", "vxlan"), send, recv, ev(4, tracer.PointRX, 3, "vxlan.calico", "vxlan"))
	if got := stages(&js[0]); got != "device-tx tunnel device-tx device-rx tunnel device-rx = open" {
		t.Fatal(got)
	}
	in, out := js[0].Hops[1], js[0].Hops[4]
	if in.Tunnel.Op != "encap" || in.Tunnel.VNI != 42 || in.Dev != "vxlan.calico" || in.Tunnel.Outer.Dport != 4789 {
		t.Errorf("%+v", in)
	}
	if out.Tunnel.Op != "decap" || out.Tunnel.VNI != 42 || js[0].Hops[3].Outer == nil || js[0].Hops[5].Outer != nil {
		t.Errorf("%+v", out)
	}
}

// A node that only receives reads the VNI from the packet; what it could not read is no VNI 0.
func TestOutOfATunnel(t *testing.T) {
	outer := tracer.Tuple{Src: netip.MustParseAddr("192.168.50.1"), Dst: netip.MustParseAddr("192.168.50.2"), Sport: 5, Dport: 4789, Proto: tracer.ProtoUDP}
	for _, tc := range []struct {
		vni  uint32
		kind string
		want string
	}{{42, "vxlan", "taken out of VXLAN VNI 42"}, {0, "vxlan", "taken out of VXLAN"}, {7, "geneve", "taken out of Geneve VNI 7"}, {0, "ipip", "taken out of IP-in-IP"}} {
		recv := ev(1, tracer.PointRX, 3, "eth0", "phys")
		recv.Outer, recv.VNI, recv.Tunnel = outer, tc.vni, tc.kind
		js := play(Options{}, recv, ev(2, tracer.PointRX, 3, "tunnel", "vxlan"))
		if got := stages(&js[0]); got != "device-rx tunnel device-rx = open" {
			t.Fatal(got)
		}
		Describe(&js[0], Words{})
		if h := js[0].Hops[1]; h.Tunnel.Op != "decap" || h.Tunnel.VNI != tc.vni || h.Tunnel.Type != tc.kind || h.What != tc.want {
			t.Errorf("%+v, %q; want %q", *h.Tunnel, h.What, tc.want)
		}
	}
}

// The second tunnel of a packet has a VNI of its own.
func TestTwoTunnels(t *testing.T) {
	outer := func(from, to string) tracer.Tuple {
		return tracer.Tuple{Src: netip.MustParseAddr(from), Dst: netip.MustParseAddr(to), Sport: 5, Dport: 4789, Proto: tracer.ProtoUDP}
	}
	first, second := ev(1, tracer.PointRX, 3, "eth0", "phys"), ev(3, tracer.PointTX, 3, "eth0", "phys")
	far := ev(4, tracer.PointRX, 4, "eth0", "phys")
	first.Outer, first.VNI = outer("192.168.50.1", "192.168.50.2"), 1
	second.Outer, second.VNI = outer("192.168.50.2", "192.168.50.3"), 2
	far.Outer, far.VNI = second.Outer, 2
	js := play(Options{}, first, ev(2, tracer.PointRX, 3, "vxlan1", "vxlan"), second, far, ev(5, tracer.PointRX, 4, "vxlan2", "vxlan"))
	var got []string
	for _, h := range js[0].Hops {
		if h.Tunnel != nil {
			got = append(got, fmt.Sprint(h.Tunnel.Op, h.Tunnel.VNI))
		}
	}
	if fmt.Sprint(got) != "[decap1 encap2 decap2]" {
		t.Errorf("%s: %v", stages(&js[0]), got)
	}
}
