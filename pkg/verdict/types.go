// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"time"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

// Outcome is what became of the flow.
type Outcome string

// The outcomes of the contract.
const (
	Delivered Outcome = "delivered"
	Dropped   Outcome = "dropped"
	Rejected  Outcome = "rejected"
	Lost      Outcome = "lost"
	Unseen    Outcome = "unseen"
)

// Layer is one of the five layers in which Kubernetes network faults are found.
type Layer string

// The five layers, bottom-up. A delivered flow has no layer.
const (
	Underlay    Layer = "underlay"
	PodNetwork  Layer = "pod-network"
	Service     Layer = "service"
	DNS         Layer = "dns"
	Application Layer = "application"
)

// Confidence says how well the evidence carries the verdict.
type Confidence string

// Confirmed: kernel event and state agree. Likely: one of them. Inconclusive: neither decides.
const (
	Confirmed    Confidence = "confirmed"
	Likely       Confidence = "likely"
	Inconclusive Confidence = "inconclusive"
)

// Input is all that a verdict is made from. Checks read it and change nothing.
type Input struct {
	Flow     Flow
	Journeys []journey.Journey
	Before   *netstate.Snapshot // nil when it could not be read
	After    *netstate.Snapshot
	Probe    *probe.Result // nil when no probe was sent
	Lost     uint64        // events lost over the whole run
	// DropReasons says that the kernel gives reasons, and so tells of every drop of a TCP segment.
	DropReasons bool
	// Name puts an address, with its port unless that is 0, into Kubernetes words; "" for one without a name. nil: there are no names.
	Name func(proto string, a netip.Addr, port uint16) string
	// Policies says what the NetworkPolicies of the API make of a connection, in a sentence; "" when they are not known. nil: there are none.
	Policies func(proto string, src, dst netip.Addr, port uint16) (sentence string, allowed bool)
	// Similar is traffic that almost matched, for a run that saw nothing: one sentence each.
	Similar []string
}

// Flow is the flow that was asked for; the same object as in the start record of the contract.
type Flow struct {
	Proto  string       `json:"proto"`
	Src    string       `json:"src"`
	Dst    string       `json:"dst"`
	Dport  uint16       `json:"dport,omitempty"`
	Sport  uint16       `json:"sport,omitempty"`
	SrcRef *journey.Ref `json:"srcRef,omitempty"`
	DstRef *journey.Ref `json:"dstRef,omitempty"`
	// Endpoints are what the destination stands for when it is a Service; absent when that is not known, empty when there are none.
	Endpoints []Endpoint `json:"endpoints,omitzero"`
}

// Endpoint is one address that a Service stands for.
type Endpoint struct {
	Addr  string       `json:"addr"` // address:port
	Ref   *journey.Ref `json:"ref,omitempty"`
	Node  string       `json:"node,omitempty"`
	Ready bool         `json:"ready"`
}

// at reports whether the endpoint has an address, at whatever port.
func (e *Endpoint) at(a netip.Addr) bool {
	p, err := netip.ParseAddrPort(e.Addr)
	return err == nil && p.Addr() == a
}

// Finding is what one check concluded.
type Finding struct {
	Outcome    Outcome
	Layer      Layer
	Cause      string // slug
	Summary    string // one sentence
	Journey    int    // id of the journey that shows it, 0 for none
	Hop        int    // index into that journey's hops, -1 for none
	Refs       []journey.Ref
	Evidence   []string
	Fix        []string
	Confidence Confidence

	times int    // drops with this cause
	check string // the check that found it
}

// Also is a further finding that is worth knowing but is not the verdict.
type Also struct {
	Cause   string `json:"cause"`
	Layer   Layer  `json:"layer"`
	Summary string `json:"summary"`
}

// Verdict is the last word of a run; its JSON form is in the contract.
type Verdict struct {
	Outcome    Outcome        `json:"outcome"`
	Layer      Layer          `json:"layer"`
	Cause      string         `json:"cause"`
	Summary    string         `json:"summary"`
	Where      *journey.Where `json:"where,omitempty"`
	Node       string         `json:"node,omitempty"`
	Hop        *journey.Hop   `json:"hop,omitempty"`
	Refs       []journey.Ref  `json:"refs,omitempty"`
	Evidence   []string       `json:"evidence"`
	Fix        []string       `json:"fix"`
	Confidence Confidence     `json:"confidence"`
	Also       []Also         `json:"also,omitempty"`
	Probe      *probe.Result  `json:"probe,omitempty"`
	Journeys   []int          `json:"journeys"`
	LostEvents uint64         `json:"lostEvents"`
	// Time is until when the node was watched, by its wall clock.
	Time time.Time `json:"time,omitzero"`
	// Clocks say how the clocks of nodes compare whose streams were merged.
	Clocks []Clock `json:"clocks,omitempty"`
}

// Clock compares a node's wall clock with another's, as packets between them show it.
type Clock struct {
	Node      string `json:"node"`
	Reference string `json:"reference"`
	// OffsetNS is how far the node's clock is ahead of the reference, in ns, and UncertaintyNS how far off that can be either way.
	OffsetNS      int64 `json:"offsetNs"`
	UncertaintyNS int64 `json:"uncertaintyNs"`
	// DriftPPB is how much faster the node's clock runs, in ns each second; 0 where packets do not show that it does.
	DriftPPB int64 `json:"driftPpb,omitempty"`
	// Samples are the packets that were compared; Known is exact where they went both ways, a bound where one way only, else none.
	Samples int    `json:"samples"`
	Known   string `json:"known"`
}

// Title is the layer's name in text.
func (l Layer) Title() string {
	switch l {
	case PodNetwork:
		return "pod network"
	case Application:
		return "application & policy"
	case DNS:
		return "DNS"
	}
	return string(l)
}
