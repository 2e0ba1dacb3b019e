// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nettrace-io/nettrace/internal/debian"
)

// Machine is a kernel with its user space, ready to boot.
type Machine struct {
	Fetched *Fetched
	vmlinuz string
	initrd  []string // cpio archives, concatenated at boot
}

// Prepare fetches a kernel and builds what does not change from run to run.
func Prepare(ctx context.Context, cache string, k Kernel) (*Machine, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	f, err := Fetch(ctx, cache, k)
	if err != nil {
		return nil, err
	}
	m := &Machine{Fetched: f}
	found, err := filepath.Glob(f.Dir + "/boot/vmlinuz-*")
	if more, _ := filepath.Glob(f.Dir + "/usr/lib/modules/*/vmlinuz"); len(found) == 0 {
		found = more
	}
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("kernel %s has no vmlinuz in its packages", f.Release)
	}
	m.vmlinuz = found[0]
	base, err := built(cache, "base-"+baseVersion(), func(w io.Writer) error { return writeBase(ctx, w) })
	if err != nil {
		return nil, err
	}
	modules, err := built(f.Dir, "modules-1", func(w io.Writer) error { return writeModules(ctx, w, f) })
	if err != nil {
		return nil, err
	}
	m.initrd = []string{base, modules}
	return m, nil
}

// baseVersion changes when the base would: with the init script and with the tools of this machine.
func baseVersion() string {
	h := sha256.New()
	h.Write(initScript)
	for _, name := range Tools {
		path, _ := exec.LookPath(strings.TrimPrefix(name, "?"))
		if real, err := filepath.EvalSymlinks(path); err == nil {
			if st, err := os.Stat(real); err == nil {
				fmt.Fprintln(h, name, real, st.Size(), st.ModTime().UnixNano())
				continue
			}
		}
		fmt.Fprintln(h, name, "missing")
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:6])
}

// built is a file in the cache, made when it is not there; two runs at once make it twice and neither sees half of it.
func built(dir, name string, write func(io.Writer) error) (string, error) {
	path := filepath.Join(dir, name+".cpio")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	f, err := os.CreateTemp(dir, name+"-*")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone when all went well
	b := bufio.NewWriterSize(f, 1<<20)
	if err := errors.Join(write(b), b.Flush(), f.Close()); err != nil {
		return "", err
	}
	return path, os.Rename(f.Name(), path)
}

// Job is what a guest runs.
type Job struct {
	Files  map[string]string // path in the guest: file here
	Script string            // a shell script, with its #! line
	Line   func(string)      // gets each line of its output
	// Silence is how long it may say nothing before it counts as hung; default 10 minutes.
	Silence time.Duration
	CPUs    int // default 2
	MiB     int // default 2048
}

// ErrGuest says that the guest ended without telling how the job ended: it crashed, or was stopped.
var ErrGuest = errors.New("the guest ended without an answer")

// Run boots the machine and runs the job in it. The error is of type *ExitError when the job ended with another code than 0, and wraps
// ErrGuest, with the kernel's last messages, when it did not end.
func (m *Machine) Run(ctx context.Context, j Job) error {
	dir, err := os.MkdirTemp("", "nettrace-vm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	initrd := filepath.Join(dir, "initrd")
	if err := m.writeInitrd(initrd, &j); err != nil {
		return err
	}
	console := filepath.Join(dir, "console")
	if j.CPUs == 0 {
		j.CPUs = 2
	}
	if j.MiB == 0 {
		j.MiB = 2048
	}
	if j.Silence == 0 {
		j.Silence = 10 * time.Minute
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(j.Silence, func() { cancel(fmt.Errorf("it said nothing for %v", j.Silence)) })
	defer watchdog.Stop()
	// no_timer_check: on a busy machine the kernel misses ticks while it checks its emulated timer, and gives up.
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", append(accelerator(),
		"-m", strconv.Itoa(j.MiB), "-smp", strconv.Itoa(j.CPUs), "-display", "none", "-monitor", "none", "-no-reboot", "-nic", "none", "-nodefaults",
		"-serial", "stdio", "-serial", "file:"+console, "-kernel", m.vmlinuz, "-initrd", initrd,
		"-append", "console=ttyS1 panic=-1 rdinit=/init loglevel=4 mitigations=off no_timer_check")...)
	cmd.Stderr = os.Stderr
	// The guest ends with this process, whatever ends it. The signal comes when the starting thread ends, so it has to stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the guest: %w", err)
	}
	code := readOutput(out, func(line string) {
		watchdog.Reset(j.Silence)
		if j.Line != nil {
			j.Line(line)
		}
	})
	waited := cmd.Wait()
	b, _ := os.ReadFile(console)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w; its last messages: %s", ErrGuest, context.Cause(ctx), debian.LastLines(string(b), 25))
	case code < 0:
		return fmt.Errorf("%w (%v); its last messages: %s", ErrGuest, waited, debian.LastLines(string(b), 60))
	case code > 0:
		return &ExitError{code}
	}
	return nil
}

// ExitError is the exit code of a job.
type ExitError struct{ Code int }

func (e *ExitError) Error() string {
	return "the guest's job ended with exit code " + strconv.Itoa(e.Code)
}

// readOutput passes lines on until the job's end and returns its exit code, -1 when there was none.
func readOutput(r io.Reader, line func(string)) int {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 1<<16), 16<<20)
	code, begun := -1, false
	for s.Scan() {
		text := strings.TrimRight(s.Text(), "\r")
		switch {
		case strings.HasSuffix(text, "@@boot"): // firmware and boot loader wrote before it on the same line
			begun = true
		case strings.HasPrefix(text, "@@exit "):
			if n, err := strconv.Atoi(text[len("@@exit "):]); err == nil {
				code = n
			}
		case begun && line != nil:
			line(text)
		}
	}
	return code
}

func (m *Machine) writeInitrd(path string, j *Job) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, part := range m.initrd {
		p, err := os.Open(part)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, p)
		_ = p.Close()
		if err != nil {
			return err
		}
	}
	return errors.Join(writeOverlay(f, j.Files, j.Script), f.Close())
}

// accelerator is KVM where it works, which an openable /dev/kvm does not prove, else emulation. Without cx16: qemu 7.2 emulates cmpxchg16b
// so that it corrupts registers, which crashes guests that run Go programs.
func accelerator() []string {
	if os.Getenv("NETTRACE_KVM") == "1" {
		return []string{"-accel", "kvm", "-cpu", "host"}
	}
	return []string{"-accel", "tcg,thread=multi", "-cpu", "max,cx16=off"}
}
