// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/nettrace-io/nettrace/internal/debian"
)

// Tool fetches a program of a Debian package into the cache and returns it with the libraries of this machine that it loads, as files of a Job.
// Nothing is installed.
func Tool(ctx context.Context, cache, pkg, suite, path string) (map[string]string, error) {
	a := &debian.Apt{Dir: filepath.Join(cache, "tools", pkg), Suites: []string{suite}, Arch: "amd64", Old: true}
	to := filepath.Join(a.Dir, "unpacked")
	if _, err := os.Stat(filepath.Join(to, "complete")); err != nil {
		if err := a.Update(ctx); err != nil {
			return nil, fmt.Errorf("fetch %s: %w", pkg, err)
		}
		if err := a.Unpack(ctx, to, []string{pkg}); err != nil {
			return nil, fmt.Errorf("fetch %s: %w", pkg, err)
		}
	}
	bin := filepath.Join(to, path)
	files := map[string]string{"/bin/" + filepath.Base(path): bin}
	out, err := exec.CommandContext(ctx, "ldd", bin).Output()
	if err != nil {
		return files, nil // static
	}
	for _, line := range strings.Split(string(out), "\n") {
		if strings.Contains(line, "not found") {
			return nil, fmt.Errorf("%s needs %s, which this machine does not have", pkg, strings.TrimSpace(line))
		}
		for _, f := range strings.Fields(line) {
			if strings.HasPrefix(f, "/") {
				files[f] = f
			}
		}
	}
	return files, nil
}
