// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

func init() {
	register(check{name: "pod-default-route-missing", flow: podDefaultRouteMissing})
	register(check{name: "client-ports-exhausted", unsent: clientPortsExhausted})
}

// The system's words for what connect() returns when no packet was made (errno ENETUNREACH, EADDRNOTAVAIL, EADDRINUSE).
const (
	networkUnreachable = "network is unreachable"
	noAddress          = "cannot assign requested address"
	addressInUse       = "address already in use" // what bind() says to a sender that chose its address and left the port to the kernel
)

// sender is the namespace that has the flow's source address, when exactly one has it.
func (in *Input) sender() *netstate.Namespace {
	a, err := netip.ParseAddr(in.Flow.Src)
	if err != nil {
		return nil
	}
	if o := in.snapshot().OwnersOf(a); len(o) == 1 {
		return o[0].NS
	}
	return nil
}

// podDefaultRouteMissing: connect() failed before a packet was made, and the sender has no route to the destination.
func podDefaultRouteMissing(in *Input) *Finding {
	dst, err := netip.ParseAddr(in.Flow.Dst)
	if len(in.Journeys) > 0 || err != nil || in.Probe == nil || in.Probe.Result != probe.Unreachable || in.Probe.Error != networkUnreachable {
		return nil
	}
	f := &Finding{Outcome: Unseen, Layer: PodNetwork, Cause: "pod-default-route-missing", Hop: -1, Confidence: Likely,
		Summary:  fmt.Sprintf("%s has no route to %s: connect() fails and no packet is made", in.flowSrc(), in.flowDst()),
		Evidence: []string{fmt.Sprintf("client: connect() returned %q at once, and no packet was seen", in.Probe.Error)},
		Fix:      []string{"in the sender's namespace: ip route; the CNI plugin writes the default route when it makes the pod, so delete the pod and look at the plugin's log"}}
	n := in.sender()
	if n == nil {
		return f
	}
	r, ok, sure := n.Routed(dst)
	if !sure {
		f.Evidence = append(f.Evidence, byMore)
		return f
	}
	if ok && r.Type == "unicast" {
		f.Evidence = append(f.Evidence, fmt.Sprintf("state: there is a route now: %s dev %s", r.Dst, r.Dev))
		return f
	}
	f.Confidence = Confirmed
	f.Evidence = append(f.Evidence, fmt.Sprintf("state: none of the %d routes in %s leads to %s", len(n.Routes), n.Name, dst))
	return f
}

// clientPortsExhausted: connect() found no free local port (net/ipv4/inet_hashtables.c, __inet_hash_connect).
func clientPortsExhausted(in *Input) *Finding {
	if in.Probe == nil || in.Probe.Error != noAddress && (in.Probe.Error != addressInUse || in.Flow.Sport != 0) {
		return nil
	}
	f := &Finding{Outcome: Unseen, Layer: Application, Cause: "client-ports-exhausted", Hop: -1, Confidence: Likely,
		Summary:  fmt.Sprintf("%s has no free local port for connections to %s: connect() fails and no packet is made", in.flowSrc(), in.flowDst()),
		Evidence: []string{fmt.Sprintf("client: connect() returned %q", in.Probe.Error)},
		Fix: []string{"in the sender's namespace: ss -tan | awk '{print $1}' | sort | uniq -c: TIME-WAIT holds a port for a minute",
			"keep connections open and reuse them; sysctl net.ipv4.ip_local_port_range widens the range"}}
	n := in.sender()
	if n == nil {
		return f
	}
	ports, ok := portRange(n.Sysctls["net.ipv4.ip_local_port_range"])
	used, counted := n.Counters["Sockets.TCP.inuse"], false
	if tw, there := n.Counters["Sockets.TCP.tw"]; there {
		used, counted = used+tw, true
	}
	if !ok || !counted {
		return f
	}
	f.Evidence = append(f.Evidence, fmt.Sprintf("state: net.ipv4.ip_local_port_range in %s has %d ports, and %d TCP sockets are open or in TIME-WAIT", n.Name, ports, used))
	if used >= ports {
		f.Confidence = Confirmed
	}
	return f
}

// portRange is how many ports "32768	60999" has.
func portRange(s string) (uint64, bool) {
	f := strings.Fields(s)
	if len(f) != 2 {
		return 0, false
	}
	first, err := strconv.ParseUint(f[0], 10, 16)
	last, err2 := strconv.ParseUint(f[1], 10, 16)
	if err != nil || err2 != nil || last < first {
		return 0, false
	}
	return last - first + 1, true
}
