// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"
	"slices"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
	"github.com/nettrace-io/nettrace/pkg/ruletrace"
)

// Traced is what the kernel itself told of rules that packets met, as far as a rule decided: dropped, rejected or translated. The zero value
// and nil know nothing.
type Traced struct {
	rules map[uint32][]tracedRule // by namespace, in the order of their telling
	n     int
}

type tracedRule struct {
	packet ruletrace.Packet
	found  ruleset.Found
}

// maxTraced bounds what is kept; of more, the newest.
const maxTraced = 50000

// Add takes a record. Which rule it names is looked up in the snapshot.
func (t *Traced) Add(s *Snapshot, r *ruletrace.Record) {
	n := s.ByInode(r.NetNS)
	if n == nil || r.Type == "return" {
		return
	}
	f, ok := decided(n, r)
	if !ok {
		return
	}
	if t.n >= maxTraced {
		t.halve()
	}
	if t.rules == nil {
		t.rules = map[uint32][]tracedRule{}
	}
	t.rules[r.NetNS] = append(t.rules[r.NetNS], tracedRule{r.Packet, f})
	t.n++
}

func (t *Traced) halve() {
	t.n = 0
	for k, list := range t.rules {
		t.rules[k] = slices.Clone(list[len(list)/2:])
		t.n += len(t.rules[k])
	}
}

// tableFamilies are NFPROTO_* (include/uapi/linux/netfilter.h) by nft's names.
var tableFamilies = map[uint8]string{1: "inet", 2: "ip", 10: "ip6"}

// decided is the rule or policy that a record names, if it dropped, rejected or translated. nftables tells what became of the packet; a rule of
// iptables-legacy is told when it matched, before its target, and its target is known from the snapshot.
func decided(n *Namespace, r *ruletrace.Record) (ruleset.Found, bool) {
	name := ruleset.Name{Legacy: r.Backend == "iptables-legacy", Family: tableFamilies[r.Family], Table: r.Table, Chain: r.Chain}
	if r.Type == "rule" {
		name.Handle, name.Number = r.Handle, r.Number
	}
	dropped := r.Verdict == "drop"
	f, ok := ruleset.Named(n.Rulesets, name)
	switch {
	case !ok && dropped && r.Type == "rule": // made since the snapshot
		return ruleset.Found{Backend: "nft", Family: name.Family, Table: r.Table, Chain: r.Chain, Handle: r.Handle, Verdict: "DROP", Path: []string{r.Chain}, Owner: ruleset.OwnerOf(r.Chain, "", nil)}, true
	case !ok, !name.Legacy && slices.Contains(dropTargets, f.Verdict) && !dropped:
		return f, false
	case dropped && !slices.Contains(dropTargets, f.Verdict):
		f.Verdict = "DROP" // by a verdict map, or a target that drops on its way
	}
	return f, slices.Contains(dropTargets, f.Verdict) || slices.Contains(queueTargets, f.Verdict) || slices.Contains(dnatTargets, f.Verdict) || slices.Contains(snatTargets, f.Verdict)
}

// at is the rule that was told to have done one of these things to the packet of hop i. A connection is translated as its first packet was, so
// later ones have that one's rule.
func (t *Traced) at(j *journey.Journey, i int, verdicts []string) (ruleset.Found, bool) {
	if t == nil {
		return ruleset.Found{}, false
	}
	f, ok, seen := t.only(j, i, verdicts, isPacket)
	if !seen && j.Hops[i].Stage == journey.StageNAT {
		f, ok, _ = t.only(j, i, verdicts, isConnection)
	}
	return f, ok
}

// only is the one rule of the packets that is says; ok is false when there are several, as packets that cannot be told apart may have met
// different ones: those of IPv6 over UDP, say.
func (t *Traced) only(j *journey.Journey, i int, verdicts []string, is func(*ruletrace.Packet, *journey.Journey, int) bool) (f ruleset.Found, ok, seen bool) {
	list := t.rules[j.Hops[i].NetNS]
	for k := range list {
		r := &list[k]
		if !slices.Contains(verdicts, r.found.Verdict) || !is(&r.packet, j, i) {
			continue
		}
		if seen && !sameRule(&f, &r.found) {
			return ruleset.Found{}, false, true
		}
		f, ok, seen = r.found, true, true
	}
	return f, ok, seen
}

// sameRule compares by number: a rule of iptables-nft is not always known with its handle. Without a number it is a policy, or a rule that the
// snapshot does not have.
func sameRule(a, b *ruleset.Found) bool {
	return a.Backend == b.Backend && a.Family == b.Family && a.Table == b.Table && a.Chain == b.Chain && a.Number == b.Number && (a.Number > 0 || a.Handle == b.Handle)
}

// isPacket tells a journey's packet by what translation leaves alone, IP id and TCP sequence, and by one of the tuples that it had so far; a
// tunnel's packet by its addresses and ports, of which the source port is a hash of the flow inside.
func isPacket(p *ruletrace.Packet, j *journey.Journey, i int) bool {
	if o := j.Hops[i].Outer; o != nil {
		return tupleOf(p) == *o
	}
	same := (p.Src.Is6() || p.IPID == j.Packet.IPID) && (j.Packet.Proto != "tcp" || p.Seq == j.Packet.Seq)
	return same && isConnection(p, j, i)
}

// isConnection compares protocol and addresses only.
func isConnection(p *ruletrace.Packet, j *journey.Journey, i int) bool {
	if journey.ProtoName(p.Proto) != j.Packet.Proto {
		return false
	}
	if tupleOf(p) == j.Packet.Tuple {
		return true
	}
	for k := 0; k <= i; k++ {
		if h := &j.Hops[k]; h.Tuple != nil && tupleOf(p) == *h.Tuple {
			return true
		}
	}
	return false
}

func tupleOf(p *ruletrace.Packet) journey.Tuple {
	addr := func(a netip.Addr) netip.Addr { return a.Unmap() }
	return journey.Tuple{Src: addr(p.Src), Sport: p.Sport, Dst: addr(p.Dst), Dport: p.Dport}
}
