// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

func newReplay(s streams) *cobra.Command {
	var o output
	c := &cobra.Command{
		Use:   "replay FILE",
		Short: "Run a recording through the same steps, without privileges",
		Long: `Run a recording made by 'nettrace flow --record FILE' through the same steps, formats and verdicts as the live run. A recording that
ends early is judged as far as it goes.`,
		Example: `  nettrace replay flow.nt
  nettrace replay flow.nt -o json | jq .
  nettrace replay flow.nt -o mermaid      # a sequence diagram, for an issue
  nettrace replay flow.nt -o html > flow.html`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			v, err := runReplay(s, o, args[0])
			return conclude(c.Context(), v, err)
		},
	}
	o.flags(c)
	return c
}

// recording is a source that reads a file.
type recording struct{ *tracer.Replay }

func (r recording) Names() tracer.Names { return r.Replay }

func runReplay(s streams, o output, name string) (*verdict.Verdict, error) {
	out, err := o.renderer(s)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open the recording: %w", err)
	}
	defer f.Close()
	r, err := tracer.NewReplay(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	v, err := runPipeline(recording{r}, out, o.addresses, nil)
	if err != nil && v != nil {
		fmt.Fprintf(s.err, "nettrace: %v; what came before it was judged\n", err)
		return v, nil
	}
	return v, err
}
