// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tool is a tracer as a process that follows a host that nobody is.
type tool struct {
	name    string
	command []string
	ready   string // words on stdout or stderr when everything is attached
	cmd     *exec.Cmd
	ups     []float64 // ms from exec until it is ready
	own     []float64 // ms that it says attaching took
	downs   []float64
	starts  []float64 // ms of processor time until it was at rest
	costs   []float64 // ns a packet, with the tool
	gaveUp  string
	// restless says that the tool is never idle, "" when it is.
	restless string
}

const pwruPath = "/bin/pwru"

func nettraceTool() *tool {
	return &tool{name: "nettrace", command: []string{"/nettrace", "flow", "any", "192.0.2.1:1", "--timeout", "0", "--scope", "n=/proc/self/ns/net"}, ready: "points attached"}
}

func pwruTool(name string, flags ...string) *tool {
	return &tool{name: name, command: append(append([]string{pwruPath}, flags...), "host 192.0.2.1"), ready: "Listening for events"}
}

// start returns when the tool is attached; not ok when it was not within the limit: then it is still attaching.
func (t *tool) start() (ok bool, err error) {
	t.cmd = exec.Command(t.command[0], t.command[1:]...)
	pr, pw, err := os.Pipe()
	if err != nil {
		return false, err
	}
	t.cmd.Stdout, t.cmd.Stderr = pw, pw
	begin := time.Now()
	if err := t.cmd.Start(); err != nil {
		return false, fmt.Errorf("start %s: %w", t.name, err)
	}
	_ = pw.Close()
	attached := make(chan string, 1)
	go func() {
		s := bufio.NewScanner(pr)
		last := ""
		for s.Scan() {
			last = s.Text()
			if strings.Contains(last, t.ready) {
				break
			}
		}
		attached <- last
		_, _ = io.Copy(io.Discard, pr)
	}()
	select {
	case last := <-attached:
		if !strings.Contains(last, t.ready) {
			return false, fmt.Errorf("%s ended before it was attached: %s", t.name, last)
		}
		t.ups = append(t.ups, ms(begin))
		if m := ownClock.FindStringSubmatch(last); m != nil {
			if v, err := strconv.ParseFloat(m[1], 64); err == nil {
				t.own = append(t.own, v)
			}
		}
		return true, nil
	case <-time.After(startLimit):
		return false, nil
	}
}

// ownClock is what nettrace says of its own start; the rest of the time until it is ready goes into reading the node.
var ownClock = regexp.MustCompile(`points attached in (\d+) ms`)

const (
	glance      = 250 * time.Millisecond
	quiet       = 50 * time.Millisecond // of processor time within a glance
	settleLimit = 20 * time.Second
)

// settle waits until the tool has done what it still does once it is attached (names, rulesets): what it costs a packet is asked for, not what its
// start costs. A tool that does not come to rest keeps the processor busy for every packet, so that belongs to its cost.
func (t *tool) settle() error {
	last, err := t.cpu()
	for begin := time.Now(); err == nil; {
		time.Sleep(glance)
		var now time.Duration
		if now, err = t.cpu(); now-last < quiet {
			break
		}
		if last = now; time.Since(begin) > settleLimit {
			t.restless = fmt.Sprintf("busy for %v after it had attached, without a packet of the flow", settleLimit)
			return err
		}
	}
	t.starts = append(t.starts, float64(last.Microseconds())/1000)
	return err
}

// cpu is the processor time that the tool has taken so far: the kernel's clock of another process (clock_getcpuclockid(3)).
func (t *tool) cpu() (time.Duration, error) {
	const sched = 2 // CPUCLOCK_SCHED
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^t.cmd.Process.Pid)<<3|sched, &ts); err != nil {
		return 0, fmt.Errorf("read the processor time of %s: %w", t.name, err)
	}
	return time.Duration(ts.Nano()), nil
}

// stop interrupts the tool and waits until it is gone.
func (t *tool) stop() {
	begin := time.Now()
	_ = t.cmd.Process.Signal(unix.SIGINT)
	gone := make(chan struct{})
	go func() {
		_ = t.cmd.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		t.downs = append(t.downs, ms(begin))
	case <-time.After(3 * startLimit):
		_ = t.cmd.Process.Kill()
		<-gone
		t.gaveUp += fmt.Sprintf("not detached %v after Ctrl-C; ", 3*startLimit)
	}
}

func ms(begin time.Time) float64 { return float64(time.Since(begin).Microseconds()) / 1000 }
