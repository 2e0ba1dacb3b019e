// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bufio"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Capability is one without which a trace goes on and knows less.
type Capability struct {
	Name string // as the kernel writes it: "CAP_SYSLOG"
	Lost string // what is not known without it
	bit  uint
}

// Capabilities are all of them. What a trace cannot do without is CAP_SYS_ADMIN, or CAP_BPF and CAP_PERFMON in its place.
var Capabilities = []Capability{
	{"CAP_SYS_ADMIN", "only nettrace's own namespace can be read, and no probe can start in another: devices, routes, rules and sockets of pods are missing", unix.CAP_SYS_ADMIN},
	{"CAP_NET_ADMIN", "no rules can be read: which of them dropped or translated a packet is not known; nothing can be captured", unix.CAP_NET_ADMIN},
	{"CAP_NET_RAW", "the rules of iptables-legacy cannot be read: which of them dropped or translated a packet is not known; no ping can be sent", unix.CAP_NET_RAW},
	{"CAP_SYS_PTRACE", "processes do not tell their namespaces: those without a name in /run/netns are not found, the others are pods' by their addresses only, and sockets have no process", unix.CAP_SYS_PTRACE},
	{"CAP_SYSLOG", "the kernel hides its addresses: the functions that dropped packets have no names, and much of the cause with them", unix.CAP_SYSLOG},
	{"CAP_DAC_READ_SEARCH", "sockets of processes that are not root's have no process", unix.CAP_DAC_READ_SEARCH},
}

// Lacking are the capabilities of the list that this process does not have, or those of them that are named. CAP_SYSLOG is not missed where the
// kernel shows its addresses all the same.
func Lacking(names ...string) []Capability {
	have, err := effectiveCapabilities()
	if err != nil {
		return nil
	}
	out := lacking(have, names)
	return slices.DeleteFunc(out, func(c Capability) bool { return c.Name == "CAP_SYSLOG" && kernelShowsAddresses() })
}

func lacking(have uint64, names []string) []Capability {
	var out []Capability
	for _, c := range Capabilities {
		if have>>c.bit&1 == 0 && (len(names) == 0 || slices.Contains(names, c.Name)) {
			out = append(out, c)
		}
	}
	return out
}

// String is the sentence for the user.
func (c Capability) String() string {
	return "without " + c.Name + " " + c.Lost + "; run as root, or give the pod this capability"
}

// kernelShowsAddresses: kallsyms has addresses (kernel.kptr_restrict and CAP_SYSLOG, kallsyms_show_value in kernel/ksyms_common.c).
func kernelShowsAddresses() bool {
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return false
	}
	defer f.Close()
	return showsAddresses(f)
}

// showsAddresses looks at functions only: the first symbols of some architectures are at address 0 in truth.
func showsAddresses(kallsyms io.Reader) bool {
	const enough = 64
	n := 0
	for s := bufio.NewScanner(kallsyms); n < enough && s.Scan(); {
		address, rest, _ := strings.Cut(s.Text(), " ")
		if !strings.HasPrefix(rest, "t ") && !strings.HasPrefix(rest, "T ") {
			continue
		}
		if strings.Trim(address, "0") != "" {
			return true
		}
		n++
	}
	return false
}

// hiddenForAll says why even root sees no addresses; "" when that is not so.
func hiddenForAll() string {
	b, err := os.ReadFile("/proc/sys/kernel/kptr_restrict")
	if err == nil && strings.TrimSpace(string(b)) == "2" {
		return "sysctl -w kernel.kptr_restrict=1: with 2 the kernel hides its addresses even from root, so that the functions that dropped packets have no names"
	}
	return ""
}
