// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"strconv"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "neighbour-table-full", drop: neighbourTableFull, silences: []string{"neighbour-failed"}})
	register(check{name: "softirq-backlog-full", drop: softirqBacklogFull})
	register(check{name: "ipvs-connection-reuse", drop: ipvsReuse, silences: []string{"netfilter-drop", "network-policy", "forward-policy-drop"}})
}

// neighbourTableFull: no entry could be made for the next hop, because the table, one for all namespaces of the kernel, has gc_thresh3 of them
// (net/core/neighbour.c, neigh_alloc). Before reasons, ip_finish_output2 freed for no other cause.
func neighbourTableFull(d *dropAt) *Finding {
	r := d.reason()
	byPlace := (r == "" || r == "NOT_SPECIFIED") && (d.h.Location == "ip_finish_output2" || d.h.Location == "ip6_finish_output2")
	if r != "NEIGH_CREATEFAIL" && !byPlace {
		return nil
	}
	six := d.nextHop().Is6()
	f := &Finding{Layer: PodNetwork, Cause: "neighbour-table-full", Confidence: Likely,
		Summary: fmt.Sprintf("%s could make no neighbour entry for %s: the kernel's neighbour table is full", place(d.h), d.nextHop()),
		Fix: []string{in(d.h, "dmesg | grep 'neighbor table overflow'; ip -s neigh | wc -l"),
			fmt.Sprintf("on the node (the limits are the whole kernel's): sysctl -w %[1]s.gc_thresh3=80000 %[1]s.gc_thresh2=60000 %[1]s.gc_thresh1=40000", neighTable(six))}}
	if d.h.Outer != nil {
		f.Layer = Underlay
	}
	if entries, most := neighbours(d.in.snapshot(), six); most > 0 {
		f.Evidence = append(f.Evidence, fmt.Sprintf("state: %d neighbour entries in the namespaces that were read, gc_thresh3 is %d", entries, most))
		if entries >= most {
			f.Confidence = Confirmed
		}
	}
	return f
}

// neighTable is where the limits of a family's neighbour table are.
func neighTable(six bool) string { return pick(six, "net.ipv6", "net.ipv4") + ".neigh.default" }

// neighbours counts the entries of a family's neighbour table as far as they were read; most is its limit, 0 when it is not known: only the first
// namespace tells it.
func neighbours(s *netstate.Snapshot, six bool) (entries, most int) {
	if s == nil {
		return 0, 0
	}
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		for k := range n.Neighs {
			if n.Neighs[k].IP.Is6() == six {
				entries++
			}
		}
		if v, err := strconv.Atoi(n.Sysctls[neighTable(six)+".gc_thresh3"]); err == nil {
			most = v
		}
	}
	return entries, most
}

// softirqBacklogFull: the CPU that should take the packet has too many waiting (net/core/dev.c, enqueue_to_backlog). It is no device's fault:
// the CPU does not get round to it.
func softirqBacklogFull(d *dropAt) *Finding {
	if d.reason() != "CPU_BACKLOG" && d.h.Location != "enqueue_to_backlog" {
		return nil
	}
	f := &Finding{Layer: Underlay, Cause: "softirq-backlog-full", Confidence: Likely,
		Summary: fmt.Sprintf("%s dropped %s because a CPU has too many packets waiting (softirq backlog)", place(d.h), d.packetName()),
		Fix: []string{"on the node: the second column of /proc/net/softnet_stat counts these drops by CPU; mpstat -P ALL 1 shows which CPU is busy with soft interrupts",
			"on the node: sysctl net.core.netdev_max_backlog; spread the load (RSS, RPS), or find what keeps the CPU busy"}}
	if n, ok := d.grew("Softnet.dropped"); ok && n > 0 {
		f.Confidence = Confirmed
		f.Evidence = []string{fmt.Sprintf("state: softnet_stat of the node counted %d dropped packets meanwhile", n)}
	}
	return f
}

// ipvsReuse: a new connection takes the addresses and ports of one that IPVS still has in TIME_WAIT. With conn_reuse_mode=1 and conntrack=1 kernels
// before 5.9 give up the old connection and the new one's first SYN with it; the next one, a second later, arrives (net/netfilter/ipvs/ip_vs_core.c,
// ip_vs_in).
func ipvsReuse(d *dropAt) *Finding {
	server := d.h.Hook == "INPUT" || d.h.Hook == "OUTPUT"
	if !server || d.h.Rule != nil || d.h.Step != "" || d.j.Packet.Flags != "SYN" || d.j.Attempt != 1 || d.ns == nil {
		return nil
	}
	t := d.tuple()
	v := d.ns.IPVS.Virtual(d.j.Packet.Proto, t.Dst, t.Dport)
	if v == nil || len(v.Available()) == 0 || d.ns.Sysctls["net.ipv4.vs.conn_reuse_mode"] == "0" || !d.cameAgain() {
		return nil
	}
	return &Finding{Layer: Service, Cause: "ipvs-connection-reuse", Confidence: Likely,
		Summary: fmt.Sprintf("IPVS on %s dropped the first SYN to %s: the client's port belonged to a connection that is not over yet (TIME_WAIT)", place(d.h), d.who(t.Dst, t.Dport)),
		Evidence: lines("kernel: the same SYN got further when it was sent again",
			"state: net.ipv4.vs.conn_reuse_mode is "+d.ns.Sysctls["net.ipv4.vs.conn_reuse_mode"]+", net.ipv4.vs.conntrack is "+d.ns.Sysctls["net.ipv4.vs.conntrack"]),
		Fix: []string{"a kernel of 5.9 or newer does not drop it; before, sysctl -w net.ipv4.vs.conn_reuse_mode=0 trades it for connections to servers that are gone",
			in(d.h, fmt.Sprintf("ipvsadm -lnc | grep %s", endpoint(t.Src, t.Sport)))}}
}

// cameAgain reports whether a later attempt of the same packet got further than this drop.
func (d *dropAt) cameAgain() bool {
	for k := range d.in.Journeys {
		o := &d.in.Journeys[k]
		if o.Packet.Tuple == d.j.Packet.Tuple && o.Packet.Seq == d.j.Packet.Seq && o.Attempt > d.j.Attempt && len(o.Hops) > d.i+1 {
			return true
		}
	}
	return false
}
