// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"slices"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// pending is what functions told that the next events complete: a hook is accepted when the packet is seen behind it.
type pending struct {
	conntrack *tracer.Event // looked up; the entry shows at the next event
	words     string        // why connection tracking calls it INVALID
	tableFull bool
	confirm   *tracer.Event // its connection was being entered
	natType   string
	nat       *tracer.Event // the rewriting that explains the next change of addresses
	checked   bool          // its source was checked last
	noServer  bool          // IPVS has no real server for it
	tunnel    *tracer.Event // a tunnel device took it and has not sent it yet
	sent      *tracer.Event // put into the tunnel
	port      *tracer.Event // the bridge found its port
	full      *tracer.Event // a listener whose accept queue is full takes it
	rules     asked         // in the hook that it is in
	natRules  []Sighting    // those that chose its translation
	hook      int           // 1-based index of the hop of the hook that it is in
	last      tracer.Role   // of the last function
}

// function adds what a kernel function's call means.
func (f *flight) function(a *Assembler, e *tracer.Event) {
	role := tracer.RoleOf(e.Point)
	f.pend.last = role
	f.settle(a, e, role)
	switch role {
	case tracer.RoleHook:
		f.hook(a, e)
	case tracer.RoleTable, tracer.RoleChain:
		f.table(a, e)
	case tracer.RoleConntrack:
		f.pend.conntrack = keep(e)
	case tracer.RoleInvalid:
		f.pend.words = e.Words
	case tracer.RoleTableFull:
		f.pend.tableFull = true
	case tracer.RoleConfirm:
		f.pend.confirm = keep(e)
	case tracer.RoleMasquerade:
		f.pend.natType = "masquerade"
	case tracer.RoleRedirect:
		f.pend.natType = "redirect"
	case tracer.RoleNAT:
		f.pend.natRules = slices.Clone(f.pend.rules.seen)
		f.rewritten(a, e)
	case tracer.RoleRule:
		f.pend.rules.see(e)
	case tracer.RoleReset:
		f.hasRST = true
	case tracer.RoleICMP:
		f.icmp = icmpName(tracer.FuncOf(e.Point) == "icmp6_send", uint8(e.Value), uint8(e.Limit))
	case tracer.RoleQueue:
		f.queued(a, e)
	case tracer.RoleIPVS:
		f.ipvs(a, e)
	case tracer.RoleNoServer:
		f.pend.noServer = true
		f.add(f.functionHop(a, e, StageIPVS))
	case tracer.RoleSourceCheck:
		f.pend.checked = !f.rejecting()
	case tracer.RoleFragment, tracer.RoleTCRedirect, tracer.RoleBridgeFlood:
		f.add(f.functionHop(a, e, plainStages[role]))
	case tracer.RoleBridgePort:
		f.bridgePort(a, e)
	case tracer.RoleLocal:
		f.local = f.local || !f.outer.Valid()
	case tracer.RoleTunnel:
		f.pend.tunnel = keep(e)
	case tracer.RoleTunnelSend:
		f.pend.tunnel, f.pend.sent = nil, keep(e)
	case tracer.RoleListener:
		if e.Value > e.Limit { // include/net/sock.h, sk_acceptq_is_full
			f.pend.full = keep(e)
		}
	case tracer.RoleRelease:
		f.released(a, e)
	}
}

// plainStages are the stages of functions whose call is all there is to say.
var plainStages = map[tracer.Role]Stage{
	tracer.RoleFragment: StageFragment, tracer.RoleTCRedirect: StageTC, tracer.RoleBridgeFlood: StageBridge,
}

// keep copies an event, which is the caller's.
func keep(e *tracer.Event) *tracer.Event {
	c := *e
	return &c
}

// settleDevice does so for the tracepoints. A drop is no proof that the packet passed its hook.
func (f *flight) settleDevice(a *Assembler, e *tracer.Event) {
	switch e.Point {
	case tracer.PointNeighSend, tracer.PointNeighDead: // asked for behind the last hook
		if f.pend.conntrack == nil {
			f.passed(a)
		}
		return
	case tracer.PointConsume, tracer.PointQueue, tracer.PointICMP, tracer.PointResetSent:
		return
	case tracer.PointDrop:
		if f.pend.conntrack != nil {
			f.lookedUp(a, e)
		}
		if h := f.currentHook(); h != nil && h.Verdict == "" && inNetfilter[e.Location] {
			h.Verdict = "drop"
		}
		return
	case tracer.PointFIB, tracer.PointFIB6:
		if f.pend.hook > 0 && e.HasPacket { // rules can ask for routes: only a change of place shows that the hook is over
			f.lookedUp(a, e)
			return
		}
	}
	if !e.HasPacket {
		return
	}
	f.lookedUp(a, e)
	f.passed(a)
	f.pend.checked, f.pend.port = false, nil
}

