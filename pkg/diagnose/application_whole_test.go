// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"net/netip"
	"reflect"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// farListens gives far these TCP sockets only.
func farListens(at ...string) func(*world) {
	return func(w *world) {
		w.far.Sockets = nil
		for _, a := range at {
			w.far.Sockets = append(w.far.Sockets, netstate.Socket{Proto: "tcp", Local: netip.MustParseAddrPort(a), SendQ: 128, Process: "web"})
		}
	}
}

func TestListenerWhole(t *testing.T) {
	whole(t, "listener", []exact{
		{name: "dual stack, the pod listens on [::]: IPv6 is taken", broken: (*world).dual, want: Result{
			Status:  OK,
			Summary: "shop/far ([fd00:244:2::20]:8080) listens on 8080 (web)",
		}},
		{name: "dual stack, the pod listens on its IPv4 address only: IPv6 is not taken", broken: both((*world).dual, farListens("10.244.2.20:8080")), want: Result{
			Status: Wrong, Cause: "listens-on-localhost", Node: "node2", Stops: true,
			Summary:  "the application at shop/far ([fd00:244:2::20]:8080) listens on 10.244.2.20:8080 (web) only, not on the pod's address",
			Evidence: []string{"state: the socket is bound to 10.244.2.20:8080"},
			Fix:      []string{"make the application listen on ::"},
		}},
		{name: "dual stack, the pod listens on ::1 only: not from outside of the pod", broken: both((*world).dual, farListens("[::1]:8080")), want: Result{
			Status: Wrong, Cause: "listens-on-localhost", Node: "node2", Stops: true,
			Summary:  "the application at shop/far ([fd00:244:2::20]:8080) listens on [::1]:8080 (web) only, not on the pod's address",
			Evidence: []string{"state: the socket is bound to [::1]:8080"},
			Fix:      []string{"make the application listen on ::"},
		}},
		{name: "one socket on localhost and one on the pod's address: the second is reached", broken: farListens("127.0.0.1:8080", "10.244.2.20:8080"), want: Result{
			Status:  OK,
			Summary: "shop/far (10.244.2.20:8080) listens on 10.244.2.20:8080 (web)",
		}},
		{name: "nothing listens at all: that is told as such", broken: farListens(), want: Result{
			Status: Wrong, Cause: "not-listening", Node: "node2", Stops: true,
			Summary:  "nothing listens on tcp shop/far (10.244.2.20:8080)",
			Evidence: []string{"state: far listens on tcp ports (none)"},
			Fix:      []string{"is the application up, and on this port? in the pod: ss -ltnp"},
		}},
		{name: "one endpoint of two does not accept: half of the connections wait", broken: asService(func(w *world) { w.far.Sockets[0].RecvQ = 129 }), want: Result{
			Status: Wrong, Cause: "accept-queue-full", Node: "node2",
			Summary:  "the application at shop/far (10.244.2.20:8080) does not accept connections: its accept queue is full",
			Evidence: []string{"state: 129 connections wait to be accepted at 0.0.0.0:8080, whose backlog is 128"},
			Fix:      []string{"find what the application waits for; a larger backlog (and net.core.somaxconn) only helps against bursts"},
		}},
		{name: "a UDP socket with a queue: it is no accept queue", broken: func(w *world) {
			w.toDNS()
			w.far.Sockets[1].RecvQ, w.far.Sockets[1].SendQ = 200, 1
		}, want: Result{
			Status:  OK,
			Summary: "shop/far (10.244.2.20:53) listens on 53",
		}},
		{name: "DNS over TCP to a server that has only UDP: names are told", broken: func(w *world) {
			w.in.Dport = 53
		}, want: Result{
			Status: Wrong, Layer: DNS, Cause: "dns-not-listening", Node: "node2", Stops: true,
			Summary:  "names cannot be resolved: nothing listens on tcp shop/far (10.244.2.20:53)",
			Evidence: []string{"state: far listens on tcp ports [8080 (web)]"},
			Fix:      []string{"is the application up, and on this port? in the pod: ss -ltnp"},
		}},
		{name: "a NodePort that only rules know: its listeners are the endpoints'", broken: func(w *world) {
			w.in.Dst, w.in.Dport = ip("192.168.50.1"), 30080
			w.unnamed()
		}, want: Result{
			Status:  OK,
			Summary: "10.244.1.20:8080 listens on 8080 (web); 10.244.2.20:8080 listens on 8080 (web)",
		}},
		{name: "a NodePort of the node that is closed: not the listener's", broken: func(w *world) { w.in.Dst, w.in.Dport = ip("192.168.50.1"), 30099 }, want: Result{
			Status:  NotApplicable,
			Summary: "the flow ends at no socket that is known beforehand",
		}},
		{name: "a port of the node itself, where nothing listens: the node is told", broken: func(w *world) { w.in.Dst, w.in.Dport = ip("192.168.50.2"), 10250 }, want: Result{
			Status: Wrong, Cause: "not-listening", Node: "node2", Stops: true,
			Summary:  "nothing listens on tcp 192.168.50.2:10250",
			Evidence: []string{"state: node2 listens on tcp ports (none)"},
			Fix:      []string{"is the application up, and on this port? on node2: ss -ltnp"},
		}},
		{name: "a host outside of the cluster is the target: it cannot be looked at", broken: func(w *world) { w.in.Dst = ip("198.51.100.7") }, want: Result{
			Status:  Unknown,
			Summary: "198.51.100.7 is not on this kernel",
		}},
		{name: "SCTP: its listeners are not known to the kernel's tables that are read", broken: func(w *world) { w.in.Proto = "sctp" }, want: Result{
			Status:  NotApplicable,
			Summary: "sctp has no listeners",
		}},
		{name: "a process whose name is none: shown as it is", broken: func(w *world) { w.far.Sockets[0].Process = "%s\x1b[2J" }, want: Result{
			Status:  OK,
			Summary: "shop/far (10.244.2.20:8080) listens on 8080 (%s\x1b[2J)",
		}},
	})
}

