// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

var update = flag.Bool("update", false, "write the golden file anew")

// option is one option of a block.
type option struct {
	code  uint16
	value string
}

// block is one block of a pcapng file.
type block struct {
	kind    uint32
	body    []byte
	options []option
}

const (
	sectionHeader  = 0x0a0d0d0a
	interfaceBlock = 1
	packetBlock    = 6
	optComment     = 1
	optName        = 2
)

// blocks takes a file apart by the draft, not by our writer, and fails the test where it breaks its rules.
func blocks(t *testing.T, b []byte) []block {
	t.Helper()
	var out []block
	for len(b) > 0 {
		if len(b) < 12 {
			t.Fatalf("%d bytes are no block", len(b))
		}
		n := binary.LittleEndian.Uint32(b[4:])
		if n%4 != 0 || n < 12 || uint64(n) > uint64(len(b)) || binary.LittleEndian.Uint32(b[n-4:]) != n {
			t.Fatalf("a block of %d bytes in %d, closed by %d", n, len(b), binary.LittleEndian.Uint32(b[n-4:]))
		}
		x := block{kind: binary.LittleEndian.Uint32(b), body: b[8 : n-4]}
		fixed := map[uint32]int{sectionHeader: 16, interfaceBlock: 8, packetBlock: 20}[x.kind]
		if x.kind == packetBlock {
			fixed += int(binary.LittleEndian.Uint32(x.body[12:])+3) &^ 3
		}
		x.options = options(t, x.body[fixed:])
		out = append(out, x)
		b = b[n:]
	}
	if len(out) == 0 || out[0].kind != sectionHeader {
		t.Fatal("the file does not begin with a section header")
	}
	return out
}

func options(t *testing.T, b []byte) []option {
	t.Helper()
	var out []option
	for len(b) > 0 {
		if len(b) < 4 {
			t.Fatalf("%d bytes are no option", len(b))
		}
		code, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		padded := (n + 3) &^ 3
		if len(b) < 4+padded {
			t.Fatalf("an option of %d bytes in %d", n, len(b)-4)
		}
		if code == 0 {
			if n != 0 || len(b) != 4 {
				t.Fatal("the end of options is not at the end")
			}
			return out
		}
		out = append(out, option{code, string(b[4 : 4+n])})
		b = b[4+padded:]
	}
	return out
}

func (b *block) all(code uint16) []string {
	var out []string
	for _, o := range b.options {
		if o.code == code {
			out = append(out, o.value)
		}
	}
	return out
}

func of(all []block, kind uint32) []block {
	var out []block
	for _, b := range all {
		if b.kind == kind {
			out = append(out, b)
		}
	}
	return out
}

func testFile() *File {
	drop := journey.Hop{NetNS: 2, Stage: journey.StageDrop}
	early := journeyOf(2, 300, drop)
	early.Hops[0].What, early.Packet.IPID = "dropped by netfilter in OUTPUT", 8
	tun := packetAt(130, Egress, 2, 7, service, 80)
	tun.Data, tun.L3, tun.Len = []byte("xxE..ip.."), 2, 9
	return &File{
		Application: "nettrace test", Comment: "nettrace flow: tcp", OS: "Linux", Snap: 64, WallNS: 1e18,
		Devices: []Device{{NetNS: 1, Ifindex: 2, Kind: "veth", Label: "node1/pod shop/client eth0"}, {NetNS: 2, Ifindex: 5, Kind: "veth", Label: "node1 veth1"},
			{NetNS: 2, Ifindex: 7, Kind: "tun", Label: "node1 tun0", Raw: true}},
		Packets:  []Packet{packetAt(111, Ingress, 2, 5, service, 80), packetAt(98, Egress, 1, 2, service, 80), tun},
		Journeys: []journey.Journey{journeyOf(1, 100, hop(1, 2, tx), hop(2, 5, rx)), early},
	}
}

// What a file consists of, byte for byte. tshark and tcpdump read the live one in cmd/nettrace.
func TestWriteGolden(t *testing.T) {
	var out bytes.Buffer
	if err := Write(&out, testFile()); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "golden.pcapng")
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("the file differs from %s: look at it, then run with -update", golden)
	}
}

