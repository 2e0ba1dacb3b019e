// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// Layer is one of the five layers, by the words of a verdict.
type Layer = verdict.Layer

// The five layers, bottom-up.
const (
	Underlay    = verdict.Underlay
	PodNetwork  = verdict.PodNetwork
	Service     = verdict.Service
	DNS         = verdict.DNS
	Application = verdict.Application
)

// Layers are the five, bottom-up.
func Layers() []Layer { return []Layer{Underlay, PodNetwork, Service, DNS, Application} }

// Status is what a check came to.
type Status string

// A check that could not look is Unknown and says why; one that has nothing to look at for this flow is NotApplicable.
const (
	OK            Status = "ok"
	Wrong         Status = "wrong"
	Unknown       Status = "unknown"
	NotApplicable Status = "not-applicable"
)

// Result is what one check found.
type Result struct {
	Check   string `json:"check"`
	Layer   Layer  `json:"layer"`
	Status  Status `json:"status"`
	Cause   string `json:"cause,omitempty"` // slug, as in a verdict; of a wrong result
	Summary string `json:"summary"`         // one sentence: what is, or why it could not be seen
	Node    string `json:"node,omitempty"`  // where it is wrong
	// Stops says that the flow cannot work if it is as it looks; what is wrong without it costs time or breaks other flows.
	Stops bool `json:"stops,omitempty"`
	// Measured says that it was tried and failed, which a packet that gets through does not refute.
	Measured bool     `json:"measured,omitempty"`
	Evidence []string `json:"evidence,omitempty"`
	Fix      []string `json:"fix,omitempty"`
}

// Echo is what an echo between two nodes' addresses gave, with growing sizes.
type Echo struct {
	From   string // node
	To     netip.Addr
	Passed int    // bytes of the largest IP packet that was answered; 0 for none
	Failed int    // of the smallest that was not; 0 when all passed
	Told   string // an error that came instead of an answer, in words
	Error  string // why nothing could be sent; "" when something was
}

// Answer is what the sender got when it asked for the destination's name.
type Answer struct {
	Name    string
	Servers []netip.Addr
	Addrs   []netip.Addr
	Rcode   string
	Error   string // of the last query without an answer
	MS      int64
}

// Resolver is the resolv.conf of the sender.
type Resolver struct {
	Servers []netip.Addr
	Source  string // where it was read
}

// Input is all that checks look at. They change nothing in it.
type Input struct {
	Proto    string
	Src, Dst netip.Addr
	Dport    uint16
	Node     string              // this node
	Sender   *netstate.Namespace // the namespace that has the sender; nil when it is not on this kernel
	Snapshot *netstate.Snapshot

	// Index is what is known of Kubernetes; nil for nothing, and NoIndex says why.
	Index   *k8smeta.Index
	NoIndex string
	// Whole says that the index has every object, so that what it lacks does not exist.
	Whole bool

	// Asked is the name by which a client asks for the destination, "" when it was given as an address.
	Asked      string
	Resolver   *Resolver
	NoResolver string // why there is none
	Answer     *Answer
	NoAnswer   string
	Echoes     []Echo
	NoEcho     string

	// Name puts an address into Kubernetes words, "" for one without a name; nil: there are no names.
	Name func(proto string, a netip.Addr, port uint16) string
	// Policies says what the NetworkPolicies make of a connection, in a sentence; "" when they are not known. nil: there are none.
	Policies func(proto string, src, dst netip.Addr, port uint16) (sentence string, allowed bool)
	// NoPolicies says why the NetworkPolicies of the ends' namespaces were not read, or not all; "" when they were.
	NoPolicies string

	way  *way
	walk *walked
}

// check is a registered one.
type check struct {
	name  string
	layer Layer
	run   func(*Input) Result
	// silences are checks whose wrong results follow from this one's.
	silences []string
}

var checks = map[string]check{}

