// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// thin takes random things out of a list.
func thin[T any](r *rand.Rand, all []T) []T {
	var out []T
	for _, x := range all {
		if r.IntN(4) > 0 {
			out = append(out, x)
		}
	}
	return out
}

// spoil takes random things out of a world, and makes others strange, as state that changes while it is read does.
func spoil(r *rand.Rand, w *world) {
	names := []string{"", "eth0", "cni0", "flannel.1", "x\x1b[2J", "veth101"}
	states := []string{"", "FAILED", "REACHABLE", "INCOMPLETE"}
	for i := range w.snap.Namespaces {
		n := &w.snap.Namespaces[i]
		n.Links, n.Routes, n.Neighs, n.FDB, n.Sockets = thin(r, n.Links), thin(r, n.Routes), thin(r, n.Neighs), thin(r, n.FDB), thin(r, n.Sockets)
		for _, k := range slices.Sorted(maps.Keys(n.Sysctls)) {
			switch r.IntN(6) {
			case 0:
				delete(n.Sysctls, k)
			case 1:
				n.Sysctls[k] = []string{"0", "1", "2", "-1", "99999999999999999999", "x"}[r.IntN(6)]
			}
		}
		for k := range n.Links {
			l := &n.Links[k]
			l.Up, l.MTU = r.IntN(5) > 0, []int{l.MTU, 0, 1280, 65536}[r.IntN(4)]
			if r.IntN(6) == 0 {
				l.Addrs, l.Master, l.PeerIndex = nil, r.IntN(200), r.IntN(200)
			}
			if l.VXLAN != nil && r.IntN(5) == 0 {
				l.VXLAN = &netstate.VXLAN{VNI: r.IntN(3), Port: r.IntN(3), Underlay: r.IntN(5)}
			}
		}
		for k := range n.Routes {
			if r.IntN(6) == 0 {
				n.Routes[k].Dev, n.Routes[k].Gateway = names[r.IntN(len(names))], netip.Addr{}
			}
		}
		for k := range n.Neighs {
			n.Neighs[k].State = states[r.IntN(len(states))]
		}
		if r.IntN(8) == 0 {
			n.Unread = append(n.Unread, "rules could not be read: EPERM")
		}
		if r.IntN(12) == 0 {
			*n = netstate.Namespace{Unread: []string{"the namespace has gone"}}
		}
	}
	if w.objs != nil {
		w.objs.Nodes, w.objs.Pods, w.objs.Services, w.objs.Slices = thin(r, w.objs.Nodes), thin(r, w.objs.Pods), thin(r, w.objs.Services), thin(r, w.objs.Slices)
		for i := range w.objs.Slices {
			w.objs.Slices[i].Endpoints, w.objs.Slices[i].Ports = thin(r, w.objs.Slices[i].Endpoints), thin(r, w.objs.Slices[i].Ports)
		}
	}
	w.in.Echoes, w.in.Resolver.Servers = thin(r, w.in.Echoes), thin(r, w.in.Resolver.Servers)
	w.in.Whole = r.IntN(2) == 0
	if r.IntN(4) == 0 {
		w.in.Resolver, w.in.NoResolver = nil, "nobody is there"
	}
}

// Whatever is missing or strange, every check answers with a sentence, what is wrong has a cause and something to do, and the same state gives the
// same answers.
func TestSpoiledWorlds(t *testing.T) {
	to := []func(*world){func(*world) {}, (*world).toNear, (*world).toService, (*world).toDNS, (*world).unnamed, func(w *world) { w.in.Dst, w.in.Dport = ip("192.168.50.2"), 30080 }, func(w *world) { w.in.Src = ip("203.0.113.9") }}
	for seed := range uint64(1500) {
		answers := func() []Result {
			r := rand.New(rand.NewPCG(seed, 7))
			w := newWorld()
			to[int(seed)%len(to)](w)
			spoil(r, w)
			w.in.Snapshot = w.snap
			w.point()
			if w.node1 == nil || w.node2 == nil || w.far == nil { // the rules of the test go into these
				w.rules1, w.rules2, w.node1, w.node2, w.far = "", "", &netstate.Namespace{}, &netstate.Namespace{}, &netstate.Namespace{}
			}
			return Run(w.input(t), nil)
		}
		first := answers()
		for _, r := range first {
			if r.Summary == "" || r.Status == Wrong && (r.Cause == "" || len(r.Fix) == 0 || len(r.Evidence) == 0) {
				t.Fatalf("seed %d: %+v", seed, r)
			}
		}
		if again := answers(); fmt.Sprint(first) != fmt.Sprint(again) {
			t.Fatalf("seed %d: two answers\n%v\n%v", seed, first, again)
		}
	}
}
