// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	also := []string{"netfilter-drop"}
	register(check{name: "conntrack-full", drop: conntrackFull, silences: also})
	register(check{name: "snat-ports-exhausted", drop: insertFailed, silences: also})
	register(check{name: "conntrack-invalid", drop: conntrackInvalid, silences: []string{"netfilter-drop", "network-policy"}})
	register(check{name: "ipvs-no-endpoints", drop: ipvsNoServer, silences: []string{"netfilter-drop", "no-socket"}})
}

// CountConntrack counts conntrack entries by their senders: each has a src for both directions.
const CountConntrack = "conntrack -L | grep -o 'src=[^ ]*' | awk 'NR%2==1' | sort | uniq -c | sort -n"

// conntrackFull: no entry could be made because the table is full, and none could go (net/netfilter/nf_conntrack_core.c, early_drop).
func conntrackFull(d *dropAt) *Finding {
	byState := d.h.Step != "conntrack-full" // the kernel's own step is missing, what it left is not
	if byState && !((noEntry(d) || firstHook(d)) && tableFull(d)) {
		return nil
	}
	f := &Finding{Layer: Service, Cause: "conntrack-full", Confidence: Confirmed,
		Summary:  fmt.Sprintf("the conntrack table of %s is full: new connections are dropped", place(d.h)),
		Evidence: []string{"the kernel looked for an entry to drop and found none, then dropped the packet"},
		Fix: []string{in(d.h, "conntrack -C; sysctl net.netfilter.nf_conntrack_max; raise the maximum"),
			in(d.h, CountConntrack+" | tail shows who holds the entries")}}
	if byState {
		f.Confidence, f.Evidence = Likely, []string{"the packet was dropped where connection tracking makes its entry, and it has none"}
	}
	if d.ns != nil && d.ns.Sysctls["net.netfilter.nf_conntrack_max"] != "" {
		f.Evidence = append(f.Evidence, fmt.Sprintf("state: %s of %s entries are used", d.ns.Sysctls["net.netfilter.nf_conntrack_count"], d.ns.Sysctls["net.netfilter.nf_conntrack_max"]))
	}
	return f
}

// noEntry tells whether a netfilter hook dropped a packet that connection tracking has no entry for, which is what INVALID means.
func noEntry(d *dropAt) bool {
	ct := d.conntrack()
	return d.h.Hook != "" && d.h.Outer == nil && ct != nil && ct.CT != nil && ct.CT.State == "INVALID"
}

// firstHook tells whether the packet was dropped where connection tracking looks for its entry (PREROUTING, OUTPUT), with no rule that would
// explain it, on a kernel that shows nothing of the tracking itself.
func firstHook(d *dropAt) bool {
	return (d.h.Hook == "PREROUTING" || d.h.Hook == "OUTPUT") && d.h.Rule == nil && d.h.Outer == nil && d.h.Step == "" && d.h.Verdict != "reject" && d.conntrack() == nil
}

// tableFull tells whether the namespace uses as many conntrack entries as it may.
func tableFull(d *dropAt) bool {
	if d.ns == nil {
		return false
	}
	used, err := strconv.Atoi(d.ns.Sysctls["net.netfilter.nf_conntrack_count"])
	if err != nil {
		return false
	}
	most, err := strconv.Atoi(d.ns.Sysctls["net.netfilter.nf_conntrack_max"])
	return err == nil && most > 0 && used >= most
}

// Bits of a conntrack entry's status, as the journey names them.
const statusSrcNAT = "SRC_NAT"

