// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// customaryPorts are UDP ports of VXLAN (IANA's, and Linux' first one that flannel uses) and of Geneve, whose header is as long when it has
// no options.
var customaryPorts = []uint16{4789, 8472, 6081}

// behindUDP is where the inner IP header of VXLAN lies (RFC 7348): behind the UDP header, 8 bytes of VXLAN and 14 of Ethernet.
const behindUDP = 8 + 8 + 14

// etherTypes and the protocols of IP in IP.
var (
	etherTypes = map[uint8]uint16{4: unix.ETH_P_IP, 6: unix.ETH_P_IPV6}
	inIP       = map[uint8]uint8{4: unix.IPPROTO_IPIP, 6: unix.IPPROTO_IPV6}
)

// tunnelRules are those for tunnel packets that carry the flow's.
func (o *ownedTable) tunnelRules(f *Flow, sets map[uint8][]legSets) ([][]expr.Any, error) {
	ports := &nftables.Set{Table: o.table, Name: "tunnel_ports", KeyType: nftables.TypeInetService}
	var elements []nftables.SetElement
	seen := map[uint16]bool{}
	for _, p := range append(append([]uint16{}, customaryPorts...), f.VXLANPorts...) {
		if !seen[p] {
			seen[p] = true
			elements = append(elements, nftables.SetElement{Key: port(p)})
		}
	}
	if err := o.conn.AddSet(ports, elements); err != nil {
		return nil, fmt.Errorf("describe the tunnels' ports: %w", err)
	}
	th := expr.PayloadBaseTransportHeader
	var out [][]expr.Any
	for _, family := range []uint8{4, 6} {
		legs := sets[family]
		udp := append(l4proto(protoVXLN), load(th, 2, 2, regFirst), lookup(ports), load(th, behindUDP-2, 2, regFirst), equals(port(etherTypes[family])...))
		vxlan, ip := inside(family, behindUDP), inside(family, 0)
		out = bothWays(out, append(udp, vxlan.protocol(f.Proto)...), &vxlan, legs)
		out = bothWays(out, append(l4proto(inIP[family]), ip.protocol(f.Proto)...), &ip, legs)
	}
	return out, nil
}

func anyPort(a netip.AddrPort) bool { return a.Port() == 0 }
