// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Bounds of the search for the processes behind sockets: a node with more is read as far as they go, which is told.
const (
	maxProcesses   = 20000
	maxDescriptors = 200000
	maxComm        = 64 // the kernel has 16 bytes (include/linux/sched.h, TASK_COMM_LEN); threads of the kernel show more
)

// nameSockets gives each socket of the snapshot the name of a process that has it open: /proc/PID/fd leads to "socket:[INODE]", and the
// inode is what the kernel told beside the socket. The processes of the sockets' namespaces come first, and usually all others can be left
// alone; a socket can be held from elsewhere, by a runtime or by a thread that changed its namespace. proc is "/proc".
func nameSockets(proc string, s *Snapshot) {
	wanted, namespaces := map[uint32][]*Socket{}, map[uint32]bool{}
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		for k := range n.Sockets {
			if so := &n.Sockets[k]; so.inode != 0 {
				wanted[so.inode] = append(wanted[so.inode], so)
				namespaces[n.Inode] = true
			}
		}
	}
	why, left := "", maxDescriptors
	pids := processesIn(proc)
	if len(pids) > maxProcesses {
		pids, why = pids[:maxProcesses], "there are too many processes"
	}
	var others []string
	for _, pid := range pids {
		dir := filepath.Join(proc, strconv.Itoa(pid))
		if link, err := os.Readlink(filepath.Join(dir, "ns/net")); err == nil && namespaces[bracketed(link, "net:")] {
			left = nameFrom(dir, wanted, left, &why)
		} else {
			others = append(others, dir)
		}
	}
	for _, dir := range others {
		if len(wanted) == 0 || left <= 0 {
			break
		}
		if _, err := os.Readlink(filepath.Join(dir, "ns/net")); errors.Is(err, fs.ErrPermission) {
			why = denied
		}
		left = nameFrom(dir, wanted, left, &why)
	}
	if left <= 0 {
		why = "the processes have too many files open"
	}
	if why == "" || len(wanted) == 0 {
		return
	}
	for i := range s.Namespaces { // once; a UDP socket without a process is usually the kernel's own, of a tunnel
		n := &s.Namespaces[i]
		if slices.ContainsFunc(n.Sockets, func(so Socket) bool { return so.inode != 0 && so.Process == "" && so.Proto == "tcp" }) {
			n.Unread = append(n.Unread, "not every socket's process has a name: "+why)
			return
		}
	}
}

const denied = "no permission to look at all processes"

// nameFrom looks through one process's descriptors, takes from wanted what it has named, and returns how many more may be looked at. A process
// that keeps them to itself is told in why.
func nameFrom(dir string, wanted map[uint32][]*Socket, left int, why *string) int {
	d, err := os.Open(filepath.Join(dir, "fd"))
	if errors.Is(err, fs.ErrPermission) {
		*why = denied
	}
	if err != nil {
		return left
	}
	defer d.Close()
	for left > 0 && len(wanted) > 0 {
		names, err := d.Readdirnames(min(256, left))
		left -= len(names)
		for _, name := range names {
			link, err := os.Readlink(filepath.Join(dir, "fd", name))
			if err != nil {
				continue
			}
			inode := bracketed(link, "socket:")
			if len(wanted[inode]) == 0 {
				continue
			}
			comm := commOf(dir)
			for _, so := range wanted[inode] {
				so.Process = comm
			}
			delete(wanted, inode)
		}
		if err != nil || len(names) == 0 {
			break
		}
	}
	return left
}

// bracketed reads the number of "socket:[123]"; 0 for anything else.
func bracketed(link, kind string) uint32 {
	s, ok := strings.CutPrefix(link, kind+"[")
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(s, "]"), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

func commOf(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "comm"))
	if err != nil {
		return ""
	}
	c := strings.TrimSuffix(string(b), "\n")
	if len(c) > maxComm {
		c = c[:maxComm]
	}
	return strings.ToValidUTF8(c, "?")
}

// by is " (nginx)", or "" when nobody is known.
func (s Socket) by() string {
	if s.Process == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", s.Process)
}

// Port is the socket's port with its address unless that is any, and with its process: "8080 (nginx)", "127.0.0.1:9090".
func (s Socket) Port() string {
	if s.Local.Addr().IsUnspecified() {
		return strconv.Itoa(int(s.Local.Port())) + s.by()
	}
	return s.Local.String() + s.by()
}
