// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/olekukonko/tablewriter"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

func init() {
	register("table", func(w io.Writer, o Options) Renderer {
		return &table{w: w, pal: palette(o.Color), story: &story{w: w, pal: palette(o.Color), width: o.Width, addresses: o.Addresses}}
	})
}

// table writes a row for each hop; its first and last lines are those of the story.
type table struct {
	w     io.Writer
	pal   palette
	story *story
}

func (t *table) Start(s Start) error { return t.story.Start(s) }
func (t *table) Drop(Drop) error     { return nil }

func (t *table) Journey(j *journey.Journey) error {
	tw := tablewriter.NewWriter(t.w)
	tw.Header("#", "ms", "place", "stage", "device", "what")
	for i := range j.Hops {
		h := &j.Hops[i]
		if err := tw.Append(fmt.Sprint(j.ID), rowTime(h), Escape(placeOf(h)), Escape(string(h.Stage)), Escape(h.Dev), Escape(h.What)); err != nil {
			return fmt.Errorf("write the table: %w", err)
		}
	}
	title := fmt.Sprintf("#%d %s %s, attempt %d: %s", j.ID, j.Direction, strings.TrimSpace(j.Packet.Proto+" "+j.Packet.Flags), j.Attempt, j.End)
	if _, err := fmt.Fprintf(t.w, "\n%s\n", t.pal.paint(strong, title)); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return tw.Render()
}

// rowTime is a hop's time in ms, with a ~ when it is a guess.
func rowTime(h *journey.Hop) string {
	ms := fmt.Sprintf("%.3f", float64(h.T)/1e6)
	if h.Approx {
		return "~" + ms
	}
	return ms
}

func (t *table) Verdict(v *verdict.Verdict) error { return t.story.Verdict(v) }
