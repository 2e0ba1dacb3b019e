// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"errors"

	"github.com/ti-mo/conntrack"
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

// lookUp asks the kernel for the one entry of which a direction has this tuple; nil when there is none.
func lookUp(proto string, t journey.Tuple) (*Tracked, error) {
	number, ok := protoNumbers[proto]
	if !ok || t.Src.Is4() != t.Dst.Is4() || !t.Src.IsValid() {
		return nil, nil
	}
	c, err := conntrack.Dial(nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	f, err := c.Get(conntrack.NewFlow(number, 0, t.Src, t.Dst, t.Sport, t.Dport, 0, 0))
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return trackedOf(proto, &f)
}

func trackedOf(proto string, f *conntrack.Flow) (*Tracked, error) {
	e := &Tracked{Proto: proto, Orig: flowTuple(&f.TupleOrig), Reply: flowTuple(&f.TupleReply)}
	if !e.Orig.Src.IsValid() || !e.Reply.Src.IsValid() {
		return nil, errors.New("an entry without addresses")
	}
	if tcp := f.ProtoInfo.TCP; tcp != nil && int(tcp.State) < len(tcpStates) {
		e.State = tcpStates[tcp.State]
	}
	return e, nil
}

func flowTuple(t *conntrack.Tuple) journey.Tuple {
	return journey.Tuple{Src: t.IP.SourceAddress, Dst: t.IP.DestinationAddress, Sport: t.Proto.SourcePort, Dport: t.Proto.DestinationPort}
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
