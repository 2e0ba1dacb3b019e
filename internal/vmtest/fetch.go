// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/internal/debian"
)

// CacheDir is where kernels and images are kept.
func CacheDir() (string, error) { return debian.CacheDir() }

// Fetched is a kernel in the cache.
type Fetched struct {
	Kernel  Kernel
	Release string // as uname -r prints it
	Dir     string // the unpacked packages
}

// Fetch brings the newest kernel of a line into the cache. apt's own lists stay as they are: it gets a directory of its own.
func Fetch(ctx context.Context, cache string, k Kernel) (*Fetched, error) {
	dir := filepath.Join(cache, "kernels", k.Line)
	a := &debian.Apt{Dir: dir, Suites: k.Suites, Arch: "amd64", Old: true}
	release, err := newest(ctx, a, k)
	if err != nil {
		if f, ok := cached(dir, k); ok { // offline, with a kernel at hand
			return f, nil
		}
		return nil, fmt.Errorf("find the newest %s kernel: %w", k.Line, err)
	}
	f := &Fetched{Kernel: k, Release: release, Dir: filepath.Join(dir, release)}
	if _, err := os.Stat(filepath.Join(f.Dir, "complete")); err == nil {
		return f, nil
	}
	var names []string
	for _, p := range k.Parts {
		names = append(names, fmt.Sprintf(p, release))
	}
	if err := a.Unpack(ctx, f.Dir, names); err != nil {
		return nil, fmt.Errorf("fetch kernel %s: %w", release, err)
	}
	return f, nil
}

// cached is the kernel of a line that was fetched before.
func cached(dir string, k Kernel) (*Fetched, bool) {
	found, err := filepath.Glob(filepath.Join(dir, "*", "complete"))
	if err != nil || len(found) == 0 {
		return nil, false
	}
	slices.SortFunc(found, newer)
	d := filepath.Dir(found[0])
	return &Fetched{Kernel: k, Release: filepath.Base(d), Dir: d}, true
}

// newest asks the archive's index, because point releases vanish from it.
func newest(ctx context.Context, a *debian.Apt, k Kernel) (string, error) {
	if err := a.Update(ctx); err != nil {
		return "", err
	}
	out, err := a.Run(ctx, a.Dir, "apt-cache", "pkgnames", "linux-image-")
	if err != nil {
		return "", err
	}
	var releases []string
	for _, name := range strings.Fields(out) {
		if m := k.Name.FindStringSubmatch(name); m != nil {
			releases = append(releases, m[1])
		}
	}
	if len(releases) == 0 {
		return "", fmt.Errorf("no package is named %s in %s", k.Name, strings.Join(k.Suites, ", "))
	}
	slices.SortFunc(releases, newer)
	return releases[0], nil
}

var numbers = regexp.MustCompile(`\d+`)

// newer orders releases and paths that end in one by the numbers in them, the newest first.
func newer(a, b string) int {
	a, _, _ = strings.Cut(a, "-cloud") // the flavour's name has a number, too
	b, _, _ = strings.Cut(b, "-cloud")
	x, y := numbers.FindAllString(a, -1), numbers.FindAllString(b, -1)
	for i := 0; i < len(x) && i < len(y); i++ {
		if len(x[i]) != len(y[i]) {
			return len(y[i]) - len(x[i])
		}
		if x[i] != y[i] {
			return strings.Compare(y[i], x[i])
		}
	}
	return len(y) - len(x)
}
