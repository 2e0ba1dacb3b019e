// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/ruletrace"
)

// tracedNote is what a run is told of rules at a time.
type tracedNote struct {
	Records []ruletrace.Record `json:"records,omitempty"`
	Lost    uint64             `json:"lost,omitempty"` // times so far that the kernel had to throw records away
}

// maxTraceRecords bounds what one run takes.
const maxTraceRecords = 1 << 20

// ruleTrace is --trace-rules beside a run; nil does nothing.
type ruleTrace struct {
	session *ruletrace.Session
	warn    func(string)
	taken   int
	lost    uint64
	failed  bool
}

// traceRules begins to trace the rules that the plan's flow meets.
func (p *plan) traceRules(o *flowOptions, warn func(string)) (*ruleTrace, error) {
	if !o.traceRules {
		return nil, nil
	}
	to := p.translations()
	f := ruletrace.Flow{Proto: p.filter.Proto, Sport: p.filter.Sport, Ends: to.ends, Via: to.via, Outer: p.filter.Outer, VXLANPorts: p.filter.VXLANPorts}
	if !p.filter.AnySrc {
		f.Src = p.filter.Src
	}
	for _, a := range p.filter.Dst {
		f.Dst = append(f.Dst, netip.AddrPortFrom(a, p.filter.Dport))
	}
	spaces := p.traceNamespaces(&f)
	if len(spaces) == 0 {
		warn("--trace-rules: no namespace that this flow is known to cross has rules, so nothing is added")
		return nil, nil
	}
	s, err := ruletrace.Start(ruletrace.Options{Flow: f, Namespaces: spaces, Guard: guardianOf(rulesGuard), Warn: warn})
	if err != nil {
		return nil, err
	}
	return &ruleTrace{session: s, warn: warn}, nil
}

// tell takes the records that wait; false when there is nothing to tell.
func (r *ruleTrace) tell() (tracedNote, bool) {
	if r == nil || r.session == nil {
		return tracedNote{}, false
	}
	n := tracedNote{Records: r.session.Drain(), Lost: r.session.Lost()}
	if room := maxTraceRecords - r.taken; len(n.Records) > room {
		n.Records = n.Records[:room]
		r.fail(fmt.Sprintf("--trace-rules: more than %d records: rules are inferred from here on", maxTraceRecords))
	}
	r.taken += len(n.Records)
	if err := r.session.Err(); err != nil {
		r.fail("--trace-rules: " + err.Error() + ": rules are inferred from here on")
	}
	news := len(n.Records) > 0 || n.Lost > r.lost
	r.lost = n.Lost
	return n, news
}

func (r *ruleTrace) fail(why string) {
	if !r.failed {
		r.failed = true
		r.warn(why)
	}
}

// stop takes everything away again.
func (r *ruleTrace) stop() error {
	if r == nil || r.session == nil {
		return nil
	}
	err := r.session.Stop()
	if r.lost > 0 {
		r.warn(fmt.Sprintf("--trace-rules: the kernel could not hand over records %d times: rules that they would have named are inferred", r.lost))
	}
	return err
}

// tellRules queues what the kernel told of rules.
func (l *live) tellRules() error {
	n, ok := l.rules.tell()
	if !ok {
		return nil
	}
	return l.note(noteTraced, n)
}

// translations are the addresses that this node's rules can give the flow's packets.
type translations struct {
	ends []netip.AddrPort
	via  []netip.Addr
}

// translations asks the API's endpoints, the rules of each node in scope, walked without a packet, and IPVS.
func (p *plan) translations() translations {
	var t translations
	for _, e := range p.dst.endpoints {
		if a, err := netip.ParseAddrPort(e.Addr); err == nil {
			t.ends = append(t.ends, a)
		}
	}
	for i := range p.before.Namespaces {
		n := &p.before.Namespaces[i]
		for _, dst := range p.dst.addrs {
			if v := n.IPVS.Virtual(p.proto, dst, p.dst.port); v != nil {
				t.masquerades(n)
				for _, r := range v.Real {
					t.ends = append(t.ends, netip.AddrPortFrom(r.Addr, r.Port))
				}
			}
		}
	}
	for _, node := range nodesOf(p.refs) {
		for _, dst := range p.dst.addrs {
			t.walked(p, node, dst)
		}
	}
	return t
}

// masquerades adds the addresses of a node, one of which the source gets.
func (t *translations) masquerades(host *netstate.Namespace) {
	for _, l := range host.Links {
		for _, a := range l.Addrs {
			t.via = append(t.via, a.Addr())
		}
	}
}

// walked adds what a dry run through a node's rules comes to.
func (t *translations) walked(p *plan, node string, dst netip.Addr) {
	one := *p
	one.node = node
	end := *p.dst
	end.addrs = []netip.Addr{dst}
	one.dst = &end
	if len(p.src.addrs) == 0 { // any: somewhere outside, as an address of documentation is
		from := *p.src
		from.addrs = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
		if dst.Is6() {
			from.addrs[0] = netip.MustParseAddr("2001:db8::1")
		}
		one.src = &from
	}
	r, err := (&dryRun{plan: &one, o: &rulesOptions{}}).walk()
	if err != nil {
		return
	}
	for _, e := range r.Ends {
		if e.To.Addr().IsValid() && e.To != netip.AddrPortFrom(dst, p.dst.port) {
			t.ends = append(t.ends, e.To)
		}
		if a, err := netip.ParseAddr(e.From); err == nil {
			t.via = append(t.via, a)
		} else if e.From != "" {
			t.masquerades(p.before.Host(node))
		}
	}
}

// traceNamespaces are those that the flow crosses on this node, as far as that is known before: the nodes' host namespaces, and those that have
// an address of the flow. Where there are no rules nothing is added.
func (p *plan) traceNamespaces(f *ruletrace.Flow) []ruletrace.Namespace {
	ends := slices.Concat(p.filter.Src, p.filter.Dst)
	for _, e := range f.Ends {
		ends = append(ends, e.Addr())
	}
	var out []ruletrace.Namespace
	for i, ref := range p.refs {
		n := &p.before.Namespaces[i]
		if !n.Host && ref.Path != p.src.netns && !slices.ContainsFunc(ends, n.IsLocal) {
			continue
		}
		x := ruletrace.Namespace{Path: ref.Path, Name: n.Name}
		describeRules(&x, n)
		if x.NFT || len(x.Legacy) > 0 {
			out = append(out, x)
		}
	}
	return out
}

// describeRules says which kinds of rules a namespace has.
func describeRules(x *ruletrace.Namespace, n *netstate.Namespace) {
	x.Conntrack = n.IPVS != nil
	for _, s := range n.Rulesets {
		switch {
		case s.NFT != nil:
			x.NFT = true
			for _, t := range s.NFT.Tables {
				for _, c := range t.Chains {
					x.Conntrack = x.Conntrack || c.Type == "nat"
				}
			}
			continue
		case s.Backend == "iptables-legacy":
			x.Legacy = append(x.Legacy, map[string]uint8{"ip": 4, "ip6": 6}[s.Family])
		default:
			x.NFT = true
		}
		for _, t := range s.Tables {
			x.Conntrack = x.Conntrack || t.Name == "nat"
		}
	}
}
