// SPDX-License-Identifier: Apache-2.0

// Command bench measures nettrace on this machine: (a) decoding and assembling recorded events on one core, and Kubernetes names, (b) what a tracer costs TCP
// traffic across the lab's cross-node path, as a ratio to no tracer with the three settings taking turns in one run, and (c) how long it
// takes from start to attached and from Ctrl-C to exit; then, in a guest with each kernel of the matrix, (d) what its programs take a run and
// what it adds to packets of other flows, beside pwru in the same boot. Figures are for comparison within one run, not across machines.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	only := flag.String("kernels", "5.10,6.1,6.12,7.x", "kernel lines to measure in guests; 'none' for this machine's own kernel only")
	native := flag.Bool("native", true, "measure on this machine's own kernel")
	flag.Parse()
	steps := []func(context.Context) error{}
	if *native {
		steps = append(steps, decoding, naming, attribution, throughput, startStop)
	}
	steps = append(steps, func(ctx context.Context) error { return kernels(ctx, *only) })
	for _, step := range steps {
		if err := step(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			stop()
			os.Exit(1)
		}
	}
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
