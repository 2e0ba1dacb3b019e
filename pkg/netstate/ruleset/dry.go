// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// maxWays bounds how many ways of one flow are followed.
const maxWays = 1024

// DryRun follows a new connection's first packet through the rules of one namespace after the other, without a packet. It collects the rules
// that the packet meets, in the kernel's order of hooks and base chains, and where it ends.
type DryRun struct {
	Steps []Step
	Ends  []End

	section int
	whole   bool // the ways at hand are all that there are of the flow
	seen    map[string]*Step
	all     []*Step
}

// visit is a rule that a packet meets, as the walks tell of it.
type visit struct {
	place
	state
	chain   string
	number  int
	rule    *Rule
	nft     *nftOutcome
	target  []condition
	unknown []string
}

// Receive lets packets come in at their device: PREROUTING, then INPUT for those whose destination is local, FORWARD and POSTROUTING for the
// others. It returns both; neither has an end yet.
func (d *DryRun) Receive(name string, w *World, ways []Way) (local, onward []Way) {
	ways = fresh(w, ways)
	for i := range ways {
		ways[i].Packet.Out, ways[i].Packet.PhysOut = "", ""
	}
	d.whole = len(d.Ends) == 0
	ways = d.hook(name, w, "PREROUTING", ways)
	var forward []Way
	for _, x := range ways {
		if w.Local(x.Packet.Dst) {
			local = append(local, x)
		} else if x, ok := d.routed(name, w, x); ok {
			forward = append(forward, x)
		}
	}
	d.whole = d.whole && (len(local) == 0 || len(forward) == 0)
	local = d.hook(name, w, "INPUT", local)
	return local, d.hook(name, w, "POSTROUTING", d.hook(name, w, "FORWARD", forward))
}

// Send lets packets start in the namespace: OUTPUT and POSTROUTING; what is for the namespace itself comes in again through its loopback.
func (d *DryRun) Send(name string, w *World, ways []Way) (local, onward []Way) {
	ways = fresh(w, ways)
	var out []Way
	for _, x := range ways {
		x.Packet.In, x.Packet.PhysIn, x.Packet.PhysOut = "", "", ""
		if x, ok := d.routed(name, w, x); ok {
			out = append(out, x)
		}
	}
	d.whole = len(d.Ends) == 0
	out = d.hook(name, w, "OUTPUT", out)
	var again []Way
	for _, x := range out { // what was translated is routed once more
		if x, ok := d.routed(name, w, x); ok {
			again = append(again, x)
		}
	}
	for _, x := range d.hook(name, w, "POSTROUTING", again) {
		if !w.Local(x.Packet.Dst) {
			onward = append(onward, x)
			continue
		}
		x.Packet.In, x.Packet.Out, x.known = "lo", "", true
		local = append(local, x)
	}
	d.whole = d.whole && len(onward) == 0
	return d.hook(name, w, "INPUT", d.hook(name, w, "PREROUTING", local)), onward
}

// fresh: a namespace has its own conntrack and ipsets, and marks do not cross from one to the next (net/core/skbuff.c, skb_scrub_packet).
func fresh(w *World, ways []Way) []Way {
	ways = slices.Clone(ways)
	for i := range ways {
		x := &ways[i]
		x.untracked, x.dnat, x.snat, x.known = false, false, false, false
		x.Packet.Sets = w.IPSets
	}
	return ways
}

func (d *DryRun) routed(name string, w *World, x Way) (Way, bool) {
	if w.Local(x.Packet.Dst) {
		x.Packet.Out = "lo"
		return x, true
	}
	dev, ok := w.Route(x.Packet.Dst)
	if !ok {
		d.end(End{Verdict: EndNoRoute, Place: name}, &x, nil)
	}
	x.Packet.Out = dev
	return x, ok
}

// Accepted ends ways that no rule stopped.
func (d *DryRun) Accepted(name string, local bool, ways []Way) {
	for i := range ways {
		d.end(End{Verdict: EndAccept, Place: name, Local: local, Out: ways[i].Packet.Out}, &ways[i], nil)
	}
}

// hook asks all base chains of a hook, and returns the ways that go on.
func (d *DryRun) hook(name string, w *World, hook string, ways []Way) []Way {
	d.section++
	if len(ways) == 0 {
		return nil
	}
	for k, b := range basesOf(w.Sets, hook, ways[0].Packet.Dst.Is6()) {
		var next []Way
		whole := d.whole && len(d.Ends) == 0
		for i := range ways {
			if b.nat && !ways[i].translatable(hook) {
				next = merge(next, ways[i])
				continue
			}
			for _, x := range d.ask(name, w, hook, k, &b, ways[i]) {
				next = merge(next, x)
			}
		}
		d.mergeSteps(k, ways, whole)
		if len(next) > maxWays {
			for i := range next[maxWays:] {
				d.end(End{Verdict: EndUnknown, Place: name}, &next[maxWays+i], nil)
			}
			next = next[:maxWays]
		}
		ways = next
	}
	return ways
}

// translatable: NAT is asked once for each direction of a connection that conntrack follows (net/netfilter/nf_nat_core.c, nf_nat_inet_fn).
func (x *Way) translatable(hook string) bool {
	if x.untracked || x.known {
		return false
	}
	if natPrio(hook) == prioNATDst {
		return !x.dnat
	}
	return !x.snat
}

