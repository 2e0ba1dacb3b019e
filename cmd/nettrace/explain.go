// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/verdict"
	"github.com/nettrace-io/nettrace/pkg/verdict/causes"
	"github.com/nettrace-io/nettrace/pkg/verdict/reasons"
)

func newExplain(s streams) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "explain [REASON]",
		Short: "What a drop reason or a verdict's cause means, its usual causes in Kubernetes, what to look at next",
		Long: `Explain a drop reason of the kernel, by any of its names (SKB_DROP_REASON_NO_SOCKET, NO_SOCKET, no_socket; names of older kernels lead to
the same page), or the cause of a verdict (no-endpoints). Without REASON, all reasons and then all causes, with one line each.`,
		Example: `  nettrace explain NEIGH_FAILED
  nettrace explain no-endpoints
  nettrace explain -o json | jq -r 'select(.layer == "underlay") | .reason'`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return append(reasons.Names(), causeNames()...), cobra.ShellCompDirectiveNoFileComp
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

// explainAll lists every page, then every cause.
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
	for _, name := range causeNames() {
		x := causeOf(name)
		if format == "json" {
			err = putJSON(w, x)
		} else {
			_, err = fmt.Fprintf(w, "%-26s %-12s %s\n", x.Cause, x.Layer, x.Short)
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
	if near := reasons.Near(name, append(reasons.Names(), causeNames()...)); len(near) > 0 {
		return fmt.Errorf("there is no drop reason or cause %.64q; did you mean %s?", name, strings.Join(near, ", "))
	}
	return fmt.Errorf("there is no drop reason or cause %.64q: 'nettrace explain' lists them all", name)
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

// cause explains a verdict's cause: what the list says, and the lab cases that show it.
type cause struct {
	Cause   string   `json:"cause"`
	Layer   string   `json:"layer"` // the usual one
	Layers  []string `json:"layers"`
	Short   string   `json:"short"`
	Teaches string   `json:"teaches,omitempty"`
	Cases   []string `json:"cases,omitempty"`
	Unshown string   `json:"unshown,omitempty"` // why no case shows it
}

// causeNames lists the names of all causes.
func causeNames() []string {
	all, err := causes.All()
	if err != nil {
		return nil
	}
	var out []string
	for _, c := range all {
		out = append(out, c.Cause)
	}
	return out
}

func causeOf(name string) *cause {
	c := causes.Find(strings.ToLower(name))
	if c == nil {
		return nil
	}
	x := &cause{Cause: c.Cause, Layer: c.Layers[0], Layers: c.Layers, Short: c.Short, Unshown: c.Unshown}
	all, err := lab.Cases()
	if err != nil {
		return x
	}
	for _, k := range all {
		if k.Expect.Cause != c.Cause {
			continue
		}
		if k.Name == c.Cause { // the plain one, before its variants
			x.Teaches, x.Cases = strings.TrimSpace(k.Teaches), append([]string{k.Name}, x.Cases...)
			continue
		}
		x.Teaches, x.Cases = cmp.Or(x.Teaches, strings.TrimSpace(k.Teaches)), append(x.Cases, k.Name)
	}
	return x
}

func (x *cause) write(w io.Writer) error {
	p := &page{w: w}
	p.line("%s", x.Cause)
	p.line("%s.", sentence(x.Short))
	titles := make([]string, len(x.Layers))
	for i, l := range x.Layers {
		titles[i] = verdict.Layer(l).Title()
	}
	p.line("layer: %s", strings.Join(titles, ", or "))
	if x.Teaches != "" {
		p.line("%s", x.Teaches)
	}
	for _, c := range x.Cases {
		p.line("see it happen: sudo nettrace lab run %s --teach", c)
	}
	if x.Unshown != "" {
		p.line("no lab case ends with it: %s", x.Unshown)
	}
	return p.err
}