// insertFailed: another connection has the same addresses and ports after translation (net/netfilter/nf_conntrack_core.c,
// __nf_conntrack_confirm). With a translated source that is a range of ports that is used up, else two packets of one socket in a race.
func insertFailed(d *dropAt) *Finding {
	counted, _ := d.grew("Conntrack.insert_failed")
	seen := d.h.Step == "insert-failed"
	if !seen && (counted == 0 || !lastHook(d)) {
		return nil
	}
	f := &Finding{Layer: Service, Cause: "conntrack-race", Confidence: Likely,
		Summary:  fmt.Sprintf("%s could not enter the connection into the conntrack table: another one has the same addresses and ports", place(d.h)),
		Evidence: []string{"the packet was dropped when its new connection was entered into the table (insert_failed)"},
		Fix: []string{in(d.h, "conntrack -S: insert_failed counts these drops"),
			"the client: one socket for each query (glibc: options single-request-reopen), one name server in resolv.conf, or a cache on the node (NodeLocal DNSCache)"}}
	if !seen {
		f.Evidence = []string{fmt.Sprintf("netfilter dropped it behind its last rules in %s, where connections are entered into the conntrack table", d.h.Hook)}
	}
	if counted > 0 {
		f.Evidence = append(f.Evidence, fmt.Sprintf("state: insert_failed of %s grew by %d", place(d.h), counted))
	}
	rival := d.ns.Entry(d.j.Packet.Proto, d.answer())
	if rival != nil && rival.Orig != d.tuple() && rival.Orig != d.j.Packet.Tuple {
		f.Evidence = append(f.Evidence, fmt.Sprintf("state: %s has the place in the table: its answers look the same", connection(rival)))
	} else {
		rival = nil
	}
	if counted > 0 && (seen || rival != nil) {
		f.Confidence = Confirmed
	}
	if d.query() {
		f.Layer = DNS
		f.Summary = "a query for a name was lost in a race: " + f.Summary
	}
	if ct := d.h.CT; ct != nil && has(ct.Status, statusSrcNAT) || sourceTranslated(d) {
		t := d.tuple()
		f.Layer, f.Cause = Service, "snat-ports-exhausted"
		// a free port is looked for before the entry is inserted (net/netfilter/nf_nat_core.c, nf_nat_l4proto_unique_tuple): that it is taken by then
		// is no proof that none was left. When it happens again and again it is.
		f.Confidence = Likely
		why := "SNAT found no free one, or another new connection took it at the same moment"
		if n := d.repeated(); seen && n > 1 {
			f.Confidence, why = Confirmed, "SNAT found no free one"
			f.Evidence = append(f.Evidence, fmt.Sprintf("kernel: %d attempts of this connection ended so: a race for a port would not repeat itself", n))
		}
		f.Summary = fmt.Sprintf("no source port is left on %s for connections to %s: %s", place(d.h), d.who(t.Dst, t.Dport), why)
		f.Fix = []string{in(d.h, "conntrack -S: insert_failed counts these drops"), in(d.h, fmt.Sprintf("conntrack -L -d %s | wc -l: connections to this destination", t.Dst)),
			"use more node addresses, a wider range of ports (--to-ports, --random-fully), or keep connections open"}
	}
	return f
}

// repeated is how many packets of the drop's connection were dropped as this one was.
func (d *dropAt) repeated() (n int) {
	for i := range d.in.Journeys {
		j := &d.in.Journeys[i]
		k := j.DropHop()
		if k < 0 || j.Direction != d.j.Direction || j.Packet.Tuple != d.j.Packet.Tuple {
			continue
		}
		if h := &j.Hops[k]; h.NetNS == d.h.NetNS && h.Step == d.h.Step && h.Location == d.h.Location {
			n++
		}
	}
	return n
}

// answer is the tuple of what answers the packet as it was at the drop.
func (d *dropAt) answer() journey.Tuple {
	t := d.tuple()
	return journey.Tuple{Src: t.Dst, Sport: t.Dport, Dst: t.Src, Dport: t.Sport}
}

// connection is a conntrack entry for a sentence: "udp 10.0.0.1:5000 → 10.96.0.11:53".
func connection(e *netstate.Tracked) string {
	return fmt.Sprintf("%s %s → %s", e.Proto, endpoint(e.Orig.Src, e.Orig.Sport), endpoint(e.Orig.Dst, e.Orig.Dport))
}

