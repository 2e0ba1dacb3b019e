// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tool fetches a program of a Debian package into the cache and returns it with the libraries of this machine that it loads, as files of a Job.
// Nothing is installed.
func Tool(ctx context.Context, cache, pkg, suite, path string) (map[string]string, error) {
	a := apt{dir: filepath.Join(cache, "tools", pkg)}
	to := filepath.Join(a.dir, "unpacked")
	if _, err := os.Stat(filepath.Join(to, "complete")); err != nil {
		if err := a.update(ctx, []string{suite}); err != nil {
			return nil, fmt.Errorf("fetch %s: %w", pkg, err)
		}
		if err := a.unpack(ctx, to, []string{pkg}); err != nil {
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
