// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// StateDir holds a file for each lab that outlives the command that made it.
const StateDir = "/run/nettrace-lab"

// state is what 'lab up' leaves for 'lab down': the process that serves the pods' ports.
type state struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // start time from /proc/PID/stat, so that a recycled id is never signalled
}

func stateFile(prefix string) string { return filepath.Join(StateDir, prefix+".json") }

// Remember stores the server process of a lab.
func Remember(prefix string, pid int) error {
	start, err := startTime(pid)
	if err != nil {
		return fmt.Errorf("remember the lab's server: %w", err)
	}
	b, err := json.Marshal(state{pid, start})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(StateDir, 0o755); err != nil {
		return fmt.Errorf("remember the lab's server: %w", err)
	}
	return os.WriteFile(stateFile(prefix), b, 0o600)
}

// startTime is field 22 of /proc/PID/stat; the second field may hold anything, so fields are counted behind its closing bracket.
func startTime(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	i := strings.LastIndexByte(string(b), ')')
	f := strings.Fields(string(b[i+1:]))
	if len(f) < 20 {
		return "", errors.New("stat line is too short")
	}
	return f[19], nil
}

// Down removes the lab with a prefix, whatever is left of it.
func Down(prefix string) error {
	if !prefixForm.MatchString(prefix) {
		return fmt.Errorf("lab prefix %q: use one to eight of a-z and 0-9", prefix)
	}
	err := stopServer(prefix)
	if e := os.Remove(ClusterFile(prefix)); e != nil && !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, fmt.Errorf("remove the lab's objects: %w", e))
	}
	_ = os.Remove(StateDir) // only when it is empty
	return errors.Join(err, removeNamespaces(prefix))
}

func stopServer(prefix string) error {
	b, err := os.ReadFile(stateFile(prefix))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the lab's state: %w", err)
	}
	defer func() {
		_ = os.Remove(stateFile(prefix))
		_ = os.Remove(StateDir) // only when it is empty
	}()
	var s state
	if json.Unmarshal(b, &s) != nil || s.PID <= 1 {
		return nil
	}
	return stop(s)
}

// stop ends the server and waits until it is gone. A pidfd makes sure that the process that is asked is the one that is signalled.
func stop(s state) error {
	fd, err := unix.PidfdOpen(s.PID, 0)
	if err != nil {
		return nil // gone already
	}
	defer unix.Close(fd)
	if start, err := startTime(s.PID); err != nil || start != s.Start {
		return nil
	}
	for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
			return nil
		}
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, _ := unix.Poll(p, int(5*time.Second/time.Millisecond)); n > 0 {
			return nil
		}
	}
	return fmt.Errorf("the lab's server (process %d) does not end: end it by hand", s.PID)
}

func removeNamespaces(prefix string) error {
	removeResolvers(prefix)
	var errs error
	for _, s := range ShortNames() {
		errs = errors.Join(errs, netns.Delete(prefix+"-"+s))
	}
	return errs
}

// Prefixes lists the labs that are up on this machine. A namespace that only looks like one of a lab's is not enough: it may be somebody
// else's.
func Prefixes() []string {
	found, _ := filepath.Glob(filepath.Join(netns.Dir, "*-"+Fabric))
	var out []string
	for _, f := range found {
		p := strings.TrimSuffix(filepath.Base(f), "-"+Fabric)
		if prefixForm.MatchString(p) && whole(p) {
			out = append(out, p)
		}
	}
	sort.Strings(out)
	return out
}

// whole reports whether every namespace of a lab is there.
func whole(prefix string) bool {
	for _, s := range ShortNames() {
		if _, err := os.Stat(filepath.Join(netns.Dir, prefix+"-"+s)); err != nil {
			return false
		}
	}
	return true
}

// Attach returns the lab with a prefix that is up.
func Attach(prefix string) (*Lab, error) {
	if !prefixForm.MatchString(prefix) {
		return nil, fmt.Errorf("lab prefix %q: use one to eight of a-z and 0-9", prefix)
	}
	l := &Lab{prefix: prefix, backend: "iptables-legacy", services: Services()}
	if _, err := netns.Inode(l.Path(Fabric)); err != nil {
		return nil, fmt.Errorf("no lab with prefix %q is up: run 'nettrace lab up --prefix %s'", prefix, prefix)
	}
	return l, nil
}
