// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unsafe"
)

// Names turns the kernel's numbers into names: live from the running kernel, in a replay from the recording.
type Names interface {
	Symbol(addr uint64) string        // function at a code address, without module and offset; "" when unknown
	DropReason(reason uint32) string  // without the SKB_DROP_REASON_ prefix
	ResetReason(reason uint32) string // without the SK_RST_REASON_ prefix
}

const (
	eventSize  = int(unsafe.Sizeof(bpfEvent{}))
	dropSize   = int(unsafe.Sizeof(bpfDropEvent{}))
	detailSize = int(unsafe.Sizeof(bpfDetailEvent{}))
	ruleSize   = int(unsafe.Sizeof(bpfRuleEvent{}))
)

var errShort = errors.New("record is shorter than an event")

// Decoder turns ring buffer records into Events. It keeps the few strings that recur (devices, functions), so that decoding
// does not allocate for them. A Decoder is for one goroutine.
type Decoder struct {
	names   Names
	strings map[string]string
}

// NewDecoder returns a decoder that asks names for symbols and reasons.
func NewDecoder(names Names) *Decoder {
	return &Decoder{names: names, strings: map[string]string{}}
}

// maxStrings bounds what hostile device names could make the decoder keep.
const maxStrings = 4096

// Decode fills e from one record as bpf/event.h lays it out, native byte order. Longer records of a newer kernel side are read as far
// as they are known; a short or impossible one is an error and leaves e in an undefined state.
func (d *Decoder) Decode(record []byte, e *Event) error {
	if len(record) < eventSize {
		return fmt.Errorf("decode %d bytes: %w", len(record), errShort)
	}
	var w bpfDropEvent
	n := copy(unsafe.Slice((*byte)(unsafe.Pointer(&w)), dropSize), record)
	r := &w.E
	if known := functionsByPoint[Point(r.Point)] != nil || (r.Point != 0 && r.Point < uint32(bpfPointPOINT_TRACEPOINTS)); !known {
		return fmt.Errorf("decode event: unknown point %d", r.Point)
	}
	if r.Dir > uint8(bpfDirectionDIR_RELATED) {
		return fmt.Errorf("decode event: unknown direction %d", r.Dir)
	}
	*e = Event{
		Time: r.Ts, ID: r.Id, Skb: r.Skb, Point: Point(r.Point), Dir: Direction(r.Dir), CPU: r.Cpu,
		NetNS: r.Netns, Ifindex: r.Ifindex, IIF: r.Iif, Mark: r.Mark,
		Dev: d.text(r.Dev[:]), Kind: d.text(r.Kind[:]),
		HasPacket: flag(r, bpfEventFlagEVENT_HAS_SKB), First: flag(r, bpfEventFlagEVENT_FIRST),
		Tuple: tuple(&r.T), Len: r.Len, IPLen: r.Iplen, Seq: r.Seq, Ack: r.Ack, Payload: r.Payload, IPID: r.Ipid,
		ICMPSeq: r.IcmpSeq, TCPFlags: r.TcpFlags, TTL: r.Ttl, ICMPType: r.IcmpType, ICMPCode: r.IcmpCode, CTInfo: r.Ctinfo,
		RouteTable: r.Table, Local: flag(r, bpfEventFlagEVENT_LOCAL), OIF: d.text(r.OifName[:]), Gateway: address(r.Gw, r.GwFamily), Err: r.Err,
		Old: r.OldState, New: r.NewState,
	}
	if flag(r, bpfEventFlagEVENT_OUTER) {
		e.Outer, e.VNI, e.Tunnel = tuple(&r.O), r.Vni, tunnelNames[bpfTunnel(r.O.Pad)]
		if e.Tunnel == "" {
			e.Tunnel = "vxlan"
		}
		if e.Tunnel == "ipip" {
			e.Outer.Sport, e.Outer.Dport = 0, 0
		}
	}
	if flag(r, bpfEventFlagEVENT_ABOUT) {
		e.About = tuple(&r.About)
	}
	if flag(r, bpfEventFlagEVENT_HAS_CT) {
		e.HasCT, e.CTStatus, e.CTOrig, e.CTReply = true, r.CtStatus, tuple(&r.CtOrig), tuple(&r.CtReply)
	}
	if r.Addr != 0 {
		e.Location = functionName(d.names.Symbol(r.Addr))
	}
	switch e.Point {
	case PointDrop:
		e.Reason = d.names.DropReason(r.Reason)
		if n >= dropSize {
			e.Stack = d.stack(&w)
		}
	case PointResetSent:
		e.Reason = d.names.ResetReason(r.Reason)
	}
	switch {
	case e.Point < firstFunction:
	case rulesMemory[e.Point]:
		if len(record) >= ruleSize {
			d.rule(record, e)
		}
	case len(record) >= detailSize:
		d.detail(record, e)
	}
	return nil
}