func TestNetworkPolicyWhole(t *testing.T) {
	// run evaluates the check with a policy in the cluster and these answers for the destinations.
	run := func(broken func(*world), answer func(dst netip.Addr) (string, bool)) Result {
		w := newWorld()
		broken(w)
		w.objs.Policies = []k8smeta.Policy{{Namespace: "shop", Name: "p", Spec: networkingv1.NetworkPolicySpec{}}}
		in := w.input(t)
		in.Policies = func(_ string, _, dst netip.Addr, _ uint16) (string, bool) { return answer(dst) }
		return checks["network-policy"].run(in)
	}
	denies := func(which ...string) func(netip.Addr) (string, bool) {
		return func(dst netip.Addr) (string, bool) {
			for _, a := range which {
				if dst == ip(a) {
					return "shop/p isolates " + a, false
				}
			}
			return "shop/p lets " + dst.String() + " be reached", true
		}
	}
	for _, tc := range []struct {
		name   string
		broken func(*world)
		answer func(netip.Addr) (string, bool)
		want   Result
	}{
		{"a Service, one of two pods is isolated: half of the connections are denied", (*world).toService, denies("10.244.2.20"), Result{
			Status: Wrong, Cause: "network-policy-drop", Node: "node2",
			Summary:  "a NetworkPolicy denies the flow: shop/p isolates 10.244.2.20",
			Evidence: []string{"the NetworkPolicies of the API deny it: shop/p isolates 10.244.2.20"},
			Fix:      []string{"kubectl get networkpolicy -A, and allow 10.244.1.10 to reach port 8080 of 10.244.2.20"},
		}},
		{"a Service, both pods are isolated: the first is told, the second is beside it", (*world).toService, denies("10.244.1.20", "10.244.2.20"), Result{
			Status: Wrong, Cause: "network-policy-drop", Node: "node1",
			Summary: "a NetworkPolicy denies the flow: shop/p isolates 10.244.1.20",
			Evidence: []string{
				"the NetworkPolicies of the API deny it: shop/p isolates 10.244.1.20",
				"also: a NetworkPolicy denies the flow: shop/p isolates 10.244.2.20",
			},
			Fix: []string{"kubectl get networkpolicy -A, and allow 10.244.1.10 to reach port 8080 of 10.244.1.20"},
		}},
		{"a Service, both pods may be reached: both reasons are told", (*world).toService, denies(), Result{
			Status:  OK,
			Summary: "shop/p lets 10.244.1.20 be reached; shop/p lets 10.244.2.20 be reached",
		}},
		{"a Service, one pod may be reached and nothing is known of the other's labels: not known", (*world).toService, func(dst netip.Addr) (string, bool) {
			if dst == ip("10.244.2.20") {
				return "", false
			}
			return "shop/p lets it be reached", true
		}, Result{
			Status:   Unknown,
			Summary:  "the NetworkPolicies do not decide about shop/far (10.244.2.20): an end or labels are not known",
			Evidence: []string{"seen: shop/p lets it be reached"},
		}},
		{"dual stack, the IPv6 address of the pod is isolated: it is asked about, not the IPv4 one", (*world).dual, denies("fd00:244:2::20"), Result{
			Status: Wrong, Cause: "network-policy-drop", Node: "node2", Stops: true,
			Summary:  "a NetworkPolicy denies the flow: shop/p isolates fd00:244:2::20",
			Evidence: []string{"the NetworkPolicies of the API deny it: shop/p isolates fd00:244:2::20"},
			Fix:      []string{"kubectl get networkpolicy -A, and allow fd00:244:1::10 to reach port 8080 of fd00:244:2::20"},
		}},
		{"a NodePort, the pod behind it is isolated: the pod is asked about, not the node", func(w *world) {
			w.in.Dst, w.in.Dport = ip("192.168.50.1"), 30080
			onlyFar(w)
		}, denies("10.244.2.20"), Result{
			Status: Wrong, Cause: "network-policy-drop", Node: "node2", Stops: true,
			Summary:  "a NetworkPolicy denies the flow: shop/p isolates 10.244.2.20",
			Evidence: []string{"the NetworkPolicies of the API deny it: shop/p isolates 10.244.2.20"},
			Fix:      []string{"kubectl get networkpolicy -A, and allow 10.244.1.10 to reach port 8080 of 10.244.2.20"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := run(tc.broken, tc.answer); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("network-policy says\n%s\nwant\n%s", literal(&got), literal(&tc.want))
			}
		})
	}
}