// register adds a check; called from init only.
func register(c check) {
	if _, ok := checks[c.name]; ok {
		panic("diagnose: check " + c.name + " is registered twice")
	}
	checks[c.name] = c
}

// ordered are the checks bottom-up; within a layer those that silence others come first, so that the cause stands before what follows from it.
func ordered() []check {
	var out []check
	for _, c := range checks {
		out = append(out, c)
	}
	layers := Layers()
	slices.SortFunc(out, func(a, b check) int {
		return cmp.Or(cmp.Compare(slices.Index(layers, a.layer), slices.Index(layers, b.layer)), cmp.Compare(len(b.silences), len(a.silences)), cmp.Compare(a.name, b.name))
	})
	return out
}

// Run makes every check, bottom-up. tell is called with each result as it comes; nil for nobody.
func Run(in *Input, tell func(Result)) []Result {
	var out []Result
	for _, c := range ordered() {
		r := c.run(in)
		r.Check = c.name
		if r.Layer == "" {
			r.Layer = c.layer
		}
		if tell != nil {
			tell(r)
		}
		out = append(out, r)
	}
	return out
}

// Suspects are the wrong results, the most telling first: what stops the flow before what does not, lower layers before higher ones, and causes
// before what follows from them, which is left out.
func Suspects(results []Result) []Result {
	silenced := map[string]bool{}
	for _, r := range results {
		if r.Status == Wrong {
			for _, s := range checks[r.Check].silences {
				silenced[s] = true
			}
		}
	}
	var out []Result
	for _, r := range results {
		if r.Status == Wrong && !silenced[r.Check] {
			out = append(out, r)
		}
	}
	layers := Layers()
	slices.SortStableFunc(out, func(a, b Result) int {
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), cmp.Compare(slices.Index(layers, a.Layer), slices.Index(layers, b.Layer)))
	})
	return out
}

func rank(r *Result) int {
	switch {
	case r.Stops:
		return 0
	case r.Measured:
		return 1
	}
	return 2
}

// parts collects what a check found at several places and makes one result of it: what is wrong counts most, then what could not be seen.
type parts struct {
	wrong   []Result
	unknown []string
	fine    []string
}

func (p *parts) bad(r Result)      { r.Status = Wrong; p.wrong = append(p.wrong, r) }
func (p *parts) unsure(why string) { p.unknown = add(p.unknown, why) }
func (p *parts) good(what string)  { p.fine = add(p.fine, what) }
func add(l []string, s string) []string {
	if s == "" || slices.Contains(l, s) {
		return l
	}
	return append(l, s)
}

// result is the first wrong part with the others as evidence; nothing is what it says when there was nothing to look at.
func (p *parts) result(nothing string) Result {
	switch {
	case len(p.wrong) > 0:
		slices.SortStableFunc(p.wrong, func(a, b Result) int { return cmp.Compare(rank(&a), rank(&b)) })
		r := p.wrong[0]
		for _, o := range p.wrong[1:] {
			if o.Summary != r.Summary {
				r.Evidence = append(r.Evidence, "also: "+o.Summary)
			}
		}
		return r
	case len(p.unknown) > 0:
		r := Result{Status: Unknown, Summary: sentence(p.unknown)}
		if len(p.fine) > 0 {
			r.Evidence = []string{"seen: " + sentence(p.fine)}
		}
		return r
	case len(p.fine) > 0:
		return Result{Status: OK, Summary: sentence(p.fine)}
	}
	return Result{Status: NotApplicable, Summary: nothing}
}

// sentence joins the first few.
func sentence(all []string) string {
	const most = 4
	s := strings.Join(all[:min(len(all), most)], "; ")
	if len(all) > most {
		s += "; and so on"
	}
	return s
}

func unknown(why string) Result    { return Result{Status: Unknown, Summary: why} }
func notForThis(why string) Result { return Result{Status: NotApplicable, Summary: why} }