// lastHook tells whether the packet was dropped where connections are entered into the table, behind all rules (POSTROUTING, INPUT), with no
// rule that would explain it.
func lastHook(d *dropAt) bool {
	return (d.h.Hook == "POSTROUTING" || d.h.Hook == "INPUT") && d.h.Rule == nil && d.h.Outer == nil && d.h.Step == "" && d.h.Verdict != "reject"
}

func sourceTranslated(d *dropAt) bool {
	for k := d.i; k >= 0; k-- {
		if n := d.j.Hops[k].NAT; n != nil && (n.Type == "snat" || n.Type == "masquerade") && !n.Undo && d.j.Hops[k].NetNS == d.h.NetNS {
			return true
		}
	}
	return false
}

func has(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

// conntrackInvalid: connection tracking cannot place the packet and a rule drops what it cannot place; kube-proxy has such a rule.
func conntrackInvalid(d *dropAt) *Finding {
	if !noEntry(d) || tableFull(d) {
		return nil
	}
	ct := d.conntrack()
	f := &Finding{Layer: Service, Cause: "conntrack-invalid", Confidence: Likely,
		Summary:  fmt.Sprintf("conntrack on %s calls %s INVALID, and a rule in %s drops it", place(d.h), d.packetName(), d.h.Hook),
		Evidence: lines("conntrack knows no connection to which the packet could belong", why(ct), ruleEvidence(d.h.Rule)),
		Fix: []string{in(d.h, "does the other direction pass another node or skip conntrack (asymmetric route, NOTRACK)? conntrack -L; conntrack -S: invalid"),
			in(d.h, "out of window: sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1")}}
	if e := d.ns.Entry(d.j.Packet.Proto, d.tuple()); e != nil {
		f.Evidence = append(f.Evidence, strings.TrimRight(fmt.Sprintf("state: the table has its connection, %s %s", connection(e), e.State), " ")+": the packet is out of its window or of its order")
	}
	// no entry is also what a full table leaves: the kernel's words, or the rule that drops what is INVALID, tell them apart
	if ct.Func != "" && (ct.Why != "" || d.h.Rule != nil) {
		f.Confidence = Confirmed
	}
	return f
}

func why(h *journey.Hop) string {
	if h.Why == "" {
		return ""
	}
	return "the kernel says: " + h.Why
}

// ipvsNoServer: the virtual server has no real server (net/netfilter/ipvs/ip_vs_core.c, ip_vs_leave).
func ipvsNoServer(d *dropAt) *Finding {
	seen := d.h.Step == "no-server"
	for k := d.i; k >= 0 && !seen; k-- {
		seen = d.j.Hops[k].Stage == journey.StageIPVS && d.j.Hops[k].Step == "no-server" && d.j.Hops[k].NetNS == d.h.NetNS
	}
	evidence := "the packet reached ip_vs_leave, where IPVS gives up"
	if !seen {
		if d.h.Rule == nil || d.h.Rule.Backend != "ipvs" { // found in the snapshot, where no function tells
			return nil
		}
		evidence = "the virtual server has no real server that takes new connections"
	}
	flag := map[string]string{"udp": "-u", "sctp": "--sctp-service"}[d.j.Packet.Proto]
	if flag == "" {
		flag = "-t"
	}
	to := d.who(d.tuple().Dst, d.tuple().Dport)
	return &Finding{Layer: Service, Cause: "no-endpoints", Confidence: Confirmed,
		Summary:  fmt.Sprintf("IPVS on %s has no real server for %s: the Service has no ready endpoints", place(d.h), to),
		Evidence: lines(evidence, ruleEvidence(d.h.Rule)),
		Fix:      []string{in(d.h, "ipvsadm -ln "+flag+" "+netip.AddrPortFrom(d.tuple().Dst, d.tuple().Dport).String()), "kubectl get endpointslices -A: find the Service with this address, then its pods' labels and readiness"}}
}
