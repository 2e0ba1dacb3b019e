// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"io"
	"net/netip"
	"sort"
	"strings"
	"time"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// Schema is the version of the JSON that the contract describes.
const Schema = "nettrace/v1"

// Start is the first record of a run.
type Start struct {
	Kind     string               `json:"kind"`
	Schema   string               `json:"schema"`
	Node     string               `json:"node"`
	Kernel   string               `json:"kernel"`
	Lockdown string               `json:"lockdown"`
	Flow     verdict.Flow         `json:"flow"`
	Points   []tracer.PointStatus `json:"points"`
	AttachMS int64                `json:"attachMs"`
	// Time is when everything was attached, by the node's wall clock.
	Time time.Time `json:"time,omitzero"`
	// Nodes are those that are watched, with the addresses that are theirs.
	Nodes []Node `json:"nodes,omitempty"`
}

// Node is a watched node: the addresses of its host namespace, and those ends of the flow that are in namespaces of its pods.
type Node struct {
	Name      string       `json:"name"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
}

// Drop is a drop as it happens.
type Drop struct {
	Kind    string      `json:"kind"`
	Time    string      `json:"time"` // RFC 3339 with nanoseconds
	Journey int         `json:"journey"`
	Hop     journey.Hop `json:"hop"`
}

// Renderer writes a run in one format.
type Renderer interface {
	Start(Start) error
	Drop(Drop) error
	Journey(*journey.Journey) error
	Verdict(*verdict.Verdict) error
}

// Options are the settings of a renderer.
type Options struct {
	Color     bool
	Width     int  // columns; 0 for 100
	Addresses bool // show addresses beside Kubernetes names
}

var formats = map[string]func(io.Writer, Options) Renderer{}

// register adds a format; each file of a format calls it from init.
func register(name string, f func(io.Writer, Options) Renderer) { formats[name] = f }

// Formats lists the formats.
func Formats() []string {
	var out []string
	for f := range formats {
		out = append(out, f)
	}
	sort.Strings(out)
	return out
}

// New returns the renderer for a format.
func New(format string, w io.Writer, o Options) (Renderer, error) {
	f, ok := formats[format]
	if !ok {
		return nil, fmt.Errorf("unknown output format %q: use one of %s", format, strings.Join(Formats(), ", "))
	}
	if o.Width <= 0 {
		o.Width = 100
	}
	return f(w, o), nil
}
