// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// Nothing listens where the packet came to. Whether that is the application's or the Service's doing depends on where it was sent, also when
// the event of the translation was lost.
func TestNothingListensWhereItCame(t *testing.T) {
	drop := journey.Hop{Location: "tcp_v4_rcv", Reason: "NO_SOCKET", Verdict: "reject", Where: inPod(), NetNS: podNS}
	for _, tc := range []struct {
		name string
		flow Flow
		js   []journey.Journey
		want string
	}{
		{"sent to the pod", Flow{Proto: "tcp", Dst: server.String(), Dport: 8081}, lostAt(drop), "rejected application not-listening confirmed"},
		{"sent to a Service, translated", Flow{Proto: "tcp", Dst: "10.96.0.80", Dport: 80}, lostAt(drop, dnat()), "rejected service wrong-target-port confirmed"},
		{"sent to a Service, translation not seen", Flow{Proto: "tcp", Dst: "10.96.0.80", Dport: 80}, lostAt(drop), "rejected service wrong-target-port likely"},
		{"sent to another port, translation not seen", Flow{Proto: "tcp", Dst: server.String(), Dport: 80}, lostAt(drop), "rejected service wrong-target-port likely"},
		{"any port", Flow{Proto: "tcp", Dst: server.String()}, lostAt(drop), "rejected application not-listening confirmed"},
	} {
		v := Judge(&Input{Flow: tc.flow, Journeys: tc.js, Before: state(), After: state()})
		if got := string(v.Outcome) + " " + string(v.Layer) + " " + v.Cause + " " + string(v.Confidence); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}
