// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Where the archive is.
const (
	Mirror   = "http://deb.debian.org/debian"
	Security = "http://deb.debian.org/debian-security"
)

// keyring proves that the packages are Debian's.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// CacheDir is where kernels, images and packages are kept: $NETTRACE_CACHE, else nettrace in the user's cache directory.
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

// Apt is apt with a directory and sources of its own.
type Apt struct {
	Dir    string   // of its lists and archives; it is made
	Suites []string // sources "URL SUITE COMPONENT"
	Arch   string   // as Debian writes it: "amd64", "arm64"
	Old    bool     // the suites' indexes may have expired, as those of former releases do
}

// Run runs an apt tool in the directory dir that sees only our sources, and returns what it printed.
func (a *Apt) Run(ctx context.Context, dir, tool string, args ...string) (string, error) {
	all := append([]string{
		"-q", "-o", "Dir::State::Lists=" + a.Dir + "/lists", "-o", "Dir::State::status=" + a.Dir + "/status",
		"-o", "Dir::Etc::SourceList=" + a.Dir + "/sources.list", "-o", "Dir::Etc::SourceParts=/dev/null", "-o", "Dir::Etc::PreferencesParts=/dev/null",
		"-o", "Dir::Cache=" + a.Dir + "/cache", "-o", "Acquire::Languages=none", "-o", "Acquire::Retries=3", "-o", "APT::Sandbox::User=root",
		"-o", fmt.Sprintf("Acquire::Check-Valid-Until=%t", !a.Old), "-o", "APT::Architecture=" + a.Arch, "-o", "APT::Architectures=" + a.Arch,
		"-o", "Debug::NoLocking=true",
	}, args...)
	cmd := exec.CommandContext(ctx, tool, all...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", tool, args[0], err, LastLines(string(out), 3))
	}
	return string(out), nil
}

// prepare makes the directory: nothing is installed in it, and the sources are ours.
func (a *Apt) prepare() error {
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.Dir, d), 0o755); err != nil {
			return err
		}
	}
	var list strings.Builder
	for _, s := range a.Suites {
		fmt.Fprintf(&list, "deb [arch=%s signed-by=%s] %s\n", a.Arch, keyring, s)
	}
	if err := os.WriteFile(filepath.Join(a.Dir, "sources.list"), []byte(list.String()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(a.Dir, "status"), nil, 0o644)
}

// Update reads the index of the suites.
func (a *Apt) Update(ctx context.Context) error {
	if err := a.prepare(); err != nil {
		return err
	}
	_, err := a.Run(ctx, a.Dir, "apt-get", "update")
	return err
}

// Unpack downloads packages and puts their files into the directory to, replacing what an interrupted run left there. The file "complete" in it
// says that all is there.
func (a *Apt) Unpack(ctx context.Context, to string, names []string) error {
	tmp, err := os.MkdirTemp(a.Dir, "unpack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if _, err := a.Run(ctx, tmp, "apt-get", append([]string{"download"}, names...)...); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil {
		return err
	}
	root := filepath.Join(tmp, "root")
	for _, deb := range debs {
		if out, err := exec.CommandContext(ctx, "dpkg", "-x", deb, root).CombinedOutput(); err != nil {
			return fmt.Errorf("unpack %s: %w: %s", filepath.Base(deb), err, LastLines(string(out), 1))
		}
	}
	if err := os.WriteFile(filepath.Join(root, "complete"), nil, 0o644); err != nil {
		return err
	}
	_ = os.RemoveAll(to) // of an interrupted run
	return os.Rename(root, to)
}

// LastLines are the last n lines of what a program said, for an error.
func LastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " / ")
}
