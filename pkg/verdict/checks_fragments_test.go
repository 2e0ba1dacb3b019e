// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

// smallUplink lowers the MTU of the node's uplink below what its tunnel sends.
func smallUplink(s *netstate.Snapshot) {
	l := s.Namespaces[0].Link("flannel.1")
	l.MTU = 1450
	s.Namespaces[0].LinkByIndex(l.VXLAN.Underlay).MTU = 1400
}

// counted sets a counter of the node after the run; before it there was 1.
func counted(name string, after uint64, more func(*netstate.Snapshot)) (before, now *netstate.Snapshot) {
	before, now = state(), state()
	before.Namespaces[0].Counters = map[string]uint64{name: 1}
	now.Namespaces[0].Counters = map[string]uint64{name: after}
	if more != nil {
		more(before)
		more(now)
	}
	return before, now
}

func TestFragmentsLost(t *testing.T) {
	outer := &journey.Tuple{Src: otherIP, Sport: 50000, Dst: nodeIP, Dport: 8472}
	expired := journey.Hop{Location: "ip_expire", Reason: "FRAG_REASM_TIMEOUT", Dev: "eth0", Outer: outer}
	old := expired
	old.Reason = "" // kernels before 5.17 give none
	grown, still := func() Input { b, a := counted("Ip.ReasmFails", 4, nil); return Input{Before: b, After: a} }(), func() Input { b, a := counted("Ip.ReasmFails", 1, nil); return Input{Before: b, After: a} }()
	for _, r := range []struct {
		name string
		hop  journey.Hop
		in   Input
		want string
	}{
		{"the counter agrees", expired, grown, "dropped underlay fragments-lost confirmed"},
		{"the counter did not move", expired, still, "dropped underlay fragments-lost likely"},
		{"a kernel without reasons", old, grown, "dropped underlay fragments-lost confirmed"},
	} {
		in := r.in
		in.Flow, in.Journeys = Flow{Proto: "tcp", Src: client.String(), Dst: server.String(), Dport: 8081}, lostAt(r.hop)
		v := Judge(&in)
		if got := string(v.Outcome) + " " + string(v.Layer) + " " + v.Cause + " " + string(v.Confidence); got != r.want {
			t.Errorf("%s: %s, want %s", r.name, got, r.want)
		}
	}
}

func TestTunnelFragmented(t *testing.T) {
	for _, r := range []struct {
		name   string
		made   uint64
		change func(*netstate.Snapshot)
		want   string
	}{
		{"too small an uplink, and fragments were made", 9, smallUplink, "delivered underlay tunnel-fragmented confirmed"},
		{"too small an uplink, and nothing large was sent", 1, smallUplink, "delivered   confirmed"},
		{"somebody else's fragments", 9, nil, "delivered   confirmed"},
	} {
		b, a := counted("Ip.FragCreates", r.made, r.change)
		request := arrivedAt(1, journey.Request, 1400)
		uplink := a.Namespaces[0].LinkByIndex(a.Namespaces[0].Link("flannel.1").VXLAN.Underlay).Name
		request.Hops = append([]journey.Hop{{Stage: journey.StageDeviceTx, NetNS: nodeNS, Node: "node1", Where: host(), Dev: uplink,
			Outer: &journey.Tuple{Src: nodeIP, Sport: 50000, Dst: otherIP, Dport: 8472}}}, request.Hops...)
		in := Input{Flow: Flow{Proto: "tcp", Src: client.String(), Dst: server.String(), Dport: 8081}, Before: b, After: a,
			Journeys: []journey.Journey{request, arrivedAt(2, journey.Reply, 60)}, Probe: &probe.Result{Result: probe.Connected}}
		v := Judge(&in)
		if got := string(v.Outcome) + " " + string(v.Layer) + " " + v.Cause + " " + string(v.Confidence); got != r.want {
			t.Errorf("%s: %q, want %q", r.name, got, r.want)
		}
	}
}

func TestOverheadOfTunnels(t *testing.T) {
	for local, want := range map[string]int{"192.168.50.1": 50, "fd00::1": 70} {
		if got := overhead(&netstate.Link{VXLAN: &netstate.VXLAN{Local: netip.MustParseAddr(local)}}); got != want {
			t.Errorf("%s: %d, want %d", local, got, want)
		}
	}
	if got := overhead(&netstate.Link{}); got != 50 {
		t.Errorf("no tunnel: %d", got)
	}
}
