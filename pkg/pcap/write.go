// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"encoding/binary"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// Device is a network device at which packets were captured.
type Device struct {
	NetNS   uint32 // inode number of its namespace
	Ifindex uint32
	Name    string
	Kind    string // "veth", "bridge", "vxlan", ...
	Raw     bool   // its frames begin with the IP header: tun, ipip
	// Label is the name in the file: place and device, "node1/pod shop/client eth0".
	Label string
}

// File is what a capture file is made of.
type File struct {
	Application string // program and version
	Comment     string // on the whole file
	OS          string
	Snap        uint32 // most bytes that were kept of a packet
	// WallNS is the wall clock less the monotonic clock, for the times of packets.
	WallNS   int64
	Devices  []Device
	Packets  []Packet
	Journeys []journey.Journey
}

// rebuiltLabel is the interface of packets that were never captured at a device.
const rebuiltLabel = "no device (headers only)"

// line is a packet with its place in the file.
type line struct {
	p        *Packet
	iface    int
	comments []string
}

// Write matches packets with hops and writes the capture as pcapng (draft-ietf-opsawg-pcapng), in order of time: an interface for each
// device, and a comment on each packet.
func Write(w io.Writer, f *File) error {
	refs := Match(f.Packets, f.Journeys)
	last := lastCopies(f.Packets, refs, f.Journeys)
	extra, notes := rebuilt(f.Journeys, last)
	devices := f.Devices
	if len(extra) > 0 || len(devices) == 0 {
		devices = append(devices[:len(devices):len(devices)], Device{Label: rebuiltLabel, Raw: true})
	}
	lines := f.lines(devices, comments(f.Packets, refs, f.Journeys, last))
	for i := range extra {
		lines = append(lines, line{&extra[i], len(devices) - 1, notes[i]})
	}
	sort.SliceStable(lines, func(a, b int) bool { return lines[a].p.Time < lines[b].p.Time })
	ng, err := f.begin(w, devices)
	for i := 0; err == nil && i < len(lines); i++ {
		err = f.packet(ng, &lines[i], devices[lines[i].iface].Raw)
	}
	if err == nil {
		err = ng.Flush()
	}
	if err != nil {
		return fmt.Errorf("write the capture: %w", err)
	}
	return nil
}

// lines are the packets whose device is known, which are all that a Session returns.
func (f *File) lines(devices []Device, notes [][]string) []line {
	type place struct{ netns, ifindex uint32 }
	at := map[place]int{}
	for i, d := range devices {
		at[place{d.NetNS, d.Ifindex}] = i
	}
	var out []line
	for i := range f.Packets {
		p := &f.Packets[i]
		if iface, ok := at[place{p.NetNS, p.Ifindex}]; ok {
			out = append(out, line{p, iface, notes[i]})
		}
	}
	return out
}

func (f *File) begin(w io.Writer, devices []Device) (*pcapgo.NgWriter, error) {
	head := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: text(f.Application), Comment: text(f.Comment), OS: text(f.OS)}}
	ng, err := pcapgo.NewNgWriterInterface(w, f.iface(devices[0]), head)
	for _, d := range devices[1:] {
		if err == nil {
			_, err = ng.AddInterface(f.iface(d))
		}
	}
	return ng, err
}

// iface is Ethernet for every device: tcpdump reads no file whose interfaces differ, and a node with the module ipip has a tunl0 in each namespace.
func (f *File) iface(d Device) pcapgo.NgInterface {
	// libpcap takes no packet that is longer than the limit
	i := pcapgo.NgInterface{Name: text(d.Label), Description: text(d.Kind), LinkType: layers.LinkTypeEthernet, SnapLength: f.Snap + ethernetLength}
	if d.Raw {
		i.Description = text(strings.TrimSpace(d.Kind + " without Ethernet: that header is made up"))
	}
	return i
}

const ethernetLength = 14

// madeUp is an Ethernet header for an IP packet that had none: no addresses, and the type that its version says.
func madeUp(packet []byte) []byte {
	h := make([]byte, ethernetLength, ethernetLength+len(packet))
	kind := layers.EthernetTypeIPv4
	if len(packet) > 0 && packet[0]>>4 == 6 {
		kind = layers.EthernetTypeIPv6
	}
	binary.BigEndian.PutUint16(h[12:], uint16(kind))
	return h
}

func (f *File) packet(ng *pcapgo.NgWriter, l *line, raw bool) error {
	data, full := l.p.Data, l.p.Len
	if raw { // the kernel can have kept what stood before the IP header
		skip := min(l.p.L3, len(data))
		data, full = append(madeUp(data[skip:]), data[skip:]...), full-skip+ethernetLength
	}
	o := pcapgo.NgPacketOptions{Flags: &pcapgo.NgEpbFlags{Direction: pcapgo.NgEpbFlagDirectionInbound}}
	if l.p.Side == Egress {
		o.Flags.Direction = pcapgo.NgEpbFlagDirectionOutbound
	}
	for _, c := range l.comments {
		o.Comments = append(o.Comments, text(c))
	}
	when := time.Unix(0, int64(l.p.Time)+f.WallNS)
	ci := gopacket.CaptureInfo{Timestamp: when, CaptureLength: len(data), Length: max(full, len(data)), InterfaceIndex: l.iface}
	return ng.WritePacketWithOptions(ci, data, o)
}
