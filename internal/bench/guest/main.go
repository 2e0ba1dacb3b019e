// SPDX-License-Identifier: Apache-2.0

// Command guest is the part of the benchmark that runs on a kernel of the matrix: what nettrace and pwru cost there, side by side in one boot.
// It prints JSON lines for internal/bench.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nettrace-io/nettrace/pkg/lab"
)

// Figure is one measured number.
type Figure struct {
	Tool  string  `json:"tool"`
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Note  string  `json:"note,omitempty"`
}

func say(tool, what string, value float64, unit, note string) {
	_ = json.NewEncoder(os.Stdout).Encode(Figure{tool, what, value, unit, note})
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	l, err := lab.Up(ctx, lab.Options{Prefix: "bench"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Down()) }()
	if err := l.Serve(); err != nil {
		return err
	}
	if err := programs(l); err != nil {
		return err
	}
	p := &pinger{l: l}
	if err := p.open(); err != nil {
		return err
	}
	defer p.close()
	tools := []*tool{nettraceTool()}
	if _, err := os.Stat(pwruPath); err == nil {
		tools = append(tools, pwruTool("pwru"), pwruTool("pwru --all-kmods", "--all-kmods"))
	}
	if err := added(p, tools); err != nil {
		return err
	}
	return nil
}

const startLimit = 60 * time.Second
