// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// tracers counts the loaded tracing and kprobe programs, and the kprobes where the kernel lists them.
func tracers(t *testing.T) (programs, kprobes int) {
	t.Helper()
	var id ebpf.ProgramID
	for {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		id = next
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue // gone meanwhile
		}
		if p.Type() == ebpf.Tracing || p.Type() == ebpf.Kprobe {
			programs++
		}
		_ = p.Close()
	}
	b, err := os.ReadFile("/sys/kernel/debug/kprobes/list")
	if err == nil {
		kprobes = strings.Count(string(b), "\n")
	}
	return programs, kprobes
}

// startFlow starts a trace that lasts and returns when everything is attached.
func startFlow(t *testing.T) (kill func(os.Signal) error) {
	t.Helper()
	cmd := nettrace(t, nil, "flow", "127.0.0.1", "127.0.0.2:9", "--timeout", "0")
	pr, pw := io.Pipe()
	cmd.Stdout, cmd.Stderr = pw, pw
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	attached := make(chan bool, 1)
	go func() {
		s := bufio.NewScanner(pr)
		for s.Scan() {
			if strings.Contains(s.Text(), "points attached") {
				attached <- true
			}
		}
		close(attached)
	}()
	waited := make(chan error, 1)
	go func() {
		waited <- cmd.Wait()
		_ = pw.Close()
	}()
	if !<-attached {
		t.Fatalf("the trace ended before it was attached: %v", <-waited)
	}
	return func(s os.Signal) error {
		if err := cmd.Process.Signal(s); err != nil {
			return err
		}
		return <-waited
	}
}

// A trace that is killed leaves nothing attached: nothing is pinned.
func TestKilled(t *testing.T) {
	needRoot(t)
	programs, kprobes := tracers(t)
	kill := startFlow(t)
	if now, _ := tracers(t); now <= programs {
		t.Fatalf("%d programs before, %d while tracing: the test does not see them", programs, now)
	}
	_ = kill(unix.SIGKILL)
	// the kernel frees programs after a grace period, of which it gives no signal
	deadline := time.Now().Add(time.Minute)
	for {
		p, k := tracers(t)
		if p <= programs && k <= kprobes {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after SIGKILL %d programs and %d kprobes, before %d and %d", p, k, programs, kprobes)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Two traces at once: both attach, and the second one's end does not end the first.
func TestTwoAtOnce(t *testing.T) {
	needRoot(t)
	one := startFlow(t)
	two := startFlow(t)
	if err := two(unix.SIGINT); err == nil || !strings.Contains(err.Error(), "130") {
		t.Errorf("the second one: %v, want exit code 130", err)
	}
	code, _, errs := call(t, "lab", "run", "healthy-service")
	if code != 0 {
		t.Errorf("a third one beside it: exit %d: %s", code, errs)
	}
	if err := one(unix.SIGINT); err == nil || !strings.Contains(err.Error(), "130") {
		t.Errorf("the first one: %v, want exit code 130", err)
	}
}