// detail fills what a function tells besides the packet.
func (d *Decoder) detail(record []byte, e *Event) {
	var w bpfDetailEvent
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&w)), detailSize), record)
	e.Hook, e.PF, e.InIndex, e.OutIndex, e.Value, e.Limit = w.Hook, w.Pf, w.InIfindex, w.OutIfindex, w.Value, w.Limit
	e.InDev, e.OutDev, e.Table = d.text(w.InDev[:]), d.text(w.OutDev[:]), d.text(w.Name[:])
	if RoleOf(e.Point) == RoleInvalid {
		e.Words = d.text(w.Chain[:])
	} else {
		e.Chain = d.text(w.Chain[:])
	}
	if w.To.Family != 0 {
		e.Virtual, e.Backend = tuple(&w.From), tuple(&w.To)
	}
}

// rulesMemory are the points that send the memory of a rule.
var rulesMemory = func() map[Point]bool {
	m := map[Point]bool{}
	for _, f := range Functions {
		m[f.Point] = f.Program == "nft" || f.Program == "nft_verdict"
	}
	return m
}()

func (d *Decoder) rule(record []byte, e *Event) {
	var w bpfRuleEvent
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&w)), ruleSize), record)
	known := min(int(w.Known), len(w.Before))
	e.Memory = bytes.Clone(w.Before[len(w.Before)-known:])
}

// tunnelNames are the types of the contract; recordings of before Geneve and IP-in-IP have 0.
var tunnelNames = map[bpfTunnel]string{bpfTunnelTUNNEL_VXLAN: "vxlan", bpfTunnelTUNNEL_GENEVE: "geneve", bpfTunnelTUNNEL_IPIP: "ipip"}

func flag(r *bpfEvent, f bpfEventFlag) bool { return r.Flags&uint8(f) != 0 }

// text interns the bytes before the first NUL.
func (d *Decoder) text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	if len(b) == 0 {
		return ""
	}
	if s, ok := d.strings[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(d.strings) < maxStrings {
		d.strings[s] = s
	}
	return s
}

func (d *Decoder) stack(w *bpfDropEvent) []string {
	n := min(int(w.E.Nstack), len(w.Stack))
	out := make([]string, 0, n)
	for _, addr := range w.Stack[:n] {
		if name := functionName(d.names.Symbol(addr)); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// functionName strips what compilers append to a function that they cloned or split: ".isra.0", ".constprop.0", ".cold", ".part.0".
func functionName(symbol string) string {
	if i := strings.IndexByte(symbol, '.'); i > 0 {
		return symbol[:i]
	}
	return symbol
}

func tuple(t *bpfTuple) Tuple {
	return Tuple{Src: address(t.Saddr, t.Family), Dst: address(t.Daddr, t.Family), Sport: t.Sport, Dport: t.Dport, Proto: t.Proto}
}

func address(a [16]byte, family uint8) netip.Addr {
	switch family {
	case 4:
		return netip.AddrFrom4([4]byte(a[:4]))
	case 6:
		return netip.AddrFrom16(a)
	}
	return netip.Addr{}
}
