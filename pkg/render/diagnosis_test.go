// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/diagnose"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/probe"
	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

var (
	diagnosisStart = Start{Kind: "start", Schema: Schema, Node: "node1", Kernel: "6.12.1", Lockdown: "none", Points: []tracer.PointStatus{{Name: "ip_forward", Why: "no kprobes"}},
		Flow: verdict.Flow{Proto: "tcp", Src: "10.244.1.10", Dst: "10.96.0.80", Dport: 80, SrcRef: &journey.Ref{Kind: "Pod", Namespace: "shop", Name: "client"}, DstRef: &journey.Ref{Kind: "Service", Namespace: "shop", Name: "web", Port: "http"},
			Endpoints: []verdict.Endpoint{{Addr: "10.244.2.20:8080", Node: "node2", Ready: true}}}}
	dropHop    = journey.Hop{T: 900, Node: "node1", NetNS: 7, Where: &journey.Where{Kind: "host", Name: "node1"}, Stage: journey.StageDrop, What: "dropped in ip_error"}
	broken     = journey.Journey{ID: 2, Direction: journey.Request, Attempt: 1, End: journey.Dropped, Complete: true, Packet: packetOf("SYN"), Hops: []journey.Hop{dropHop}}
	arrived    = journey.Journey{ID: 1, Direction: journey.Request, Attempt: 1, End: journey.Delivered, Complete: true, Packet: packetOf("ACK"), Hops: []journey.Hop{{NetNS: 7, Stage: journey.StageSocket, What: "delivered"}}}
	wrongCheck = diagnose.Result{Check: "forwarding", Layer: diagnose.PodNetwork, Status: diagnose.Wrong, Cause: "ip-forward-off", Summary: "node1 does not forward", Node: "node1", Stops: true, Evidence: []string{"state: 0"}, Fix: []string{"sysctl"}}
	checksMade = []diagnose.Result{{Check: "node-ready", Layer: diagnose.Underlay, Status: diagnose.OK, Summary: "node1 is Ready"}, wrongCheck,
		{Check: "conntrack", Layer: diagnose.Service, Status: diagnose.Unknown, Summary: "node2 is not on this kernel"}, {Check: "dns-query", Layer: diagnose.DNS, Status: diagnose.NotApplicable, Summary: "no name"}}
)

func packetOf(flags string) journey.Packet {
	return journey.Packet{Tuple: journey.Tuple{Src: netip.MustParseAddr("10.244.1.10"), Sport: 40000, Dst: netip.MustParseAddr("10.96.0.80"), Dport: 80}, Proto: "tcp", Flags: flags, Len: 60}
}

// faulty is a diagnosis with everything in it; fresh, because renderers may keep it.
func faulty() (*verdict.Verdict, *Diagnosis) {
	v := &verdict.Verdict{Outcome: verdict.Dropped, Layer: verdict.PodNetwork, Cause: "ip-forward-off", Summary: "node1 does not forward packets", Node: "node1", Hop: &dropHop, Confidence: verdict.Confirmed,
		Evidence: []string{"kernel: ip_error"}, Fix: []string{"sysctl -w net.ipv4.ip_forward=1"}, Journeys: []int{1, 2}, Probe: &probe.Result{Result: probe.Timeout, MS: 4000}}
	d := &Diagnosis{Kind: "diagnosis", Outcome: v.Outcome, Layer: v.Layer, Cause: v.Cause, Summary: v.Summary, Node: v.Node, Confidence: v.Confidence, Evidence: v.Evidence, Fix: v.Fix, Traced: true, Probe: v.Probe,
		Layers: []LayerStatus{{verdict.Underlay, diagnose.OK, "node-ready", false}, {verdict.PodNetwork, diagnose.Wrong, v.Summary, true}, {verdict.Service, diagnose.Unknown, "not seen: conntrack", false},
			{verdict.DNS, diagnose.NotApplicable, "no name", false}, {verdict.Application, diagnose.OK, "listener", false}},
		Warnings: []diagnose.Result{{Check: "tunnel-mtu", Layer: diagnose.Underlay, Status: diagnose.Wrong, Cause: "tunnel-fragmented", Summary: "eth0 carries 1400", Fix: []string{"raise it"}}},
		Unmade:   []Unmade{{"conntrack", verdict.Service, "node2 is not on this kernel"}, {"forwarding", verdict.PodNetwork, "node2 is not on this kernel"}, {"listener", verdict.Application, "sockets could not be read"}},
		Also:     []verdict.Also{{Cause: "route-missing", Layer: verdict.PodNetwork, Summary: "a route is missing too"}}, LostEvents: 3}
	return v, d
}

