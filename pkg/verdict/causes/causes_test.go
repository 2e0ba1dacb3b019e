// SPDX-License-Identifier: Apache-2.0

package causes

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var layers = []string{"underlay", "pod-network", "service", "dns", "application"}

func TestTheListIsWellFormed(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	slug := regexp.MustCompile(`^[a-z]+(-[a-z]+)+$`)
	seen := map[string]bool{}
	for _, c := range all {
		if !slug.MatchString(c.Cause) || seen[c.Cause] {
			t.Errorf("%q is no name for a cause, or is there twice", c.Cause)
		}
		seen[c.Cause] = true
		if len(c.Short) < 20 || strings.HasSuffix(c.Short, ".") || strings.ToLower(c.Short[:1]) != c.Short[:1] && !strings.HasPrefix(c.Short, "IPVS") && !strings.HasPrefix(c.Short, "TCP") {
			t.Errorf("%s: %q is no sentence of the list's kind", c.Cause, c.Short)
		}
		if len(c.Layers) == 0 {
			t.Errorf("%s has no layer", c.Cause)
		}
		for i, l := range c.Layers {
			if !slices.Contains(layers, l) || slices.Contains(c.Layers[:i], l) {
				t.Errorf("%s: layer %q is none of %v, or is there twice", c.Cause, l, layers)
			}
		}
		if !slices.Contains([]string{"", "diagnose", "merge"}, c.By) || c.By != "" && c.Unshown == "" {
			t.Errorf("%s: found by %q, unshown %q: a cause that one node's trace cannot find has its reason", c.Cause, c.By, c.Unshown)
		}
		if c.Generic && c.Unshown != "" {
			t.Errorf("%s is generic: no case has to show it", c.Cause)
		}
	}
}

func TestFind(t *testing.T) {
	if c := Find("hairpin-off"); c == nil || c.Layers[0] != "pod-network" || c.Short == "" {
		t.Errorf("hairpin-off: %+v", c)
	}
	for _, name := range []string{"", "hairpin", "Hairpin-off", "hairpin-off "} {
		if c := Find(name); c != nil {
			t.Errorf("%q: %+v", name, c)
		}
	}
}
