// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/olekukonko/tablewriter"
	"github.com/spf13/cobra"

	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// doctorReport is what 'nettrace doctor -o json' prints.
type doctorReport struct {
	Kind   string `json:"kind"`
	Schema string `json:"schema"`
	Node   string `json:"node"`
	tracer.Preflight
	Rulesets []string `json:"rulesets"` // in this namespace: iptables-legacy, iptables-nft, nftables, ipvs
	Advice   []string `json:"advice"`
}

type doctorOptions struct {
	format     string
	backend    string
	signatures bool
}

func newDoctor(s streams) *cobra.Command {
	var o doctorOptions
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check what nettrace can see on this node, and what it cannot",
		Long: `Check what this node's kernel lets nettrace see: BTF, lockdown, capabilities, rungs, and every point with how it attaches or why it does not.
It attaches everything for a moment, for a flow that nobody has, and detaches again. Nothing is changed on the node.

Exit code 0 when a flow can be traced, 4 when privileges or kernel features are missing.`,
		Example: `  nettrace doctor
  nettrace doctor -o json | jq '.points[] | select(.attached | not)'
  nettrace doctor --backend fentry`,
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return o.check() },
		RunE:    func(c *cobra.Command, _ []string) error { return runDoctor(c.Context(), s, o) },
	}
	f := c.Flags()
	f.StringVarP(&o.format, "output", "o", "text", "output format: text or json")
	f.StringVar(&o.backend, "backend", tracer.BackendAuto, "how to attach to kernel functions: "+strings.Join(tracer.Backends(), ", "))
	f.BoolVar(&o.signatures, "signatures", false, "print the arguments of every point as this kernel's BTF has them, and nothing else")
	_ = f.MarkHidden("signatures")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("backend", cobra.FixedCompletions(tracer.Backends(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

// check finds mistakes in flags before any work.
func (o *doctorOptions) check() error {
	switch {
	case o.format != "text" && o.format != "json":
		return fmt.Errorf("unknown output format %q: use text or json", o.format)
	case !slices.Contains(tracer.Backends(), o.backend):
		return fmt.Errorf("--backend %s: use one of %s", o.backend, strings.Join(tracer.Backends(), ", "))
	}
	return nil
}

func runDoctor(ctx context.Context, s streams, o doctorOptions) error {
	if o.signatures {
		lines, err := tracer.Signatures()
		if err != nil {
			return &exitError{code: exitPrivileges, err: err}
		}
		fmt.Fprintln(s.out, strings.Join(lines, "\n"))
		return nil
	}
	r := doctorReport{Kind: "doctor", Schema: render.Schema, Node: hostname(), Preflight: tracer.Check(o.backend), Rulesets: rulesetsInUse(ctx)}
	r.Advice = r.Preflight.Advice()
	if o.format == "json" {
		if err := json.NewEncoder(s.out).Encode(r); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	} else {
		r.print(s)
	}
	if r.Error != "" {
		return &exitError{code: exitPrivileges, err: errors.New(r.Error)}
	}
	return nil
}

// rulesetsInUse names the backends that have rules in this namespace, and IPVS.
func rulesetsInUse(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out := []string{}
	for _, n := range netstate.Read(ctx, []netstate.Ref{{Name: "host", Path: "/proc/self/ns/net", Host: true}}).Namespaces {
		for _, rs := range n.Rulesets {
			if !slices.Contains(out, rs.Backend) && len(rs.Tables) > 0 {
				out = append(out, rs.Backend)
			}
		}
	}
	return append(out, netstate.OtherRulesets(ctx)...)
}

func (r *doctorReport) print(s streams) {
	yes := func(b bool) string {
		if b {
			return "yes"
		}
		return "no"
	}
	say := func(name, value string) { fmt.Fprintf(s.out, "%-14s %s\n", name, render.Escape(value)) }
	say("kernel", r.Kernel)
	say("BTF", yes(r.BTF)+moduleTypes(r.ModuleBTF))
	say("lockdown", r.Lockdown)
	if len(r.Missing) > 0 {
		say("capabilities", "missing "+strings.Join(r.Missing, ", "))
	} else {
		say("capabilities", "sufficient")
	}
	say("rungs", strings.Join(r.Rungs, ", "))
	say("tracefs", yes(r.TraceFS))
	say("drop reasons", yes(r.DropReasons))
	say("rule sets", strings.Join(append(slices.Clone(r.Rulesets), ""), " "))
	if len(r.Points) > 0 {
		say("attach", fmt.Sprintf("%d ms, detach %d ms", r.AttachMS, r.DetachMS))
		r.table(s)
	}
	for _, a := range r.Advice {
		fmt.Fprintf(s.out, "→ %s\n", render.Escape(a))
	}
}

func moduleTypes(m map[string]bool) string {
	var without []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if !m[name] {
			without = append(without, name)
		}
	}
	if len(without) == 0 {
		return fmt.Sprintf(", also of %d modules with points", len(m))
	}
	return ", but not of the modules " + strings.Join(without, ", ")
}

// table is every point with its rung, or why it is blind.
func (r *doctorReport) table(s streams) {
	t := tablewriter.NewTable(s.out)
	t.Header("point", "rung", "tells")
	meaning := tracer.Meanings()
	for _, p := range r.Points {
		rung, tells := p.Backend, meaning[p.Name]
		if !p.Attached {
			rung, tells = "blind", p.Why
			if p.Needless {
				rung = "-"
			}
		}
		_ = t.Append(p.Name, rung, render.Escape(tells))
	}
	_ = t.Render()
}
