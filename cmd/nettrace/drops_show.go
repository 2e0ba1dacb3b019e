// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nettrace-io/nettrace/pkg/drops"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// dropLines shows each drop as a line, text or JSON.
type dropLines struct {
	out, err io.Writer
	json     bool
	opt      render.Options

	second time.Time // the budget of lines is for this second
	spent  int
	told   uint64 // drops that were not shown, as far as they were told of
	since  time.Time
}

// tellEvery is how often it is said how many drops were not shown.
const tellEvery = 2 * time.Second

func (d *dropLines) start(w *dropWatch) error {
	d.since = w.begin
	if !d.json {
		_, err := fmt.Fprintf(d.err, "nettrace: counting drops on %s, kernel %s\n", render.Escape(w.names.node), tracer.Kernel())
		return err
	}
	return putJSON(d.out, dropStart{Kind: "start", Schema: render.Schema, Node: w.names.node, Kernel: tracer.Kernel(), Lockdown: tracer.Lockdown(),
		Points: []tracer.PointStatus{{Name: "kfree_skb", Backend: tracer.BackendTracepoint, Attached: true}}, AttachMS: w.attached.Milliseconds()})
}

// dropStart is the first record: as that of a flow, without the flow.
type dropStart struct {
	Kind     string               `json:"kind"`
	Schema   string               `json:"schema"`
	Node     string               `json:"node"`
	Kernel   string               `json:"kernel"`
	Lockdown string               `json:"lockdown"`
	Points   []tracer.PointStatus `json:"points"`
	AttachMS int64                `json:"attachMs"`
}

// dropSum is the last record.
type dropSum struct {
	Kind     string            `json:"kind"`
	Node     string            `json:"node"`
	Seconds  float64           `json:"seconds"`
	Counted  uint64            `json:"counted"`
	Shown    uint64            `json:"shown"`
	NotShown uint64            `json:"notShown"`
	Hidden   uint64            `json:"hidden"`
	Missing  uint64            `json:"missing"` // not counted by kind, or not at all
	Reasons  []dropSumRow      `json:"reasons"`
	Noise    map[string]uint64 `json:"noise,omitempty"` // hidden ones by why they are no fault
}

type dropSumRow struct {
	Reason   string `json:"reason"`
	Location string `json:"location,omitempty"`
	Packets  uint64 `json:"packets"`
}

func (d *dropLines) drop(w *dropWatch, l *render.DropLine) (bool, error) {
	if now := time.Now(); now.Sub(d.second) >= time.Second {
		d.second, d.spent = now, 0
	}
	if d.spent++; d.spent > w.opt.rate {
		return false, nil
	}
	if d.json {
		return true, putJSON(d.out, l.Record())
	}
	if _, err := fmt.Fprintln(d.out, l.Text(d.opt)); err != nil {
		return false, fmt.Errorf("write: %w", err)
	}
	return true, nil
}

// tick says how many drops were not shown since it was said last.
func (d *dropLines) tick(w *dropWatch) error {
	n, now := w.totals.notShown(), time.Now()
	if now.Sub(d.since) < tellEvery || n <= d.told {
		return nil
	}
	text := fmt.Sprintf("%d drops of the last %.0f s were not shown", n-d.told, now.Sub(d.since).Seconds())
	if rows := w.why.Rows(byWhy); len(rows) > 0 {
		text += fmt.Sprintf("; most of all are %s in %s, %.0f/s", rows[0].Group.reason, rows[0].Group.location, rows[0].Rate)
	}
	w.warn(text)
	d.told, d.since = n, now
	return nil
}

func (d *dropLines) finish(w *dropWatch) error {
	rows := w.why.Rows(byWhy)
	if d.json {
		s := dropSum{Kind: "drops", Node: w.names.node, Seconds: time.Since(w.begin).Seconds(), Counted: w.totals.counted, Shown: w.totals.shown, NotShown: w.totals.notShown(), Hidden: w.totals.hidden,
			Missing: w.lost.Uncounted + w.lost.Unparsed, Reasons: []dropSumRow{}, Noise: w.quiet}
		for _, r := range rows {
			s.Reasons = append(s.Reasons, dropSumRow{r.Group.reason, r.Group.location, r.Packets})
		}
		return putJSON(d.out, s)
	}
	w.warn(w.summary())
	for _, r := range rows[:min(len(rows), 10)] {
		w.warn(fmt.Sprintf("%8d %s in %s", r.Packets, r.Group.reason, cmp.Or(r.Group.location, "?")))
	}
	return nil
}

