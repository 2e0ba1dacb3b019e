// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// CacheDir is where kernels and images are kept: $NETTRACE_CACHE, else nettrace in the user's cache directory.
func CacheDir() (string, error) {
	if dir := os.Getenv("NETTRACE_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil { // no HOME, as under some service managers
		dir = "/var/cache"
	}
	return filepath.Join(dir, "nettrace"), nil
}

// keyring proves that the packages are Debian's.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Fetched is a kernel in the cache.
type Fetched struct {
	Kernel  Kernel
	Release string // as uname -r prints it
	Dir     string // the unpacked packages
}

// Fetch brings the newest kernel of a line into the cache. apt's own lists stay as they are: it gets a directory of its own.
func Fetch(ctx context.Context, cache string, k Kernel) (*Fetched, error) {
	dir := filepath.Join(cache, "kernels", k.Line)
	a := apt{dir: dir}
	release, err := a.newest(ctx, k)
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
	if err := a.unpack(ctx, f.Dir, names); err != nil {
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

type apt struct{ dir string }

// run runs an apt tool that sees only the line's sources.
func (a *apt) run(ctx context.Context, dir, tool string, args ...string) (string, error) {
	all := append([]string{
		"-q", "-o", "Dir::State::Lists=" + a.dir + "/lists", "-o", "Dir::Etc::SourceList=" + a.dir + "/sources.list", "-o", "Dir::Etc::SourceParts=/dev/null",
		"-o", "Dir::Cache=" + a.dir + "/cache", "-o", "Acquire::Languages=none", "-o", "Acquire::Retries=3", "-o", "APT::Sandbox::User=root",
		"-o", "Acquire::Check-Valid-Until=false",
	}, args...)
	cmd := exec.CommandContext(ctx, tool, all...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", tool, args[0], err, lastLines(string(out), 3))
	}
	return string(out), nil
}

// update reads the index of the given suites.
func (a *apt) update(ctx context.Context, suites []string) error {
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.dir, d), 0o755); err != nil {
			return err
		}
	}
	var list strings.Builder
	for _, s := range suites {
		fmt.Fprintf(&list, "deb [arch=amd64 signed-by=%s] %s\n", keyring, s)
	}
	if err := os.WriteFile(filepath.Join(a.dir, "sources.list"), []byte(list.String()), 0o644); err != nil {
		return err
	}
	_, err := a.run(ctx, a.dir, "apt-get", "update")
	return err
}

// newest asks the archive's index, because point releases vanish from it.
func (a *apt) newest(ctx context.Context, k Kernel) (string, error) {
	if err := a.update(ctx, k.Suites); err != nil {
		return "", err
	}
	out, err := a.run(ctx, a.dir, "apt-cache", "pkgnames", "linux-image-")
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

func (a *apt) unpack(ctx context.Context, to string, names []string) error {
	tmp, err := os.MkdirTemp(a.dir, "unpack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if _, err := a.run(ctx, tmp, "apt-get", append([]string{"download"}, names...)...); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil {
		return err
	}
	root := filepath.Join(tmp, "root")
	for _, deb := range debs {
		if out, err := exec.CommandContext(ctx, "dpkg", "-x", deb, root).CombinedOutput(); err != nil {
			return fmt.Errorf("unpack %s: %w: %s", filepath.Base(deb), err, lastLines(string(out), 1))
		}
	}
	if err := os.WriteFile(filepath.Join(root, "complete"), nil, 0o644); err != nil {
		return err
	}
	_ = os.RemoveAll(to) // of an interrupted run
	return os.Rename(root, to)
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " / ")
}