// ask lets one way through one base chain.
func (d *DryRun) ask(name string, w *World, hook string, nth int, b *base, x Way) []Way {
	p := x.Packet
	src, dst := w.Local(p.Src), w.Local(p.Dst)
	p.LocalSrc, p.LocalDst = &src, &dst
	p.CTState = "NEW"
	switch {
	case x.untracked:
		p.CTState = "UNTRACKED"
	case b.prio < prioConntrack && !x.known:
		p.CTState = "INVALID" // there is no connection yet (net/netfilter/xt_conntrack.c)
	}
	p.CTStatus = nil
	if x.dnat {
		p.CTStatus = append(p.CTStatus, "DST_NAT")
	}
	if x.snat {
		p.CTStatus = append(p.CTStatus, "SRC_NAT")
	}
	if hook == "INPUT" {
		p.Out, p.PhysOut = "", ""
	}
	steps := &recorder{d: d, name: name, hook: hook, nth: nth, b: b, x: &x}
	in := state{mark: p.Mark, untracked: x.untracked, sure: !x.vague, share: x.Share}
	var on []Way
	for _, e := range b.run(&Question{Hook: hook, Packet: p}, in, steps.see) {
		y := x
		y.Packet.Mark, y.untracked, y.Share, y.Sure = e.mark, e.untracked, e.share, x.Sure && e.sure
		decided := steps.of(&e)
		end := End{Place: name}
		switch e.verdict {
		case "DROP":
			end.Verdict = EndDrop
		case "REJECT":
			end.Verdict = EndReject
		case "QUEUE", "NFQUEUE":
			end.Verdict = EndQueue
		case "ACCEPT", "":
		default:
			if !y.translate(w, hook, &e) {
				end.Verdict = EndUnknown
			}
		}
		if e.cut {
			end.Verdict = EndUnknown
		}
		if end.Verdict != "" {
			d.end(end, &y, decided)
			continue
		}
		on = append(on, y)
	}
	return on
}

// translate changes the packet; false when the result is not known.
func (x *Way) translate(w *World, hook string, e *ended) bool {
	p := &x.Packet
	addr, port, ok := cutTarget(e.to)
	switch e.verdict {
	case "DNAT":
		if !ok {
			return false
		}
		x.dnat = true
		if addr.IsValid() {
			p.Dst = addr
		}
		p.Dport = cmp.Or(port, p.Dport)
		return addr.IsValid() || port != 0
	case "REDIRECT": // to the loopback for what starts here, to the address of the device that it came in at otherwise
		if !ok {
			return false
		}
		x.dnat = true
		to := w.Source(p.In, p.Dst.Is6())
		if hook == "OUTPUT" {
			to = loopback(p.Dst.Is6())
		}
		if !to.IsValid() {
			return false
		}
		p.Dst, p.Dport = to, cmp.Or(port, p.Dport)
		return true
	case "SNAT", "MASQUERADE":
		x.snat = true
		x.From = strings.TrimSpace(e.verdict + " " + e.to)
		if e.verdict == "MASQUERADE" {
			addr = w.Source(p.Out, p.Dst.Is6())
		}
		if addr.IsValid() {
			p.Src, x.From = addr, addr.String()
		}
		x.vague = !addr.IsValid()
		return true
	}
	return false
}

func loopback(six bool) netip.Addr {
	if six {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// cutTarget reads "10.0.0.1", "10.0.0.1:80", "[fd00::1]:80", ":80" and "". A range of addresses or ports is not one target.
func cutTarget(s string) (a netip.Addr, port uint16, ok bool) {
	if s == "" {
		return a, 0, true
	}
	if p, err := netip.ParseAddrPort(s); err == nil {
		return p.Addr().Unmap(), p.Port(), true
	}
	if p, ok := strings.CutPrefix(s, ":"); ok {
		n, err := portNumber(p, 0)
		return a, n, err == nil
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap(), 0, err == nil
}

// merge adds a way; of those that rules cannot tell apart the shares are added.
func merge(all []Way, x Way) []Way {
	for i := range all {
		o := &all[i]
		if o.same(&x) {
			o.Share, o.Sure = min(1, o.Share+x.Share), o.Sure && x.Sure
			return all
		}
	}
	return append(all, x)
}

func (x *Way) same(o *Way) bool {
	p, q := &x.Packet, &o.Packet
	return p.Src == q.Src && p.Dst == q.Dst && p.Sport == q.Sport && p.Dport == q.Dport && p.Mark == q.Mark && p.In == q.In && p.Out == q.Out && p.PhysIn == q.PhysIn && p.PhysOut == q.PhysOut &&
		x.From == o.From && x.untracked == o.untracked && x.dnat == o.dnat && x.snat == o.snat && x.known == o.known
}

func (d *DryRun) end(e End, x *Way, decided *Step) {
	e.To, e.From, e.Share, e.Sure, e.step = netip.AddrPortFrom(x.Packet.Dst, x.Packet.Dport), x.From, x.Share, x.Sure, decided
	for i := range d.Ends {
		o := &d.Ends[i]
		if o.Verdict == e.Verdict && o.Place == e.Place && o.To == e.To && o.From == e.From && o.Out == e.Out && o.Local == e.Local && o.step == e.step {
			o.Share, o.Sure = min(1, o.Share+e.Share), o.Sure && e.Sure
			return
		}
	}
	d.Ends = append(d.Ends, e)
}

// Finish puts the steps into order and the likely ends first.
func (d *DryRun) Finish() {
	slices.SortStableFunc(d.all, func(a, b *Step) int { return slices.Compare(a.key, b.key) })
	d.Steps = nil
	index := map[*Step]int{}
	for i, s := range d.all {
		index[s] = i + 1
		d.Steps = append(d.Steps, *s)
	}
	for i := range d.Ends {
		d.Ends[i].Step = index[d.Ends[i].step]
	}
	slices.SortStableFunc(d.Ends, func(a, b End) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(fmt.Sprint(a.To), fmt.Sprint(b.To)), cmp.Compare(a.Verdict, b.Verdict))
	})
}
