// SPDX-License-Identifier: Apache-2.0

// Package gobuild makes the binaries that are published, the same way for the image and for the plugin's archives.
package gobuild

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nettrace-io/nettrace/internal/debian"
)

// Nettrace compiles nettrace for linux on an architecture. The working directory is the repository's.
func Nettrace(ctx context.Context, arch, version string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "nettrace-build-")
	if err != nil {
		return nil, fmt.Errorf("build nettrace: %w", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "nettrace")
	env := []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch, "GOFLAGS="}
	if _, err := Output(ctx, env, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w -buildid= -X main.version="+version, "-o", path, "./cmd/nettrace"); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// Epoch is the time that everything in a release carries: SOURCE_DATE_EPOCH, else that of the last commit.
func Epoch(ctx context.Context) (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		var err error
		if text, err = git(ctx, "log", "-1", "--format=%ct"); err != nil {
			return time.Time{}, fmt.Errorf("%w; set SOURCE_DATE_EPOCH to build without git", err)
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is %q: give seconds since 1970", text)
	}
	return time.Unix(n, 0).UTC(), nil
}

// Commit is what is checked out; "" when git does not tell.
func Commit(ctx context.Context) string {
	rev, err := git(ctx, "rev-parse", "HEAD")
	if err != nil {
		return ""
	}
	return rev
}

// git asks about the repository, also as root about one of another user: its code is compiled and run anyhow.
func git(ctx context.Context, args ...string) (string, error) {
	return Output(ctx, nil, "git", append([]string{"-c", "safe.directory=*"}, args...)...)
}

// Modules are the directories of the modules that nettrace is made of, by path@version.
func Modules(ctx context.Context) (map[string]string, error) {
	text, err := Output(ctx, []string{"GOFLAGS="}, "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}@{{.Version}} {{.Dir}}{{end}}", "./cmd/nettrace")
	if err != nil {
		return nil, err
	}
	m := map[string]string{}
	for line := range strings.Lines(text) {
		if module, dir, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			m[module] = dir
		}
	}
	return m, nil
}

// Output runs a program and returns what it prints; env is added to the environment.
func Output(ctx context.Context, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, args[0], err, debian.LastLines(stderr.String(), 5))
	}
	return strings.TrimSpace(stdout.String()), nil
}
