// SPDX-License-Identifier: Apache-2.0

package ruleset

import "net/netip"

// World is what a dry run needs to know of a network namespace beside its rules.
type World struct {
	Sets []Ruleset
	// IPSets are the ipsets that its rules ask; nil when they were not read.
	IPSets *IPSets
	// Local says whether an address is one of the namespace's own.
	Local func(netip.Addr) bool
	// Route is the device that an address is routed to, UnknownDevice when that is not known; ok is false when there is no route.
	Route func(netip.Addr) (dev string, ok bool)
	// Source is the address that a device masquerades to; the zero Addr when it is not known.
	Source func(dev string, six bool) netip.Addr
}

// Way is a packet on its way, one of several where rules draw or a match is not known.
type Way struct {
	Packet Packet
	Share  float64 // of the flow's connections that go this way; at most, when Sure is false
	Sure   bool    // no match on the way was unknown
	// From is what the source was translated to, when that has no single address: "MASQUERADE".
	From string

	untracked, dnat, snat, known bool // known: conntrack has seen the packet before in this namespace
	vague                        bool // the source is one that is not known
}

// Step is a rule that the flow meets, or a policy that drops it (Number 0).
type Step struct {
	Place                        string // of the namespace, as the caller named it
	Hook                         string
	Backend, Family, Table, Base string // Base is the base chain
	Priority                     int
	Chain                        string
	Number                       int
	Handle                       uint64
	Text, Comment, Verdict       string
	Path                         []string // chains from the base chain to this
	Owner                        Owner
	Share                        float64  // of the flow's connections that meet it
	Sure                         bool     // they do; otherwise they may
	Unknown                      []string // of this rule's matches, those whose answer is not known
	To                           string   // of a translation
	For                          []string // destinations of the ways that meet it, when not all do
	key                          []int
	dsts                         map[string]bool
	met                          int // ways all of whose packets meet it
}

// Where a way can end.
const (
	EndAccept  = "accept"
	EndDrop    = "drop"
	EndReject  = "reject"
	EndQueue   = "queue"    // a program outside of the kernel decides
	EndNoRoute = "no-route" // of the translated destination
	EndUnknown = "unknown"  // a target that is not known, or a limit was reached
)

// End is where a share of the flow ends.
type End struct {
	Verdict string
	Place   string // the namespace
	Step    int    // 1-based index of the step that decided; 0 when none did
	To      netip.AddrPort
	From    string // the source, when it was translated
	Out     string // device
	Local   bool   // delivered to the place itself
	Share   float64
	Sure    bool
	step    *Step
}

// Decision is what all ends come to: accept, drop, reject, no-route, or unknown when they differ or one of them is not known.
func Decision(ends []End) string {
	if len(ends) == 0 {
		return EndUnknown
	}
	d := ends[0].Verdict
	for _, e := range ends[1:] {
		refused := func(v string) bool { return v == EndDrop || v == EndReject || v == EndNoRoute }
		switch {
		case e.Verdict == d:
		case refused(d) && refused(e.Verdict):
			d = EndDrop
		default:
			return EndUnknown
		}
	}
	if d == EndQueue {
		return EndUnknown
	}
	return d
}
