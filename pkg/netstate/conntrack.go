// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// Tracked is an entry of the conntrack table.
type Tracked struct {
	Proto string        `json:"proto"`
	Orig  journey.Tuple `json:"orig"`
	Reply journey.Tuple `json:"reply"`
	State string        `json:"state,omitempty"` // of TCP, in conntrack's words: SYN_SENT, ESTABLISHED, ...
}

// Asked is a packet whose entries are looked up after a run: by itself and by its answer, at most two of them. The table is never listed.
type Asked struct {
	NetNS uint32 // inode
	Proto string // tcp, udp, sctp
	Tuple journey.Tuple
}

// tcpStates are enum tcp_conntrack in conntrack(8)'s words (include/uapi/linux/netfilter/nf_conntrack_tcp.h).
var tcpStates = [...]string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"}

var protoNumbers = map[string]uint8{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP, "sctp": unix.IPPROTO_SCTP}

// tracked looks up the packets in the table of the namespace of the calling thread.
func (r *reader) tracked(asked []Asked) {
	if len(asked) == 0 || !loaded("nf_conntrack_netlink") { // asking would load it
		return
	}
	for _, a := range asked {
		if a.NetNS != r.n.Inode {
			continue
		}
		for _, t := range []journey.Tuple{a.Tuple, reversed(a.Tuple)} {
			e, err := lookUp(a.Proto, t)
			switch {
			case err != nil:
				r.unread("the conntrack table", err)
				return
			case e != nil && !r.hasEntry(e):
				r.n.Tracked = append(r.n.Tracked, *e)
			}
		}
	}
}

func (r *reader) hasEntry(e *Tracked) bool {
	for i := range r.n.Tracked {
		if r.n.Tracked[i] == *e {
			return true
		}
	}
	return false
}

func reversed(t journey.Tuple) journey.Tuple {
	return journey.Tuple{Src: t.Dst, Sport: t.Dport, Dst: t.Src, Dport: t.Sport}
}

// lookUp asks the kernel for the one entry of which a direction has this tuple; nil when there is none. No library asks for one.
func lookUp(proto string, t journey.Tuple) (*Tracked, error) {
	number, ok := protoNumbers[proto]
	if !ok || t.Src.Is4() != t.Dst.Is4() || !t.Src.IsValid() {
		return nil, nil
	}
	family := uint8(unix.AF_INET6)
	source, destination := nl.CTA_IP_V6_SRC, nl.CTA_IP_V6_DST
	if t.Src.Is4() {
		family, source, destination = unix.AF_INET, nl.CTA_IP_V4_SRC, nl.CTA_IP_V4_DST
	}
	tuple := nl.NewRtAttr(unix.NLA_F_NESTED|nl.CTA_TUPLE_ORIG, nil)
	ip := tuple.AddRtAttr(unix.NLA_F_NESTED|nl.CTA_TUPLE_IP, nil)
	ip.AddRtAttr(source, t.Src.AsSlice())
	ip.AddRtAttr(destination, t.Dst.AsSlice())
	p := tuple.AddRtAttr(unix.NLA_F_NESTED|nl.CTA_TUPLE_PROTO, nil)
	p.AddRtAttr(nl.CTA_PROTO_NUM, []byte{number})
	p.AddRtAttr(nl.CTA_PROTO_SRC_PORT, binary.BigEndian.AppendUint16(nil, t.Sport))
	p.AddRtAttr(nl.CTA_PROTO_DST_PORT, binary.BigEndian.AppendUint16(nil, t.Dport))
	req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_CTNETLINK<<8|nl.IPCTNL_MSG_CT_GET, unix.NLM_F_ACK)
	req.AddData(&nl.Nfgenmsg{NfgenFamily: family})
	req.AddData(tuple)
	msgs, err := req.Execute(unix.NETLINK_NETFILTER, 0)
	if errors.Is(err, unix.ENOENT) || err == nil && len(msgs) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseTracked(proto, msgs[0])
}

// parseTracked reads struct nfgenmsg and the attributes of an entry.
func parseTracked(proto string, b []byte) (*Tracked, error) {
	if len(b) < nl.SizeofNfgenmsg {
		return nil, fmt.Errorf("an entry of %d bytes", len(b))
	}
	attrs, err := nl.ParseRouteAttr(b[nl.SizeofNfgenmsg:])
	if err != nil {
		return nil, fmt.Errorf("read an entry: %w", err)
	}
	e := &Tracked{Proto: proto}
	for _, a := range attrs {
		switch a.Attr.Type & nl.NLA_TYPE_MASK {
		case nl.CTA_TUPLE_ORIG:
			e.Orig = parseTuple(a.Value)
		case nl.CTA_TUPLE_REPLY:
			e.Reply = parseTuple(a.Value)
		case nl.CTA_PROTOINFO:
			if s := nested(nested(a.Value, nl.CTA_PROTOINFO_TCP), nl.CTA_PROTOINFO_TCP_STATE); len(s) == 1 && int(s[0]) < len(tcpStates) {
				e.State = tcpStates[s[0]]
			}
		}
	}
	if !e.Orig.Src.IsValid() || !e.Reply.Src.IsValid() {
		return nil, errors.New("an entry without addresses")
	}
	return e, nil
}

// nested is the value of an attribute inside another; nil when it is not there.
func nested(b []byte, kind uint16) []byte {
	attrs, err := nl.ParseRouteAttr(b)
	if err != nil {
		return nil
	}
	for _, a := range attrs {
		if a.Attr.Type&nl.NLA_TYPE_MASK == kind {
			return a.Value
		}
	}
	return nil
}

func parseTuple(b []byte) (t journey.Tuple) {
	ip, proto := nested(b, nl.CTA_TUPLE_IP), nested(b, nl.CTA_TUPLE_PROTO)
	addr := func(kinds ...uint16) netip.Addr {
		for _, k := range kinds {
			if a, ok := netip.AddrFromSlice(nested(ip, k)); ok {
				return a
			}
		}
		return netip.Addr{}
	}
	port := func(kind uint16) uint16 {
		if v := nested(proto, kind); len(v) >= 2 {
			return binary.BigEndian.Uint16(v)
		}
		return 0
	}
	return journey.Tuple{Src: addr(nl.CTA_IP_V4_SRC, nl.CTA_IP_V6_SRC), Dst: addr(nl.CTA_IP_V4_DST, nl.CTA_IP_V6_DST), Sport: port(nl.CTA_PROTO_SRC_PORT), Dport: port(nl.CTA_PROTO_DST_PORT)}
}

// Entry is the entry of a packet's namespace that has the packet's tuple in one of its directions, among those that were asked for; nil when there
// is none. It works on a nil namespace.
func (n *Namespace) Entry(proto string, t journey.Tuple) *Tracked {
	if n == nil {
		return nil
	}
	for i := range n.Tracked {
		if e := &n.Tracked[i]; e.Proto == proto && (e.Orig == t || e.Reply == t) {
			return e
		}
	}
	return nil
}
