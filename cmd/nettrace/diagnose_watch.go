// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"

	"golang.org/x/term"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// What the trace has to say goes through to the renderer, behind the checks.

func (d *diagnosing) Start(st render.Start) error      { return d.begin(st) }
func (d *diagnosing) Drop(x render.Drop) error         { return d.out.Drop(x) }
func (d *diagnosing) Journey(j *journey.Journey) error { return d.out.Journey(j) }
func (d *diagnosing) Verdict(v *verdict.Verdict) error { return d.out.Verdict(v) }

// progressLine is one line on stderr that says what is being done; on a terminal only, where it goes away again.
type progressLine struct {
	s     streams
	on    bool
	shown bool
}

func newProgressLine(s streams) *progressLine {
	f, ok := s.err.(*os.File)
	return &progressLine{s: s, on: ok && term.IsTerminal(int(f.Fd()))}
}

func (p *progressLine) now(what string) {
	if !p.on {
		return
	}
	fmt.Fprintf(p.s.err, "\r\x1b[K… %s", render.Escape(what))
	p.shown = true
}

func (p *progressLine) clear() {
	if p.shown {
		fmt.Fprint(p.s.err, "\r\x1b[K")
		p.shown = false
	}
}

// warn says a sentence that stays.
func (p *progressLine) warn(msg string) {
	p.clear()
	fmt.Fprintf(p.s.err, "nettrace: %s\n", render.Escape(msg))
}
