// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/verdict"
	"github.com/nettrace-io/nettrace/pkg/verdict/reasons"
)

func newExplain(s streams) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "explain [REASON]",
		Short: "What a drop reason or a verdict's cause means, its usual causes in Kubernetes, what to look at next",
		Long: `Explain a drop reason of the kernel, by any of its names (SKB_DROP_REASON_NO_SOCKET, NO_SOCKET, no_socket; names of older kernels lead to
the same page), or the cause of a verdict that the lab can show (no-endpoints). Without REASON, all of them with one line each.`,
		Example: `  nettrace explain NEIGH_FAILED
  nettrace explain no-endpoints
  nettrace explain -o json | jq -r 'select(.layer == "underlay") | .reason'`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return append(reasons.Names(), causes()...), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return fmt.Errorf("unknown output format %q: use text or json", format)
			}
			if len(args) == 0 {
				return explainAll(s.out, format)
			}
			return explain(s.out, format, args[0])
		},
	}
	c.Flags().StringVarP(&format, "output", "o", "text", "output format: text or json, one object a line")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// explainAll lists every page.
func explainAll(w io.Writer, format string) error {
	pages, err := reasons.All()
	if err != nil {
		return err
	}
	for _, p := range pages {
		if format == "json" {
			err = putJSON(w, p)
		} else {
			_, err = fmt.Fprintf(w, "%-26s %-12s %s\n", p.Reason, p.Layer, p.Short)
		}
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

func explain(w io.Writer, format, name string) error {
	if p := reasons.Find(name); p != nil {
		if format == "json" {
			return putJSON(w, p)
		}
		return writePage(w, p)
	}
	if x := causeOf(name); x != nil {
		if format == "json" {
			return putJSON(w, x)
		}
		return x.write(w)
	}
	if near := reasons.Near(name, append(reasons.Names(), causes()...)); len(near) > 0 {
		return fmt.Errorf("there is no drop reason or cause %.64q; did you mean %s?", name, strings.Join(near, ", "))
	}
	return fmt.Errorf("there is no drop reason or cause %.64q: 'nettrace explain' lists the reasons", name)
}

func putJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// page collects text; the first error of writing stays.
type page struct {
	w   io.Writer
	err error
}

func (p *page) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *page) list(title string, items []string) {
	if len(items) == 0 {
		return
	}
	p.line("%s:", title)
	for _, i := range items {
		p.line("  - %s", i)
	}
}

func writePage(w io.Writer, r *reasons.Page) error {
	p := &page{w: w}
	p.line("%s", r.Reason)
	if r.Internal != "" {
		p.line("no drop ends with it: %s", r.Internal)
		return p.err
	}
	p.line("%s.", sentence(r.Short))
	p.line("layer: %s, unless the place says otherwise", verdict.Layer(r.Layer).Title())
	p.line("when: %s", r.When)
	p.list("usual causes", r.Causes)
	p.list("what to look at next", r.Next)
	for _, c := range r.Cases {
		p.line("see it happen: sudo nettrace lab run %s --teach", c)
	}
	if len(r.Aliases) > 0 {
		p.line("also called: %s", strings.Join(r.Aliases, ", "))
	}
	return p.err
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// cause explains a verdict's cause by the lab case that shows it.
type cause struct {
	Cause   string   `json:"cause"`
	Layer   string   `json:"layer,omitempty"`
	Short   string   `json:"short,omitempty"`
	Teaches string   `json:"teaches,omitempty"`
	Cases   []string `json:"cases"`
}

// causes lists the causes that lab cases show.
func causes() []string {
	all, err := lab.Cases()
	if err != nil {
		return nil
	}
	var out []string
	for _, c := range all {
		if c.Expect.Cause != "" && !slices.Contains(out, c.Expect.Cause) {
			out = append(out, c.Expect.Cause)
		}
	}
	slices.Sort(out)
	return out
}

func causeOf(name string) *cause {
	all, err := lab.Cases()
	if err != nil {
		return nil
	}
	var x *cause
	for _, c := range all {
		if c.Expect.Cause == "" || c.Expect.Cause != strings.ToLower(name) {
			continue
		}
		if x == nil {
			x = &cause{Cause: c.Expect.Cause, Layer: c.Layer, Short: c.Title, Teaches: strings.TrimSpace(c.Teaches)}
		}
		x.Cases = append(x.Cases, c.Name)
	}
	return x
}

func (x *cause) write(w io.Writer) error {
	p := &page{w: w}
	p.line("%s", render.Escape(x.Cause))
	p.line("%s.", sentence(x.Short))
	p.line("layer: %s", verdict.Layer(x.Layer).Title())
	if x.Teaches != "" {
		p.line("%s", x.Teaches)
	}
	for _, c := range x.Cases {
		p.line("see it happen: sudo nettrace lab run %s --teach", c)
	}
	return p.err
}
