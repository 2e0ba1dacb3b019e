// SPDX-License-Identifier: Apache-2.0

// Command imagebuild writes the container image as an OCI archive, and its SBOMs beside it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/nettrace-io/nettrace/internal/debian"
	"github.com/nettrace-io/nettrace/internal/gobuild"
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
	o := image.Options{Cache: cache, Version: version, Revision: gobuild.Commit(ctx)}
	if o.Created, err = gobuild.Epoch(ctx); err != nil {
		return err
	}
	if o.Modules, err = gobuild.Modules(ctx); err != nil {
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
	binary, err := gobuild.Nettrace(ctx, arch, o.Version)
	if err != nil {
		return nil, err
	}
	return image.Build(ctx, o, arch, binary)
}
