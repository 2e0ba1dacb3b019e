// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "devel"

// furnish gives a root what both have, the program's and the plugin's.
func furnish(root *cobra.Command, s streams) {
	root.SilenceUsage, root.SilenceErrors, root.Version = true, true, version
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; '%s --help' lists the flags", err, c.CommandPath())
	})
}

// group is for a command that only has others: help without an argument, and one sentence for what it does not have.
func group(c *cobra.Command) {
	c.SuggestionsMinimumDistance = 2
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		next := fmt.Sprintf("'%s --help' lists the commands", c.CommandPath())
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			next = "did you mean " + strings.Join(near, " or ") + "?"
		}
		return fmt.Errorf("there is no '%s %.64s'; %s", c.CommandPath(), args[0], next)
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
}

// sayHow adds to what a command, and those below it, say of wrong arguments where the right ones are shown.
func sayHow(c *cobra.Command) {
	for _, sub := range c.Commands() {
		sayHow(sub)
	}
	check := c.Args
	if check == nil || c.HasSubCommands() {
		return
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return fmt.Errorf("%w; '%s --help' shows how", err, c.CommandPath())
		}
		return nil
	}
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "nettrace",
		Short: "Follow a packet through this node and learn which layer dropped it",
		Long: `nettrace follows one flow through this node, live, in the kernel: veth, bridge, NAT, routes, VXLAN and back. It shows
each packet's way hop by hop and ends with a verdict: which of the five layers failed, why, and what to do.`,
		Example: `  nettrace diagnose shop/client svc/shop/web:http
  nettrace flow 10.244.1.10 10.96.0.80:80 --probe
  nettrace flow netns:client 10.244.2.20:8080 --record flow.nt
  nettrace rules 10.244.1.10 10.96.0.80:80
  nettrace drops
  nettrace explain NEIGH_FAILED
  nettrace doctor
  nettrace replay flow.nt -o json
  nettrace merge node1.jsonl node2.jsonl
  nettrace lab run no-endpoints`,
	}
	furnish(root, s)
	stdinFlag(root)
	root.AddCommand(newDiagnose(s), newFlow(s), newDrops(s), newExplain(s), newRules(s), newDoctor(s), newReplay(s), newMerge(s), newLab(s))
	root.AddCommand(newGuards(s)...)
	group(root)
	sayHow(root)
	return root
}
