// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

func init() {
	register(check{name: "nfqueue-without-reader", drop: nfqueueWithoutReader, silences: []string{"netfilter-drop", "network-policy", "host-firewall-drops-tunnel", "dns-blocked-by-policy"}})
}

// nfqueueWithoutReader: a rule hands the packet to a program, and the kernel cannot put it into the queue: nobody reads that, or it is full
// (net/netfilter/nf_queue.c, nf_queue; nfnetlink_queue.c, nfqnl_enqueue_packet). What the program itself drops is freed elsewhere.
func nfqueueWithoutReader(d *dropAt) *Finding {
	if !journey.Unqueued(d.h.Location) {
		return nil
	}
	f := &Finding{Layer: layerAt(d), Cause: "nfqueue-without-reader", Confidence: Likely,
		Summary:  fmt.Sprintf("a rule %s hands %s to a program that does not take it: nobody reads its NFQUEUE, or the queue is full", on(d.h), d.packetName()),
		Evidence: lines(fmt.Sprintf("kernel: %s freed it: it could not be put into a queue%s", d.h.Location, pick(d.h.Hook != "", " in "+d.h.Hook, "")), ruleEvidence(d.h.Rule)),
		Fix: []string{in(d.h, "cat /proc/net/netfilter/nfnetlink_queue: a line for each queue that is read, its packets dropped because it was full in the sixth column; start the program again"),
			in(d.h, "find the rule: nft list ruleset | grep queue; iptables-save | grep NFQUEUE; 'bypass' (--queue-bypass) in it lets packets go on when nobody reads")}}
	if r := d.h.Rule; r != nil && r.Alternatives == 0 {
		f.Confidence = Confirmed
	}
	return f
}
