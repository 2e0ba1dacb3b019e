// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
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
