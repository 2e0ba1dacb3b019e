// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// hostile are names that no cluster should have: of a format, of a terminal, of a shell, too long, and of no letters at all.
var hostile = []string{"%s%d%!", "\x1b[2J\x1b]0;x\a", "$(reboot)`id`;rm -rf /", strings.Repeat("n", 5000), "\u202egnp.exe", "a\nb\tc", "\xff\xfe", ""}

// renamed gives nodes, namespaces, devices, pods and processes a name.
func renamed(w *world, name string) {
	for i := range w.snap.Namespaces {
		n := &w.snap.Namespaces[i]
		n.Node, n.Name = name+n.Node, name+n.Name
		for k := range n.Links {
			n.Links[k].Name = name + n.Links[k].Name
		}
		for k := range n.Routes {
			n.Routes[k].Dev = name + n.Routes[k].Dev
		}
		for k := range n.Neighs {
			n.Neighs[k].Dev = name + n.Neighs[k].Dev
		}
		for k := range n.FDB {
			n.FDB[k].Dev = name + n.FDB[k].Dev
		}
		for k := range n.Sockets {
			n.Sockets[k].Process = name
		}
	}
	for i := range w.objs.Nodes {
		w.objs.Nodes[i].Name = name + w.objs.Nodes[i].Name
	}
	for i := range w.objs.Pods {
		p := &w.objs.Pods[i]
		p.Name, p.Namespace, p.Node = name+p.Name, name+p.Namespace, name+p.Node
	}
	for i := range w.objs.Services {
		w.objs.Services[i].Name, w.objs.Services[i].Namespace = name+w.objs.Services[i].Name, name+w.objs.Services[i].Namespace
	}
	for i := range w.objs.Slices {
		s := &w.objs.Slices[i]
		s.Service, s.Namespace = name+s.Service, name+s.Namespace
		for k := range s.Endpoints {
			s.Endpoints[k].Node, s.Endpoints[k].Pod = name+s.Endpoints[k].Node, name+s.Endpoints[k].Pod
		}
	}
	for i := range w.in.Echoes {
		w.in.Echoes[i].From = name + w.in.Echoes[i].From
	}
	w.in.Node, w.in.Resolver.Source = name+w.in.Node, name+w.in.Resolver.Source
}

// A cluster with names that are none is looked at like any other: every check comes to what it comes to with good names, its words are whole, and no
// name is taken for a format. What a terminal would obey is for the output to escape.
func TestHostileNames(t *testing.T) {
	for i, name := range hostile {
		for to, dst := range map[string]func(*world){"pod": func(*world) {}, "Service": (*world).toService, "dual stack": (*world).dualService, "NodePort": func(w *world) { w.in.Dst, w.in.Dport = ip("192.168.50.2"), 30080 }} {
			good, bad := newWorld(), newWorld()
			dst(good)
			dst(bad)
			renamed(bad, name)
			want, got := Run(good.input(t), nil), Run(bad.input(t), nil)
			for k := range want {
				if got[k].Check != want[k].Check || got[k].Status != want[k].Status || got[k].Cause != want[k].Cause || got[k].Stops != want[k].Stops {
					t.Errorf("name %d, %s: %s is %s %q, with good names %s %q", i, to, got[k].Check, got[k].Status, got[k].Summary, want[k].Status, want[k].Summary)
				}
				text := fmt.Sprint(got[k].Summary, got[k].Evidence, got[k].Fix)
				if strings.Contains(strings.ReplaceAll(text, name, ""), "%!") {
					t.Errorf("name %d, %s: %s took a name for a format: %q", i, to, got[k].Check, text)
				}
			}
		}
	}
}

// Every part of every namespace could not be read, one after the other: no check calls that wrong, and the one that needed it gives the reason.
func TestUnreadParts(t *testing.T) {
	parts := map[string]func(*netstate.Namespace){
		"links":              func(n *netstate.Namespace) { n.Links = nil },
		"routes":             func(n *netstate.Namespace) { n.Routes = nil },
		"neighbours":         func(n *netstate.Namespace) { n.Neighs = nil },
		"forwarding entries": func(n *netstate.Namespace) { n.FDB = nil },
		"sockets":            func(n *netstate.Namespace) { n.Sockets = nil },
		"rules":              func(n *netstate.Namespace) { n.Rulesets = nil },
		"sysctls":            func(n *netstate.Namespace) { n.Sysctls = nil },
	}
	needs := map[string][]string{
		"routes": {"pod-route", "node-routes", "node-reachable"}, "neighbours": {"node-reachable", "tunnel-peer"}, "forwarding entries": {"tunnel-peer"},
		"sockets": {"listener", "target-port"}, "rules": {"service-rules", "forward-rules", "policy-rules", "tunnel-firewall"}, "sysctls": {"forwarding", "conntrack", "bridge-netfilter"}, "links": {"pod-route"},
	}
	for what, take := range parts {
		t.Run(what, func(t *testing.T) {
			w := newWorld()
			w.toService()
			in := w.input(t)
			for i := range w.snap.Namespaces {
				n := &w.snap.Namespaces[i]
				take(n)
				n.Unread = []string{what + " could not be read: EPERM"}
			}
			for _, r := range Run(in, nil) {
				needed := slices.Contains(needs[what], r.Check)
				if needed && (r.Status != Unknown || !strings.Contains(r.Summary, "EPERM")) {
					t.Errorf("%s is %s without the reason: %q", r.Check, r.Status, r.Summary)
				}
				if r.Status == Wrong {
					t.Errorf("%s calls wrong what could not be read: %q", r.Check, r.Summary)
				}
			}
		})
	}
}

// The way of an IPv6 flow has IPv6 ends only, whatever else the objects have; of terminating endpoints those that serve are its ends where none is ready.
func TestPathOfFamilies(t *testing.T) {
	for _, tc := range []struct {
		name   string
		broken func(*world)
		ends   string
	}{
		{"dual stack, IPv6 Service", (*world).dualService, "[fd00:244:1::20]:8080@node1 [fd00:244:2::20]:8080@node2"},
		{"dual stack, IPv4 Service", func(w *world) { w.dual(); w.in.Src = ip("10.244.1.10"); w.toService() }, "10.244.1.20:8080@node1 10.244.2.20:8080@node2"},
		{"dual stack, IPv6 Service that only rules know", sixService((*world).unnamed), "[fd00:244:1::20]:8080@node1 [fd00:244:2::20]:8080@node2"},
		{"dual stack, IPv6 Service without IPv6 endpoints", sixService(noSix), ""},
		{"one ready, one that terminates and serves", asService(func(w *world) { leaves(w, 0, true) }), "10.244.2.20:8080@node2"},
		{"none ready, one that terminates and serves", asService(func(w *world) { leaves(w, 0, true); leaves(w, 1, false) }), "10.244.1.20:8080@node1"},
		{"none ready, none serves", asService(func(w *world) { leaves(w, 0, false); leaves(w, 1, false) }), ""},
		{"a pod of which only the API knows the IPv6 address", func(w *world) { w.dual(); w.onlyHere() }, "[fd00:244:2::20]:8080@node2"},
		{"an address in a node's IPv6 pod network that is no pod's", func(w *world) { w.dual(); w.in.Dst = ip("fd00:244:2::77") }, "[fd00:244:2::77]:8080@node2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			tc.broken(w)
			var got []string
			for _, s := range w.input(t).path().targets {
				got = append(got, netip.AddrPortFrom(s.addr, s.port).String()+"@"+s.node)
			}
			if strings.Join(got, " ") != tc.ends {
				t.Errorf("ends at %q, want %q", got, tc.ends)
			}
		})
	}
}
