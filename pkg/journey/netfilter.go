// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/ruletrace"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// Netfilter's families and hooks (include/uapi/linux/netfilter.h).
const (
	nfIPv4   = 2
	nfNetdev = 5
	nfBridge = 7
	nfIPv6   = 10
)

var hookNames = [...]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}

func hookName(pf, hook uint32) string {
	switch {
	case pf == nfNetdev:
		return pick(hook == 0, "ingress", "egress")
	case int(hook) < len(hookNames):
		return hookNames[hook]
	}
	return ""
}

// hook begins a netfilter hook. A bridge's own hooks are told only when rules are asked there.
func (f *flight) hook(a *Assembler, e *tracer.Event) {
	if e.PF == nfBridge {
		return
	}
	f.beginHook(a, e)
}

func (f *flight) beginHook(a *Assembler, e *tracer.Event) *Hop {
	h := f.functionHop(a, e, StageNetfilter)
	h.Hook = hookName(e.PF, e.Hook)
	h.Family = familyNames[e.PF]
	if e.InDev != "" && e.Dev == "" {
		h.Dev, h.Ifindex = e.InDev, e.InIndex
	}
	if f.add(h); f.cut { // no hop stands for the hook
		f.pend.hook = 0
		return &h
	}
	f.pend.hook = len(f.j.Hops)
	return &f.j.Hops[f.pend.hook-1]
}

var familyNames = map[uint32]string{nfIPv4: "ip", nfIPv6: "ip6", nfBridge: "bridge", nfNetdev: "netdev"}

// table notes which rules the hook asked; an nftables chain can be asked where no hook was seen to begin.
func (f *flight) table(a *Assembler, e *tracer.Event) {
	h := f.currentHook()
	if h == nil || (e.Table != "" && tracer.RoleOf(e.Point) == tracer.RoleTable && h.Hook != hookName(e.PF, e.Hook)) {
		h = f.beginHook(a, e)
		if tracer.RoleOf(e.Point) == tracer.RoleChain {
			h.Hook, h.Family = "", ""
		}
	}
	name := e.Table
	if e.Chain != "" {
		name += "/" + e.Chain
	}
	f.pend.rules.enter(e, name)
	const most = 32
	if name != "" && !strings.HasPrefix(name, ruletrace.TablePrefix) && len(h.Tables) < most && !slices.Contains(h.Tables, name) {
		h.Tables = append(h.Tables, name)
	}
}

func (f *flight) currentHook() *Hop {
	if i := f.pend.hook; i > 0 && i <= len(f.j.Hops) {
		return &f.j.Hops[i-1]
	}
	return nil
}

// passed: the packet was seen behind the hook that it was in.
func (f *flight) passed(a *Assembler) {
	if h := f.currentHook(); h != nil && h.Verdict == "" {
		h.Verdict = "accept"
	}
	f.dropDoubled()
	f.pend.hook, f.pend.words, f.pend.tableFull, f.pend.rules = 0, "", false, asked{}
	if c := f.pend.confirm; c != nil {
		f.pend.confirm = nil
		f.add(f.functionHop(a, c, StageConntrack))
	}
}

// dropDoubled takes out the hook that br_netfilter had run already: the kernel calls PREROUTING again above the bridge and leaves it at once
// (net/bridge/br_netfilter_hooks.c, ip_sabotage_in), so nothing is asked there.
func (f *flight) dropDoubled() {
	h := f.currentHook()
	if h == nil || h.Hook != hookNames[0] || len(h.Tables) > 0 || h.Verdict != "accept" || h.Outer != nil {
		return
	}
	i, above := f.pend.hook-1, false
	for k := i - 1; k >= 0 && f.j.Hops[k].NetNS == h.NetNS; k-- {
		p := &f.j.Hops[k]
		above = above || p.Stage == StageBridge
		if above && p.Stage == StageNetfilter && p.Hook == h.Hook && p.Outer == nil {
			f.j.Hops = slices.Delete(f.j.Hops, i, i+1)
			return
		}
	}
}

// lookedUp tells what connection tracking found, which the next event shows.
func (f *flight) lookedUp(a *Assembler, e *tracer.Event) {
	c := f.pend.conntrack
	if c == nil {
		return
	}
	f.pend.conntrack = nil
	h := f.functionHop(a, c, StageConntrack)
	switch {
	case e.HasCT:
		h.CT = conntrackOf(e)
		f.pend.tableFull = false // an old entry went
	case f.pend.tableFull:
		h.CT, h.Step = nil, "table-full"
	case e.CTInfo == ctUntracked:
		h.CT = &CT{State: "UNTRACKED"}
	default:
		h.CT = &CT{State: "INVALID"}
		h.Why = f.pend.words
	}
	h.Hook = hookOfHop(f.currentHook())
	f.add(h)
}

func hookOfHop(h *Hop) string {
	if h == nil {
		return ""
	}
	return h.Hook
}

// The sides of a translation (enum nf_nat_manip_type, include/net/netfilter/nf_nat.h).
const manipSrc = 0

// rewritten: the packet gets the addresses that the other direction of its conntrack entry answers (net/netfilter/nf_nat_core.c).
func (f *flight) rewritten(a *Assembler, e *tracer.Event) {
	if !e.HasCT || f.outer.Valid() {
		f.pend.nat = keep(e)
		return
	}
	other := e.CTReply // of the original direction
	if e.Limit != 0 {
		other = e.CTOrig
	}
	want := f.tuple
	if e.Value == manipSrc {
		want.Src, want.Sport = other.Dst, other.Dport
	} else {
		want.Dst, want.Dport = other.Src, other.Sport
	}
	if want.Proto == tracer.ProtoICMP {
		want.Sport, want.Dport = f.tuple.Sport, f.tuple.Dport
	}
	if want == f.tuple || other.Proto != f.tuple.Proto {
		return
	}
	f.pend.nat = keep(e)
	if e.Limit != 0 && e.CTInfo < ctIsReply {
		e.CTInfo = ctIsReply
	}
	e.Tuple = want
	f.nat(a, e)
}

func (f *flight) queued(a *Assembler, e *tracer.Event) {
	h := f.functionHop(a, e, StageNetfilter)
	h.Hook, h.Verdict = hookOfHop(f.currentHook()), "queue"
	f.add(h)
	f.waiting = true
}
