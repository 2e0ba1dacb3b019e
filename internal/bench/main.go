// SPDX-License-Identifier: Apache-2.0

// Command bench measures nettrace on this machine: (a) decoding and assembling recorded events on one core, (b) what a tracer costs TCP
// traffic across the lab's cross-node path, as a ratio to no tracer with the three settings taking turns in one run, and (c) how long it
// takes from start to attached and from Ctrl-C to exit. Figures are for comparison within one run, not across machines.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, step := range []func(context.Context) error{decoding, throughput, startStop} {
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
