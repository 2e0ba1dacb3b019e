// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// spaces makes namespaces whose loopback is up.
func spaces(t *testing.T, prefix string, n int) []Ref {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces")
	}
	var refs []Ref
	for i := range n {
		name := fmt.Sprintf("%s-%d", prefix, i)
		if err := netns.Create(name); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := netns.Delete(name); err != nil {
				t.Error(err)
			}
		})
		path := netns.Dir + "/" + name
		if err := netns.Do(path, func() error {
			l, err := netlink.LinkByName("lo")
			if err != nil {
				return err
			}
			return netlink.LinkSetUp(l)
		}); err != nil {
			t.Fatal(err)
		}
		refs = append(refs, Ref{Path: path, Name: name, Node: "n"})
	}
	return refs
}

// Topology: three namespaces. Action: one is read whole, then another, then the run is over and only the first is on its way. Expectation: what was
// not asked for has devices and addresses only; what is not read again is as it was, without counters.
func TestOnlyWhatIsAskedForIsRead(t *testing.T) {
	refs := spaces(t, "netstate-some", 3)
	named := func(names ...int) func(*Namespace) bool {
		return func(n *Namespace) bool {
			for _, i := range names {
				if n.Name == refs[i].Name {
					return true
				}
			}
			return false
		}
	}
	ctx := context.Background()
	s := ReadSome(ctx, refs, named(0))
	is := func(when string, n *Namespace, routes, counters, linksOnly, older bool) {
		t.Helper()
		if n.Inode == 0 || n.Link("lo") == nil || (len(n.Routes) > 0) != routes || (len(n.Counters) > 0) != counters || n.LinksOnly != linksOnly || n.Older != older || len(n.Unread) > 0 {
			t.Errorf("%s: %s has %d links, %d routes, %d counters; links only: %v, older: %v, unread %q", when, n.Name, len(n.Links), len(n.Routes), len(n.Counters), n.LinksOnly, n.Older, n.Unread)
		}
	}
	is("at the start", &s.Namespaces[0], true, true, false, false)
	is("at the start", &s.Namespaces[1], false, false, true, false)
	s.Complete(ctx, refs, named(0, 1))
	is("completed", &s.Namespaces[0], true, true, false, false)
	is("completed", &s.Namespaces[1], true, true, false, false)
	is("completed", &s.Namespaces[2], false, false, true, false)
	after := s.ReadAgain(ctx, refs, named(0))
	is("again", &after.Namespaces[0], true, true, false, false)
	is("again", &after.Namespaces[1], true, false, false, true)
	is("again", &after.Namespaces[2], false, false, true, true)
	if after.TimeNS < s.TimeNS || s.TimeNS == 0 {
		t.Errorf("read at %d and again at %d", s.TimeNS, after.TimeNS)
	}
	if _, ok := Delta(s, after, after.Namespaces[1].Inode, "Ip.ReasmFails"); ok {
		t.Error("a counter that was not read again has grown by something")
	}
	if _, ok := Delta(s, after, after.Namespaces[0].Inode, "Ip.ReasmFails"); !ok {
		t.Error("a counter that was read again is not known")
	}
	var none *Snapshot
	if again := none.ReadAgain(ctx, refs[:1], named()); again.Namespaces[0].Older || len(again.Namespaces[0].Routes) == 0 {
		t.Error("without a first snapshot everything is read")
	}
}
