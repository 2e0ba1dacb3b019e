// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// recorder keeps what one way met in one base chain.
type recorder struct {
	d          *DryRun
	name, hook string
	nth        int
	b          *base
	x          *Way
}

// see is called by the walks for each rule that matches or may.
func (r *recorder) see(v *visit) {
	s := r.step(v)
	// the same rule again, of this way with another mark or of another way
	s.Share, s.Sure = min(1, s.Share+v.share), s.Sure && v.sure && r.x.Sure
	if v.sure && v.share >= r.x.Share*0.999999 {
		s.met++ // by every packet of this way
	}
	for _, u := range v.unknown {
		if !slices.Contains(s.Unknown, u) {
			s.Unknown = append(s.Unknown, u)
		}
	}
	s.dsts[netip.AddrPortFrom(r.x.Packet.Dst, r.x.Packet.Dport).String()] = true
}

func (r *recorder) step(v *visit) *Step {
	key := append(append([]int{r.d.section, r.nth}, v.from...), v.number)
	id := fmt.Sprint(key)
	if s := r.d.seen[id]; s != nil {
		return s
	}
	s := &Step{Place: r.name, Hook: r.hook, Backend: r.b.backend, Family: r.b.family, Table: r.b.table, Base: r.b.chain, Priority: r.b.prio,
		Chain: v.chain, Number: v.number, Path: v.path, Sure: true, key: key, dsts: map[string]bool{}}
	switch {
	case v.nft != nil:
		o := v.nft
		s.Handle, s.Text, s.Comment, s.Verdict = o.rule.Handle, nftText(o.rule.Expr), o.rule.Comment, nftVerdict(o.rule.Expr)
		if s.Comment == "" {
			s.Comment = o.via.comment
		}
		s.Owner = ownerOfNFT(r.b.table, o)
	case v.rule != nil:
		s.Text, s.Comment, s.Verdict, s.To = v.rule.Text, v.rule.Comment, v.rule.Target, translation(v.target)
		s.Owner = OwnerOf(v.chain, s.Comment, v.path)
		if o := (outcome{verdict: s.Verdict, args: v.target}); unknownTarget(r.b, &o) {
			s.Unknown = oneUnknown("target " + s.Verdict)
		}
	}
	if r.d.seen == nil {
		r.d.seen = map[string]*Step{}
	}
	r.d.seen[id] = s
	r.d.all = append(r.d.all, s)
	return s
}

// of is the step of the rule that ended a way; a policy that drops becomes one.
func (r *recorder) of(e *ended) *Step {
	if e.policy {
		if e.verdict != "DROP" {
			return nil
		}
		s := r.step(&visit{place: place{path: []string{r.b.chain}}, chain: r.b.chain, number: policyLast})
		s.Number, s.Verdict = 0, "DROP"
		s.Owner = OwnerOf(r.b.chain, "", s.Path)
		r.see(&visit{place: place{path: s.Path}, chain: r.b.chain, number: policyLast, state: e.state})
		return s
	}
	var s *Step
	for _, o := range r.d.all { // the last that was met at this place
		if o.key[0] == r.d.section && o.key[1] == r.nth && o.Chain == e.visit.chain && o.Number == e.visit.number && slices.Equal(o.Path, e.visit.path) {
			s = o
		}
	}
	if s == nil {
		return nil
	}
	if e.to != "" {
		s.To = e.to
	}
	if o := e.visit.nft; o != nil { // the way it ended tells more about whose it is
		s.Owner, s.Comment = ownerOfNFT(r.b.table, o), cmp.Or(s.Comment, o.via.comment)
	}
	return s
}

// policyLast sorts a policy behind the rules.
const policyLast = 1 << 30

// unknownTarget: neither a verdict, nor a chain, nor one after which the packet goes on.
func unknownTarget(b *base, o *outcome) bool {
	return o.verdict != "" && b.target != nil && b.target(o)
}

// mergeSteps says of the steps of a base chain for which ways they are, when not for all.
// whole says that the ways are all that there are: a rule that every one of them meets is met for certain, however the flow came to be split.
func (d *DryRun) mergeSteps(nth int, ways []Way, whole bool) {
	all := map[string]bool{}
	for i := range ways {
		all[netip.AddrPortFrom(ways[i].Packet.Dst, ways[i].Packet.Dport).String()] = true
	}
	for _, s := range d.all {
		if s.key[0] != d.section || s.key[1] != nth {
			continue
		}
		if len(s.dsts) < len(all) {
			s.For = slices.Sorted(maps.Keys(s.dsts))
		}
		if whole && s.met == len(ways) {
			s.Share, s.Sure = 1, true
		}
	}
}

// nftVerdict is what a rule does in the end: "jump services", "DNAT", "vmap".
func nftVerdict(expr json.RawMessage) string {
	var statements []map[string]any
	if json.Unmarshal(expr, &statements) != nil {
		return ""
	}
	for _, s := range statements {
		for name, arg := range s {
			switch {
			case name == "jump" || name == "goto":
				return name + " " + clean(field(arg, "target"))
			case name == "vmap":
				return name
			case isVerdict(name):
				return strings.ToUpper(name)
			}
		}
	}
	return ""
}
