// SPDX-License-Identifier: Apache-2.0

// Command imagebuild writes the container image as an OCI archive, and its SBOMs beside it.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nettrace-io/nettrace/internal/debian"
	"github.com/nettrace-io/nettrace/internal/image"
)

func main() {
	out := flag.String("o", "dist/nettrace-image.tar", "OCI archive to write")
	version := flag.String("version", "devel", "version of nettrace, and the image's tag")
	arches := flag.String("arch", "amd64,arm64", "architectures")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, *version, strings.Split(*arches, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "imagebuild:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, version string, arches []string) error {
	cache, err := debian.CacheDir()
	if err != nil {
		return err
	}
	o := image.Options{Cache: cache, Version: version}
	if o.Created, err = epoch(ctx); err != nil {
		return err
	}
	if rev, err := output(ctx, nil, "git", "rev-parse", "HEAD"); err == nil {
		o.Revision = rev
	}
	if o.Modules, err = modules(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	var all []*image.Built
	for _, arch := range arches {
		b, err := build(ctx, o, arch)
		if err != nil {
			return err
		}
		all = append(all, b)
		if err := os.WriteFile(strings.TrimSuffix(out, ".tar")+"."+arch+".spdx.json", b.SBOM, 0o644); err != nil {
			return fmt.Errorf("write the SBOM: %w", err)
		}
	}
	index := image.Index(o, all)
	if err := image.WriteArchive(out, index, o); err != nil {
		return err
	}
	return report(out, o, all)
}

func report(out string, o image.Options, all []*image.Built) error {
	for _, b := range all {
		s, err := image.Measure(b.Image)
		if err != nil {
			return err
		}
		digest, err := b.Image.Digest()
		if err != nil {
			return err
		}
		fmt.Printf("linux/%s %.1f MB, %.1f MB compressed, %s\n", b.Arch, float64(s.Unpacked)/1e6, float64(s.Compressed)/1e6, digest)
		if b.Stale {
			fmt.Fprintf(os.Stderr, "imagebuild: Debian's archive could not be reached: the tools for %s are those that were fetched before\n", b.Arch)
		}
	}
	digest, err := image.Index(o, all).Digest()
	if err != nil {
		return err
	}
	fmt.Printf("%s: %s:%s %s\n", out, image.Name, o.Version, digest)
	return nil
}

// build compiles nettrace for an architecture and makes its image.
func build(ctx context.Context, o image.Options, arch string) (*image.Built, error) {
	dir, err := os.MkdirTemp("", "nettrace-image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "nettrace")
	env := []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch, "GOFLAGS="}
	if _, err := output(ctx, env, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w -buildid= -X main.version="+o.Version, "-o", binary, "./cmd/nettrace"); err != nil {
		return nil, err
	}
	return image.Build(ctx, o, arch, binary)
}

// epoch is the time that everything in the image carries: SOURCE_DATE_EPOCH, else that of the last commit.
func epoch(ctx context.Context) (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		var err error
		if text, err = output(ctx, nil, "git", "log", "-1", "--format=%ct"); err != nil {
			return time.Time{}, fmt.Errorf("%w; set SOURCE_DATE_EPOCH to build without git", err)
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is %q: give seconds since 1970", text)
	}
	return time.Unix(n, 0).UTC(), nil
}

// modules are where the modules of nettrace lie, for their licences.
func modules(ctx context.Context) (map[string]string, error) {
	text, err := output(ctx, []string{"GOFLAGS="}, "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}@{{.Version}} {{.Dir}}{{end}}", "./cmd/nettrace")
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

func output(ctx context.Context, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", errors.Join(fmt.Errorf("%s %s: %w", name, args[0], err), errors.New(debian.LastLines(stderr.String(), 5)))
	}
	return strings.TrimSpace(stdout.String()), nil
}
