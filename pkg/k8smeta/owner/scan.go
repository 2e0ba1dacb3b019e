// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxProcesses bounds a Scan. It is above what a node runs (110 pods by default) and below what takes noticeably long.
const maxProcesses = 100000

// Owner is the pod of a network namespace, and the process that told.
type Owner struct {
	PodUID      string
	ContainerID string // of the process; the namespace belongs to the pod. Empty when not known.
	PID         int
}

// Scan finds the owner of each network namespace, by its inode number, below proc (/proc, or where the host's is mounted): the first
// process in it, by PID, whose cgroup names a pod. Namespaces with the inode skip, the host's, are left out: pods with hostNetwork share it,
// and it is none of theirs.
//
// A process that ends meanwhile, or may not be looked at, is left out. An error comes with what was found until then; when that is nothing
// because of missing rights, the error is an fs.ErrPermission.
func Scan(ctx context.Context, proc string, skip uint64) (map[uint32]Owner, error) {
	owners := map[uint32]Owner{}
	pids, err := listPIDs(ctx, proc)
	if err != nil {
		return owners, err
	}
	var denied error
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return owners, fmt.Errorf("look for the pods' namespaces in %s: %w", proc, err)
		}
		dir := filepath.Join(proc, strconv.Itoa(pid))
		inode, err := netns(dir)
		if errors.Is(err, fs.ErrPermission) {
			denied = err
		}
		if err != nil || uint64(inode) == skip {
			continue
		}
		if _, found := owners[inode]; found {
			continue
		}
		if uid, container, ok := readCgroup(dir); ok {
			owners[inode] = Owner{PodUID: uid, ContainerID: container, PID: pid}
		}
	}
	if len(owners) == 0 && denied != nil {
		return owners, fmt.Errorf("look for the pods' namespaces (run as root, or with CAP_SYS_PTRACE): %w", denied)
	}
	return owners, nil
}

// listPIDs lists the processes in ascending order, so that the sandbox of a pod, which starts first, mostly comes before its containers.
func listPIDs(ctx context.Context, proc string) ([]int, error) {
	d, err := os.Open(proc)
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	defer d.Close()
	var pids []int
	for len(pids) < maxProcesses {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("list the processes: %w", err)
		}
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("list the processes: %w", err)
		}
	}
	slices.Sort(pids)
	return pids[:min(len(pids), maxProcesses)], nil
}

// netns is the inode of a process's network namespace. The text of the link, net:[4026531840], has the number that stat(2) would give
// (ns_get_name in fs/nsfs.c; namespaces(7)), and reading it opens nothing.
func netns(dir string) (uint32, error) {
	link, err := os.Readlink(filepath.Join(dir, "ns", "net"))
	if err != nil {
		return 0, err
	}
	number, ok := strings.CutPrefix(link, "net:[")
	number, closed := strings.CutSuffix(number, "]")
	if !ok || !closed {
		return 0, fmt.Errorf("read the link %s/ns/net: it says %q", dir, link)
	}
	inode, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("read the link %s/ns/net: %w", dir, err)
	}
	return uint32(inode), nil
}

func readCgroup(dir string) (podUID, containerID string, ok bool) {
	f, err := os.Open(filepath.Join(dir, "cgroup"))
	if err != nil {
		return "", "", false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCgroup))
	if err != nil { // ESRCH: it ended
		return "", "", false
	}
	return ParseCgroup(b)
}
