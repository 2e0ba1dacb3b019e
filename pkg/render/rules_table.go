// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"strings"

	"github.com/olekukonko/tablewriter"
)

// rulesTable writes a row for each rule; its first and last lines are those of the story.
type rulesTable struct {
	rulesStory
	rows []RuleStep
}

func (t *rulesTable) Rule(r RuleStep) error {
	t.rows = append(t.rows, r)
	t.note(&r)
	return nil
}

func (t *rulesTable) Ruling(r Ruling) error {
	if len(t.rows) > 0 {
		tw := tablewriter.NewWriter(t.w)
		tw.Header("#", "place", "hook", "table", "chain", "rule", "share", "what")
		for i := range t.rows {
			x := &t.rows[i]
			number := fmt.Sprint(x.Number)
			if x.Handle != 0 {
				number = fmt.Sprintf("handle %d", x.Handle)
			}
			what := strings.TrimSpace(x.Verdict + " " + x.To)
			if len(x.Unknown) > 0 {
				what += " (maybe: " + strings.Join(x.Unknown, "; ") + ")"
			} else if !x.Certain {
				what += " (maybe)"
			}
			if err := tw.Append(fmt.Sprint(x.N), Escape(whereText(x.Node, x.Where)), Escape(x.Hook), Escape(x.Backend+" "+x.Table), Escape(x.Chain), number, percent(x.Probability), Escape(what)); err != nil {
				return fmt.Errorf("write the table: %w", err)
			}
		}
		if err := tw.Render(); err != nil {
			return fmt.Errorf("write the table: %w", err)
		}
	}
	return t.rulesStory.Ruling(r)
}
