// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"fmt"
	"net/netip"
	"testing"
)

// words name the addresses of 10.0.0.0/24 "NAME-last byte".
func words() Words {
	return Words{
		Addr: func(proto string, a netip.Addr, port uint16) string {
			if b := a.As4(); b[0] == 10 {
				if port != 0 {
					return fmt.Sprintf("%s-%d:%d", proto, b[3], port)
				}
				return fmt.Sprintf("%s-%d", proto, b[3])
			}
			return ""
		},
		Peer: func(netns, ifindex uint32) string {
			if netns == 1 && ifindex == 5 {
				return "shop/client"
			}
			return ""
		},
	}
}

func TestSentencesInWords(t *testing.T) {
	ip := netip.MustParseAddr
	for _, tc := range []struct {
		hop  Hop
		want string
	}{
		{Hop{Stage: StageNAT, NAT: &NAT{Type: "dnat", From: "10.0.0.1:80", To: "10.0.0.2:8080"}, Ref: &Ref{Kind: "Service", Namespace: "shop", Name: "web"}}, "DNAT: destination tcp-1:80 becomes tcp-2:8080 for svc/shop/web"},
		{Hop{Stage: StageNAT, NAT: &NAT{Type: "dnat", From: "192.0.2.1:80", To: "10.0.0.2:8080"}}, "DNAT: destination 192.0.2.1:80 becomes tcp-2:8080"},
		{Hop{Stage: StageNAT, NAT: &NAT{Type: "snat", From: "10.0.0.1", To: "10.0.0.2", Undo: true}}, "SNAT undone: destination tcp-1 becomes tcp-2 again"},
		{Hop{Stage: StageNAT, NAT: &NAT{Type: "dnat", From: "nonsense", To: "10.0.0.2:8080"}}, "DNAT: destination nonsense becomes tcp-2:8080"},
		{Hop{Stage: StageIPVS, IPVS: &IPVS{Method: "masquerading", Virtual: "10.0.0.1:80", Server: "10.0.0.2:8080"}}, "IPVS: tcp-1:80 goes to the real server tcp-2:8080 (masquerading)"},
		{Hop{Stage: StageRoute, Route: &Route{Gateway: ip("10.0.0.9"), OIF: "eth0"}}, "routed via -9 to eth0"},
		{Hop{Stage: StageRoute, Route: &Route{Gateway: ip("192.0.2.9"), OIF: "eth0"}}, "routed via 192.0.2.9 to eth0"},
		{Hop{Stage: StageNeighbour, Route: &Route{Gateway: ip("10.0.0.9"), OIF: "eth0"}}, "waits for the MAC address of -9 on eth0"},
		{Hop{Stage: StageTunnel, Tunnel: &Tunnel{Type: "vxlan", Op: "encap", VNI: 1, Outer: Tuple{Src: ip("10.0.0.3"), Dst: ip("10.0.0.4"), Dport: 8472}}}, "put into VXLAN VNI 1, udp-3 to udp-4:8472"},
		{Hop{Stage: StageTunnel, Tunnel: &Tunnel{Type: "ipip", Op: "encap", Outer: Tuple{Src: ip("192.0.2.3"), Dst: ip("192.0.2.4")}}}, "put into IP-in-IP, 192.0.2.3 to 192.0.2.4"},
		{Hop{Stage: StageDeviceRx, Dev: "veth5", DevKind: "veth", NetNS: 1, Ifindex: 5}, "received at veth5 (veth) of shop/client"},
		{Hop{Stage: StageDeviceTx, Dev: "veth6", DevKind: "veth", NetNS: 1, Ifindex: 6}, "sent out of veth6 (veth)"},
		{Hop{Stage: StageDeviceTx, Dev: "eth0", DevKind: "phys", NetNS: 1, Ifindex: 5}, "sent out of eth0 (phys)"},
	} {
		j := &Journey{Packet: Packet{Proto: "tcp"}, Hops: []Hop{tc.hop}}
		Describe(j, words())
		if j.Hops[0].What != tc.want {
			t.Errorf("%q, want %q", j.Hops[0].What, tc.want)
		}
	}
}

// A sentence that names the Service already does not name it again.
func TestAServiceIsNamedOnce(t *testing.T) {
	w := Words{Addr: func(string, netip.Addr, uint16) string { return "svc/shop/web:http" }}
	j := &Journey{Hops: []Hop{{Stage: StageNAT, NAT: &NAT{Type: "dnat", From: "10.0.0.1:80", To: "10.0.0.2:8080"}, Ref: &Ref{Kind: "Service", Namespace: "shop", Name: "web", Port: "http"}}}}
	Describe(j, w)
	if want := "DNAT: destination svc/shop/web:http becomes svc/shop/web:http"; j.Hops[0].What != want {
		t.Errorf("%q, want %q", j.Hops[0].What, want)
	}
}

func TestShort(t *testing.T) {
	for want, r := range map[string]Ref{
		"shop/client:80": {Kind: "Pod", Namespace: "shop", Name: "client"}, "svc/shop/web:http": {Kind: "Service", Namespace: "shop", Name: "web", Port: "http"},
		"svc/shop/web:80": {Kind: "Service", Namespace: "shop", Name: "web"}, "node/node1:80": {Kind: "Node", Name: "node1"},
	} {
		if got := r.Short(80); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := (&Ref{Kind: "Pod", Namespace: "a", Name: "b"}).Short(0); got != "a/b" {
		t.Error(got)
	}
}
