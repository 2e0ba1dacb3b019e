// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/internal/vmtest"
)

// figure is a line of internal/bench/guest.
type figure struct {
	Tool, What, Unit, Note string
	Value                  float64
}

// kernels measures in guests, one after the other.
func kernels(ctx context.Context, only string) error {
	if only == "none" {
		return nil
	}
	cache, err := vmtest.CacheDir()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "nettrace-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files := map[string]string{"/nettrace": filepath.Join(dir, "nettrace"), "/guest": filepath.Join(dir, "guest")}
	for to, pkg := range map[string]string{"/nettrace": "./cmd/nettrace", "/guest": "./internal/bench/guest"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", files[to], pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", pkg, err, out)
		}
	}
	pwru, err := vmtest.Tool(ctx, cache, "pwru", "http://deb.debian.org/debian sid main", "usr/bin/pwru")
	if err != nil {
		fmt.Printf("without pwru beside it: %v\n", err)
	}
	maps.Copy(files, pwru)
	for _, k := range vmtest.Kernels {
		if !slices.Contains(strings.Split(only, ","), k.Line) {
			continue
		}
		if err := kernel(ctx, cache, k, files); err != nil {
			return err
		}
	}
	return nil
}

func kernel(ctx context.Context, cache string, k vmtest.Kernel, files map[string]string) error {
	m, err := vmtest.Prepare(ctx, cache, k)
	if err != nil {
		return err
	}
	fmt.Printf("\n%s, in a guest (compare within this block only)\n", m.Fetched.Release)
	var all []figure
	err = m.Run(ctx, vmtest.Job{Files: files, Script: "#!/bin/sh\n/guest\n", Line: func(line string) {
		var f figure
		if json.Unmarshal([]byte(line), &f) != nil || f.What == "" {
			fmt.Println("  " + line)
			return
		}
		all = append(all, f)
		fmt.Printf("  %-16s %-40s %12.1f %-12s %s\n", f.Tool, f.What, f.Value, f.Unit, f.Note)
	}})
	if err != nil {
		return fmt.Errorf("kernel %s: %w", k.Line, err)
	}
	ratios(all)
	return nil
}

// ratios sets nettrace's figures against pwru's of the same boot.
func ratios(all []figure) {
	value := map[string]float64{}
	for _, f := range all {
		value[f.Tool+"/"+f.What] = f.Value
	}
	for _, what := range []string{"attach", "detach", "added to a packet of another flow"} {
		for _, other := range []string{"pwru", "pwru --all-kmods"} {
			mine, ok := value["nettrace/"+what]
			theirs, both := value[other+"/"+what]
			if ok && both && theirs != 0 {
				fmt.Printf("  ratio to %-16s %-32s %.3f\n", other, what, mine/theirs)
			}
		}
	}
}
