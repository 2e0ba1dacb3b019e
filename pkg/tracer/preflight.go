// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Preflight is what the running kernel lets nettrace do.
type Preflight struct {
	Kernel   string `json:"kernel"` // uname -r
	Lockdown string `json:"lockdown"`
	BTF      bool   `json:"btf"`
	// ModuleBTF says of each module in which nettrace has points, by name, whether its types are known; modules that are not loaded are
	// left out.
	ModuleBTF   map[string]bool `json:"moduleBtf"`
	Missing     []string        `json:"missingCapabilities,omitempty"`
	Rungs       []string        `json:"rungs"` // backends, the preferred one first
	TraceFS     bool            `json:"tracefs"`
	DropReasons bool            `json:"dropReasons"` // false: reasons are inferred
	AttachMS    int64           `json:"attachMs"`
	DetachMS    int64           `json:"detachMs"`
	Points      []PointStatus   `json:"points"`
	Error       string          `json:"error,omitempty"` // why nothing can be traced
	Hidden      string          `json:"-"`               // what to do when the kernel hides its addresses even from root
}

// Check attaches every point for a flow that nobody has, and detaches again. An error is in the result: whatever could be learned is there.
func Check(backend string) Preflight {
	p := Preflight{Kernel: Kernel(), Lockdown: Lockdown(), ModuleBTF: moduleBTF(), TraceFS: isDir("/sys/kernel/tracing/events"), Hidden: hiddenForAll()}
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err == nil {
		p.BTF = true
	}
	if err := checkPrivileges(); err != nil {
		var pe *PrivilegeError
		if errors.As(err, &pe) {
			p.Missing = pe.Missing
		}
		p.Error = err.Error()
		return p
	}
	for _, c := range Lacking() {
		p.Missing = append(p.Missing, c.Name)
	}
	p.Rungs = allRungs()
	nobody := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")} // RFC 5737, RFC 3849: no host has them
	t, err := Start(Options{Filter: Filter{Proto: ProtoTCP, AnySrc: true, Dst: nobody, Dport: 1}, Backend: backend})
	if err != nil {
		p.Error = err.Error()
		return p
	}
	p.AttachMS, p.Points = t.AttachTime().Milliseconds(), t.Points()
	p.DropReasons = t.DropReasons()
	begin := Now()
	if err := t.Close(); err != nil {
		p.Error = err.Error()
	}
	p.DetachMS = int64(Now()-begin) / 1e6
	return p
}

// allRungs probes every rung, in the order in which they are preferred.
func allRungs() []string {
	var out []string
	kprobe := haveKprobe()
	if kprobe && haveMulti() {
		out = append(out, BackendKprobeMulti)
	}
	if kprobe {
		out = append(out, BackendKprobe)
	}
	if haveFentry() {
		out = append(out, BackendFentry)
	}
	return append(out, BackendTracepoint)
}

// pointModules are the modules in which functions are points.
func pointModules() []string {
	var out []string
	for _, f := range Functions {
		if f.Module != "" && !slices.Contains(out, f.Module) {
			out = append(out, f.Module)
		}
	}
	slices.Sort(out)
	return out
}

func moduleBTF() map[string]bool {
	m := map[string]bool{}
	for _, name := range pointModules() {
		if !isDir("/sys/module/" + name) {
			continue
		}
		_, err := os.Stat("/sys/kernel/btf/" + name)
		m[name] = err == nil
	}
	return m
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// Blind lists the points at which something can be missed, with the reason.
func (p *Preflight) Blind() []string {
	var out []string
	for _, s := range p.Points {
		if !s.Attached && !s.Needless {
			out = append(out, s.Name+": "+s.Why)
		}
	}
	return out
}

// Advice says what the user can do for more, one sentence each.
func (p *Preflight) Advice() []string {
	var out []string
	fatal := slices.Clone(p.Missing)
	for _, c := range Capabilities {
		if slices.Contains(p.Missing, c.Name) {
			out = append(out, c.String())
			fatal = slices.DeleteFunc(fatal, func(name string) bool { return name == c.Name })
		}
	}
	if len(fatal) > 0 {
		out = append(out, "run nettrace as root, or give the pod "+strings.Join(fatal, " and "))
	}
	if p.Hidden != "" {
		out = append(out, p.Hidden)
	}
	if !p.BTF {
		out = append(out, "use a kernel built with CONFIG_DEBUG_INFO_BTF: without the kernel's types nothing can be traced")
	}
	if p.Lockdown == "confidentiality" {
		out = append(out, "lockdown=confidentiality forbids kprobes and reading kernel memory: boot with lockdown=integrity to trace this node")
	}
	if len(p.Rungs) == 1 && p.Error == "" {
		out = append(out, "this kernel has neither kprobes nor fentry: netfilter, conntrack and IPVS steps are inferred from what tracepoints show")
	}
	if p.Error == "" && !p.DropReasons {
		out = append(out, "this kernel gives no drop reasons (they came with 5.17): nettrace infers them and marks them 'inferred:'")
	}
	return out
}
