// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// RulesStart is the first record of a dry run.
type RulesStart struct {
	Kind   string       `json:"kind"` // "start"
	Schema string       `json:"schema"`
	Node   string       `json:"node,omitempty"`
	DryRun bool         `json:"dryRun"` // true: no packet was sent, nothing was watched
	Flow   verdict.Flow `json:"flow"`
	Rules  []string     `json:"rules"`             // the rulesets that were read, and from which files
	Assume []string     `json:"assumed,omitempty"` // what was taken for granted, one sentence each
}

// RuleStep is a rule that the flow meets, or a policy that drops it (Number 0).
type RuleStep struct {
	Kind        string         `json:"kind"` // "rule"
	N           int            `json:"n"`    // from 1
	Node        string         `json:"node,omitempty"`
	Where       *journey.Where `json:"where,omitempty"`
	Hook        string         `json:"hook"`
	Backend     string         `json:"backend"`
	Family      string         `json:"family,omitempty"`
	Table       string         `json:"table"`
	Base        string         `json:"base"` // the base chain
	Priority    int            `json:"priority"`
	Chain       string         `json:"chain"`
	Number      int            `json:"number"`
	Handle      uint64         `json:"handle,omitempty"`
	Text        string         `json:"text,omitempty"`
	Comment     string         `json:"comment,omitempty"`
	Verdict     string         `json:"verdict,omitempty"` // ACCEPT, DROP, REJECT, DNAT, "jump CHAIN", a chain's or target's name, ...
	Path        []string       `json:"path,omitempty"`    // chains from the base chain to this
	To          string         `json:"to,omitempty"`      // of a translation
	Owner       string         `json:"owner,omitempty"`
	Ref         *journey.Ref   `json:"ref,omitempty"`
	Probability float64        `json:"probability"`       // share of the flow's connections that meet it, 0 to 1; at most, when certain is false
	Certain     bool           `json:"certain"`           // false when a match on the way, or of the rule, is not known
	Unknown     []string       `json:"unknown,omitempty"` // the rule's matches that are not known
	For         []string       `json:"for,omitempty"`     // the destinations for which it is met, when not for all
}

// RuleEnd is where a share of the flow ends.
type RuleEnd struct {
	End         string         `json:"end"` // accept, drop, reject, queue, no-route, unknown
	Rule        int            `json:"rule,omitempty"`
	Node        string         `json:"node,omitempty"`
	Where       *journey.Where `json:"where,omitempty"`
	To          string         `json:"to"`
	Ref         *journey.Ref   `json:"ref,omitempty"`  // what To is
	From        string         `json:"from,omitempty"` // the source, when it is translated
	Dev         string         `json:"dev,omitempty"`  // where it leaves
	Local       bool           `json:"local,omitempty"`
	Probability float64        `json:"probability"`
	Certain     bool           `json:"certain"`
}

// Ruling is the last record of a dry run.
type Ruling struct {
	Kind    string    `json:"kind"` // "ruling"
	End     string    `json:"end"`  // accept, drop, reject, no-route, unknown
	Summary string    `json:"summary"`
	Ends    []RuleEnd `json:"ends"`
	Unknown []string  `json:"unknown,omitempty"` // why the rules do not decide
}

// RulesRenderer writes a dry run in one format.
type RulesRenderer interface {
	Start(RulesStart) error
	Rule(RuleStep) error
	Ruling(Ruling) error
}

// RulesFormats lists the formats of a dry run.
func RulesFormats() []string { return []string{"json", "story", "table"} }

// NewRules returns the renderer of dry runs for a format.
func NewRules(format string, w io.Writer, o Options) (RulesRenderer, error) {
	if o.Width <= 0 {
		o.Width = 100
	}
	st := &story{w: w, pal: palette(o.Color), width: o.Width, addresses: o.Addresses}
	switch format {
	case "json":
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return &rulesJSON{jsonLines{e}}, nil
	case "story":
		return &rulesStory{story: st}, nil
	case "table":
		return &rulesTable{rulesStory: rulesStory{story: st}}, nil
	}
	if slices.Contains(Formats(), format) {
		return nil, fmt.Errorf("a dry run has no packets for %s: use one of %s", format, strings.Join(RulesFormats(), ", "))
	}
	return nil, fmt.Errorf("unknown output format %q: use one of %s", format, strings.Join(RulesFormats(), ", "))
}

type rulesJSON struct{ jsonLines }

func (j *rulesJSON) Start(s RulesStart) error { return j.put(s) }
func (j *rulesJSON) Rule(s RuleStep) error    { return j.put(s) }
func (j *rulesJSON) Ruling(r Ruling) error    { return j.put(r) }
