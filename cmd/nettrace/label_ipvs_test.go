// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// Virtual servers are Services by their address: that of the connection, that of the translation, and where there is no real server the packet's.
func TestServicesOfIPVS(t *testing.T) {
	l := labelled(t, nil)
	rule := &journey.Rule{Backend: "ipvs", Text: "-A -t 10.96.0.80:80 -s rr", Certainty: "inferred"}
	to := func(s string) journey.Tuple {
		at := netip.MustParseAddrPort(s)
		return journey.Tuple{Src: netip.MustParseAddr("10.244.1.10"), Sport: 40000, Dst: at.Addr(), Dport: at.Port()}
	}
	server := to("10.244.2.20:8080")
	for _, tc := range []struct {
		name, dst string
		hop       journey.Hop
		want      string
	}{
		{"the connection", "10.96.0.80:80", journey.Hop{Stage: journey.StageIPVS, Rule: rule, IPVS: &journey.IPVS{Virtual: "10.96.0.80:80", Server: "10.244.2.20:8080"}}, "svc/shop/web:http"},
		{"the translation", "10.96.0.80:80", journey.Hop{Stage: journey.StageNAT, Rule: rule, Tuple: &server, NAT: &journey.NAT{Type: "dnat", From: "10.96.0.80:80", To: "10.244.2.20:8080"}}, "svc/shop/web:http"},
		{"no real server", "10.96.0.82:80", journey.Hop{Stage: journey.StageIPVS, Step: "no-server", Rule: rule}, "svc/shop/empty:http"},
		{"the drop", "10.96.0.82:80", journey.Hop{Stage: journey.StageDrop, Rule: rule}, "svc/shop/empty:http"},
		{"no Service", "10.96.7.7:80", journey.Hop{Stage: journey.StageDrop, Rule: rule}, ""},
	} {
		j := &journey.Journey{Packet: journey.Packet{Proto: "tcp", Tuple: to(tc.dst)}, Hops: []journey.Hop{tc.hop}}
		l.label(j)
		got := ""
		if r := j.Hops[0].Ref; r != nil {
			got = r.String()
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