func TestClientPortsWhole(t *testing.T) {
	ports := func(text string) func(*world) {
		return func(w *world) { w.client.Sysctls["net.ipv4.ip_local_port_range"] = text }
	}
	whole(t, "client-ports", []exact{
		{name: "as many sockets as ports: none is left", broken: ports("40000\t40003"), want: Result{
			Status: Wrong, Cause: "client-ports-exhausted", Node: "node1",
			Summary:  "shop/client (10.244.1.10) may have no free local port: 4 TCP sockets, 4 ports",
			Evidence: []string{"state: net.ipv4.ip_local_port_range in client has 4 ports, and 4 TCP sockets are open or in TIME-WAIT"},
			Fix:      []string{"keep connections open and reuse them; sysctl net.ipv4.ip_local_port_range widens the range"},
		}},
		{name: "one port more than sockets: there is room", broken: ports("40000\t40004"), want: Result{
			Status:  OK,
			Summary: "4 TCP sockets of the sender, 5 local ports",
		}},
		{name: "IPv6 sockets are not in IPv4's counters, and the range is of both: the same answer", broken: (*world).dual, want: Result{
			Status:  OK,
			Summary: "4 TCP sockets of the sender, 28232 local ports",
		}},
		{name: "the range is empty, as a bad sysctl would have it: not known", broken: ports("50000\t40000"), want: Result{
			Status:  Unknown,
			Summary: "the sender's sockets are not counted",
		}},
		{name: "the range could not be read: not known", broken: func(w *world) {
			delete(w.client.Sysctls, "net.ipv4.ip_local_port_range")
			w.client.Unread = []string{"sysctl net.ipv4.ip_local_port_range could not be read: EPERM"}
		}, want: Result{
			Status:  Unknown,
			Summary: "the sender's local ports are not known: in client: sysctl net.ipv4.ip_local_port_range could not be read: EPERM",
		}},
		{name: "the node is the sender: its own sockets count", broken: func(w *world) {
			fromNode(w)
			w.node1.Sysctls["net.ipv4.ip_local_port_range"] = "32768\t60999"
			w.node1.Counters = map[string]uint64{"Sockets.TCP.inuse": 20, "Sockets.TCP.tw": 2}
		}, want: Result{
			Status:  OK,
			Summary: "22 TCP sockets of the sender, 28232 local ports",
		}},
	})
}

