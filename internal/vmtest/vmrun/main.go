// SPDX-License-Identifier: Apache-2.0

// Command vmrun boots a kernel of the matrix and runs a shell command in it: for looking at one kernel by hand.
//
//	go run ./internal/vmtest/vmrun -kernel 6.1 -file /nettrace=./nettrace -- /nettrace lab run healthy-service
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/nettrace-io/nettrace/internal/vmtest"
)

type files map[string]string

func (f files) String() string { return "" }
func (f files) Set(s string) error {
	to, from, ok := strings.Cut(s, "=")
	if !ok {
		return errors.New("want GUESTPATH=FILE")
	}
	f[to] = from
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "vmrun:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	line := flag.String("kernel", "6.12", "line of the matrix: 5.10, 6.1, 6.12, 7.x")
	bring := files{}
	flag.Var(bring, "file", "GUESTPATH=FILE to bring along; repeatable")
	flag.Parse()
	cache, err := vmtest.CacheDir()
	if err != nil {
		return err
	}
	for _, k := range vmtest.Kernels {
		if k.Line != *line {
			continue
		}
		m, err := vmtest.Prepare(ctx, cache, k)
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "booting", m.Fetched.Release)
		return m.Run(ctx, vmtest.Job{Files: bring, Script: "#!/bin/sh\n" + strings.Join(flag.Args(), " ") + "\n", Line: func(s string) { fmt.Println(s) }})
	}
	return fmt.Errorf("no kernel line %q in the matrix", *line)
}
