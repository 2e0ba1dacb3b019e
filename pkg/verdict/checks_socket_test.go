// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

// Nothing listens where the packet came to. Whether that is the application's or the Service's doing depends on where it was sent, also when
// the event of the translation was lost.
func TestNothingListensWhereItCame(t *testing.T) {
	drop := journey.Hop{Location: "tcp_v4_rcv", Reason: "NO_SOCKET", Verdict: "reject", Where: inPod(), NetNS: podNS}
	svc := Flow{Proto: "tcp", Dst: "10.96.0.80", Dport: 80}
	pod := svc
	pod.DstRef = &journey.Ref{Kind: "Pod", Namespace: "shop", Name: "web"}
	host, proxy, ipvs, own := dnat(), dnat(), dnat(), dnat()
	host.Ref, proxy.Ref, ipvs.Ref, own.Ref = nil, nil, nil, nil
	proxy.Rule = rule(journey.Rule{Chain: "KUBE-SEP-X", Owner: "kube-proxy"})
	ipvs.Rule = &journey.Rule{Backend: "ipvs"}
	own.Rule = rule(journey.Rule{Chain: "CNI-HOSTPORT-DNAT", Owner: "CNI"})
	onNode := journey.Hop{Location: "tcp_v4_rcv", Reason: "NO_SOCKET", Verdict: "reject", Where: &journey.Where{Kind: "host", Name: "node1"}, Node: "node1", NetNS: nodeNS}
	up, down := state(), state()
	up.Namespaces[0].Sockets = []netstate.Socket{{Proto: "tcp", Local: netip.MustParseAddrPort("0.0.0.0:22")}}
	down.Namespaces[1].Sockets = down.Namespaces[1].Sockets[1:]
	for _, tc := range []struct {
		name  string
		flow  Flow
		js    []journey.Journey
		state *netstate.Snapshot
		want  string
	}{
		{"sent to the pod", Flow{Proto: "tcp", Dst: server.String(), Dport: 8081}, lostAt(drop), up, "rejected application not-listening confirmed"},
		{"sent to a Service, translated", Flow{Proto: "tcp", Dst: "10.96.0.80", Dport: 80}, lostAt(drop, dnat()), up, "rejected service wrong-target-port confirmed"},
		{"sent to a Service, translation not seen", Flow{Proto: "tcp", Dst: "10.96.0.80", Dport: 80}, lostAt(drop), up, "rejected service wrong-target-port likely"},
		{"by a rule of kube-proxy", svc, lostAt(drop, proxy), up, "rejected service wrong-target-port confirmed"},
		{"by IPVS", svc, lostAt(drop, ipvs), up, "rejected service wrong-target-port confirmed"},
		{"by a rule that is not known", pod, lostAt(drop, host), up, "rejected application not-listening confirmed"},
		{"by a host port's rule", pod, lostAt(drop, own), up, "rejected application not-listening confirmed"},
		{"sent to a Service, the application is not up", svc, lostAt(drop, dnat()), down, "rejected application not-listening confirmed"},
		{"sent to a Service, translation not seen, the application is not up", svc, lostAt(drop), down, "rejected application not-listening likely"},
		{"sent to a pod, translation not seen", pod, lostAt(drop), up, "rejected application not-listening confirmed"},
		{"sent to another port, translation not seen", Flow{Proto: "tcp", Dst: server.String(), Dport: 80}, lostAt(drop), up, "rejected service wrong-target-port likely"},
		{"any port", Flow{Proto: "tcp", Dst: server.String()}, lostAt(drop), up, "rejected application not-listening confirmed"},
		{"by a rule of kube-proxy, on a node's own address", svc, lostAt(onNode, proxy), up, "rejected application not-listening confirmed"},
		{"sent to a Service, on a node's own address", svc, lostAt(onNode, dnat()), up, "rejected application not-listening confirmed"},
	} {
		v := Judge(&Input{Flow: tc.flow, Journeys: tc.js, Before: tc.state, After: tc.state})
		if got := string(v.Outcome) + " " + string(v.Layer) + " " + v.Cause + " " + string(v.Confidence); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

// The probe has its answer and closes; more of the answer comes. Expectation: that is no finding, not even one beside the verdict, but where the probe
// gave up waiting it is.
func TestAnswersAfterTheProbeHasClosed(t *testing.T) {
	late := lostAt(journey.Hop{Location: "tcp_v4_rcv", Reason: "NOT_SPECIFIED", Verdict: "reject", Where: inPod(), NetNS: podNS})[0]
	late.ID, late.Direction = 3, journey.Reply
	late.Packet.Src, late.Packet.Dst, late.Packet.Sport, late.Packet.Dport = server, client, 8081, 40000
	silent := late
	silent.Hops = []journey.Hop{late.Hops[0]}
	silent.Hops[0].Verdict, silent.End = "drop", journey.Dropped
	for _, tc := range []struct {
		name   string
		last   journey.Journey
		result probe.Outcome
		also   int
		want   string
	}{
		{"answered", late, probe.Connected, 0, "delivered   confirmed"},
		{"answered, and dropped without a reset", silent, probe.Connected, 1, "delivered   confirmed"},
		{"given up", late, probe.Timeout, 0, "rejected application socket-drop likely"},
	} {
		v := Judge(&Input{Flow: Flow{Proto: "tcp", Src: client.String(), Dst: server.String(), Dport: 8081}, Probe: &probe.Result{Result: tc.result},
			Journeys: []journey.Journey{arrivedAt(1, journey.Request, 60), arrivedAt(2, journey.Reply, 60), tc.last}, Before: state(), After: state()})
		if got := string(v.Outcome) + " " + string(v.Layer) + " " + v.Cause + " " + string(v.Confidence); got != tc.want || len(v.Also) != tc.also {
			t.Errorf("%s: %s and %d more, want %s and %d", tc.name, got, len(v.Also), tc.want, tc.also)
		}
	}
}
