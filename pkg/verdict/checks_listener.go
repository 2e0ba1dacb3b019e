// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

// What a full queue or an application that does not read does to a connection is no drop to the kernel: only counters and queues tell.
func init() {
	register(check{name: "accept-queue-overflow", flow: acceptQueueOverflow, silences: []string{"syn-queue-full", "application-stuck", "zero-window"}})
	register(check{name: "syn-queue-full", flow: synQueueFull, silences: []string{"application-stuck", "zero-window"}})
	register(check{name: "zero-window", flow: zeroWindow, silences: []string{"application-stuck"}})
	register(check{name: "application-stuck", flow: applicationStuck})
}

// receiver is where the flow's requests end: the last hop of one that got to a socket or at least into the namespace that has its
// destination.
type receiver struct {
	j    *journey.Journey
	i    int
	ns   *netstate.Namespace
	dst  netip.AddrPort
	open bool // the end of a handshake, or what comes after it, arrived
	data bool // a request with data arrived
}

func (in *Input) receiver() *receiver {
	var r *receiver
	for k := range in.Journeys {
		j := &in.Journeys[k]
		if j.Direction != journey.Request || j.Packet.Proto != "tcp" || len(j.Hops) == 0 || j.DropHop() >= 0 {
			continue
		}
		i := len(j.Hops) - 1
		t := j.TupleAt(i)
		n := in.namespace(j.Hops[i].NetNS)
		if n == nil || !n.IsLocal(t.Dst) {
			continue
		}
		if r == nil {
			r = &receiver{j: j, i: i, ns: n, dst: netip.AddrPortFrom(t.Dst, t.Dport)}
		}
		if j.Packet.Flags != "SYN" && j.End == journey.Delivered {
			r.open = true
			r.data = r.data || j.Packet.Len > pureACK
		}
	}
	return r
}

// grew is the growth of a counter where the requests end.
func (r *receiver) grew(in *Input, counter string) uint64 {
	d, _ := netstate.Delta(in.Before, in.After, r.ns.Inode, counter)
	return d
}

// listener is the listening socket of the flow, nil when it is not known.
func (r *receiver) listener() *netstate.Socket {
	var any *netstate.Socket
	for _, s := range r.ns.Listeners("tcp") {
		if s.Local.Port() != r.dst.Port() {
			continue
		}
		if s.Local.Addr() == r.dst.Addr() {
			return &s
		}
		if s.Local.Addr().IsUnspecified() {
			any = &s
		}
	}
	return any
}

// stalled: the client waited in vain, by the probe or by requests without an answer.
func (in *Input) stalled() bool {
	if in.Probe != nil {
		return in.Probe.Result == probe.Timeout
	}
	return true
}

func (r *receiver) finding(cause string) *Finding {
	return &Finding{Outcome: Dropped, Layer: Application, Cause: cause, Journey: r.j.ID, Hop: r.i, Confidence: Likely}
}

func (r *receiver) hop() *journey.Hop { return &r.j.Hops[r.i] }

func (r *receiver) name(in *Input) string { return in.who("tcp", r.dst.Addr(), r.dst.Port()) }

// acceptQueueOverflow: the listener's queue of complete connections is full (include/net/sock.h, sk_acceptq_is_full); the kernel forgets
// SYNs and the ends of handshakes and counts TcpExtListenOverflows.
func acceptQueueOverflow(in *Input) *Finding {
	r := in.receiver()
	if r == nil || !in.stalled() {
		return nil
	}
	l, over := r.listener(), r.grew(in, "TcpExt.ListenOverflows")
	full := l != nil && l.RecvQ > l.SendQ
	if over == 0 {
		return nil
	}
	f := r.finding("accept-queue-full")
	f.Summary = fmt.Sprintf("the application on %s does not accept connections: its accept queue is full %s", r.name(in), on(r.hop()))
	f.Evidence = []string{fmt.Sprintf("kernel: TcpExtListenOverflows grew by %d %s, without a drop that could be traced", over, on(r.hop()))}
	f.Fix = []string{at(r.hop(), "ss -ltn: Recv-Q above Send-Q is a full accept queue; nstat -az TcpExtListenOverflows counts"),
		"find what the application waits for; a larger backlog (and net.core.somaxconn) only helps against bursts"}
	if full {
		f.Confidence = Confirmed
		f.Evidence = append(f.Evidence, fmt.Sprintf("state: %d connections wait to be accepted at %s, whose backlog is %d", l.RecvQ, l.Local, l.SendQ))
	}
	return f
}

