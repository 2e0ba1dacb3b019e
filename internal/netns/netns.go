// SPDX-License-Identifier: Apache-2.0

// Package netns runs code inside a network namespace. A namespace belongs to a thread, so everything here happens on a thread of its
// own, which is thrown away when it cannot be brought back.
package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Dir is where iproute2 keeps named namespaces.
const Dir = "/run/netns"

// Path turns what a user may write into a path: a name in /run/netns, a path, or "pid:N".
func Path(name string) (string, error) {
	switch {
	case name == "":
		return "", fmt.Errorf("namespace name is empty: use a name from 'ip netns', a path or pid:N")
	case strings.HasPrefix(name, "pid:"):
		if _, err := strconv.ParseUint(name[4:], 10, 31); err != nil {
			return "", fmt.Errorf("%q is no process id: use pid:N", name)
		}
		return "/proc/" + name[4:] + "/ns/net", nil
	case strings.HasPrefix(name, "/"):
		return name, nil
	case strings.Contains(name, "/") || name == "." || name == "..":
		return "", fmt.Errorf("%q is no namespace name: use a name from 'ip netns', an absolute path or pid:N", name)
	}
	return find(Dirs(), name), nil
}

// Dirs are where names of namespaces are looked for: here, and at the host's first process, which a container sees when it shares the host's
// processes and has nothing mounted.
func Dirs() []string { return []string{Dir, "/proc/1/root" + Dir} }

// find is the name in the first of the directories that has it; when none has, it is said to be missing from the first.
func find(dirs []string, name string) string {
	for _, d := range dirs {
		if p := filepath.Join(d, name); exists(p) {
			return p
		}
	}
	return filepath.Join(dirs[0], name)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Inode is the inode number of the namespace at path, which is what the kernel side reports.
func Inode(path string) (uint32, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("look at namespace %s: %w", path, err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return 0, fmt.Errorf("look at namespace %s: %w", path, err)
	}
	if int64(fs.Type) != unix.NSFS_MAGIC {
		return 0, fmt.Errorf("%s is no namespace: use a name from 'ip netns', a path to one, or pid:N", path)
	}
	return uint32(st.Ino), nil
}

// Self is the path of the calling process's own namespace.
const Self = "/proc/self/ns/net"

// IsOwn reports whether the namespace at path is this process's own.
func IsOwn(path string) bool {
	ino, err := Inode(path)
	own, ownErr := Inode(Self)
	return err == nil && ownErr == nil && ino == own
}

// Do runs f on a thread inside the namespace at path; for this process's own, that takes no right to enter any. Sockets that f opens and processes that it starts belong to the namespace.
func Do(path string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if IsOwn(path) { // a goroutine starts on a thread that is at home
			defer runtime.UnlockOSThread()
			done <- f()
			return
		}
		back, err := vns.Get()
		if err != nil {
			done <- fmt.Errorf("remember the current namespace: %w", err)
			return
		}
		defer back.Close()
		target, err := vns.GetFromPath(path)
		if err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("open namespace %s: %w", path, err)
			return
		}
		defer target.Close()
		if err := vns.Set(target); err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("enter namespace %s: %w", path, err)
			return
		}
		err = f()
		if vns.Set(back) == nil {
			runtime.UnlockOSThread() // otherwise the thread ends with this goroutine
		}
		done <- err
	}()
	return <-done
}

// Create makes a named namespace, as 'ip netns add' does.
func Create(name string) error {
	if _, err := os.Stat(filepath.Join(Dir, name)); err == nil {
		return fmt.Errorf("create namespace %s: %w", name, os.ErrExist)
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		back, err := vns.Get()
		if err != nil {
			done <- err
			return
		}
		defer back.Close()
		h, err := vns.NewNamed(name)
		if err == nil {
			h.Close()
		}
		if vns.Set(back) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	return nil
}

// Delete removes a named namespace; one that is not there is no error.
func Delete(name string) error {
	if err := vns.DeleteNamed(name); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("delete namespace %s: %w", name, err)
	}
	return nil
}
