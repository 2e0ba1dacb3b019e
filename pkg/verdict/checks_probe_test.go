// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

// asked is a query to the cluster's DNS that is dropped at a hop.
func asked(h journey.Hop, before ...journey.Hop) []journey.Journey {
	js := lostAt(h, before...)
	js[0].Packet.Proto, js[0].Packet.Flags, js[0].Packet.Tuple.Dport = "udp", "", 53
	return js
}

func ladder(kind probe.MTUKind, passed, failed int, icmp *probe.ICMP) *probe.Result {
	return &probe.Result{Result: probe.Timeout, MTU: &probe.MTUResult{Proto: "tcp", Device: "eth0", DeviceMTU: 1500, Passed: passed, Failed: failed, Kind: kind, ICMP: icmp}}
}

// large makes the dropped or vanished packet one of a size.
func large(js []journey.Journey, size uint32) []journey.Journey {
	js[0].Packet.Len = size
	return js
}

// plainGone is a packet that left the node outside of a tunnel.
func plainGone(size uint32) journey.Journey {
	j := goneAt(1, size)
	j.Hops[0].Outer = nil
	return j
}

func TestProbeChecks(t *testing.T) {
	svc := &journey.Ref{Kind: "Service", Namespace: "kube-system", Name: "kube-dns", Port: "dns"}
	expanded := &probe.DNSResult{Name: "example.com", Source: "/etc/resolv.conf", Search: []string{"a", "b", "c"}, Ndots: 5, Names: 4, Wasted: 6, WastedMS: 30, Rcode: "NOERROR", Queries: make([]probe.DNSQuery, 8)}
	cheap := *expanded
	cheap.Wasted, cheap.Names = 4, 3
	unnamed := func(string, netip.Addr, uint16) string { return "" }
	nobody := Flow{Proto: "udp", Src: client.String(), Dst: "169.254.20.10", Dport: 53}
	small := state()
	small.Namespaces[0].Links[3].MTU = 1450
	tooBig := func(size uint32) []journey.Journey {
		return large(lostAt(journey.Hop{Location: "ip_forward", Reason: "PKT_TOO_BIG", Dev: "cni0"}), size)
	}
	noise := lostAt(journey.Hop{Location: "tcp_rcv_state_process", Reason: "NOT_SPECIFIED"})[0]
	for _, tc := range []struct {
		name  string
		in    Input
		want  string
		words string
	}{
		{"DNS without endpoints", Input{Journeys: asked(journey.Hop{Location: "nf_hook_slow", Hook: "FORWARD", Verdict: "reject", Ref: svc, Rule: rule(journey.Rule{Chain: "KUBE-SERVICES", Number: 1, Verdict: "REJECT", Comment: "kube-system/kube-dns:dns has no endpoints", Why: "has no endpoints", Owner: "kube-proxy"})}), After: state()},
			"rejected dns dns-no-endpoints confirmed", "k8s-app=kube-dns"},
		{"nothing listens in the DNS pod", Input{Journeys: asked(journey.Hop{Location: "__udp4_lib_rcv", Reason: "NO_SOCKET", Where: inPod(), NetNS: podNS, Verdict: "reject"}), After: state()}, "rejected dns dns-not-listening confirmed", "Corefile"},
		{"the policy blocks DNS", Input{Journeys: asked(journey.Hop{Location: "nf_hook_slow", Hook: "FORWARD", Rule: rule(journey.Rule{Chain: "cali-fw-veth1", Number: 6, Verdict: "DROP", Owner: "Calico", Policy: true})}), After: state()}, "dropped dns dns-blocked-by-policy confirmed", "allow egress to udp/53"},
		{"a rule of the node blocks DNS", Input{Journeys: asked(journey.Hop{Location: "nf_hook_slow", Hook: "FORWARD"}), After: state()}, "dropped dns dns-blocked-by-policy likely", "tcp/53"},
		{"an NFQUEUE without a reader takes a query", Input{Journeys: asked(journey.Hop{Location: "nf_queue", Hook: "FORWARD", Rule: rule(journey.Rule{Chain: "FORWARD", Number: 1, Text: "-j NFQUEUE --queue-num 1"})}), After: state()}, "dropped pod-network nfqueue-without-reader confirmed", "NFQUEUE"},
		{"the same rule for another port", Input{Journeys: lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "FORWARD"}), After: state()}, "dropped pod-network netfilter-drop likely", ""},
		{"a nameserver that is nobody's, lost", Input{Flow: nobody, Name: unnamed, Journeys: []journey.Journey{plainGone(60)}, After: state(), Probe: &probe.Result{Result: probe.NoAnswer, DNS: expanded}}, "lost dns dns-wrong-nameserver likely", "resolv.conf names it"},
		{"a nameserver that is nobody's, dropped", Input{Flow: nobody, Name: unnamed, Journeys: func() []journey.Journey {
			js := asked(journey.Hop{Location: "ip_error", Reason: "IP_INNOROUTES"}, route("", "EHOSTUNREACH"))
			js[0].Packet.Tuple.Dst = netip.MustParseAddr("169.254.20.10")
			return js
		}(), After: state()}, "dropped dns dns-wrong-nameserver likely", "clusterDNS"},
		{"names are not known", Input{Flow: nobody, Journeys: []journey.Journey{plainGone(60)}, After: state()}, "lost underlay left-node inconclusive", ""},
		{"the nameserver is a node's", Input{Flow: Flow{Proto: "udp", Dst: otherIP.String(), Dport: 53}, Name: unnamed, Journeys: []journey.Journey{plainGone(60)}, After: state()}, "lost underlay left-node inconclusive", ""},
		{"eight queries for a name", Input{Probe: &probe.Result{Result: probe.Connected, DNS: expanded}}, "delivered dns dns-search-expansion confirmed", "8 queries for one name"},
		{"two names too many are what the list is for", Input{Probe: &probe.Result{Result: probe.Connected, DNS: &cheap}}, "delivered   likely", ""},
		{"large packets leave and vanish", Input{Journeys: []journey.Journey{plainGone(1400)}, After: state(), Probe: ladder(probe.MTUSilent, 1350, 1351, nil)}, "lost underlay underlay-mtu-silent likely", "1350"},
		{"the same beside noise", Input{Journeys: []journey.Journey{noise, plainGone(1400)}, After: state(), Probe: ladder(probe.MTUSilent, 1350, 1351, nil)}, "lost underlay underlay-mtu-silent likely", "makes it a hole"},
		{"large packets are lost in a tunnel", Input{Journeys: []journey.Journey{arrivedAt(2, journey.Request, 1350), goneAt(3, 1351)}, After: state(), Probe: ladder(probe.MTUSilent, 1350, 1351, nil)}, "lost underlay underlay-mtu-silent likely", "ping -M do"},
		{"large packets were not followed", Input{Journeys: []journey.Journey{arrivedAt(2, journey.Request, 60)}, After: state(), Probe: ladder(probe.MTUSilent, 1350, 1351, nil)}, "lost pod-network mtu-blackhole inconclusive", "--timeout 30s"},
		{"the node drops and nobody hears", Input{Journeys: tooBig(1500), After: state(), Probe: ladder(probe.MTUSilent, 1450, 1451, nil)}, "dropped pod-network mtu-blackhole likely", "fragmentation needed"},
		{"the node drops and says so", Input{Journeys: tooBig(1500), After: small, Probe: ladder(probe.MTUTold, 1450, 1451, &probe.ICMP{From: "10.244.1.1", Type: "frag-needed", MTU: 1450})}, "dropped pod-network pod-mtu-too-large confirmed", "10.244.1.1 sent ICMP frag-needed with MTU 1450"},
		{"no ladder was climbed", Input{Journeys: tooBig(1500), After: state()}, "dropped pod-network pod-mtu-too-large likely", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.in.Probe != nil && tc.in.Probe.MTU != nil {
				tc.in.Probe.ICMP = tc.in.Probe.MTU.ICMP
			}
			v := Judge(&tc.in)
			if got := strings.Join([]string{string(v.Outcome), string(v.Layer), v.Cause, string(v.Confidence)}, " "); got != tc.want {
				t.Errorf("%q, want %q: %+v", got, tc.want, v)
			}
			if text := strings.Join(append(append([]string{v.Summary}, v.Evidence...), v.Fix...), "\n"); !strings.Contains(text, tc.words) {
				t.Errorf("no %q in\n%s", tc.words, text)
			}
		})
	}
}

