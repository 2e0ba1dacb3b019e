// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Owner is the pod of a network namespace, and a process that told.
type Owner struct {
	PodUID      string
	ContainerID string
	PID         int
}

// maxProcesses bounds a scan.
const maxProcesses = 100000

// Scan finds the pods of the network namespaces of all processes under proc ("/proc"), by the namespaces' inode numbers. Those of skip, the
// node's own namespace, are not looked at: a hostNetwork pod does not own it. A namespace whose pod is known costs one readlink for each
// further process. Processes that end meanwhile, or may not be looked at, are passed over. The error is that of reading proc itself, or ctx's;
// what was found until then is returned with it.
func Scan(ctx context.Context, proc string, skip uint32) (map[uint32]Owner, error) {
	out := map[uint32]Owner{}
	d, err := os.Open(proc)
	if err != nil {
		return out, fmt.Errorf("list processes: %w", err)
	}
	defer d.Close()
	for n := 0; n < maxProcesses; {
		names, err := d.Readdirnames(512)
		for _, name := range names {
			pid, bad := strconv.Atoi(name)
			if bad != nil || pid <= 0 {
				continue
			}
			n++
			look(out, proc, pid, skip)
		}
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, fmt.Errorf("list processes: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return out, err
		}
	}
	return out, nil
}

func look(out map[uint32]Owner, proc string, pid int, skip uint32) {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	inode, ok := namespace(dir)
	if !ok || inode == skip {
		return
	}
	if _, known := out[inode]; known {
		return
	}
	f, err := os.Open(filepath.Join(dir, "cgroup"))
	if err != nil {
		return
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCgroup))
	if err != nil {
		return
	}
	if uid, id, ok := ParseCgroup(b); ok {
		out[inode] = Owner{uid, id, pid}
	}
}

// namespace reads the link "net:[4026531840]".
func namespace(dir string) (uint32, bool) {
	text, err := os.Readlink(filepath.Join(dir, "ns", "net"))
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(text, "net:["), "]"), 10, 32)
	return uint32(n), err == nil && strings.HasPrefix(text, "net:[")
}
