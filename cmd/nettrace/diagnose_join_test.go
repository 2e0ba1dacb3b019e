// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/diagnose"
	"github.com/nettrace-io/nettrace/pkg/probe"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

func found(check string, layer diagnose.Layer, cause string, stops bool) diagnose.Result {
	return diagnose.Result{Check: check, Layer: layer, Status: diagnose.Wrong, Cause: cause, Summary: check + " is wrong", Stops: stops, Node: "node2", Evidence: []string{"state: " + check}, Fix: []string{"repair " + check}}
}

func fine(check string, layer diagnose.Layer) diagnose.Result {
	return diagnose.Result{Check: check, Layer: layer, Status: diagnose.OK, Summary: check + " is fine"}
}

func unseen(check string, layer diagnose.Layer) diagnose.Result {
	return diagnose.Result{Check: check, Layer: layer, Status: diagnose.Unknown, Summary: "node2 is not on this kernel"}
}

// all has a fine check of every layer, but for those that are given.
func all(given ...diagnose.Result) []diagnose.Result {
	out := []diagnose.Result{}
	for _, f := range []diagnose.Result{fine("uplink", diagnose.Underlay), fine("forwarding", diagnose.PodNetwork), fine("endpoints", diagnose.Service),
		{Check: "nameserver", Layer: diagnose.DNS, Status: diagnose.NotApplicable, Summary: "no name is asked for"}, fine("listener", diagnose.Application)} {
		if !slices.ContainsFunc(given, func(g diagnose.Result) bool { return g.Check == f.Check }) {
			out = append(out, f)
		}
	}
	return append(out, given...)
}

func judged(o verdict.Outcome, layer verdict.Layer, cause string, c verdict.Confidence) *verdict.Verdict {
	return &verdict.Verdict{Outcome: o, Layer: layer, Cause: cause, Confidence: c, Summary: "the trace says " + cause, Evidence: []string{"kernel: seen"}, Fix: []string{"do as the trace says"}, Probe: &probe.Result{Result: probe.Timeout}}
}

