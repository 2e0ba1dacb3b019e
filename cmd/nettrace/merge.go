// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nettrace-io/nettrace/pkg/merge"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

type mergeOptions struct {
	output
	live bool
}

func newMerge(s streams) *cobra.Command {
	var o mergeOptions
	c := &cobra.Command{
		Use:   "merge FILE FILE…",
		Short: "Make one story of what nettrace saw on several nodes",
		Long: `Make one story of the output of 'nettrace flow -o json' on two or more nodes, run for the same flow at the same time: a packet that left one
node and came to another is told as one journey, and what left one and never came to the other is lost between them. The nodes' clocks need not
agree: packets that both saw compare them. A FILE of - is the standard input.

Start the node that sends last, and let the others watch until it is done. With --translated a node also follows what another node's NAT makes
of the flow: packets to the endpoints of the Service, from the addresses of other nodes.

Exit codes are those of 'nettrace flow'.`,
		Example: `  # on the node of the receiver, then on the node of the sender
  nettrace flow shop/client svc/shop/web:http --translated --timeout 60s -o json > node2.jsonl
  nettrace flow shop/client svc/shop/web:http --probe -o json > node1.jsonl

  # anywhere, without privileges
  nettrace merge node1.jsonl node2.jsonl

  # while it happens
  nettrace merge --live <(ssh node2 nettrace flow …) <(ssh node1 nettrace flow … --probe)`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			v, err := runMerge(c.Context(), s, o, args)
			return conclude(c.Context(), v, err)
		},
	}
	o.flags(c)
	c.Flags().BoolVar(&o.live, "live", false, "tell journeys as the files grow (pipes): the files are being written")
	return c
}

func runMerge(ctx context.Context, s streams, o mergeOptions, names []string) (*verdict.Verdict, error) {
	out, err := o.renderer(s)
	if err != nil {
		return nil, err
	}
	if len(names) < 2 {
		return nil, errors.New("one file is one node's story: name the files of two or more nodes, or use 'nettrace replay' for a recording")
	}
	var sources []merge.Source
	stdin := false
	for _, n := range names {
		src := merge.Source{Name: n}
		if n == "-" {
			if stdin {
				return nil, errors.New("the standard input can be read once: name it - once")
			}
			stdin, src.Name, src.R = true, "stdin", s.in
		} else {
			f, err := os.Open(n)
			if err != nil {
				return nil, fmt.Errorf("open a node's output: %w", err)
			}
			defer f.Close()
			src.R = f
		}
		if src.R == nil {
			src.R = strings.NewReader("")
		}
		sources = append(sources, src)
	}
	warn := func(msg string) { fmt.Fprintf(s.err, "nettrace: %s\n", render.Escape(msg)) }
	return merge.Run(ctx, sources, out, merge.Options{Live: o.live, Warn: warn})
}
