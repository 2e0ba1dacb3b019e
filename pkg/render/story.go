// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

func init() {
	register("story", func(w io.Writer, o Options) Renderer {
		return &story{w: w, pal: palette(o.Color), width: o.Width, addresses: o.Addresses, seen: map[string]int{}, more: map[int]*repeats{}}
	})
}

// story tells each packet's way for people, and at the end the verdict.
type story struct {
	w     io.Writer
	pal   palette
	width int
	// addresses are shown beside names
	addresses bool
	err       error
	seen      map[string]int   // shape of a way → journey that was told
	more      map[int]*repeats // journeys that were not told, by the one that they look like
}

// repeats counts journeys that went a way that was told.
type repeats struct{ all, again int }

func (s *story) printf(format string, args ...any) {
	if s.err == nil {
		if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
			s.err = fmt.Errorf("write the story: %w", err)
		}
	}
}

func (s *story) Start(st Start) error {
	f := &st.Flow
	s.printf("%s %s\n", s.pal.paint(strong, fmt.Sprintf("%s %s → %s", f.Proto, headed(f.SrcRef, f.Src, 0), headed(f.DstRef, f.Dst, f.Dport))),
		s.pal.paint(quiet, fmt.Sprintf("on %s, kernel %s, %s", st.Node, st.Kernel, watched(st))))
	s.endpoints(f)
	for _, line := range blind(st.Points) {
		s.printf("%s\n", s.pal.paint(warning, line))
	}
	return s.err
}

// headed is an end of the flow in the first line: there its address always stands beside its name.
func headed(r *journey.Ref, addr string, port uint16) string {
	plain := addr
	if a, err := netip.ParseAddr(addr); err == nil {
		plain = end(a, port)
	}
	if r == nil {
		return plain
	}
	return r.Short(port) + " (" + plain + ")"
}

// endpoints tells what a Service stands for.
func (s *story) endpoints(f *verdict.Flow) {
	t := quiet
	if len(f.Endpoints) == 0 {
		t = warning
	}
	if text := standsFor(f); text != "" {
		for _, l := range wrap(Escape(text), s.width) {
			s.printf("%s\n", s.pal.paint(t, l))
		}
	}
}

// standsFor is the sentence about a Service's endpoints; "" when DST is none, or they are not known.
func standsFor(f *verdict.Flow) string {
	const most = 8
	if f.DstRef == nil || f.Endpoints == nil {
		return ""
	}
	if len(f.Endpoints) == 0 {
		return f.DstRef.Short(f.Dport) + " has no endpoints"
	}
	var all []string
	for _, e := range f.Endpoints[:min(len(f.Endpoints), most)] {
		text := e.Addr
		if e.Ref != nil {
			text = e.Ref.Short(0) + " (" + e.Addr + ")"
		}
		if e.Node != "" {
			text += " on " + e.Node
		}
		if !e.Ready {
			text += ", not ready"
		}
		all = append(all, text)
	}
	if n := len(f.Endpoints) - most; n > 0 {
		all = append(all, fmt.Sprintf("%d more", n))
	}
	return f.DstRef.Short(f.Dport) + " stands for " + strings.Join(all, "; ")
}

// blind has a line for each reason for which points are not attached.
func blind(points []tracer.PointStatus) []string {
	var reasons []string
	by := map[string][]string{}
	for _, p := range points {
		if p.Attached || p.Needless {
			continue
		}
		if by[p.Why] == nil {
			reasons = append(reasons, p.Why)
		}
		by[p.Why] = append(by[p.Why], p.Name)
	}
	var out []string
	for _, why := range reasons {
		names := by[why]
		what := strings.Join(names, ", ")
		if len(names) > 3 {
			what = fmt.Sprintf("%d kernel functions (%s, ...)", len(names), strings.Join(names[:2], ", "))
		}
		out = append(out, "blind: "+what+": "+why)
	}
	return out
}

func watched(st Start) string {
	n := 0
	for _, p := range st.Points {
		if p.Attached {
			n++
		}
	}
	return fmt.Sprintf("%d of %d points attached in %d ms", n, len(st.Points), st.AttachMS)
}

// Drop is told with its journey, which ends there.
func (s *story) Drop(Drop) error { return s.err }

func (s *story) Journey(j *journey.Journey) error {
	key := shape(j)
	if first, ok := s.seen[key]; ok {
		r := s.more[first]
		if r == nil {
			r = &repeats{}
			s.more[first] = r
		}
		r.all++
		if j.Attempt > 1 {
			r.again++
		}
		return s.err
	}
	s.flush()
	s.seen[key] = j.ID
	s.tell(j)
	return s.err
}

// flush says how many packets went ways that were told.
func (s *story) flush() {
	var parts []string
	for _, first := range slices.Sorted(maps.Keys(s.more)) {
		r := s.more[first]
		part := fmt.Sprintf("%d more like #%d", r.all, first)
		if r.again > 0 {
			part += fmt.Sprintf(" (%d sent again)", r.again)
		}
		parts = append(parts, part)
	}
	if len(parts) > 0 {
		s.printf("\n%s\n", s.pal.paint(quiet, strings.Join(parts, ", ")))
	}
	clear(s.more)
}

