// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Package is a package in the cache.
type Package struct {
	Name, Version, Arch string // Arch is "all" for what every machine can use
	Path                string // of the .deb
}

// would is a line of 'apt-get -s install': "Inst libc6 (2.41-12 Debian:13.1/stable [amd64])".
var would = regexp.MustCompile(`^Inst (\S+) \((\S+) .*\[(\w+)\]\)`)

// fresh is how long an index is taken as it is: packages stay in the archive for longer than that.
const fresh = time.Hour

// Closure brings the newest versions of the named packages, and of all that they depend on, into the cache. Where the archive cannot be reached,
// what was fetched before is taken, and said is true.
func (a *Apt) Closure(ctx context.Context, names []string) (all []Package, stale bool, err error) {
	var unreachable error
	stamp := filepath.Join(a.Dir, "updated")
	if st, serr := os.Stat(stamp); serr != nil || time.Since(st.ModTime()) > fresh {
		if unreachable = a.Update(ctx); unreachable == nil {
			unreachable = os.WriteFile(stamp, nil, 0o644)
		}
	}
	install := append([]string{"install", "-y", "--no-install-recommends"}, names...)
	plan, err := a.Run(ctx, a.Dir, "apt-get", append([]string{"-s"}, install...)...)
	if err != nil {
		return nil, false, errors.Join(unreachable, err)
	}
	if _, err := a.Run(ctx, a.Dir, "apt-get", append([]string{"-d"}, install...)...); err != nil {
		return nil, false, errors.Join(unreachable, err)
	}
	all = parsePlan(plan)
	for i := range all {
		p := &all[i]
		p.Path = filepath.Join(a.Dir, "cache/archives", fmt.Sprintf("%s_%s_%s.deb", p.Name, strings.ReplaceAll(p.Version, ":", "%3a"), p.Arch))
		if _, err := os.Stat(p.Path); err != nil {
			return nil, false, fmt.Errorf("fetch %s %s: %w", p.Name, p.Version, err)
		}
	}
	return all, unreachable != nil, nil
}

func parsePlan(plan string) []Package {
	var out []Package
	for s := bufio.NewScanner(strings.NewReader(plan)); s.Scan(); {
		if m := would.FindStringSubmatch(s.Text()); m != nil {
			out = append(out, Package{Name: m[1], Version: m[2], Arch: m[3]})
		}
	}
	return out
}

// Control is a package's control paragraph, as dpkg has it.
func (p *Package) Control(ctx context.Context) ([]byte, error) {
	out, err := exec.CommandContext(ctx, "dpkg-deb", "--field", p.Path).Output()
	if err != nil {
		return nil, fmt.Errorf("read the control file of %s: %w", filepath.Base(p.Path), err)
	}
	return out, nil
}

// maxFile bounds a file of a package; the largest that we take is libc.so.6 with 2 MB.
const maxFile = 64 << 20

// Files calls f with each file and symbolic link of a package; the name is absolute.
func (p *Package) Files(ctx context.Context, f func(h *tar.Header, content []byte) error) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", p.Path)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(p.Path), err)
	}
	err = eachFile(out, f)
	_, _ = io.Copy(io.Discard, out) // so that dpkg-deb can end
	if werr := cmd.Wait(); err == nil && werr != nil {
		err = fmt.Errorf("%w: %s", werr, LastLines(stderr.String(), 1))
	}
	if err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(p.Path), err)
	}
	return nil
}

func eachFile(r io.Reader, f func(*tar.Header, []byte) error) error {
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeSymlink && h.Typeflag != tar.TypeLink {
			continue
		}
		h.Name = filepath.Join("/", h.Name)
		b, err := io.ReadAll(io.LimitReader(t, maxFile))
		if err != nil {
			return err
		}
		if err := f(h, b); err != nil {
			return err
		}
	}
}
