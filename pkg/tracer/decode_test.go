// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

// fixedNames names every address and reason in a way that tests can check.
type fixedNames struct{}

func (fixedNames) Symbol(a uint64) string {
	return map[uint64]string{1: "nf_hook_slow", 2: "ip_forward.isra.0", 3: "ip_rcv.constprop.0.cold"}[a]
}
func (fixedNames) DropReason(r uint32) string  { return map[uint32]string{7: "NETFILTER_DROP"}[r] }
func (fixedNames) ResetReason(r uint32) string { return map[uint32]string{3: "NO_SOCKET"}[r] }

// wire is an event as the kernel side would write it.
func wire(e *bpfDropEvent) []byte {
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(e)), dropSize)...)
}

func v4(a byte) (out [16]byte) {
	copy(out[:], []byte{10, 0, 0, a})
	return out
}

func dropRecord() bpfDropEvent {
	var d bpfDropEvent
	d.E = bpfEvent{Ts: 99, Id: 5, Skb: 0xffff, Addr: 1, Point: uint32(bpfPointPOINT_DROP), Reason: 7, Cpu: 1, Netns: 77, Ifindex: 3, Mark: 0x4000, Len: 74, Iplen: 60,
		Seq: 11, Ack: 12, Vni: 1, CtStatus: 0x28, Ipid: 42, TcpFlags: 2, Ttl: 63, Dir: 1, Ctinfo: 2, Nstack: 3,
		Flags: uint8(bpfEventFlagEVENT_OUTER | bpfEventFlagEVENT_HAS_CT | bpfEventFlagEVENT_HAS_SKB | bpfEventFlagEVENT_FIRST)}
	d.E.T = bpfTuple{Saddr: v4(1), Daddr: v4(2), Sport: 4000, Dport: 80, Proto: 6, Family: 4}
	d.E.O = bpfTuple{Saddr: v4(3), Daddr: v4(4), Sport: 5000, Dport: 8472, Proto: 17, Family: 4}
	d.E.CtOrig, d.E.CtReply = d.E.T, bpfTuple{Saddr: v4(9), Daddr: v4(1), Sport: 8080, Dport: 4000, Proto: 6, Family: 4}
	copy(d.E.Dev[:], "cni0")
	copy(d.E.Kind[:], "bridge")
	d.Stack = [16]uint64{1, 2, 3}
	return d
}

func TestDecodeReadsEveryField(t *testing.T) {
	d := dropRecord()
	var got Event
	if err := NewDecoder(fixedNames{}).Decode(wire(&d), &got); err != nil {
		t.Fatal(err)
	}
	a := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, n}) }
	want := Event{Time: 99, ID: 5, Skb: 0xffff, Point: PointDrop, Dir: DirRequest, CPU: 1, NetNS: 77, Ifindex: 3, Mark: 0x4000, Dev: "cni0", Kind: "bridge",
		HasPacket: true, First: true, Tuple: Tuple{a(1), a(2), 4000, 80, 6}, Outer: Tuple{a(3), a(4), 5000, 8472, 17}, VNI: 1, Tunnel: "vxlan", Len: 74, IPLen: 60, Seq: 11, Ack: 12,
		IPID: 42, TCPFlags: 2, TTL: 63, HasCT: true, CTInfo: 2, CTStatus: 0x28, CTOrig: Tuple{a(1), a(2), 4000, 80, 6}, CTReply: Tuple{a(9), a(1), 8080, 4000, 6},
		Reason: "NETFILTER_DROP", Location: "nf_hook_slow", Stack: []string{"nf_hook_slow", "ip_forward", "ip_rcv"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeOfOtherSizes(t *testing.T) {
	d := dropRecord()
	whole := wire(&d)
	dec := NewDecoder(fixedNames{})
	var e Event
	for _, n := range []int{0, 1, eventSize - 1} {
		if err := dec.Decode(whole[:n], &e); !errors.Is(err, errShort) {
			t.Errorf("%d bytes: %v, want %v", n, err, errShort)
		}
	}
	if err := dec.Decode(whole[:eventSize], &e); err != nil || e.Stack != nil || e.Reason != "NETFILTER_DROP" {
		t.Errorf("an event without its stack: %v, stack %v", err, e.Stack)
	}
	if err := dec.Decode(append(whole, make([]byte, 100)...), &e); err != nil || len(e.Stack) != 3 {
		t.Errorf("a longer record of a newer kernel side: %v, stack %v", err, e.Stack)
	}
}

func TestDecodeRefusesTheImpossible(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*bpfDropEvent)
		want   string
	}{
		{"no point", func(d *bpfDropEvent) { d.E.Point = 0 }, "unknown point 0"},
		{"a point that there is not", func(d *bpfDropEvent) { d.E.Point = 4711 }, "unknown point 4711"},
		{"a direction that there is not", func(d *bpfDropEvent) { d.E.Dir = 9 }, "unknown direction 9"},
	} {
		d := dropRecord()
		tc.change(&d)
		var e Event
		if err := NewDecoder(fixedNames{}).Decode(wire(&d), &e); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestDecodeBoundsWhatItIsTold(t *testing.T) {
	d := dropRecord()
	d.E.Nstack = 4711                   // more than there is room for
	copy(d.E.Dev[:], "no-end-to-this-") // fills the field without a NUL
	d.E.Dev[15] = '!'
	d.E.T.Family = 9 // neither 4 nor 6
	var e Event
	if err := NewDecoder(fixedNames{}).Decode(wire(&d), &e); err != nil {
		t.Fatal(err)
	}
	if len(e.Stack) != 3 || e.Dev != "no-end-to-this-!" || e.Tuple.Valid() {
		t.Errorf("stack %v, dev %q, tuple %v", e.Stack, e.Dev, e.Tuple)
	}
}

func TestDecoderKeepsABoundedNumberOfStrings(t *testing.T) {
	dec := NewDecoder(fixedNames{})
	for i := range maxStrings * 2 {
		b := []byte{byte(i), byte(i >> 8), 'x'}
		if got := dec.text(b); !strings.HasPrefix(string(b), got) {
			t.Fatalf("text(%q) = %q", b, got)
		}
	}
	if len(dec.strings) > maxStrings {
		t.Errorf("%d strings are kept", len(dec.strings))
	}
}

func TestDecodeDoesNotAllocatePerEvent(t *testing.T) {
	d := dropRecord()
	d.E.Point = uint32(bpfPointPOINT_RX)
	rec, dec := wire(&d), NewDecoder(fixedNames{})
	var e Event
	if n := testing.AllocsPerRun(1000, func() { _ = dec.Decode(rec, &e) }); n > 0 {
		t.Errorf("%v allocations for an event", n)
	}
}

// detailRecord is what a function tells, with every byte of its texts set: none of them ends.
func detailRecord(p Point) []byte {
	w := bpfDetailEvent{E: dropRecord().E, Hook: 1 << 31, Pf: 1 << 31, Value: -1 << 63, Limit: 1<<63 - 1}
	w.E.Point = uint32(p)
	for _, text := range [][]byte{w.Name[:], w.Chain[:], w.InDev[:], w.OutDev[:]} {
		for i := range text {
			text[i] = 0x1b
		}
	}
	w.From.Family, w.To.Family = 200, 200
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(&w)), detailSize)...)
}