// shape is equal for journeys that went the same way and met the same end.
func shape(j *journey.Journey) string {
	var b strings.Builder
	if j.End == journey.LeftNode {
		b.WriteString(j.EndWhy)
	}
	fmt.Fprint(&b, j.Direction, j.End, j.Complete, j.Packet.Proto, j.Packet.Src, j.Packet.Dst)
	for i := range j.Hops {
		h := &j.Hops[i]
		if h.Stage == journey.StageSocket || (h.Stage == journey.StageRoute && i == 0) {
			continue // how the kernel tells of an end, and whether a socket had to look up a route, is no other way
		}
		if h.Stage == journey.StageRoute && h.Route.Error == "" {
			continue // early demux and cached routes spare the lookup
		}
		fmt.Fprint(&b, "|", h.Stage, h.NetNS, h.Dev, h.Reason, h.Location)
	}
	return b.String()
}

func (s *story) tell(j *journey.Journey) {
	s.printf("\n%s %s\n", s.pal.paint(strong, titleOf(j, s.addresses)), s.pal.paint(quiet, noteOf(j)))
	last := ""
	for i := range j.Hops {
		h := &j.Hops[i]
		if place := placeOf(h); place != last {
			s.printf("  %s\n", s.pal.paint(strong, place))
			last = place
		}
		s.hop(h)
	}
	s.ending(j)
}

// named is an end of a packet by its name, with the address when that was asked for.
func named(r *journey.Ref, a netip.Addr, port uint16, addresses bool) string {
	switch {
	case r == nil:
		return end(a, port)
	case addresses:
		return r.Short(port) + " (" + end(a, port) + ")"
	}
	return r.Short(port)
}

func end(a netip.Addr, port uint16) string {
	if port == 0 {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}

// placeOf names where a hop is: the pod or namespace with its node.
func placeOf(h *journey.Hop) string {
	if h.Where == nil {
		return fmt.Sprintf("namespace %d", h.NetNS)
	}
	name := h.Where.Name
	if h.Where.Namespace != "" {
		name = h.Where.Namespace + "/" + name
	}
	switch {
	case h.Where.Kind == "host":
		return "node " + name
	case h.Node != "":
		return fmt.Sprintf("%s %s on %s", h.Where.Kind, name, h.Node)
	}
	return h.Where.Kind + " " + name
}

func (s *story) hop(h *journey.Hop) {
	t := toneOfStage(h.Stage)
	what := Escape(h.What)
	if t != "" {
		what = s.pal.paint(t, h.What)
	}
	about := ' '
	if h.Approx {
		about = '~'
	}
	s.printf("   %c%s %-10s %s\n", about, s.pal.paint(quiet, fmt.Sprintf("%9.3f ms", float64(h.T)/1e6)), Escape(string(h.Stage)), what)
	if hasRule(h) {
		for _, part := range wrap(Escape(RuleText(h.Rule)), s.width-indent) {
			s.printf("%*s%s\n", indent, "", s.pal.paint(quiet, part))
		}
	}
}

// indent is where a hop's sentence starts.
const indent = 28

// RuleText names a rule: backend, table, chain, number, text. IPVS has neither tables nor chains.
func RuleText(r *journey.Rule) string {
	if r.Backend == "ipvs" {
		return fmt.Sprintf("ipvs %s (%s)", r.Text, r.Certainty)
	}
	what := fmt.Sprintf("rule %d: %s", r.Number, r.Text)
	switch {
	case r.IsPolicy():
		what = "policy " + r.Verdict
	case r.Handle != 0 && (r.Backend == "nft" || r.Number == 0):
		what = fmt.Sprintf("handle %d: %s", r.Handle, r.Text)
	}
	s := fmt.Sprintf("%s %s/%s %s (%s", r.Backend, r.Table, r.Chain, what, r.Certainty)
	if r.Alternatives > 0 {
		s += fmt.Sprintf(", %d more fit", r.Alternatives)
	}
	return s + ")"
}

func (s *story) ending(j *journey.Journey) {
	mark, t, text := endOf(j)
	s.printf("  %s\n", s.pal.paint(t, mark+" "+text))
}

func (s *story) Verdict(v *verdict.Verdict) error {
	s.flush()
	s.printf("\n%s\n", s.pal.paint(toneOf(v.Outcome), strings.ToUpper(string(v.Outcome))+": "+v.Summary))
	s.printf("%s\n", s.pal.paint(quiet, strings.Join(factsOf(v), " · ")))
	s.list("evidence", v.Evidence)
	s.list("what to do", v.Fix)
	for _, a := range v.Also {
		s.list("also", []string{a.Summary})
	}
	if v.Probe != nil {
		s.printf("probe: %s after %d ms\n", Escape(string(v.Probe.Result)), v.Probe.MS)
	}
	if v.LostEvents > 0 {
		s.printf("%s\n", s.pal.paint(warning, fmt.Sprintf("%d events were lost: hops may be missing; --ring makes the buffer larger", v.LostEvents)))
	}
	return s.err
}

func (s *story) list(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	s.printf("%s:\n", title)
	for _, l := range lines {
		for i, part := range wrap(Escape(l), s.width-4) {
			lead := "  - "
			if i > 0 {
				lead = "    "
			}
			s.printf("%s%s\n", lead, part)
		}
	}
}

// wrap breaks at spaces; a longer word stands alone.
func wrap(text string, width int) []string {
	var out []string
	line, n := "", 0
	for _, w := range strings.Fields(text) {
		size := len([]rune(w))
		if n > 0 && n+1+size > width {
			out = append(out, line)
			line, n = "", 0
		}
		if n > 0 {
			line += " "
			n++
		}
		line += w
		n += size
	}
	return append(out, line)
}
