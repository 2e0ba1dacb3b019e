// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// Of the namespaces that --netns names those of --scope are left; without --netns it is all of the scope; none left is a mistake.
func TestDropsNetnsWithinScope(t *testing.T) {
	own, err := netns.Inode(netns.Self)
	if err != nil {
		t.Fatal(err)
	}
	scope := []netstate.Ref{{Path: netns.Self}}
	for name, tc := range map[string]struct {
		named map[uint32]bool
		scope []netstate.Ref
		want  map[uint32]bool
		fails string
	}{
		"the scope alone":           {nil, scope, map[uint32]bool{own: true}, ""},
		"one of it, and another":    {map[uint32]bool{own: true, 7: true}, scope, map[uint32]bool{own: true}, ""},
		"only others":               {map[uint32]bool{7: true}, scope, nil, "none of the namespaces of --netns is one of --scope"},
		"a scope that is not there": {nil, []netstate.Ref{{Path: filepath.Join(t.TempDir(), "gone")}}, nil, "--scope: "},
	} {
		f := dropFilter{spaces: tc.named}
		err := f.narrow(tc.scope)
		if tc.fails != "" {
			if err == nil || !strings.Contains(err.Error(), tc.fails) {
				t.Errorf("%s: %v, want %q", name, err, tc.fails)
			}
			continue
		}
		if err != nil || !maps.Equal(f.spaces, tc.want) {
			t.Errorf("%s: %v, %v", name, f.spaces, err)
		}
	}
}
