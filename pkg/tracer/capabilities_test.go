// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Each capability that is not there is told by its name with what is lost; those that were not asked for are not.
func TestLackingCapabilities(t *testing.T) {
	all := uint64(0)
	for _, c := range Capabilities {
		all |= 1 << c.bit
	}
	if got := lacking(all, nil); len(got) != 0 {
		t.Errorf("with all of them: %v", got)
	}
	if got := lacking(0, nil); len(got) != len(Capabilities) {
		t.Errorf("with none: %d of %d", len(got), len(Capabilities))
	}
	for _, c := range Capabilities {
		got := lacking(all&^(1<<c.bit), nil)
		if len(got) != 1 || got[0].Name != c.Name {
			t.Errorf("without %s: %v", c.Name, got)
			continue
		}
		if s := got[0].String(); !strings.HasPrefix(s, "without "+c.Name+" ") || !strings.HasSuffix(s, "; run as root, or give the pod this capability") {
			t.Errorf("without %s: %q", c.Name, s)
		}
	}
	got := lacking(1<<unix.CAP_SYSLOG, []string{"CAP_SYSLOG", "CAP_NET_RAW"})
	if len(got) != 1 || got[0].Name != "CAP_NET_RAW" {
		t.Errorf("asked for two of which one is there: %v", got)
	}
}

func TestShowsAddresses(t *testing.T) {
	const hidden = "0000000000000000 T startup_64\n"
	for _, tc := range []struct {
		name, kallsyms string
		want           bool
	}{
		{"shown", "ffffffff81000000 T startup_64\n", true},
		{"per cpu symbols first", strings.Repeat("0000000000000000 A fixed_percpu_data\n", 100) + "ffffffff81000000 t secondary_startup\n", true},
		{"hidden", hidden + "0000000000000000 t secondary_startup\n", false},
		{"hidden, only data has addresses", hidden + "ffffffff81000000 D jiffies\n", false},
		{"looked at long enough", strings.Repeat(hidden, 100) + "ffffffff81000000 T late\n", false},
		{"empty", "", false},
		{"no listing", "x\n \n0000", false},
	} {
		if got := showsAddresses(strings.NewReader(tc.kallsyms)); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

// What to do is said for one capability and for several; those that CAP_SYS_ADMIN includes say so.
func TestPrivilegeErrorSaysWhatToGive(t *testing.T) {
	for want, missing := range map[string][]string{
		"missing CAP_SYS_RESOURCE: run nettrace as root, or give the pod this capability":                                                   {"CAP_SYS_RESOURCE"},
		"missing CAP_NET_ADMIN and CAP_SYS_ADMIN: run nettrace as root, or give the pod these capabilities":                                 {"CAP_NET_ADMIN", "CAP_SYS_ADMIN"},
		"missing CAP_BPF and CAP_PERFMON: run nettrace as root, or give the pod these capabilities, or CAP_SYS_ADMIN, which has them in it": {"CAP_BPF", "CAP_PERFMON"},
	} {
		if got := (&PrivilegeError{Missing: missing}).Error(); got != want {
			t.Errorf("%v: %q", missing, got)
		}
	}
}
