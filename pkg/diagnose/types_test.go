// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// A healthy cluster: whatever the destination, no check finds anything wrong and all can look.
func TestHealthyWorld(t *testing.T) {
	for name, to := range map[string]func(*world){
		"pod on another node": func(*world) {}, "pod on the same node": (*world).toNear, "Service": (*world).toService, "DNS server": (*world).toDNS,
		"localhost": func(w *world) {
			for i := range w.snap.Namespaces {
				n := &w.snap.Namespaces[i]
				n.Links = append(n.Links, netstate.Link{Index: 1, Name: "lo", Kind: "loopback", Up: true, Addrs: []netip.Prefix{cidr("127.0.0.1/8")}})
				n.Routes = append(n.Routes, netstate.Route{Table: 255, Dst: cidr("127.0.0.0/8"), Type: "local", Dev: "lo"})
			}
			w.in.Src, w.in.Dst = ip("127.0.0.1"), ip("127.0.0.1")
		},
		"NodePort": func(w *world) { w.in.Dst, w.in.Dport = ip("192.168.50.1"), 30080 },
		"nodes that the kubelet names otherwise": func(w *world) {
			w.toService()
			w.objs.Services[0].InternalPolicy = "Local"
			for i := range w.objs.Nodes {
				w.objs.Nodes[i].Name = "ip-192-168-50-" + string(rune('1'+i))
			}
			for i := range w.objs.Slices[0].Endpoints {
				w.objs.Slices[0].Endpoints[i].Node = w.objs.Nodes[i].Name
			}
		},
		"other's port":  func(w *world) { w.in.Dst, w.in.Dport = ip("192.168.50.2"), 30080 },
		"DNS's Service": func(w *world) { w.in.Proto, w.in.Dst, w.in.Dport = "udp", ip("10.244.2.20"), 53 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			to(w)
			allFine(t, w)
		})
	}
}

// Nothing is known: every check says so in a sentence, and none panics.
func TestNothingKnown(t *testing.T) {
	for _, in := range []*Input{
		{Proto: "tcp", Src: ip("10.244.1.10"), Dst: ip("10.244.2.20"), Dport: 80, NoIndex: "nobody was asked"},
		{Proto: "udp", Src: ip("10.244.1.10"), Dst: ip("10.96.0.10"), Dport: 53, NoIndex: "nobody was asked", Snapshot: &netstate.Snapshot{}},
		{Proto: "icmp", Src: ip("fd00::1"), Dst: ip("fd00::2"), NoIndex: "nobody was asked", Snapshot: &netstate.Snapshot{Namespaces: []netstate.Namespace{{Unread: []string{"gone"}}}}},
	} {
		for _, r := range Run(in, nil) {
			if r.Summary == "" || r.Status == Wrong || r.Status == OK && r.Check != "network-policy" {
				t.Errorf("%s of %s: %s %q", r.Check, in.Dst, r.Status, r.Summary)
			}
		}
	}
}

// Every namespace is empty, as when each vanished while it was read.
func TestVanishedNamespaces(t *testing.T) {
	w := newWorld()
	w.toService()
	in := w.input(t)
	for i := range w.snap.Namespaces {
		n := &w.snap.Namespaces[i]
		*n = netstate.Namespace{Inode: n.Inode, Name: n.Name, Node: n.Node, Host: n.Host, Unread: []string{"the namespace could not be read: no such file or directory",
			"links could not be read: x", "routes could not be read: x", "sockets could not be read: x", "rules could not be read: x", "sysctls could not be read: x", "neighbours could not be read: x"}}
	}
	for _, r := range Run(in, nil) {
		if r.Status == Wrong && r.Stops && r.Check != "endpoint-alive" {
			t.Errorf("%s: %q of what could not be read", r.Check, r.Summary)
		}
	}
}

func TestRegistry(t *testing.T) {
	slug := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	covered := map[Layer]int{}
	for name, c := range checks {
		if !slug.MatchString(name) || c.run == nil || !slices.Contains(Layers(), c.layer) {
			t.Errorf("check %q of layer %q is not whole", name, c.layer)
		}
		covered[c.layer]++
		for _, s := range c.silences {
			if _, ok := checks[s]; !ok || s == name {
				t.Errorf("check %s silences %q, which is none", name, s)
			}
		}
	}
	for _, l := range Layers() {
		if covered[l] == 0 {
			t.Errorf("layer %s has no check", l)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a check was registered twice")
		}
	}()
	register(check{name: "listener"})
}

// Checks come bottom-up, each with its name and layer, and are told as they come.
func TestRun(t *testing.T) {
	var told []Result
	all := Run(newWorld().input(t), func(r Result) { told = append(told, r) })
	if !reflect.DeepEqual(all, told) || len(all) != len(checks) {
		t.Errorf("%d results, %d told, %d checks", len(all), len(told), len(checks))
	}
	last := 0
	for _, r := range all {
		at := slices.Index(Layers(), checks[r.Check].layer)
		if at < last || r.Check == "" || r.Layer == "" {
			t.Errorf("%+v is out of order", r)
		}
		last = at
	}
}

