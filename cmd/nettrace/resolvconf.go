// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

// resolvConfPath is where programs look.
const resolvConfPath = "etc/resolv.conf"

// resolvConf finds the resolv.conf of the programs in a network namespace: that of a process in it, as the process sees it, or the one that
// 'ip netns exec' would put there for a namespace with a name. The second value says where it was, or why it is not known.
func resolvConf(ctx context.Context, root, space string) (*probe.ResolvConf, string) {
	if name, ok := strings.CutPrefix(space, netns.Dir+"/"); ok {
		where := filepath.Join("etc/netns", filepath.Base(name), "resolv.conf")
		if c, err := probe.ReadResolvConf(root, where); err == nil {
			return &c, "/" + where
		}
	}
	ino, err := netns.Inode(space)
	if err != nil {
		return nil, err.Error()
	}
	pids, why := processesIn(ctx, filepath.Join(root, "proc"), ino)
	for _, pid := range pids {
		at := filepath.Join(root, "proc", strconv.Itoa(pid), "root")
		c, err := probe.ReadResolvConf(at, resolvConfPath)
		if err == nil {
			return &c, filepath.Join(at, resolvConfPath)
		}
		why = err
	}
	if why == nil {
		why = errors.New("no process is in the sender's namespace, and there is no file for it in /etc/netns")
	}
	return nil, why.Error()
}

// maxResolvers is how many processes of one namespace are tried.
const maxResolvers = 20

// processesIn lists processes in a network namespace, the oldest numbers first.
func processesIn(ctx context.Context, proc string, ino uint32) (out []int, denied error) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	want := fmt.Sprintf("net:[%d]", ino)
	for _, pid := range pids {
		if ctx.Err() != nil || len(out) == maxResolvers {
			break
		}
		link, err := os.Readlink(filepath.Join(proc, strconv.Itoa(pid), "ns/net"))
		if errors.Is(err, os.ErrPermission) {
			denied = fmt.Errorf("look for processes in the sender's namespace: %w", err)
		}
		if err == nil && link == want {
			out = append(out, pid)
		}
	}
	return out, denied
}