func TestJoin(t *testing.T) {
	good := judged(verdict.Delivered, "", "", verdict.Confirmed)
	good.Probe.Result = probe.Connected
	query := *good
	query.Probe = &probe.Result{Result: probe.Connected, DNS: &probe.DNSResult{}}
	lossy := judged(verdict.Dropped, verdict.PodNetwork, "ip-forward-off", verdict.Likely)
	lossy.LostEvents = 7
	hole := found("node-mtu", diagnose.Underlay, "underlay-mtu-silent", false)
	hole.Measured = true
	for _, tc := range []struct {
		name       string
		results    []diagnose.Result
		v          *verdict.Verdict
		why        string
		layer      verdict.Layer
		cause      string
		confidence verdict.Confidence
		code       int
		marks      string // of the five layers, bottom-up
		warnings   []string
		says       []string // in summary, evidence or fix
	}{
		{"delivered and all is fine", all(), good, "", "", "", verdict.Confirmed, exitOK, "ok ok ok n/a ok", nil, nil},
		{"delivered: what checks found is refuted", all(found("forwarding", diagnose.PodNetwork, "ip-forward-off", true)), good, "", "", "", verdict.Confirmed, exitOK, "ok ok ok n/a ok", []string{"forwarding"}, nil},
		{"delivered: what was measured is not", all(hole), good, "", verdict.Underlay, "underlay-mtu-silent", verdict.Likely, exitVerdict, "wrong ok ok n/a ok", nil, []string{"node-mtu is wrong", "got through", "repair node-mtu"}},
		{"delivered: what could not be seen was passed", all(unseen("uplink", diagnose.Underlay)), good, "", "", "", verdict.Confirmed, exitOK, "ok ok ok n/a ok", nil, nil},
		{"delivered, but not by name", all(unseen("nameserver", diagnose.DNS)), good, "", "", "", verdict.Confirmed, exitOK, "ok ok ok ? ok", nil, nil},
		{"delivered, and it was a query", all(unseen("nameserver", diagnose.DNS)), &query, "", "", "", verdict.Confirmed, exitOK, "ok ok ok ok ok", nil, nil},
		{"the trace names a fault", all(), judged(verdict.Dropped, verdict.PodNetwork, "ip-forward-off", verdict.Likely), "", verdict.PodNetwork, "ip-forward-off", verdict.Likely, exitVerdict, "ok wrong ok n/a ok", nil, []string{"the trace says"}},
		{"and a check agrees", all(found("forwarding", diagnose.PodNetwork, "ip-forward-off", true)), judged(verdict.Dropped, verdict.PodNetwork, "ip-forward-off", verdict.Likely), "",
			verdict.PodNetwork, "ip-forward-off", verdict.Confirmed, exitVerdict, "ok wrong ok n/a ok", nil, []string{"before the probe, check forwarding had found"}},
		{"a check agrees, but events were lost", all(found("forwarding", diagnose.PodNetwork, "ip-forward-off", true)), lossy, "", verdict.PodNetwork, "ip-forward-off", verdict.Likely, exitVerdict, "ok wrong ok n/a ok", nil, nil},
		{"a check agrees with an absence", all(found("tunnel-peer", diagnose.PodNetwork, "fdb-wrong-host", true)), judged(verdict.Lost, verdict.PodNetwork, "fdb-wrong-host", verdict.Likely), "",
			verdict.PodNetwork, "fdb-wrong-host", verdict.Likely, exitVerdict, "ok wrong ok n/a ok", nil, nil},
		{"a check disagrees: the trace counts", all(found("listener", diagnose.Application, "not-listening", true)), judged(verdict.Dropped, verdict.Underlay, "vni-mismatch", verdict.Confirmed), "",
			verdict.Underlay, "vni-mismatch", verdict.Confirmed, exitVerdict, "wrong ok ok n/a wrong", []string{"listener"}, nil},
		{"the trace does not decide, a check does", all(found("tunnel-settings", diagnose.Underlay, "vni-mismatch", true)), judged(verdict.Lost, verdict.Underlay, "left-node", verdict.Inconclusive), "",
			verdict.Underlay, "vni-mismatch", verdict.Likely, exitVerdict, "wrong ok ok n/a ok", nil, []string{"does not contradict it", "repair tunnel-settings", "do as the trace says"}},
		{"the trace saw nothing, a warning is no reason", all(found("tunnel-mtu", diagnose.Underlay, "tunnel-fragmented", false)), judged(verdict.Unseen, "", "", verdict.Inconclusive), "",
			"", "", verdict.Inconclusive, exitUnseen, "wrong ok ok n/a ok", []string{"tunnel-mtu"}, nil},
		{"a name that is not answered is no reason for a probe to fail", all(hole), judged(verdict.Lost, verdict.Underlay, "left-node", verdict.Inconclusive), "", verdict.Underlay, "left-node", verdict.Inconclusive, exitUnseen, "? ok ok n/a ok", []string{"node-mtu"}, nil},
		{"nobody decides", all(), judged(verdict.Lost, verdict.Underlay, "left-node", verdict.Inconclusive), "", verdict.Underlay, "left-node", verdict.Inconclusive, exitUnseen, "? ok ok n/a ok", nil, nil},
		{"connect() failed: nothing was sent, and that is known", all(), judged(verdict.Unseen, verdict.PodNetwork, "pod-default-route-missing", verdict.Confirmed), "", verdict.PodNetwork, "pod-default-route-missing", verdict.Confirmed, exitVerdict, "ok wrong ok n/a ok", nil, nil},
		{"the application does not answer", all(), judged(verdict.Delivered, verdict.Application, "application-stuck", verdict.Confirmed), "", verdict.Application, "application-stuck", verdict.Confirmed, exitVerdict, "ok ok ok n/a wrong", nil, nil},
		{"no probe: lower layers first", all(found("listener", diagnose.Application, "not-listening", true), found("forwarding", diagnose.PodNetwork, "ip-forward-off", true)), nil, "--no-probe was given",
			verdict.PodNetwork, "ip-forward-off", verdict.Likely, exitVerdict, "ok wrong ok n/a wrong", []string{"listener"}, []string{"repair forwarding"}},
		{"no probe, all fine", all(), nil, "--no-probe was given", "", "", verdict.Inconclusive, exitOK, "ok ok ok n/a ok", nil, []string{"leave --no-probe out"}},
		{"no probe, not all seen", all(unseen("uplink", diagnose.Underlay)), nil, "--no-probe was given", "", "", verdict.Inconclusive, exitUnseen, "? ok ok n/a ok", nil, []string{"1 checks could not be made"}},
		{"no probe, a warning", all(found("tunnel-mtu", diagnose.Underlay, "tunnel-fragmented", false)), nil, "--no-probe was given", "", "", verdict.Inconclusive, exitUnseen, "wrong ok ok n/a ok", []string{"tunnel-mtu"}, nil},
		{"the sender is elsewhere", all(), nil, "shop/client runs on node9", "", "", verdict.Inconclusive, exitOK, "ok ok ok n/a ok", nil, []string{"runs on node9"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := join(tc.results, tc.v, tc.why)
			if x.Layer != tc.layer || x.Cause != tc.cause || x.Confidence != tc.confidence {
				t.Errorf("layer %q, cause %q, %s; want %q, %q, %s", x.Layer, x.Cause, x.Confidence, tc.layer, tc.cause, tc.confidence)
			}
			if code := diagnosisCode(x, tc.results); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			var marks, warnings []string
			for _, l := range x.Layers {
				marks = append(marks, map[diagnose.Status]string{diagnose.OK: "ok", diagnose.Wrong: "wrong", diagnose.Unknown: "?", diagnose.NotApplicable: "n/a"}[l.Status])
				if l.Reason == "" || l.Decides != (l.Layer == tc.layer && tc.layer != "") {
					t.Errorf("layer %+v", l)
				}
			}
			for _, w := range x.Warnings {
				warnings = append(warnings, w.Check)
			}
			if got := strings.Join(marks, " "); got != tc.marks || !slices.Equal(warnings, tc.warnings) {
				t.Errorf("layers %s, warnings %v; want %s, %v", got, warnings, tc.marks, tc.warnings)
			}
			text := strings.Join(slices.Concat([]string{x.Summary}, x.Evidence, x.Fix), "\n")
			for _, s := range tc.says {
				if !strings.Contains(text, s) {
					t.Errorf("%q lacks %q", text, s)
				}
			}
			if x.Summary == "" || x.Evidence == nil || x.Fix == nil || x.Traced != (tc.v != nil) {
				t.Errorf("%+v", x)
			}
		})
	}
}

// The verdict's own lists stay as they are when the diagnosis adds to them.
func TestJoinChangesNoVerdict(t *testing.T) {
	v := judged(verdict.Dropped, verdict.PodNetwork, "ip-forward-off", verdict.Likely)
	v.Evidence = append(make([]string, 0, 8), v.Evidence...)
	x := join(all(found("forwarding", diagnose.PodNetwork, "ip-forward-off", true)), v, "")
	if len(v.Evidence) != 1 || v.Evidence[:2][1] != "" || v.Confidence != verdict.Likely || len(x.Evidence) != 2 {
		t.Errorf("%+v", v)
	}
}

func TestUnmade(t *testing.T) {
	x := join(all(unseen("uplink", diagnose.Underlay), unseen("tunnel-peer", diagnose.PodNetwork)), nil, "--no-probe was given")
	want := []render.Unmade{{Check: "uplink", Layer: verdict.Underlay, Why: "node2 is not on this kernel"}, {Check: "tunnel-peer", Layer: verdict.PodNetwork, Why: "node2 is not on this kernel"}}
	if !slices.Equal(x.Unmade, want) {
		t.Errorf("%+v, want %+v", x.Unmade, want)
	}
}
