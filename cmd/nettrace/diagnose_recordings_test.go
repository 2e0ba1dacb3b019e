// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/diagnose"
	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// recordedInput is what the checks would have had when a recording was made: its snapshot, and its names if it has any.
func recordedInput(t *testing.T, file string) *diagnose.Input {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := tracer.NewReplay(f)
	if err != nil {
		t.Fatal(err)
	}
	var head header
	in := &diagnose.Input{Snapshot: &netstate.Snapshot{}, NoIndex: "the recording has no names", NoEcho: "nothing was sent", NoAnswer: "nothing was sent", NoResolver: "it was not recorded"}
	for {
		frame, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if frame.Note == nil {
			continue
		}
		var into any
		var cluster clusterNote
		switch frame.Note.Name {
		case noteHeader:
			into = &head
		case noteBefore:
			into = in.Snapshot
		case noteCluster:
			into = &cluster
		default:
			continue
		}
		if err := json.Unmarshal(frame.Note.JSON, into); err != nil {
			t.Fatal(err)
		}
		if into == any(&cluster) {
			l := &labeller{unknown: map[netip.Addr]bool{}}
			l.learn(&cluster)
			in.Index, in.Name, in.Policies, in.Whole = k8smeta.NewIndex(&l.objs, cluster.Now), l.name, l.policies, true
		}
	}
	flow := head.Start.Flow
	in.Proto, in.Dport, in.Node = flow.Proto, flow.Dport, head.Start.Node
	in.Src, in.Dst = netip.MustParseAddr(flow.Src), netip.MustParseAddr(flow.Dst)
	for _, o := range in.Snapshot.OwnersOf(in.Src) {
		in.Sender = o.NS
	}
	return in
}

// The static checks over the state that recordings hold, of the lab on several kernels: what is broken is found where state tells it, and healthy
// ones have nothing that would stop them.
func TestStaticChecksOfRecordings(t *testing.T) {
	static := map[string]string{ // what the state alone tells; the others' faults show only in packets or counters
		"conntrack-full-6.12": "conntrack-full", "forward-policy-drop-nft": "forward-policy-drop", "names-network-policy": "network-policy-drop", "names-no-endpoints": "no-endpoints",
		"no-endpoints": "no-endpoints", "not-listening": "not-listening", "pod-link-down": "pod-link-down",
	}
	for _, file := range recordings(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".nt")
		t.Run(name, func(t *testing.T) {
			results := diagnose.Run(recordedInput(t, file), nil)
			x := join(results, nil, "--no-probe was given")
			if x.Cause != static[name] {
				t.Errorf("cause %q of layer %q, want %q: %s %q", x.Cause, x.Layer, static[name], x.Summary, x.Evidence)
			}
			for _, r := range results {
				if r.Status == diagnose.Unknown && strings.HasSuffix(r.Summary, ": ") || r.Summary == "" {
					t.Errorf("%s does not say why it cannot look: %q", r.Check, r.Summary)
				}
			}
		})
	}
}