// settle tells what earlier functions began and this event completes.
func (f *flight) settle(a *Assembler, e *tracer.Event, role tracer.Role) {
	if role != tracer.RoleInvalid && role != tracer.RoleTableFull {
		f.lookedUp(a, e)
	}
	switch role {
	case tracer.RoleTable, tracer.RoleChain, tracer.RoleConntrack, tracer.RoleNAT, tracer.RoleMasquerade, tracer.RoleRedirect, tracer.RoleInvalid, tracer.RoleTableFull,
		tracer.RoleConfirm, tracer.RoleReset, tracer.RoleICMP, tracer.RoleQueue, tracer.RoleSchedule, tracer.RoleIPVS, tracer.RoleNoServer, tracer.RoleRelease, tracer.RoleRule:
		return // still inside the hook
	case tracer.RoleSourceCheck:
		if f.rejecting() {
			return
		}
	}
	f.passed(a)
	if role != tracer.RoleSourceCheck && role != tracer.RoleUnroutable {
		f.pend.checked = false
	}
}

// rejecting: behind PREROUTING a source is checked only for the answer of a rule that rejects, which looks for its way from inside the hook
// (net/ipv4/netfilter/nf_reject_ipv4.c, nf_reject_fill_skb_dst).
func (f *flight) rejecting() bool {
	h := f.currentHook()
	return h != nil && h.Verdict == "" && h.Hook != "" && h.Hook != hookNames[0]
}

// functionHop is a hop for a function's call.
func (f *flight) functionHop(a *Assembler, e *tracer.Event, stage Stage) Hop {
	h := f.hop(a, e, stage)
	h.Step = roleNames[tracer.RoleOf(e.Point)]
	if f.outer.Valid() { // functions do not parse the packet
		h.Outer = f.outerPtr
	}
	return h
}

// roleNames tell hops of one stage apart.
var roleNames = map[tracer.Role]string{
	tracer.RoleFragment: "fragment", tracer.RoleTCRedirect: "redirect", tracer.RoleBridgeFlood: "flood",
	tracer.RoleBridgePort: "port", tracer.RoleIPVS: "real-server", tracer.RoleNoServer: "no-server", tracer.RoleQueue: "queue", tracer.RoleHook: "hook", tracer.RoleChain: "hook",
	tracer.RoleConntrack: "lookup", tracer.RoleConfirm: "confirm",
}

func (f *flight) ipvs(a *Assembler, e *tracer.Event) {
	h := f.functionHop(a, e, StageIPVS)
	if e.Backend.Valid() {
		h.IPVS = &IPVS{Method: ipvsMethods[h.Func], Virtual: destination(e.Virtual), Server: destination(e.Backend)}
	}
	f.pend.nat = keep(e)
	if hook := f.currentHook(); hook != nil && hook.Verdict == "" {
		hook.Verdict = "stolen"
	}
	f.add(h)
}

// ipvsMethods are the names of ipvsadm(8).
var ipvsMethods = map[string]string{
	"ip_vs_nat_xmit": "masquerading", "ip_vs_nat_xmit_v6": "masquerading", "ip_vs_tunnel_xmit": "tunneling", "ip_vs_dr_xmit": "direct routing",
}

func (f *flight) bridgePort(a *Assembler, e *tracer.Event) {
	f.pend.port = keep(e)
	h := f.functionHop(a, e, StageBridge)
	h.Port = e.OutDev
	if p := f.lastHop(); p != nil && p.Stage == StageBridge && p.NetNS == h.NetNS {
		h.Dev, h.DevKind, h.Ifindex = p.Dev, p.DevKind, p.Ifindex
		if p.Func == "" { // the bridge that was deduced from the port: where it came in stays with it
			h.From = p.Port
		}
	}
	if h.From == "" {
		h.From = e.Dev
	}
	f.add(h)
}

// released: the packet's memory was given back without a tracepoint that says why.
func (f *flight) released(a *Assembler, e *tracer.Event) {
	f.consume(a, e)
}
