// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"slices"

	"github.com/safchain/ethtool"
)

// offloadNames are the features that faults are known for, by ethtool's names (net/ethtool/common.c, netdev_features_strings): checksums that are
// left to a device, segmentation of a tunnel's packets, and merging on arrival.
var offloadNames = []string{"tx-checksum-ip-generic", "tx-checksum-ipv4", "tx-checksum-ipv6", "tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation",
	"tx-tcp-segmentation", "tx-generic-segmentation", "rx-checksum", "rx-gro", "rx-lro", "rx-gro-hw"}

// offloading are the kinds of devices for which they are read: uplinks and tunnels. A node has few, and hundreds of veths.
var offloading = []string{"phys", "vxlan", "geneve", "ipip", "ip6tnl", "wireguard"}

// offloads reads which features are on, from the namespace of the calling thread. What a driver does not tell stays unknown.
func (r *reader) offloads() {
	e, err := ethtool.NewEthtool()
	if err != nil {
		r.unread("offloads", err)
		return
	}
	defer e.Close()
	for i := range r.n.Links {
		l := &r.n.Links[i]
		if !slices.Contains(offloading, l.Kind) {
			continue
		}
		features, err := e.Features(l.Name)
		if err != nil {
			continue // as drivers without ethtool do
		}
		for _, name := range offloadNames {
			if on, ok := features[name]; ok {
				if l.Offloads == nil {
					l.Offloads = map[string]bool{}
				}
				l.Offloads[name] = on
			}
		}
	}
}
