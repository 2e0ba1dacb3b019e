// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"slices"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "tunnel-settings", layer: Underlay, run: tunnelSettings})
}

// tunnelSettings: both nodes' VXLAN devices have the same VNI and UDP port.
func tunnelSettings(in *Input) Result {
	var p parts
	from := in.path().entry
	for _, t := range in.peers() {
		if from == nil {
			p.unsure("the node that sends is not on this kernel: run nettrace there")
			continue
		}
		l, _ := tunnel(from, t.addr)
		switch {
		case l == nil:
			continue
		case t.host == nil:
			p.unsure(away(t.node))
			p.good(fmt.Sprintf("%s of %s has VNI %d and port %d", l.Name, from.Node, l.VXLAN.VNI, l.VXLAN.Port))
		default:
			compareTunnels(&p, from, l, t.host)
		}
	}
	return p.result("no VXLAN device is on the way")
}

func compareTunnels(p *parts, from *netstate.Namespace, l *netstate.Link, peer *netstate.Namespace) {
	var devices, ports []string
	of := ""
	for i := range peer.Links {
		v := peer.Links[i].VXLAN
		if v == nil {
			continue
		}
		if !sameFamily(v, l.VXLAN) {
			of = " between addresses of this family"
			continue
		}
		if v.VNI == l.VXLAN.VNI && v.Port == l.VXLAN.Port {
			p.good(fmt.Sprintf("%s and %s use VNI %d and port %d", from.Node, peer.Node, v.VNI, v.Port))
			return
		}
		devices = append(devices, fmt.Sprintf("%s of %s has VNI %d and port %d", peer.Links[i].Name, peer.Node, v.VNI, v.Port))
		ports = append(ports, fmt.Sprint(v.Port))
	}
	r := Result{Cause: "vni-mismatch", Node: peer.Node, Stops: true, Summary: fmt.Sprintf("%s sends VNI %d to udp/%d, and no VXLAN device of %s%s has both", from.Node, l.VXLAN.VNI, l.VXLAN.Port, peer.Node, of),
		Evidence: append([]string{fmt.Sprintf("state: %s of %s has VNI %d and port %d", l.Name, from.Node, l.VXLAN.VNI, l.VXLAN.Port)}, prefixed("state: ", devices)...),
		Fix:      []string{"on both nodes: ip -d link show type vxlan; all nodes must use the same VNI and port: correct the CNI's configuration"}}
	if !slices.Contains(ports, fmt.Sprint(l.VXLAN.Port)) {
		r.Cause = "tunnel-port-mismatch"
		r.Summary = fmt.Sprintf("%s sends VXLAN to udp/%d, and no VXLAN device of %s%s has this port", from.Node, l.VXLAN.Port, peer.Node, of)
	}
	p.bad(r)
}

// sameFamily: a device between IPv4 addresses and one between IPv6 addresses are no ends of one tunnel, although their VNI and port may be equal,
// as flannel's are. A device without an address of its own may be either.
func sameFamily(a, b *netstate.VXLAN) bool {
	return !a.Local.IsValid() || !b.Local.IsValid() || a.Local.Is6() == b.Local.Is6()
}

func prefixed(with string, all []string) []string {
	var out []string
	for _, s := range all {
		out = append(out, with+s)
	}
	return out
}
