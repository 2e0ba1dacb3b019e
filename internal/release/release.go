// SPDX-License-Identifier: Apache-2.0

// Command release packs the kubectl plugin for each platform, with its licence, and writes krew's manifest with the archives' sums. The same
// commit gives the same bytes.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
	"time"

	"github.com/nettrace-io/nettrace/internal/gobuild"
)

// platforms are those that nettrace runs on; it looks at the kernel that it is on.
var platforms = []string{"linux/amd64", "linux/arm64"}

// archive is one file of a release.
type archive struct{ OS, Arch, Name, SHA256 string }

func main() {
	version := flag.String("version", "", "version, as the tag has it: v1.2.3")
	dir := flag.String("o", "dist", "directory to write to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *version, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// semver is what krew takes as a version.
var semver = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

func run(ctx context.Context, version, dir string) error {
	if !semver.MatchString(version) {
		return fmt.Errorf("version %q is none that krew takes: tag the commit as v1.2.3, or give -version", version)
	}
	at, err := gobuild.Epoch(ctx)
	if err != nil {
		return err
	}
	licence, err := os.ReadFile("LICENSE")
	if err != nil {
		return fmt.Errorf("read the licence: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var all []archive
	for _, p := range platforms {
		a := archive{}
		a.OS, a.Arch, _ = strings.Cut(p, "/")
		a.Name = fmt.Sprintf("kubectl-nettrace_%s_%s_%s.tar.gz", version, a.OS, a.Arch)
		binary, err := gobuild.Nettrace(ctx, a.Arch, version)
		if err != nil {
			return err
		}
		b, err := pack(binary, licence, at)
		if err != nil {
			return fmt.Errorf("pack %s: %w", a.Name, err)
		}
		sum := sha256.Sum256(b)
		a.SHA256 = hex.EncodeToString(sum[:])
		if err := os.WriteFile(filepath.Join(dir, a.Name), b, 0o644); err != nil {
			return fmt.Errorf("write the archive: %w", err)
		}
		fmt.Printf("%s  %s\n", a.SHA256, filepath.Join(dir, a.Name))
		all = append(all, a)
	}
	m, err := manifest("deploy/krew/nettrace.yaml", version, all)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "nettrace.yaml"), m, 0o644)
}

// pack makes an archive of the plugin and its licence.
func pack(binary, licence []byte, at time.Time) ([]byte, error) {
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	t := tar.NewWriter(z)
	for _, f := range []struct {
		name    string
		mode    int64
		content []byte
	}{{"LICENSE", 0o644, licence}, {"kubectl-nettrace", 0o755, binary}} {
		h := &tar.Header{Name: f.name, Typeflag: tar.TypeReg, Mode: f.mode, Size: int64(len(f.content)), ModTime: at}
		if err := t.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := t.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// manifest fills in krew's manifest.
func manifest(path, version string, all []archive) ([]byte, error) {
	t, err := template.ParseFiles(path)
	if err != nil {
		return nil, fmt.Errorf("read krew's manifest: %w", err)
	}
	var buf bytes.Buffer
	if err := t.Execute(&buf, map[string]any{"Version": version, "Archives": all}); err != nil {
		return nil, fmt.Errorf("fill in krew's manifest: %w", err)
	}
	return buf.Bytes(), nil
}
