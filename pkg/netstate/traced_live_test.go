// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/ruletrace"
)

// A snapshot is the same while rules are traced as before: nettrace's own tables are no part of it, and nft can list what they hold.
func TestSnapshotsLeaveOurTablesOut(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces")
	}
	name := fmt.Sprintf("netstate-traced-%d", os.Getpid())
	if err := netns.Create(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netns.Delete(name) })
	path := filepath.Join(netns.Dir, name)
	if err := netns.Do(path, func() error {
		return exec.Command("nft", "table inet fw { chain in { type filter hook input priority 0; policy accept; tcp dport 80 drop; }; }").Run()
	}); err != nil {
		t.Fatal(err)
	}
	refs := []Ref{{Path: path, Name: name, Node: "node1", Host: true}}
	read := func() Namespace { return Read(t.Context(), refs).Namespaces[0] }
	before := read()
	s, err := ruletrace.Start(ruletrace.Options{Warn: func(string) {}, Namespaces: []ruletrace.Namespace{{Path: path, Name: name, NFT: true, Conntrack: true}},
		Flow: ruletrace.Flow{Proto: 6, Outer: []uint8{4, 6}, Dst: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("[fd00::1]:80")}}})
	if err != nil {
		t.Fatal(err)
	}
	while := read()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if len(before.Rulesets) != 1 || !reflect.DeepEqual(before.Rulesets, while.Rulesets) || !reflect.DeepEqual(before.Unread, while.Unread) {
		t.Errorf("before: %+v %q, while rules are traced: %+v %q", before.Rulesets, before.Unread, while.Rulesets, while.Unread)
	}
}
