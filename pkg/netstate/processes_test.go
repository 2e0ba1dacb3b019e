// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// process writes what /proc has of a process.
func process(t *testing.T, proc string, pid int, netns, comm string, fds ...string) {
	t.Helper()
	dir := filepath.Join(proc, strconv.Itoa(pid))
	for _, d := range []string{"ns", "fd"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	links := map[string]string{"ns/net": netns}
	for i, fd := range fds {
		links["fd/"+strconv.Itoa(i)] = fd
	}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "comm"), []byte(comm), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Topology: two namespaces, with a process each that has a socket open, and one that shares it; a socket that is held from a third
// namespace. Expectation: each socket has the name of the first process of its own namespace, or else of the one that holds it; numbers that mean another kind of file, and processes that say odd things, do no harm.
func TestSocketsHaveTheirProcess(t *testing.T) {
	proc := t.TempDir()
	process(t, proc, 10, "net:[100]", "nginx\n", "/dev/null", "socket:[555]", "pipe:[556]")
	process(t, proc, 11, "net:[100]", "nginx-worker\n", "socket:[555]")
	process(t, proc, 12, "net:[200]", "evil\x1b[2J\xff"+strings.Repeat("x", 100)+"\n", "socket:[777]", "socket:[]", "socket:[x]", "socket:[99999999999]")
	process(t, proc, 9, "net:[300]", "runtime\n", "socket:[556]", "socket:[555]")
	if err := os.MkdirAll(filepath.Join(proc, "14"), 0o755); err != nil { // has ended
		t.Fatal(err)
	}
	socket := func(port uint16, inode uint32) Socket {
		return Socket{Proto: "tcp", Local: netip.AddrPortFrom(netip.IPv4Unspecified(), port), inode: inode}
	}
	s := &Snapshot{Namespaces: []Namespace{{Inode: 100, Sockets: []Socket{socket(80, 555), socket(81, 556), socket(82, 0)}}, {Inode: 200, Sockets: []Socket{socket(90, 777)}}, {}}}
	nameSockets(proc, s)
	for i, want := range []string{"80 (nginx)", "81 (runtime)", "82"} {
		if got := s.Namespaces[0].Sockets[i].Port(); got != want {
			t.Errorf("socket %d: %s, want %s", i, got, want)
		}
	}
	if got := s.Namespaces[1].Sockets[0].Process; !strings.HasPrefix(got, "evil") || len(got) > maxComm+2 || strings.Contains(got, "\xff") {
		t.Errorf("an odd name: %q", got)
	}
	if len(s.Namespaces[0].Unread) != 0 {
		t.Errorf("unread: %q", s.Namespaces[0].Unread)
	}
}

func TestPortOfASocket(t *testing.T) {
	for want, s := range map[string]Socket{
		"8080":                   {Local: netip.MustParseAddrPort("0.0.0.0:8080")},
		"8081 (a)":               {Local: netip.MustParseAddrPort("[::]:8081"), Process: "a"},
		"127.0.0.1:9090 (envoy)": {Local: netip.MustParseAddrPort("127.0.0.1:9090"), Process: "envoy"},
		"[fd00::1]:1":            {Local: netip.MustParseAddrPort("[fd00::1]:1")},
	} {
		if got := s.Port(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// This process's own listener, from the real kernel.
func TestOwnListenerHasThisProcessesName(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	want, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	s := Read(t.Context(), []Ref{{Path: netns.Self, Name: "self"}})
	for _, so := range s.Namespaces[0].Sockets {
		if so.Local.String() == l.Addr().String() {
			if so.Process != strings.TrimSpace(string(want)) {
				t.Errorf("process %q, want %q", so.Process, want)
			}
			return
		}
	}
	t.Errorf("the listener %s is not in the snapshot: %q", l.Addr(), s.Namespaces[0].Unread)
}
