// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"sync"

	"github.com/vishvananda/netlink"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// Ref names a namespace to read.
type Ref struct {
	Path string // of the namespace file
	Name string
	Node string
	Host bool
	// PodUID is the UID of the pod whose namespace it is, when a process tells.
	PodUID string
}

// maxEntries bounds each list of a namespace.
const maxEntries = 20000

// parallel namespaces at a time: each costs a thread.
const parallel = 4

// Read takes a snapshot of the namespaces. A namespace that cannot be read is there with the reason in Unread.
func Read(ctx context.Context, refs []Ref) *Snapshot {
	return ReadSome(ctx, refs, func(*Namespace) bool { return true })
}

// ReadSome takes a snapshot of which only some namespaces are whole; of the others it has devices and addresses (LinksOnly). whole is asked when
// those are known.
func ReadSome(ctx context.Context, refs []Ref, whole func(*Namespace) bool) *Snapshot {
	s := &Snapshot{Namespaces: make([]Namespace, len(refs)), TimeNS: monotonic()}
	each(refs, func(i int) { s.Namespaces[i] = readNamespace(ctx, refs[i], whole) })
	nameSockets("/proc", s)
	return s
}

// Complete reads the rest of those namespaces of a snapshot of these refs that have only devices and addresses and are wanted.
func (s *Snapshot) Complete(ctx context.Context, refs []Ref, wanted func(*Namespace) bool) {
	more := &Snapshot{Namespaces: make([]Namespace, len(refs))}
	each(refs, func(i int) {
		if i < len(s.Namespaces) && s.Namespaces[i].LinksOnly && wanted(&s.Namespaces[i]) {
			more.Namespaces[i] = readNamespace(ctx, refs[i], func(*Namespace) bool { return true })
		}
	})
	nameSockets("/proc", more)
	for i := range more.Namespaces {
		if more.Namespaces[i].Name != "" {
			s.Namespaces[i] = more.Namespaces[i]
		}
	}
}

// ReadAgain takes a snapshot after a run: of the namespaces that are wanted everything is read anew, the others stay as they were, without their
// counters: those would claim that nothing has grown since. The conntrack entries of the packets that are asked for are looked up.
func (s *Snapshot) ReadAgain(ctx context.Context, refs []Ref, wanted func(*Namespace) bool, asked ...Asked) *Snapshot {
	out := &Snapshot{Namespaces: make([]Namespace, len(refs)), TimeNS: monotonic()}
	each(refs, func(i int) {
		if s != nil && i < len(s.Namespaces) && s.Namespaces[i].Name == refs[i].Name && !wanted(&s.Namespaces[i]) {
			n := s.Namespaces[i]
			n.Counters, n.Unread, n.Older = nil, nil, true
			out.Namespaces[i] = n
			return
		}
		out.Namespaces[i] = readNamespace(ctx, refs[i], func(*Namespace) bool { return true }, asked...)
	})
	nameSockets("/proc", out)
	return out
}

func monotonic() uint64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return uint64(ts.Nano())
}

// each runs f for every namespace, a few at a time.
func each(refs []Ref, f func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i := range refs {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			f(i)
		})
	}
	wg.Wait()
}

// reader collects one namespace.
type reader struct {
	n  *Namespace
	nl *netlink.Handle
}

func (r *reader) unread(what string, err error) {
	if err != nil {
		r.n.Unread = append(r.n.Unread, fmt.Sprintf("%s could not be read: %v", what, err))
	}
}

func readNamespace(ctx context.Context, ref Ref, whole func(*Namespace) bool, asked ...Asked) Namespace {
	n := Namespace{Name: ref.Name, Node: ref.Node, Host: ref.Host, PodUID: ref.PodUID}
	ino, err := netns.Inode(ref.Path)
	if err != nil {
		n.Unread = []string{err.Error()}
		return n
	}
	n.Inode = ino
	r := &reader{n: &n}
	fd, err := vns.GetFromPath(ref.Path)
	if err != nil {
		r.unread("the namespace", err)
		return n
	}
	defer fd.Close()
	nl, err := handleAt(ref.Path, fd)
	if err != nil {
		r.unread("the namespace's network", err)
		return n
	}
	defer nl.Close()
	r.nl = nl
	r.links()
	if !whole(&n) {
		n.LinksOnly = true
		return n
	}
	r.qdiscs()
	r.filters()
	r.routes()
	r.policyRules()
	r.neighbours()
	r.unread("sysctls, sockets and counters", netns.Do(ref.Path, func() error {
		r.offloads()
		r.sysctls()
		r.sockets()
		r.tcx()
		r.tracked(asked)
		r.counters()
		r.rulesets(ctx)
		r.ipsets(ctx)
		r.ipvs()
		return nil
	}))
	return n
}

// handleAt opens netlink in a namespace; for our own, that takes no right to enter any.
func handleAt(path string, fd vns.NsHandle) (*netlink.Handle, error) {
	if netns.IsOwn(path) {
		return netlink.NewHandle(unix.NETLINK_ROUTE)
	}
	return netlink.NewHandleAt(fd, unix.NETLINK_ROUTE)
}

// ReadLinks reads only the devices of the namespaces and their addresses, for those who need no more than names.
func ReadLinks(ctx context.Context, refs []Ref) *Snapshot {
	s := &Snapshot{}
	for _, ref := range refs {
		if ctx.Err() != nil {
			break
		}
		n := Namespace{Name: ref.Name, Node: ref.Node, Host: ref.Host, PodUID: ref.PodUID}
		r := &reader{n: &n}
		var err error
		if n.Inode, err = netns.Inode(ref.Path); err == nil {
			r.unread("the devices", r.linksAt(ref.Path))
		}
		r.unread("the namespace", err)
		s.Namespaces = append(s.Namespaces, n)
	}
	return s
}

func (r *reader) linksAt(path string) error {
	fd, err := vns.GetFromPath(path)
	if err != nil {
		return err
	}
	defer fd.Close()
	if r.nl, err = handleAt(path, fd); err != nil {
		return err
	}
	defer r.nl.Close()
	r.links()
	return nil
}

// Discover lists the namespaces of this kernel: this process's own, the named ones, and those of processes; each once.
func Discover() []Ref {
	seen := map[uint32]bool{}
	var out []Ref
	add := func(path, name string, host bool) {
		ino, err := netns.Inode(path)
		if err != nil || seen[ino] {
			return
		}
		seen[ino] = true
		out = append(out, Ref{Path: path, Name: name, Host: host})
	}
	add(netns.Self, "host", true)
	for _, dir := range netns.Dirs() {
		named, _ := filepath.Glob(filepath.Join(dir, "*"))
		sort.Strings(named)
		for _, p := range named {
			add(p, filepath.Base(p), false)
		}
	}
	for _, pid := range processesIn("/proc") {
		add(fmt.Sprintf("/proc/%d/ns/net", pid), fmt.Sprintf("pid:%d", pid), false)
	}
	return out
}

// processesIn lists the processes of a proc file system, in order.
func processesIn(proc string) []int {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	var out []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, pid)
		}
	}
	sort.Ints(out)
	return out
}
