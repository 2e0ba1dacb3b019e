// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const starts = 9

// startStop runs the real program: from exec to the header that says it is attached, and from SIGINT to its end.
func startStop(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "nettrace-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "nettrace")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", bin, "./cmd/nettrace").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, out)
	}
	var up, down []float64
	for range starts {
		u, d, err := startOnce(ctx, bin)
		if err != nil {
			return err
		}
		up, down = append(up, u), append(down, d)
	}
	fmt.Printf("start: %.0f ms from exec to attached; end: %.0f ms from Ctrl-C to exit (medians of %d)\n", median(up), median(down), starts)
	return nil
}

func startOnce(ctx context.Context, bin string) (up, down float64, err error) {
	cmd := exec.CommandContext(ctx, bin, "flow", "127.0.0.1", "127.0.0.2:9", "--timeout", "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, 0, fmt.Errorf("nettrace ended before it was attached: %w", err)
		}
		if strings.Contains(line, "attached") {
			break
		}
	}
	up = float64(time.Since(begin).Microseconds()) / 1000
	begin = time.Now()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		return 0, 0, err
	}
	go func() { // what it still says
		for {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
		}
	}()
	_ = cmd.Wait() // its exit code is that of an interrupted run
	return up, float64(time.Since(begin).Microseconds()) / 1000, nil
}
