// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// asOnALargeNode makes the node read only what the flow can cross, however few namespaces there are.
func asOnALargeNode(t *testing.T) {
	t.Helper()
	was := fewNamespaces
	fewNamespaces = 0
	t.Cleanup(func() { fewNamespaces = was })
}

// snapshots are those of a recording, before and after the run.
func snapshots(t *testing.T, file string) map[string]*netstate.Snapshot {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := tracer.NewReplay(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*netstate.Snapshot{}
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.Note != nil && (f.Note.Name == noteBefore || f.Note.Name == noteAfter) {
			s := &netstate.Snapshot{}
			if err := json.Unmarshal(f.Note.JSON, s); err != nil {
				t.Fatal(err)
			}
			out[f.Note.Name] = s
		}
	}
}

// Topology: the lab, and fifty pods more on its first node. Action: a connection between two pods. Expectation: of the nodes and the two pods
// everything is read, before and after; of the fifty, and of the lab's third pod, only devices and addresses.
func TestALargeNodeIsReadWhereTheFlowGoes(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "large")
	scopes := l.Scopes()
	for i := range 50 {
		name := fmt.Sprintf("large-idle%d", i)
		if err := netns.Create(name); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = netns.Delete(name) })
		scopes[0] += "+" + name
	}
	file := filepath.Join(t.TempDir(), "large.nt")
	args := []string{"flow", "netns:" + l.NetNS("client"), "10.244.2.20:8080", "--probe", "--record", file}
	for _, s := range scopes {
		args = append(args, "--scope", s)
	}
	if code, out, errs := call(t, args...); code != exitOK {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	for when, s := range snapshots(t, file) {
		for i := range s.Namespaces {
			n := &s.Namespaces[i]
			crossed := n.Host || n.Name == l.NetNS("client") || n.Name == l.NetNS("web-b")
			whole := len(n.Routes) > 0 && len(n.Counters) > 0 && len(n.Sysctls) > 0
			if crossed != whole || crossed == n.LinksOnly || n.Older != (when == noteAfter && !crossed) || len(n.Links) == 0 {
				t.Errorf("%s: %s has %d links, %d routes, %d counters; links only: %v, older: %v", when, n.Name, len(n.Links), len(n.Routes), len(n.Counters), n.LinksOnly, n.Older)
			}
		}
		if len(s.Namespaces) < 55 {
			t.Errorf("%s: %d namespaces", when, len(s.Namespaces))
		}
	}
}

// Cases get the same verdicts when only what the flow can cross is read.
func TestCasesOnALargeNode(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	asOnALargeNode(t)
	for _, name := range []string{"healthy-service", "not-listening", "accept-queue-full", "network-policy-drop", "stale-endpoint", "pod-ip-conflict", "pod-link-down", "bridge-netfilter-off", "no-endpoints"} {
		t.Run(name, func(t *testing.T) {
			c, err := lab.FindCase(name)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			wrong, err := runCase(t.Context(), streams{strings.NewReader(""), &out, io.Discard}, labRunOptions{output: output{format: "story"}, backend: "auto"}, c)
			if err != nil || len(wrong) > 0 {
				t.Errorf("%v %q\n%s", err, wrong, out.String())
			}
		})
	}
}
