// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// asNobody runs f on a thread whose files are nobody's, which takes root's right to read everything from it (capabilities(7), "Effect of
// user ID changes"). The thread stays locked, so it ends with its goroutine.
func asNobody(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		_ = syscall.Setfsuid(65534) // without effect when we are not root, and then not needed
		f()
	}()
	<-done
}

// TestScanDenied: without rights nothing is found, and that is said; one process that may not be looked at is nothing to report.
func TestScanDenied(t *testing.T) {
	p := newProc(t)
	p.process(7, net(4026532301), podText(uid, ctr))
	for _, name := range []string{p.dir, filepath.Join(p.dir, "7"), filepath.Join(p.dir, "7", "ns")} {
		mode := fs.FileMode(0o755)
		if filepath.Base(name) == "ns" {
			mode = 0
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(p.dir, "7", "ns"), 0o755) }) // or it could not be removed
	t.Chdir(p.dir)                                                             // the directories above may be closed to nobody
	scan := func() (got map[uint32]Owner, err error) {
		asNobody(func() { got, err = Scan(context.Background(), ".", host) })
		return got, err
	}

	got, err := scan()
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "CAP_SYS_PTRACE") || len(got) != 0 {
		t.Errorf("Scan = %+v, %v, want an error that names CAP_SYS_PTRACE", got, err)
	}

	p.process(8, net(4026532302), podText(other, node))
	for _, name := range []string{"8", "8/ns"} {
		if err := os.Chmod(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod("8/cgroup", 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := scan(); err != nil || len(got) != 1 || got[4026532302].PodUID != other {
		t.Errorf("Scan = %+v, %v, want the other pod alone", got, err)
	}
}