func TestWithoutAnyState(t *testing.T) {
	in := Input{Flow: Flow{Proto: "udp", Dst: "169.254.20.10", Dport: 53}, Name: func(string, netip.Addr, uint16) string { return "" }, Probe: ladder(probe.MTUSilent, 1, 2, nil)}
	if v := Judge(&in); v.Confidence == Confirmed {
		t.Errorf("%+v", v)
	}
	in.Before = &netstate.Snapshot{}
	_ = Judge(&in)
}

func TestDifference(t *testing.T) {
	v := func(k probe.VariantKind, o probe.Outcome) probe.Compared {
		return probe.Compared{Kind: k, What: "the endpoint x", Dst: "10.244.2.20:8080", Result: o, MS: 2}
	}
	ok, bad := probe.Connected, probe.Timeout
	for _, tc := range []struct {
		name string
		main probe.Outcome
		all  []probe.Compared
		want string
	}{
		{"only the Service fails", bad, []probe.Compared{v(probe.SameNode, ok), v(probe.OtherNode, ok)}, "the Service layer is at fault"},
		{"only the other node fails", bad, []probe.Compared{v(probe.SameNode, ok), v(probe.OtherNode, bad)}, "between the nodes"},
		{"the other node fails, and the Service chose well", ok, []probe.Compared{v(probe.SameNode, ok), v(probe.OtherNode, bad)}, "between the nodes"},
		{"one of two", bad, []probe.Compared{v(probe.OtherNode, ok), v(probe.OtherNode, bad)}, "some endpoints answer"},
		{"all fail", bad, []probe.Compared{v(probe.Endpoint, bad)}, "is not the cause"},
		{"the name fails", ok, []probe.Compared{v(probe.Endpoint, ok), v(probe.ByName, bad)}, "DNS is at fault"},
		{"the pod's Service fails", ok, []probe.Compared{v(probe.ByService, bad)}, "the Service layer is at fault"},
		{"all work", ok, []probe.Compared{v(probe.SameNode, ok), v(probe.ByName, ok)}, ""},
		{"nothing to compare", bad, nil, ""},
	} {
		r := &probe.Result{Result: tc.main, Compare: tc.all}
		if got := difference(r); !strings.Contains(got, tc.want) || (tc.want == "") != (got == "") {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		if len(tc.all) > 0 && !strings.Contains(strings.Join(compareWords(r), "\n"), "10.244.2.20:8080") {
			t.Errorf("%s: %q", tc.name, compareWords(r))
		}
	}
}

func TestProbeWords(t *testing.T) {
	for want, r := range map[string]*probe.Result{
		"status 503, first byte after 9 ms":        {HTTP: &probe.HTTPResult{Path: "/", Status: 503, FirstMS: 9}},
		"no HTTP answer: x":                        {HTTP: &probe.HTTPResult{Path: "/", Error: "x"}},
		"issued by CN=ca; it was not verified":     {HTTP: &probe.HTTPResult{Path: "/", Status: 200, TLS: &probe.TLSResult{Version: "TLS 1.3", Issuer: "CN=ca", Error: "unknown"}}},
		"192.0.2.1 sent ICMP host-unreachable":     {ICMP: &probe.ICMP{From: "192.0.2.1", Type: "host-unreachable"}},
		"the last answer was NXDOMAIN":             {DNS: &probe.DNSResult{Name: "x", Rcode: "NXDOMAIN"}},
		"10.96.0.10:53/udp gave no answer to A x.": {DNS: &probe.DNSResult{Name: "x", Queries: []probe.DNSQuery{{Name: "x.", Type: "A", Server: "10.96.0.10:53", Proto: "udp", Error: "timed out"}}}},
		"says nothing about sizes":                 {MTU: &probe.MTUResult{Kind: probe.MTUNone, Failed: 68}},
		"the receiver takes no larger":             {MTU: &probe.MTUResult{Kind: probe.MTUPeer, Passed: 1400}},
		"own kernel refused":                       {MTU: &probe.MTUResult{Kind: probe.MTULocal, Passed: 1400, Failed: 1401}},
		"had been told before":                     {MTU: &probe.MTUResult{Kind: probe.MTUTold, Passed: 1400}},
		"time was over":                            {MTU: &probe.MTUResult{Kind: probe.MTUSilent, Passed: 1400, Failed: 1450, Cut: "the probe's time was over"}},
	} {
		if got := strings.Join(probeEvidence(r), "\n"); !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
}
