// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

func init() {
	register(check{name: "mtu-ladder", flow: mtuLadder})
	register(check{name: "mtu-ladder-drop", drop: mtuLadderDrop, silences: []string{"pod-mtu-too-large"}})
}

// hole is the probe's ladder when it found a size that does not pass; nil otherwise.
func (in *Input) hole() *probe.MTUResult {
	if in.Probe == nil || in.Probe.MTU == nil || !in.Probe.MTU.Hole() {
		return nil
	}
	return in.Probe.MTU
}

// passable reports whether the ladder has shown that packets of this size get through, so that its drop is not what stops the large ones.
func (in *Input) passable(j *journey.Journey) bool {
	m := in.hole()
	return m != nil && int(j.Packet.Len) <= m.Passed
}

// largeDropped reports whether the kernel dropped a packet that is too large for the path.
func (in *Input) largeDropped() bool {
	for i := range in.Journeys {
		if j := &in.Journeys[i]; j.Direction != journey.Related && j.DropHop() >= 0 && !in.passable(j) {
			return true
		}
	}
	return false
}

// mtuLadder: the ladder found a size that vanishes without a drop; the layer is where the large packets were last seen.
func mtuLadder(in *Input) *Finding {
	m := in.hole()
	if m == nil || underlayMTUSilent(in) != nil { // which knows the tunnel too
		return nil
	}
	f := &Finding{
		Outcome: Lost, Layer: PodNetwork, Cause: "mtu-blackhole", Confidence: Likely, Hop: -1,
		Summary: fmt.Sprintf("packets of %d bytes and more vanish on the way to %s, those up to %d get through", m.Failed, in.flowDst(), m.Passed),
		Fix:     []string{fmt.Sprintf("set the CNI's MTU to %d or less, or allow ICMP type 3 code 4 (fragmentation needed) on the whole way", m.Passed)},
	}
	if m.Kind == probe.MTUTold {
		f.Cause = "pod-mtu-too-large"
	}
	j := lastLarge(in, m)
	if j == nil {
		f.Confidence = Inconclusive
		f.Fix = append(f.Fix, "no large packet was followed: run it again with --timeout 30s")
		return f
	}
	f.Journey, f.Hop = j.ID, len(j.Hops)-1
	h := &j.Hops[f.Hop]
	f.Evidence = []string{fmt.Sprintf("kernel: a packet of %d bytes was last seen %s at %s; no drop was reported", j.Packet.Len, on(h), h.Dev)}
	if j.End == journey.LeftNode {
		f.Layer, f.Cause = Underlay, "underlay-mtu-silent"
		f.Fix = []string{fmt.Sprintf("raise the MTU of the network behind %s, or set the CNI's MTU to %d", h.Dev, m.Passed)}
	}
	return f
}

// lastLarge is a request too large for the path that did not arrive, with at least one hop.
func lastLarge(in *Input, m *probe.MTUResult) *journey.Journey {
	for i := range in.Journeys {
		j := &in.Journeys[i]
		if j.Direction == journey.Request && int(j.Packet.Len) >= m.Failed && j.End != journey.Delivered && len(j.Hops) > 0 {
			return j
		}
	}
	return nil
}

// mtuLadderDrop: the kernel drops what is too large for the next device (ip_forward, net/ipv4/ip_forward.c). Whether its ICMP came back to
// the sender decides between a path that TCP adapts to and a hole.
func mtuLadderDrop(d *dropAt) *Finding {
	m := d.in.hole()
	if m == nil || d.reason() != "PKT_TOO_BIG" || d.j.Direction != journey.Request {
		return nil
	}
	f := &Finding{
		Layer: PodNetwork, Cause: "mtu-blackhole", Confidence: Likely,
		Summary: fmt.Sprintf("packets larger than %d bytes are dropped %s and the sender does not hear of it: its ICMP \"fragmentation needed\" is lost", m.Passed, on(d.h)),
		Fix:     []string{"allow ICMP type 3 code 4 (IPv6: type 2) to reach the pod", fmt.Sprintf("set the CNI's MTU to %d", m.Passed)},
	}
	if d.h.Outer != nil {
		f.Layer = Underlay
	}
	if m.Kind == probe.MTUTold {
		f.Cause = "pod-mtu-too-large"
		f.Summary = fmt.Sprintf("the pod's device takes packets of %d bytes and the path carries %d: larger ones are dropped %s, and the sender is told", m.DeviceMTU, m.Passed, on(d.h))
		f.Fix = []string{fmt.Sprintf("set the CNI's MTU to %d: TCP adapts after a lost round trip, UDP with large datagrams may not", m.Passed)}
	}
	if l := d.in.smallerBehind(m); l != "" {
		f.Confidence = Confirmed
		f.Evidence = append(f.Evidence, l)
	}
	return f
}

// smallerBehind names a device of the watched nodes whose MTU is what the ladder found.
func (in *Input) smallerBehind(m *probe.MTUResult) string {
	s := in.snapshot()
	if s == nil {
		return ""
	}
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		for _, l := range n.Links {
			if n.Host && l.MTU == m.Passed && l.MTU < m.DeviceMTU {
				return fmt.Sprintf("state: %s in %s has MTU %d, the sender's %s %d", l.Name, n.Name, l.MTU, m.Device, m.DeviceMTU)
			}
		}
	}
	return ""
}
