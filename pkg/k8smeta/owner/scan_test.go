// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

const host = 4026531840

// fakeProc is a /proc with the few things that Scan reads.
type fakeProc struct {
	t   *testing.T
	dir string
}

func newProc(t *testing.T) fakeProc {
	return fakeProc{t, t.TempDir()}
}

// process adds a process; without a cgroup text it is one that ended between the reading of its namespace and of its cgroup.
func (p fakeProc) process(pid int, link, cgroup string) {
	p.t.Helper()
	dir := filepath.Join(p.dir, strconv.Itoa(pid))
	if err := os.MkdirAll(filepath.Join(dir, "ns"), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if link != "" {
		if err := os.Symlink(link, filepath.Join(dir, "ns", "net")); err != nil {
			p.t.Fatal(err)
		}
	}
	if cgroup != "" {
		if err := os.WriteFile(filepath.Join(dir, "cgroup"), []byte(cgroup), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
}

func net(inode uint64) string { return fmt.Sprintf("net:[%d]", inode) }

func podText(uid, ctr string) string { return "0::/kubepods/burstable/pod" + uid + "/" + ctr + "\n" }

func TestScan(t *testing.T) {
	p := newProc(t)
	for _, name := range []string{"sys", "self", "0", "-5", "uptime"} { // what else is in /proc
		if err := os.Mkdir(filepath.Join(p.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.process(1, net(host), "0::/init.scope\n")
	p.process(700, net(host), podText(other, node))                           // hostNetwork: the host's namespace is nobody's
	p.process(1200, net(4026532301), "0::/system.slice/containerd.service\n") // a runtime that sets a pod up
	p.process(1201, net(4026532301), "")                                      // ended
	p.process(1300, net(4026532301), podText(uid, ctr))                       // the first of the pod by number; by name 999 would come later
	p.process(999, net(4026532302), podText(static, node))
	p.process(1400, net(4026532301), podText(other, node)) // somebody who entered the namespace later
	p.process(1500, "", podText(uid, ctr))                 // ended before the first look
	p.process(1600, "mnt:[4026532303]", podText(uid, ctr)) // not what belongs there
	p.process(1601, "net:[99999999999]", podText(uid, ctr))
	p.process(1602, "net:[x]", podText(uid, ctr))
	p.process(1603, "net:[4026532304", podText(uid, ctr))
	p.process(1700, net(4026532305), "0::/system.slice/docker-"+ctr+".scope\n") // no pod
	p.process(1800, net(4026532306), "0::/kubepods/pod"+other+"\n")

	got, err := Scan(context.Background(), p.dir, host)
	want := map[uint32]Owner{
		4026532301: {PodUID: uid, ContainerID: ctr, PID: 1300},
		4026532302: {PodUID: static, ContainerID: node, PID: 999},
		4026532306: {PodUID: other, PID: 1800},
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("Scan = %+v, %v, want %+v", got, err, want)
	}
}

func TestScanWithoutSkip(t *testing.T) {
	p := newProc(t)
	p.process(7, net(host), podText(uid, ctr))
	got, err := Scan(context.Background(), p.dir, 0)
	if want := (Owner{PodUID: uid, ContainerID: ctr, PID: 7}); err != nil || len(got) != 1 || got[host] != want {
		t.Errorf("Scan = %+v, %v, want %+v", got, err, want)
	}
}

// TestScanLooksOnce: in a namespace that has an owner, and in the host's, no cgroup is read. A FIFO shows it: opening one waits for a writer.
func TestScanLooksOnce(t *testing.T) {
	p := newProc(t)
	p.process(7, net(4026532301), podText(uid, ctr))
	for pid, inode := range map[int]uint64{8: 4026532301, 9: host} {
		p.process(pid, net(inode), "")
		if err := syscall.Mkfifo(filepath.Join(p.dir, strconv.Itoa(pid), "cgroup"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Scan(context.Background(), p.dir, host); err != nil || len(got) != 1 || got[4026532301].PID != 7 {
		t.Errorf("Scan = %+v, %v", got, err)
	}
}

func TestScanOfNothing(t *testing.T) {
	if got, err := Scan(context.Background(), t.TempDir(), host); err != nil || len(got) != 0 {
		t.Errorf("Scan of an empty tree = %+v, %v", got, err)
	}
	missing := filepath.Join(t.TempDir(), "proc")
	if got, err := Scan(context.Background(), missing, host); !errors.Is(err, fs.ErrNotExist) || len(got) != 0 {
		t.Errorf("Scan of a missing tree = %+v, %v", got, err)
	}
}

func TestScanIsCancelled(t *testing.T) {
	p := newProc(t)
	p.process(7, net(4026532301), podText(uid, ctr))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got, err := Scan(ctx, p.dir, host); !errors.Is(err, context.Canceled) || len(got) != 0 {
		t.Errorf("Scan = %+v, %v, want %v", got, err, context.Canceled)
	}
}

// TestScanOfTheMachine: the link of a real process has the text that netns expects, and the number that stat gives.
func TestScanOfTheMachine(t *testing.T) {
	inode, err := netns("/proc/self")
	if errors.Is(err, fs.ErrNotExist) {
		return // not Linux
	}
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Ino != uint64(inode) {
		t.Errorf("the link says %d, stat says %d", inode, stat.Ino)
	}
	if _, err := Scan(context.Background(), "/proc", uint64(inode)); err != nil && !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}