func TestWrite(t *testing.T) {
	var out bytes.Buffer
	if err := Write(&out, testFile()); err != nil {
		t.Fatal(err)
	}
	all := blocks(t, out.Bytes())
	var names, first, last []string
	for _, b := range of(all, interfaceBlock) {
		names = append(names, strings.Join(b.all(optName), "")+map[byte]string{1: " ethernet", 101: " raw"}[b.body[0]])
	}
	if got, want := strings.Join(names, ", "), "node1/pod shop/client eth0 ethernet, node1 veth1 ethernet, node1 tun0 ethernet, "+rebuiltLabel+" ethernet"; got != want {
		t.Errorf("interfaces %s, want %s", got, want)
	}
	for _, b := range of(all, packetBlock) {
		c := b.all(optComment)
		first, last = append(first, c[0]), append(last, string(b.body[20+12:20+ethernetLength+4]))
	}
	want := []string{"journey 1 hop 1: step", "journey 1 hop 2: step", "no hop", "journey 2 dropped here: dropped by netfilter in OUTPUT"}
	if strings.Join(first, "; ") != strings.Join(want, "; ") {
		t.Errorf("comments %q, want %q", first, want)
	}
	if last[2] != "\x08\x00E..i" {
		t.Errorf("a packet without Ethernet header has the type and the beginning %q", last[2])
	}
}

// A frame that was kept up to the limit and gets its VLAN tag back is no longer than what the file says of its interface: libpcap reads no such packet.
func TestTaggedFrameAtTheLimit(t *testing.T) {
	r := sample()
	r.Len, r.Caplen, r.VlanProto = MaxSnap+100, MaxSnap, 0x8100
	p, err := decode(record(r, make([]byte, MaxSnap)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Write(&out, &File{Snap: MaxSnap, Devices: []Device{{NetNS: p.NetNS, Ifindex: p.Ifindex}}, Packets: []Packet{p}}); err != nil {
		t.Fatal(err)
	}
	all := blocks(t, out.Bytes())
	limit := binary.LittleEndian.Uint32(of(all, interfaceBlock)[0].body[4:])
	kept := binary.LittleEndian.Uint32(of(all, packetBlock)[0].body[12:])
	if kept != MaxSnap+tagLength || kept > limit {
		t.Errorf("%d bytes are kept, and the interface's limit is %d", kept, limit)
	}
}

// Names and sentences can hold what a device or a pod was called: bounded, and without what could upset a terminal.
func TestTextIsBounded(t *testing.T) {
	f := testFile()
	f.Comment = strings.Repeat("ä", 70000)
	f.Devices[0].Label = "eth0\x1b[31m\xff" + strings.Repeat("x", 70000)
	f.Journeys[0].Hops[0].What = strings.Repeat("y", 70000)
	var out bytes.Buffer
	if err := Write(&out, f); err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks(t, out.Bytes()) {
		for _, o := range b.options {
			if len(o.value) > maxText || strings.ContainsRune(o.value, 0x1b) && o.code == optName {
				t.Errorf("option %d has %d bytes, %.20q", o.code, len(o.value), o.value)
			}
		}
	}
}

func TestWriteEmpty(t *testing.T) {
	var out bytes.Buffer
	if err := Write(&out, &File{}); err != nil {
		t.Fatal(err)
	}
	if n := len(of(blocks(t, out.Bytes()), packetBlock)); n != 0 {
		t.Errorf("%d packets in an empty file", n)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteTellsErrors(t *testing.T) {
	if err := Write(full{}, testFile()); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("got %v", err)
	}
}

func TestHeaders(t *testing.T) {
	six := netip.MustParseAddr("2001:db8::1")
	for _, tc := range []struct {
		name string
		p    journey.Packet
		size int
		want map[int]byte
	}{
		{"tcp", journeyOf(1, 0).Packet, 40, map[int]byte{0: 0x45, 3: 60, 5: 7, 9: 6, 12: 10, 16: 10, 23: 80, 27: 9, 32: 0x50, 33: 2}},
		{"udp over IPv6", journey.Packet{Proto: "udp", Len: 60, Tuple: journey.Tuple{Src: six, Dst: six, Sport: 1, Dport: 53}}, 48, map[int]byte{0: 0x60, 5: 20, 6: 17, 41: 1, 43: 53, 45: 20}},
		{"icmpv6", journey.Packet{Proto: "icmp", Tuple: journey.Tuple{Src: six, Dst: six}}, 40, map[int]byte{6: 58}},
		{"unknown", journey.Packet{Proto: "47", Tuple: journey.Tuple{Src: client, Dst: pod}}, 20, map[int]byte{3: 20}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := headers(&tc.p)
			if len(b) != tc.size {
				t.Fatalf("%d bytes, want %d", len(b), tc.size)
			}
			for i, want := range tc.want {
				if b[i] != want {
					t.Errorf("byte %d is %#x, want %#x", i, b[i], want)
				}
			}
		})
	}
}