// summary is a run in one sentence.
func (w *dropWatch) summary() string {
	t := w.totals
	s := fmt.Sprintf("%d drops in %s: %d shown, %d not shown, %d hidden", t.counted, time.Since(w.begin).Round(100*time.Millisecond), t.shown, t.notShown(), t.hidden)
	if t.hidden > 0 {
		s += " because they are no fault (--all shows them)"
	}
	if l := w.lostText(); l != "" {
		s += "; " + l
	}
	return s
}

func byWhy(a, b whyGroup) int {
	return cmp.Or(cmp.Compare(a.reason, b.reason), cmp.Compare(a.location, b.location))
}

func byPlace(a, b placeGroup) int { return cmp.Compare(a.place, b.place) }

// dropScreen keeps a table on a terminal.
type dropScreen struct {
	out  io.Writer
	opt  render.Options
	size func() (width, height int)
	open bool
}

// The terminal's other screen, so that what was there before comes back at the end, and its cursor (xterm's private modes 1049 and 25).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

func (d *dropScreen) start(w *dropWatch) error {
	d.open = true
	if _, err := io.WriteString(d.out, enterScreen); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return d.tick(w)
}

// drop shows nothing: the table has the sums, and the last packet of each reason.
func (d *dropScreen) drop(*dropWatch, *render.DropLine) (bool, error) { return true, nil }

func (d *dropScreen) tick(w *dropWatch) error {
	width, height := d.size()
	d.opt.Width = width
	text := w.screen().Text(d.opt, height-1)
	if _, err := io.WriteString(d.out, home+strings.ReplaceAll(text, "\n", clearLine+"\n")+clearBelow); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// finish leaves the last table behind.
func (d *dropScreen) finish(w *dropWatch) error {
	if !d.open {
		return nil
	}
	d.open = false
	width, height := d.size()
	d.opt.Width = width
	if _, err := io.WriteString(d.out, leaveScreen+w.screen().Text(d.opt, height-2)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// screen is the table as it is now.
func (w *dropWatch) screen() *render.DropScreen {
	v := &render.DropScreen{Node: w.names.node, Kernel: tracer.Kernel(), Elapsed: time.Since(w.begin), Total: w.totals.counted - w.totals.hidden, Hidden: w.totals.hidden}
	if l := w.lostText(); l != "" {
		v.Notes = append(v.Notes, l)
	}
	if !w.ses.Reasons() {
		v.Notes = append(v.Notes, "this kernel gives no drop reasons (Linux 5.17 does): what the function allows to conclude is marked inferred:")
	}
	for _, r := range w.why.Rows(byWhy) {
		v.Rate += r.Rate
		row := reasonRow(r)
		if l := w.last[r.Group]; l != nil {
			row.Layer, row.Last = cmp.Or(l.Layer, row.Layer), l.Place
			if l.Hop.Dev != "" {
				row.Last += " at " + l.Hop.Dev
			}
			if l.Packet != nil {
				row.Last += ", " + l.Packet.String()
			}
		}
		v.Reasons = append(v.Reasons, row)
	}
	for _, r := range w.where.Rows(byPlace) {
		v.Places = append(v.Places, render.DropRow{Rate: r.Rate, Packets: r.Packets, Name: r.Group.place, Main: w.main[r.Group]})
	}
	return v
}

func reasonRow(r drops.Row[whyGroup]) render.DropRow {
	row := render.DropRow{Rate: r.Rate, Packets: r.Packets, Name: r.Group.reason, Location: r.Group.location}
	if p := pageOf(r.Group.reason); p != nil {
		row.Layer, row.Means = p.Layer, p.Short
	}
	return row
}
