// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"context"
	"testing"

	"github.com/safchain/ethtool"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// Topology: a namespace with a VXLAN device and a veth. Action: read it, switch a feature of the tunnel off, read it again. Expectation: the
// feature is on, then off; veths are not asked.
func TestOffloadsOfTunnels(t *testing.T) {
	ref := spaces(t, "netstate-offload", 1)[0]
	furnish(t, ref.Path)
	const feature = "tx-checksum-ip-generic"
	for _, want := range []bool{true, false} {
		if err := netns.Do(ref.Path, func() error {
			e, err := ethtool.NewEthtool()
			if err != nil {
				return err
			}
			defer e.Close()
			return e.Change("vx1", map[string]bool{feature: want})
		}); err != nil {
			t.Fatal(err)
		}
		n := &Read(context.Background(), []Ref{ref}).Namespaces[0]
		if on, ok := n.Link("vx1").Offloads[feature]; !ok || on != want || len(n.Unread) > 0 {
			t.Errorf("%s is %v (known: %v), want %v; unread %q", feature, on, ok, want, n.Unread)
		}
		if got := n.Link("port1").Offloads; got != nil {
			t.Errorf("of a veth: %v", got)
		}
	}
}
