// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
)

// What is about to be changed is said with its extent: the namespaces, and those whose iptables-legacy records come here meanwhile.
func TestAnnouncement(t *testing.T) {
	nft, old := Namespace{Name: "pod", NFT: true}, Namespace{Name: "node1", Legacy: []uint8{4}}
	const begin = "--trace-rules adds the nftables table nettrace_7 in "
	const middle = " until nettrace ends; it sets nftrace on this flow's packets"
	for _, tc := range []struct {
		name string
		all  []Namespace
		want string
	}{
		{"one with nftables", []Namespace{nft}, begin + "1 namespace" + middle},
		{"two with nftables", []Namespace{nft, nft}, begin + "2 namespaces" + middle},
		{"one of two with iptables-legacy", []Namespace{nft, old}, begin + "2 namespaces" + middle + ", and the records of iptables-legacy go to nettrace meanwhile (net.netfilter.nf_log in 1 namespace)"},
		{"two of three with iptables-legacy", []Namespace{old, nft, old}, begin + "3 namespaces" + middle + ", and the records of iptables-legacy go to nettrace meanwhile (net.netfilter.nf_log in 2 namespaces)"},
	} {
		if got := announcement("nettrace_7", tc.all); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// What of a namespace is not traced is said with the reason; where the kernel's own log would fill, nftables' rules are left out with the others.
func TestLacking(t *testing.T) {
	why := errors.New("nf_log is taken")
	for _, tc := range []struct {
		name  string
		n     Namespace
		quiet bool
		want  string
	}{
		{"iptables-legacy alone, and the log stays quiet", Namespace{Name: "node1"}, true, "--trace-rules: in namespace node1 iptables-legacy's rules are not traced, and are inferred: nf_log is taken"},
		{"both, and the log stays quiet", Namespace{Name: "node1", NFT: true}, true, "--trace-rules: in namespace node1 iptables-legacy's rules are not traced, and are inferred: nf_log is taken"},
		{"iptables-legacy alone, and the log would fill", Namespace{Name: "node1"}, false, "--trace-rules: in namespace node1 iptables-legacy's rules are not traced, and are inferred: nf_log is taken, and the kernel would write every step into its own log"},
		{"both, and the log would fill", Namespace{Name: "node1", NFT: true}, false, "--trace-rules: in namespace node1 iptables-legacy's rules and nftables' with them are not traced, and are inferred: nf_log is taken, and the kernel would write every step into its own log"},
	} {
		if got := lacking(&tc.n, tc.quiet, why); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// A flow that cannot be matched is refused with what to do: none to go to, or more addresses than a table may have.
func TestFlowCheck(t *testing.T) {
	many := func(n int) []netip.Addr { return make([]netip.Addr, n) }
	dst := ends("10.0.0.2:80")
	for _, tc := range []struct {
		name string
		flow Flow
		want string
	}{
		{"one destination", Flow{Dst: dst}, ""},
		{"no destination", Flow{Src: addrs("10.0.0.1"), Ends: dst}, "no destination address: name one"},
		{"as many addresses as may be", Flow{Dst: dst, Src: many(maxAddresses - 1)}, ""},
		{"one more, as a sender", Flow{Dst: dst, Src: many(maxAddresses)}, "8193 addresses are more than the 8192 that --trace-rules can match: name a narrower source or destination"},
		{"one more, over all lists", Flow{Dst: dst, Ends: dst, Src: many(1), Via: many(maxAddresses - 2)}, "8193 addresses are more than the 8192 that --trace-rules can match: name a narrower source or destination"},
	} {
		got := ""
		if err := tc.flow.check(); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// Ports and addresses of one family: each once, in the order in which they were named; an IPv4 address in IPv6 clothes is IPv4's.
func TestEndsOfAFamily(t *testing.T) {
	all := ends("10.0.0.2:80 [fd00::2]:443 [::ffff:10.0.0.3]:80 10.0.0.4:81 10.0.0.2:80")
	for _, tc := range []struct {
		name   string
		family uint8
		port   uint16
		any    bool
		ports  []uint16
		addrs  []netip.Addr
	}{
		{"IPv4 at port 80", 4, 80, false, []uint16{80, 81}, addrs("10.0.0.2 10.0.0.3")},
		{"IPv4 at port 81", 4, 81, false, []uint16{80, 81}, addrs("10.0.0.4")},
		{"IPv4 at whichever port", 4, 0, true, []uint16{80, 81}, addrs("10.0.0.2 10.0.0.3 10.0.0.4")},
		{"IPv6 at its port", 6, 443, false, []uint16{443}, addrs("fd00::2")},
		{"IPv6 at a port of IPv4's", 6, 80, false, []uint16{443}, nil},
	} {
		if got := portsOf(all, tc.family); !slices.Equal(got, tc.ports) {
			t.Errorf("%s: ports %v, want %v", tc.name, got, tc.ports)
		}
		if got := addrsAt(all, tc.family, tc.port, tc.any); !slices.Equal(got, tc.addrs) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.addrs)
		}
	}
	if got := portsOf(append(all, ends("10.0.0.9:0")...), 4); !slices.Equal(got, []uint16{0}) {
		t.Errorf("one of any port makes it %v, want any", got)
	}
}