// ruleRecord is the event of an nftables expression with the memory before it: known bytes of 0, 1, 2, ...
func ruleRecord(known uint32) []byte {
	w := bpfRuleEvent{E: dropRecord().E, Known: known}
	w.E.Point = 138
	for i := range w.Before {
		w.Before[i] = byte(i)
	}
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(&w)), ruleSize)...)
}

// Of the memory before an expression only the part at its end is known; a count that is impossible is no more than there is.
func TestDecodeRuleMemory(t *testing.T) {
	dec := NewDecoder(fixedNames{})
	for known, want := range map[uint32]int{0: 0, 128: 128, 1024: 1024, 1 << 31: 1024} {
		var e Event
		record := ruleRecord(known)
		if err := dec.Decode(record, &e); err != nil || len(e.Memory) != want {
			t.Errorf("%d bytes known: %d read, %v", known, len(e.Memory), err)
		}
		if want > 0 && e.Memory[want-1] != 255 {
			t.Errorf("%d bytes known: the last one is %d", known, e.Memory[want-1])
		}
		clear(record) // the ring's memory is used again
		if want > 0 && e.Memory[want-1] != 255 {
			t.Error("the memory is not a copy")
		}
		if err := dec.Decode(ruleRecord(known)[:eventSize], &e); err != nil || e.Memory != nil {
			t.Errorf("a record without memory: %v, %d bytes", err, len(e.Memory))
		}
	}
}

func TestIdleModules(t *testing.T) {
	idle := idleIn(strings.NewReader("xt_comment 16384 0 - Live 0x0\nxt_nat 16384 12 - Live 0x0\nnf_tables 300000 3 nft_compat,nft_nat, Live 0x0\n\nodd\n"))
	if len(idle) != 1 || !idle["xt_comment"] {
		t.Errorf("%v", idle)
	}
}

func TestDecodeBoundsDetails(t *testing.T) {
	dec := NewDecoder(fixedNames{})
	for _, f := range Functions {
		var e Event
		if err := dec.Decode(detailRecord(f.Point), &e); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		if rulesMemory[f.Point] {
			if len(e.Memory) != 0 || e.Table != "" {
				t.Errorf("%s sends no details: %+v", f.Name, e)
			}
			continue
		}
		if len(e.Table) != 32 || len(e.Chain)+len(e.Words) != 64 || len(e.InDev) != 16 || len(e.OutDev) != 16 || e.Virtual.Valid() || e.Backend.Valid() || e.Stack != nil {
			t.Errorf("%s: %+v", f.Name, e)
		}
	}
	var e Event
	if err := dec.Decode(detailRecord(PointRX), &e); err != nil || e.Table != "" || e.Value != 0 {
		t.Errorf("a tracepoint has no details: %v, %+v", err, e)
	}
}

func FuzzDecode(f *testing.F) {
	for _, p := range []Point{64, 66, 71, 85, 114, 117, PointRX} {
		f.Add(detailRecord(p))
		f.Add(detailRecord(p)[:detailSize-1])
	}
	d := dropRecord()
	f.Add(wire(&d))
	f.Add(wire(&d)[:eventSize])
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Event
		if err := NewDecoder(fixedNames{}).Decode(b, &e); err == nil && (len(b) < eventSize || e.Point == 0) {
			t.Errorf("%d bytes decoded to point %d", len(b), e.Point)
		}
	})
}