func TestSuspects(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   []Result
		want []string
	}{
		{"none", []Result{{Check: "uplink", Status: OK}, {Check: "listener", Status: Unknown}}, nil},
		{"what stops comes before what does not", []Result{{Check: "tunnel-mtu", Layer: Underlay, Status: Wrong}, {Check: "listener", Layer: Application, Status: Wrong, Stops: true}}, []string{"listener", "tunnel-mtu"}},
		{"lower layers first", []Result{{Check: "listener", Layer: Application, Status: Wrong, Stops: true}, {Check: "forwarding", Layer: PodNetwork, Status: Wrong, Stops: true}}, []string{"forwarding", "listener"}},
		{"measured before warnings", []Result{{Check: "tunnel-mtu", Layer: Underlay, Status: Wrong}, {Check: "dns-query", Layer: DNS, Status: Wrong, Measured: true}}, []string{"dns-query", "tunnel-mtu"}},
		{"consequences are left out", []Result{{Check: "uplink", Layer: Underlay, Status: Wrong, Stops: true}, {Check: "node-reachable", Layer: Underlay, Status: Wrong, Stops: true}}, []string{"uplink"}},
		{"but not those of what is fine", []Result{{Check: "uplink", Layer: Underlay, Status: OK}, {Check: "node-reachable", Layer: Underlay, Status: Wrong, Stops: true}}, []string{"node-reachable"}},
	} {
		var got []string
		for _, r := range Suspects(tc.in) {
			got = append(got, r.Check)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestParts(t *testing.T) {
	for _, tc := range []struct {
		name string
		p    parts
		want Result
	}{
		{"nothing", parts{}, Result{Status: NotApplicable, Summary: "nothing here"}},
		{"fine", parts{fine: []string{"a", "b"}}, Result{Status: OK, Summary: "a; b"}},
		{"many", parts{fine: []string{"a", "b", "c", "d", "e"}}, Result{Status: OK, Summary: "a; b; c; d; and so on"}},
		{"one part is not known", parts{fine: []string{"a"}, unknown: []string{"x"}}, Result{Status: Unknown, Summary: "x", Evidence: []string{"seen: a"}}},
		{"wrong counts most, what stops first", parts{fine: []string{"a"}, unknown: []string{"x"}, wrong: []Result{{Summary: "slow"}, {Summary: "cut", Stops: true}}}, Result{Summary: "cut", Stops: true, Evidence: []string{"also: slow"}}},
	} {
		if got := tc.p.result("nothing here"); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
	var p parts
	p.good("a")
	p.good("a")
	p.unsure("")
	p.bad(Result{Summary: "x"})
	if len(p.fine) != 1 || len(p.unknown) != 0 || p.wrong[0].Status != Wrong {
		t.Errorf("%+v", p)
	}
}

// The way is found in what is known: by Kubernetes, by rules alone, by addresses alone.
func TestPath(t *testing.T) {
	for _, tc := range []struct {
		name    string
		broken  func(*world)
		entry   uint32
		targets string
	}{
		{"pod", nil, inNode1, "10.244.2.20:8080@node2"},
		{"Service", (*world).toService, inNode1, "10.244.1.20:8080@node1 10.244.2.20:8080@node2"},
		{"Service that only rules know", func(w *world) { w.toService(); w.unnamed() }, inNode1, "10.244.1.20:8080@node1 10.244.2.20:8080@node2"},
		{"no Kubernetes", (*world).unnamed, inNode1, "10.244.2.20:8080@node2"},
		{"NodePort of another node", func(w *world) { w.in.Dst, w.in.Dport = ip("192.168.50.2"), 30080 }, inNode2, "10.244.1.20:8080@node1 10.244.2.20:8080@node2"},
		{"the pod is elsewhere", (*world).onlyHere, inNode1, "10.244.2.20:8080@node2"},
		{"from nowhere known", func(w *world) { w.in.Src, w.client = ip("198.51.100.1"), nil }, 0, "10.244.2.20:8080@node2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			if tc.broken != nil {
				tc.broken(w)
			}
			way := w.input(t).path()
			var entry uint32
			if way.entry != nil {
				entry = way.entry.Inode
			}
			got := ""
			for i, s := range way.targets {
				if i > 0 {
					got += " "
				}
				got += netip.AddrPortFrom(s.addr, s.port).String() + "@" + s.node
			}
			if entry != tc.entry || got != tc.targets {
				t.Errorf("enters at %d, ends at %q; want %d, %q", entry, got, tc.entry, tc.targets)
			}
		})
	}
}

func TestQuestions(t *testing.T) {
	w := newWorld()
	got := w.input(t).Questions()
	if len(got) != 1 || got[0].From != w.node1 || got[0].To != ip("192.168.50.2") {
		t.Errorf("%+v", got)
	}
	w = newWorld()
	w.toNear()
	if got := w.input(t).Questions(); len(got) != 0 {
		t.Errorf("on one node: %+v", got)
	}
}
