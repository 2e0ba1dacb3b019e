// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"bytes"
	"net/netip"
	"testing"
	"unsafe"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// record is what the kernel side would write.
func record(r bpfCaptured, frame []byte) []byte {
	head := unsafe.Slice((*byte)(unsafe.Pointer(&r)), recordSize)
	return append(append([]byte{}, head...), frame...)
}

func sample() bpfCaptured {
	r := bpfCaptured{Ts: 7, Side: 2, Netns: 4026531840, Ifindex: 3, Len: 60, Caplen: 20, Seq: 9, Ipid: 11, Mark: 5, L3: 14}
	copy(r.T.Saddr[:], []byte{10, 0, 0, 1})
	copy(r.T.Daddr[:], []byte{10, 0, 0, 2})
	r.T.Family, r.T.Proto, r.T.Sport, r.T.Dport = 4, 6, 1234, 80
	return r
}

func TestDecode(t *testing.T) {
	frame := []byte("abcdefABCDEF\x08\x00456789")
	r := sample()
	p, err := decode(record(r, append(frame, "padding of a newer kernel side"...)))
	if err != nil {
		t.Fatal(err)
	}
	want := tracer.Tuple{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"), Sport: 1234, Dport: 80, Proto: 6}
	if p.Tuple != want || p.Side != Egress || p.Time != 7 || p.Len != 60 || p.L3 != 14 || !bytes.Equal(p.Data, frame) {
		t.Errorf("decoded %+v", p)
	}
	r.VlanProto, r.VlanTci = 0x8100, 0x2005
	if p, err = decode(record(r, frame)); err != nil {
		t.Fatal(err)
	}
	if want := "abcdefABCDEF\x81\x00\x20\x05\x08\x00456789"; string(p.Data) != want || p.Len != 64 || p.L3 != 18 {
		t.Errorf("with a VLAN tag: %q, %d bytes, IP at %d", p.Data, p.Len, p.L3)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := record(sample(), make([]byte, 20))
	for _, tc := range []struct {
		name string
		rec  []byte
	}{
		{"nothing", nil},
		{"half a head", good[:recordSize/2]},
		{"half a frame", good[:recordSize+10]},
		{"no side", record(bpfCaptured{Len: 60}, nil)},
		{"a side that there is not", record(bpfCaptured{Side: 3, Len: 60}, nil)},
		{"more kept than there was", record(bpfCaptured{Side: 1, Len: 4, Caplen: 8}, make([]byte, 8))},
		{"longer than any frame", record(bpfCaptured{Side: 1, Len: 1 << 31}, nil)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if p, err := decode(tc.rec); err == nil {
				t.Errorf("no error, %+v", p)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add(record(sample(), make([]byte, 20)))
	r := sample()
	r.VlanProto, r.Caplen = 0x8100, 5
	f.Add(record(r, make([]byte, 5)))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decode(b)
		if err != nil {
			return
		}
		if len(p.Data) > p.Len || p.L3 > len(p.Data)+4 || p.Len > maxFrame+4 {
			t.Errorf("%d bytes of %d, IP at %d", len(p.Data), p.Len, p.L3)
		}
		var out bytes.Buffer
		file := File{Devices: []Device{{NetNS: p.NetNS, Ifindex: p.Ifindex, Raw: len(b)%2 == 0}}, Packets: []Packet{p}}
		if err := Write(&out, &file); err != nil {
			t.Error(err)
		}
		blocks(t, out.Bytes())
	})
}