// synQueueFull: too many half-open connections and no SYN cookies (net/ipv4/tcp_input.c, tcp_conn_request).
func synQueueFull(in *Input) *Finding {
	r := in.receiver()
	if r == nil || !in.stalled() || r.open {
		return nil
	}
	full, drops := r.grew(in, "TcpExt.TCPReqQFullDrop"), r.grew(in, "TcpExt.ListenDrops")
	if full == 0 && drops == 0 || r.grew(in, "TcpExt.ListenOverflows") > 0 {
		return nil
	}
	f := r.finding("syn-queue-full")
	f.Summary = fmt.Sprintf("%s has too many half-open connections: new SYNs are forgotten %s", r.name(in), on(r.hop()))
	f.Evidence = []string{fmt.Sprintf("kernel: TcpExtTCPReqQFullDrop grew by %d and TcpExtListenDrops by %d, without a drop that could be traced", full, drops)}
	f.Fix = []string{at(r.hop(), "ss -tan state syn-recv: a SYN flood, or clients that do not get the answer"), at(r.hop(), "sysctl -w net.ipv4.tcp_syncookies=1; net.ipv4.tcp_max_syn_backlog, net.core.somaxconn")}
	if r.ns.Sysctls["net.ipv4.tcp_syncookies"] == "0" {
		f.Evidence = append(f.Evidence, "state: net.ipv4.tcp_syncookies = 0, so a full queue drops instead of sending cookies")
		if full > 0 {
			f.Confidence = Confirmed
		}
	}
	return f
}

// zeroWindow: the receiver told the sender to stop, because its application does not read (net/ipv4/tcp_output.c, tcp_select_window).
func zeroWindow(in *Input) *Finding {
	r := in.receiver()
	if r == nil || !in.stalled() || !r.data {
		return nil
	}
	closed := r.grew(in, "TcpExt.TCPToZeroWindowAdv")
	if closed == 0 {
		return nil
	}
	f := r.finding("zero-window")
	f.Outcome = Delivered
	f.Summary = fmt.Sprintf("%s does not read what it gets: its receive buffer is full and its window is closed", r.name(in))
	f.Evidence = []string{fmt.Sprintf("kernel: the receiver closed its window %d times (TcpExtTCPToZeroWindowAdv) %s; no packet was dropped", closed, on(r.hop()))}
	f.Fix = []string{at(r.hop(), "ss -tnmi: Recv-Q of the connection; then find what the application waits for")}
	waiting(r, f)
	return f
}

// applicationStuck: the request is in the socket's queue and stays there.
func applicationStuck(in *Input) *Finding {
	r := in.receiver()
	if r == nil || in.Probe == nil || in.Probe.Result != probe.Timeout || in.Probe.Sent == 0 || !r.data {
		return nil
	}
	gone, _ := vanished(in)
	for _, j := range gone {
		if !in.madeGood(j) {
			return nil // part of the request is lost on the way: the application waits for it
		}
	}
	f := r.finding("application-stuck")
	f.Outcome = Delivered
	f.Summary = fmt.Sprintf("the application on %s does not answer: the connection is open and the request is in its socket", r.name(in))
	f.Evidence = []string{fmt.Sprintf("kernel: the request was followed to its socket %s; no packet was dropped", on(r.hop()))}
	f.Fix = []string{at(r.hop(), "ss -tnp: Recv-Q above 0 is data that nobody reads; ps -o stat,wchan of the process: T is stopped, D waits for a disk or a mount")}
	waiting(r, f)
	return f
}

// waiting adds what the listener's queue says: connections that nobody has accepted.
func waiting(r *receiver, f *Finding) {
	if l := r.listener(); l != nil && l.RecvQ > 0 {
		f.Confidence = Confirmed
		f.Evidence = append(f.Evidence, fmt.Sprintf("state: %d connections wait to be accepted at %s", l.RecvQ, l.Local))
	}
}