// write runs a renderer as a diagnosis does.
func write(t *testing.T, format string, o Options, v *verdict.Verdict, d *Diagnosis) string {
	t.Helper()
	var out bytes.Buffer
	r, err := NewDiagnosis(format, &out, o)
	if err != nil {
		t.Fatal(err)
	}
	err = r.Start(diagnosisStart)
	for _, c := range checksMade {
		err = errors.Join(err, r.Check(c))
	}
	if v != nil {
		err = errors.Join(err, r.Journey(&arrived), r.Drop(Drop{Kind: "drop", Time: "2026-01-02T12:00:00Z", Journey: 2, Hop: dropHop}), r.Journey(&broken), r.Verdict(v))
	}
	if err := errors.Join(err, r.Diagnosis(d)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestDiagnosisStory(t *testing.T) {
	v, d := faulty()
	const want = `tcp shop/client (10.244.1.10) → svc/shop/web:http (10.96.0.80:80) on node1, kernel 6.12.1
svc/shop/web:http stands for 10.244.2.20:8080 on node2

  ✓ underlay             node-ready
  ✗ pod network          node1 does not forward packets
  ? service              not seen: conntrack
  – DNS                  no name
  ✓ application & policy listener

not seen:
  - conntrack, forwarding: node2 is not on this kernel
  - listener: sockets could not be read
  - the trace is blind: ip_forward: no kprobes

#2 request tcp SYN 10.244.1.10:40000 → 10.96.0.80:80 60 bytes
  node node1
        0.001 ms drop       dropped in ip_error
  ✗ dropped

also wrong:
  - eth0 carries 1400. raise it

DROPPED: node1 does not forward packets
layer: pod network · cause: ip-forward-off · confirmed · on node1 · probe: timeout after 4000 ms
evidence:
  - kernel: ip_error
also:
  - a route is missing too
3 events were lost: hops may be missing; --ring makes the buffer larger
what to do:
  - sysctl -w net.ipv4.ip_forward=1
`
	if got := write(t, "story", Options{}, v, d); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The last thing on the screen is what to do, in every format for people; the table has a row for each check besides.
func TestDiagnosisTable(t *testing.T) {
	v, d := faulty()
	got := write(t, "table", Options{Width: 80}, v, d)
	for _, want := range []string{"│ underlay    │ node-ready │ ✓ │ node1 is Ready", "│ pod network │ forwarding │ ✗ │", "│ service     │ conntrack  │ ? │", "│ DNS         │ dns-query  │ – │"} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
	if !strings.HasSuffix(got, "what to do:\n  - sysctl -w net.ipv4.ip_forward=1\n") {
		t.Errorf("ends with something else:\n%s", got)
	}
}

func TestDiagnosisHeads(t *testing.T) {
	for _, tc := range []struct {
		name  string
		set   func(*Diagnosis)
		head  string
		title string // above the warnings
	}{
		{"a fault", func(*Diagnosis) {}, "DROPPED: ", "also wrong:"},
		{"delivered", func(d *Diagnosis) { d.Outcome, d.Layer = verdict.Delivered, "" }, "DELIVERED: ", "wrong, although the probe got through:"},
		{"delivered, and something else does not work", func(d *Diagnosis) { d.Outcome, d.Layer = verdict.Delivered, verdict.DNS }, "FAULT: ", "also wrong:"},
		{"not traced, a fault", func(d *Diagnosis) { d.Outcome, d.Traced, d.NotTraced = verdict.Unseen, false, "--no-probe was given" }, "FAULT: ", "also wrong:"},
		{"not traced", func(d *Diagnosis) {
			d.Outcome, d.Layer, d.Traced, d.NotTraced = verdict.Unseen, "", false, "--no-probe was given"
		}, "NOT TRIED: ", "wrong, and no reason for the flow to fail:"},
		{"undecided", func(d *Diagnosis) { d.Outcome, d.Confidence = verdict.Lost, verdict.Inconclusive }, "UNDECIDED: ", "also wrong:"},
		{"nothing was seen", func(d *Diagnosis) { d.Outcome, d.Layer, d.Confidence = verdict.Unseen, "", verdict.Inconclusive }, "UNDECIDED: ", "wrong, and no reason for the flow to fail:"},
	} {
		v, d := faulty()
		tc.set(d)
		if got := write(t, "story", Options{}, v, d); !strings.Contains(got, "\n"+tc.head+d.Summary+"\n") || !strings.Contains(got, "\n"+tc.title+"\n") {
			t.Errorf("%s: want %q and %q in\n%s", tc.name, tc.head, tc.title, got)
		}
	}
}

// A packet that arrived is not the way to a fault that was measured beside it.
func TestDiagnosisWay(t *testing.T) {
	v, d := faulty()
	v.Outcome, v.Layer, v.Hop = verdict.Delivered, "", nil
	d.Layer = verdict.DNS
	if got := write(t, "story", Options{}, v, d); strings.Contains(got, "#1") || strings.Contains(got, "#2") {
		t.Errorf("tells a way:\n%s", got)
	}
	v, d = faulty()
	v.Hop = nil
	if got := write(t, "story", Options{}, v, d); !strings.Contains(got, "#2 request") {
		t.Errorf("without the verdict's hop the first that did not arrive is told:\n%s", got)
	}
}

func TestDiagnosisJSON(t *testing.T) {
	v, d := faulty()
	kinds := schematest.Lines(t, []byte(write(t, "json", Options{}, v, d)))
	for kind, n := range map[string]int{"start": 1, "check": 4, "journey": 2, "drop": 1, "verdict": 1, "diagnosis": 1} {
		if len(kinds[kind]) != n {
			t.Errorf("%d records of kind %s, want %d", len(kinds[kind]), kind, n)
		}
	}
	if c := kinds["check"][1]; c["check"] != "forwarding" || c["stops"] != true || c["status"] != "wrong" {
		t.Errorf("%v", c)
	}
	_, d = faulty()
	d.Outcome, d.Layer, d.Cause, d.Traced, d.NotTraced, d.Warnings, d.Unmade, d.Also, d.Evidence, d.Fix = verdict.Unseen, "", "", false, "--no-probe was given", nil, nil, nil, []string{}, []string{}
	kinds = schematest.Lines(t, []byte(write(t, "json", Options{}, nil, d)))
	if len(kinds["diagnosis"]) != 1 || kinds["diagnosis"][0]["notTraced"] != "--no-probe was given" {
		t.Errorf("%v", kinds)
	}
}

// Names and answers are hostile: no control character gets to the terminal.
func TestDiagnosisEscapes(t *testing.T) {
	v, d := faulty()
	d.Summary, d.Evidence, d.Fix = evil, []string{evil}, []string{evil}
	for i := range d.Layers {
		d.Layers[i].Reason = evil
	}
	d.Warnings[0].Summary, d.Warnings[0].Fix, d.Unmade[0].Why, d.Also[0].Summary = evil, []string{evil}, evil, evil
	for _, format := range []string{"story", "table"} {
		if got := write(t, format, Options{}, v, d); strings.ContainsAny(got, "\x1b\x07\u202e") {
			t.Errorf("%s: %q", format, got)
		}
	}
}

func TestDiagnosisColours(t *testing.T) {
	v, d := faulty()
	got := write(t, "story", Options{Color: true, Width: 60}, v, d)
	for _, want := range []string{"\x1b[32m✓ underlay", "\x1b[1;31m✗ pod network", "\x1b[33m? service", "\x1b[2m– DNS", "\x1b[1mnode1 does not forward", "\x1b[1;31mDROPPED"} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q: %q", want, got)
		}
	}
}

func TestNewDiagnosis(t *testing.T) {
	for format, want := range map[string]string{"yaml": "unknown output format", "": "use one of json, story, table"} {
		if _, err := NewDiagnosis(format, io.Discard, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", format, err, want)
		}
	}
	for _, format := range Formats() {
		if _, err := NewDiagnosis(format, io.Discard, Options{}); (err == nil) != (format == "json" || format == "story" || format == "table") {
			t.Errorf("%s: %v", format, err)
		}
	}
}
