// SPDX-License-Identifier: Apache-2.0

// Package flood makes a kernel drop packets at a steady rate, for tests and benchmarks: UDP datagrams over the loopback of a network namespace
// of its own to a socket that nobody reads, which drops nearly all of them for a full buffer. That costs the sender less than any other drop:
// no ICMP error is made.
package flood

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// Space is a namespace to flood. Close removes it.
type Space struct {
	name string
	full net.PacketConn // nobody reads it
}

// New makes the namespace; its name must not exist.
func New(name string) (*Space, error) {
	if err := netns.Create(name); err != nil {
		return nil, err
	}
	s := &Space{name: name}
	err := netns.Do(s.Path(), func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(lo); err != nil {
			return err
		}
		s.full, err = net.ListenPacket("udp4", "127.0.0.1:0")
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare namespace %s: %w", name, err), s.Close())
	}
	return s, nil
}

// Path is the namespace's file, Name its name in /run/netns.
func (s *Space) Path() string { return filepath.Join(netns.Dir, s.name) }

// Name is the namespace's name in /run/netns.
func (s *Space) Name() string { return s.name }

// Close removes the namespace.
func (s *Space) Close() error {
	var err error
	if s.full != nil {
		err = s.full.Close()
	}
	return errors.Join(err, netns.Delete(s.name))
}

const (
	batch   = 64 // datagrams a system call: UDP_MAX_SEGMENTS of kernels before 6.9
	size    = 16 // bytes of each
	senders = 2
)

// Send sends perSecond datagrams a second for a time and returns how many there were.
func (s *Space) Send(ctx context.Context, perSecond int, during time.Duration) (uint64, error) {
	var (
		sent atomic.Uint64
		errs [senders]error
		wg   sync.WaitGroup
	)
	for i := range senders {
		wg.Go(func() { errs[i] = s.sender(ctx, perSecond/senders, during, &sent) })
	}
	wg.Wait()
	return sent.Load(), errors.Join(errs[:]...)
}

func (s *Space) sender(ctx context.Context, perSecond int, during time.Duration, sent *atomic.Uint64) error {
	var c net.PacketConn
	err := netns.Do(s.Path(), func() (err error) {
		c, err = net.ListenPacket("udp4", "127.0.0.1:0")
		return err
	})
	if err != nil {
		return fmt.Errorf("open a sender: %w", err)
	}
	defer c.Close()
	if err := segment(c); err != nil {
		return fmt.Errorf("have the kernel cut datagrams apart: %w", err)
	}
	msg := make([]byte, batch*size)
	begin, done := time.Now(), 0
	for ctx.Err() == nil && time.Since(begin) < during {
		if due := int(time.Since(begin).Seconds() * float64(perSecond)); done >= due {
			time.Sleep(200 * time.Microsecond)
			continue
		}
		if _, err := c.WriteTo(msg, s.full.LocalAddr()); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("send: %w", err)
		}
		done += batch
		sent.Add(batch)
	}
	return nil
}

// segment makes the kernel send what is written as datagrams of that size (UDP_SEGMENT, udp(7)); the receiver's side takes them one by one.
func segment(c net.PacketConn) error {
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, size) })
	return errors.Join(err, set)
}

// Full is the namespace's own count of datagrams that found a full buffer (Udp RcvbufErrors of /proc/net/snmp).
func (s *Space) Full() (n uint64, err error) {
	err = netns.Do(s.Path(), func() error {
		b, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		for _, l := range strings.Split(string(b), "\n") {
			f := strings.Fields(l)
			if len(f) > 5 && f[0] == "Udp:" && f[1] != "InDatagrams" {
				n, err = strconv.ParseUint(f[5], 10, 64)
				return err
			}
		}
		return errors.New("there are no UDP counters in /proc/net/snmp")
	})
	return n, err
}

// Cost is what a process that counts drops took.
type Cost struct {
	CPU     time.Duration // of the process, user and system
	Program time.Duration // of its program in the kernel, in whoever's context it ran; needs ebpf.EnableStats
	PeakRSS uint64        // bytes
}

// Measure reads what a running process with the program of bpf/drops.bpf.c took so far.
func Measure(pid int) (Cost, error) {
	var c Cost
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return c, err
	}
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(f) < 13 {
		return c, errors.New("/proc/PID/stat is short")
	}
	for _, ticks := range f[11:13] { // utime and stime (proc(5)), in USER_HZ, which is 100 on every architecture that Go knows
		n, err := strconv.ParseUint(ticks, 10, 64)
		if err != nil {
			return c, err
		}
		c.CPU += time.Duration(n) * 10 * time.Millisecond
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return c, err
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kb, err := strconv.ParseUint(strings.Fields(rest + " ?")[0], 10, 64)
	if err != nil {
		return c, fmt.Errorf("read VmHWM: %w", err)
	}
	c.PeakRSS = kb << 10
	c.Program, err = programTime()
	return c, err
}

// programTime sums up the run time of all programs of that name: others that run at the same time make it larger, never smaller.
func programTime() (sum time.Duration, err error) {
	for id := ebpf.ProgramID(0); ; {
		if id, err = ebpf.ProgramGetNextID(id); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				err = nil
			}
			return sum, err
		}
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue // gone meanwhile
		}
		info, infoErr := p.Info()
		st, statErr := p.Stats()
		if infoErr == nil && statErr == nil && info.Name == "count_drop" {
			sum += st.Runtime
		}
		_ = p.Close() // read only
	}
}
