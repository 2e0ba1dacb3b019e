// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/diagnose"
	"github.com/nettrace-io/nettrace/pkg/probe"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// LayerStatus is what became of one layer: its checks and the trace together.
type LayerStatus struct {
	Layer  verdict.Layer   `json:"layer"`
	Status diagnose.Status `json:"status"`
	Reason string          `json:"reason"`
	// Decides says that the verdict is about this layer.
	Decides bool `json:"decides,omitempty"`
}

// Diagnosis is the last record of a diagnosis: the static checks and the traced probe joined.
type Diagnosis struct {
	Kind       string             `json:"kind"` // "diagnosis"
	Layers     []LayerStatus      `json:"layers"`
	Outcome    verdict.Outcome    `json:"outcome"`
	Layer      verdict.Layer      `json:"layer"` // "" when nothing is wrong, or it is not known
	Cause      string             `json:"cause"`
	Summary    string             `json:"summary"`
	Node       string             `json:"node,omitempty"`
	Evidence   []string           `json:"evidence"`
	Fix        []string           `json:"fix"`
	Confidence verdict.Confidence `json:"confidence"`
	// Warnings are what checks found wrong besides: it did not stop the probe, or is not what did.
	Warnings []diagnose.Result `json:"warnings,omitempty"`
	// Unmade are the checks that could not be made, and why.
	Unmade []Unmade `json:"unmade,omitempty"`
	// Traced says that a probe was sent and followed; NotTraced why not.
	Traced     bool           `json:"traced"`
	NotTraced  string         `json:"notTraced,omitempty"`
	Also       []verdict.Also `json:"also,omitempty"`
	Probe      *probe.Result  `json:"-"` // the verdict's record has it
	LostEvents uint64         `json:"lostEvents"`
}

// Unmade is a check that could not be made.
type Unmade struct {
	Check string        `json:"check"`
	Layer verdict.Layer `json:"layer"`
	Why   string        `json:"why"`
}

// CheckRecord is the result of one static check in JSON.
type CheckRecord struct {
	Kind string `json:"kind"` // "check"
	diagnose.Result
}

// DiagnosisRenderer writes a diagnosis in one format. Start comes first, then the checks, what the trace has to say, if there is one, and the
// diagnosis last.
type DiagnosisRenderer interface {
	Renderer
	Check(diagnose.Result) error
	Diagnosis(*Diagnosis) error
}

// NewDiagnosis returns the renderer of diagnoses for a format.
func NewDiagnosis(format string, w io.Writer, o Options) (DiagnosisRenderer, error) {
	if o.Width <= 0 {
		o.Width = 100
	}
	switch format {
	case "json":
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return &diagnosisJSON{jsonLines{e}}, nil
	case "story", "table":
		st := &story{w: w, pal: palette(o.Color), width: o.Width, addresses: o.Addresses, seen: map[string]int{}, more: map[int]*repeats{}}
		return &diagnosisStory{story: st, table: format == "table"}, nil
	}
	if slices.Contains(Formats(), format) {
		return nil, fmt.Errorf("a diagnosis cannot be written as %s: use one of %s", format, strings.Join(DiagnosisFormats(), ", "))
	}
	return nil, fmt.Errorf("unknown output format %q: use one of %s", format, strings.Join(DiagnosisFormats(), ", "))
}

// DiagnosisFormats lists the formats of a diagnosis.
func DiagnosisFormats() []string { return []string{"json", "story", "table"} }

type diagnosisJSON struct{ jsonLines }

func (j *diagnosisJSON) Check(r diagnose.Result) error { return j.put(CheckRecord{"check", r}) }

func (j *diagnosisJSON) Diagnosis(d *Diagnosis) error { return j.put(d) }
