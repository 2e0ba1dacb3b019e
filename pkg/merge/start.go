// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// start is the first record of the merged story.
func start(all []*stream) render.Start {
	var names, kernels []string
	out := render.Start{Kind: "start", Schema: render.Schema, Flow: asked(all).start.Flow}
	for _, s := range all {
		names = append(names, s.node())
		if !slices.Contains(kernels, s.start.Kernel) {
			kernels = append(kernels, s.start.Kernel)
		}
		if strictness[s.start.Lockdown] >= strictness[out.Lockdown] {
			out.Lockdown = s.start.Lockdown
		}
		out.AttachMS = max(out.AttachMS, s.start.AttachMS)
		out.Nodes = append(out.Nodes, s.start.Nodes...)
	}
	out.Node, out.Kernel, out.Points = and(names), and(kernels), points(all)
	out.Time = asked(all).start.Time
	return out
}

var strictness = map[string]int{"": 0, "none": 1, "integrity": 2, "confidentiality": 3}

// asked is the stream whose flow is what was asked for: with names and endpoints before one without, with a sender before any.
func asked(all []*stream) *stream {
	best, score := all[0], -1
	for _, s := range all {
		f, n := &s.start.Flow, 0
		if f.Endpoints != nil {
			n += 4
		}
		if f.DstRef != nil {
			n += 2
		}
		if f.Src != "any" {
			n++
		}
		if n > score {
			best, score = s, n
		}
	}
	return best
}

// and is "a, b and c".
func and(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// points are attached where they are on all nodes.
func points(all []*stream) []tracer.PointStatus {
	var out []tracer.PointStatus
	index := map[string]int{}
	for _, s := range all {
		for _, p := range s.start.Points {
			i, ok := index[p.Name]
			if !ok {
				index[p.Name] = len(out)
				out = append(out, p)
				if !p.Attached && !p.Needless && len(all) > 1 && !missingEverywhere(all, p) {
					out[len(out)-1].Why = fmt.Sprintf("on %s, %s", s.node(), p.Why)
				}
				continue
			}
			if out[i].Attached && !p.Attached && !p.Needless {
				p.Why = fmt.Sprintf("on %s, %s", s.node(), p.Why)
				out[i] = p
			}
		}
	}
	return out
}

func missingEverywhere(all []*stream, p tracer.PointStatus) bool {
	for _, s := range all {
		if !slices.ContainsFunc(s.start.Points, func(o tracer.PointStatus) bool { return o.Name == p.Name && o.Why == p.Why && !o.Attached }) {
			return false
		}
	}
	return true
}

// utc is a time in ns as a wall-clock time.
func utc(ns int64) time.Time { return time.Unix(0, ns).UTC() }