func TestConntrackWhole(t *testing.T) {
	set := func(count, most string) func(*world) {
		return func(w *world) {
			w.node1.Sysctls["net.netfilter.nf_conntrack_count"], w.node1.Sysctls["net.netfilter.nf_conntrack_max"] = count, most
		}
	}
	whole(t, "conntrack", []exact{
		{name: "one entry below nine tenths: room", broken: set("89", "100"), want: Result{
			Status:  OK,
			Summary: "89 of 100 conntrack entries are used on node1; 120 of 262144 conntrack entries are used on node2",
		}},
		{name: "nine tenths: nearly full, which does not stop this flow", broken: set("90", "100"), want: Result{
			Status: Wrong, Cause: "conntrack-full", Node: "node1",
			Summary:  "the conntrack table of node1 is nearly full: 90 of 100 entries are used",
			Evidence: []string{"state: nf_conntrack_count = 90, nf_conntrack_max = 100 on node1"},
			Fix:      []string{"on node1: sysctl -w net.netfilter.nf_conntrack_max=200; conntrack -L | grep -o 'src=[^ ]*' | awk 'NR%2==1' | sort | uniq -c | sort -n finds who holds them"},
		}},
		{name: "more entries than the maximum, as after it was lowered: full", broken: set("300", "100"), want: Result{
			Status: Wrong, Cause: "conntrack-full", Node: "node1", Stops: true,
			Summary:  "the conntrack table of node1 is full: 300 of 100 entries are used",
			Evidence: []string{"state: nf_conntrack_count = 300, nf_conntrack_max = 100 on node1"},
			Fix:      []string{"on node1: sysctl -w net.netfilter.nf_conntrack_max=600; conntrack -L | grep -o 'src=[^ ]*' | awk 'NR%2==1' | sort | uniq -c | sort -n finds who holds them"},
		}},
		{name: "both nodes are full: both are told", broken: both(set("100", "100"), func(w *world) {
			w.node2.Sysctls["net.netfilter.nf_conntrack_count"] = "262144"
		}), want: Result{
			Status: Wrong, Cause: "conntrack-full", Node: "node1", Stops: true,
			Summary: "the conntrack table of node1 is full: 100 of 100 entries are used",
			Evidence: []string{
				"state: nf_conntrack_count = 100, nf_conntrack_max = 100 on node1",
				"also: the conntrack table of node2 is full: 262144 of 262144 entries are used",
			},
			Fix: []string{"on node1: sysctl -w net.netfilter.nf_conntrack_max=200; conntrack -L | grep -o 'src=[^ ]*' | awk 'NR%2==1' | sort | uniq -c | sort -n finds who holds them"},
		}},
		{name: "one node is full, the other cannot be seen: what is wrong counts", broken: both((*world).onlyHere, set("100", "100")), want: Result{
			Status: Wrong, Cause: "conntrack-full", Node: "node1", Stops: true,
			Summary:  "the conntrack table of node1 is full: 100 of 100 entries are used",
			Evidence: []string{"state: nf_conntrack_count = 100, nf_conntrack_max = 100 on node1"},
			Fix:      []string{"on node1: sysctl -w net.netfilter.nf_conntrack_max=200; conntrack -L | grep -o 'src=[^ ]*' | awk 'NR%2==1' | sort | uniq -c | sort -n finds who holds them"},
		}},
		{name: "a maximum of 0, which no kernel counts with: not seen", broken: set("0", "0"), want: Result{
			Status:   Unknown,
			Summary:  "the conntrack table of node1 cannot be seen",
			Evidence: []string{"seen: 120 of 262144 conntrack entries are used on node2"},
		}},
		{name: "the sysctl could not be read: the reason is told", broken: func(w *world) {
			delete(w.node1.Sysctls, "net.netfilter.nf_conntrack_count")
			w.node1.Unread = []string{"sysctl net.netfilter.nf_conntrack_count could not be read: EPERM"}
		}, want: Result{
			Status:   Unknown,
			Summary:  "the conntrack table of node1 cannot be seen: in node1: sysctl net.netfilter.nf_conntrack_count could not be read: EPERM",
			Evidence: []string{"seen: 120 of 262144 conntrack entries are used on node2"},
		}},
	})
}
