// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// Side is the side of a device at which a packet was captured.
type Side uint8

// The sides: a device received the packet, or was given it to send.
const (
	Ingress = Side(bpfSideSIDE_INGRESS)
	Egress  = Side(bpfSideSIDE_EGRESS)
)

// Packet is one packet as it crossed a device.
type Packet struct {
	Time    uint64 // CLOCK_MONOTONIC, ns
	Side    Side
	NetNS   uint32 // inode number of the device's namespace
	Ifindex uint32
	Mark    uint32
	Tuple   tracer.Tuple // the flow's packet: inside a tunnel that is the innermost
	IPID    uint16
	Seq     uint32 // TCP
	L3      int    // where the IP header begins in the frame
	Len     int    // of the frame on the device, in bytes
	Data    []byte // its start, as much as was kept
}

const recordSize = int(unsafe.Sizeof(bpfCaptured{}))

// maxFrame bounds what a record may claim that a frame's length was: a GSO packet is at most 512 KiB (GSO_MAX_SIZE, include/linux/netdevice.h).
const maxFrame = 1 << 20

var errShort = errors.New("record is shorter than it says")

// decode reads one record of the ring as bpf/capture.bpf.c lays it out, native byte order. The packet does not refer to record.
func decode(record []byte) (Packet, error) {
	if len(record) < recordSize {
		return Packet{}, fmt.Errorf("decode %d bytes: %w", len(record), errShort)
	}
	var r bpfCaptured
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&r)), recordSize), record)
	frame := record[recordSize:]
	if uint64(r.Caplen) > uint64(len(frame)) {
		return Packet{}, fmt.Errorf("decode a frame of %d bytes: %w", r.Caplen, errShort)
	}
	if r.Side == 0 || r.Side >= uint32(bpfSideSIDE_MAX) {
		return Packet{}, fmt.Errorf("decode record: unknown side %d", r.Side)
	}
	if r.Caplen > r.Len || r.Len > maxFrame {
		return Packet{}, fmt.Errorf("decode record: %d bytes of a frame of %d", r.Caplen, r.Len)
	}
	t := &r.T
	p := Packet{
		Time: r.Ts, Side: Side(r.Side), NetNS: r.Netns, Ifindex: r.Ifindex, Mark: r.Mark, IPID: r.Ipid, Seq: r.Seq, Len: int(r.Len),
		Tuple: tracer.Tuple{Src: address(t.Saddr, t.Family), Dst: address(t.Daddr, t.Family), Sport: t.Sport, Dport: t.Dport, Proto: t.Proto},
	}
	p.Data = withTag(frame[:r.Caplen], r.VlanProto, r.VlanTci)
	tag := len(p.Data) - int(r.Caplen)
	p.Len += tag
	p.L3 = int(min(r.L3, r.Caplen)) + tag
	return p, nil
}

// tagLength is how much longer a frame is with its VLAN tag put back.
const tagLength = 4

// withTag copies a frame and puts the VLAN tag back that the kernel keeps beside it (skb->vlan_tci): behind the two MAC addresses.
func withTag(frame []byte, proto, tci uint16) []byte {
	const macs = 12
	if proto == 0 || len(frame) < macs {
		return append([]byte(nil), frame...)
	}
	out := make([]byte, 0, len(frame)+tagLength)
	out = append(out, frame[:macs]...)
	out = append(out, byte(proto>>8), byte(proto), byte(tci>>8), byte(tci))
	return append(out, frame[macs:]...)
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
