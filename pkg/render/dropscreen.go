// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// DropScreen is what the table of 'nettrace drops' shows.
type DropScreen struct {
	Node, Kernel string
	Elapsed      time.Duration
	Total        uint64 // drops that the table is about
	Rate         float64
	Hidden       uint64 // drops that are no fault
	Notes        []string
	Reasons      []DropRow
	Places       []DropRow
}

// DropRow is a line of the table.
type DropRow struct {
	Rate     float64 // packets a second
	Packets  uint64
	Name     string // reason, or place
	Location string // of a reason: the function
	Layer    string // of a reason
	Means    string // of a reason
	Last     string // of a reason: its last packet and where that was
	Main     string // of a place: what it drops most for
}

// Text draws the table into width and height of the terminal; 0 rows is no bound. Each reason takes up to three lines, the places what is left.
func (d *DropScreen) Text(o Options, height int) string {
	if o.Width <= 0 {
		o.Width = 100
	}
	c := &canvas{palette: palette(o.Color), width: o.Width, left: height}
	if height <= 0 {
		c.left = 1 << 20
	}
	c.line(strong, "drops on %s, kernel %s, %s: %d packets, %s/s", d.Node, d.Kernel, d.Elapsed.Round(time.Second), d.Total, rate(d.Rate))
	if d.Hidden > 0 {
		c.line(quiet, "%d more were no fault and are hidden (--all shows them)", d.Hidden)
	}
	for _, n := range d.Notes {
		c.line(warning, "%s", n)
	}
	if len(d.Reasons) == 0 {
		c.line(quiet, "nothing was dropped so far")
		return c.String()
	}
	places := 0 // lines kept for the places: a screen too low for both shows the reasons
	if len(d.Places) > 0 && c.left >= 5 {
		places = min(len(d.Places)+1, max(c.left/3, 2))
	}
	c.left -= places
	c.line(quiet, "%9s %10s  %-26s %-28s %s", "DROPS/S", "TOTAL", "REASON", "IN FUNCTION", "LAYER")
	for i := range d.Reasons {
		r := &d.Reasons[i]
		if c.left < 1 || c.left < 2 && i < len(d.Reasons)-1 {
			c.line(quiet, "%9s %d more reasons", "", len(d.Reasons)-i)
			break
		}
		tone := strong
		if r.Rate > 0 {
			tone = bad
		}
		c.line(tone, "%9s %10d  %-26s %-28s %s", rate(r.Rate), r.Packets, Escape(r.Name), Escape(r.Location), verdict.Layer(r.Layer).Title())
		if c.left > (len(d.Reasons)-i-1)*2 && r.Means != "" { // explanations only as far as every reason still has its line
			c.line("", "%21s %s", "", r.Means)
		}
		if c.left > (len(d.Reasons)-i-1)*2 && r.Last != "" {
			c.line(quiet, "%21s last: %s", "", r.Last)
		}
	}
	if places == 0 {
		return c.String()
	}
	c.left += places
	c.line(quiet, "%9s %10s  %-40s %s", "DROPS/S", "TOTAL", "WHERE", "MOST FOR")
	for i := range d.Places {
		r := &d.Places[i]
		if c.left < 2 && i < len(d.Places)-1 {
			c.line(quiet, "%9s %d more places", "", len(d.Places)-i)
			break
		}
		c.line("", "%9s %10d  %-40s %s", rate(r.Rate), r.Packets, Escape(r.Name), Escape(r.Main))
	}
	return c.String()
}

// rate is a number that fits a column.
func rate(r float64) string {
	switch {
	case r == 0:
		return "0"
	case r < 10:
		return fmt.Sprintf("%.1f", r)
	}
	return fmt.Sprintf("%.0f", r)
}

// canvas collects lines that fit the screen.
type canvas struct {
	palette palette
	width   int
	left    int // lines
	b       strings.Builder
}

func (c *canvas) line(t tone, format string, args ...any) {
	if c.left <= 0 {
		return
	}
	c.left--
	text := strings.TrimRight(Escape(fmt.Sprintf(format, args...)), " ")
	if utf8.RuneCountInString(text) > c.width {
		text = string([]rune(text)[:c.width-1]) + "…"
	}
	if t != "" {
		text = c.palette.paint(t, text)
	}
	c.b.WriteString(text)
	c.b.WriteByte('\n')
}

func (c *canvas) String() string { return c.b.String() }
