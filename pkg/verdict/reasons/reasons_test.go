// SPDX-License-Identifier: Apache-2.0

package reasons

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// lists are the committed names of each kernel.
func lists(t *testing.T) map[string][]string {
	t.Helper()
	paths, err := filepath.Glob("../../../testdata/dropreasons/*.txt")
	if err != nil || len(paths) < 6 {
		t.Fatalf("%d lists, %v", len(paths), err)
	}
	out := map[string][]string{}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range strings.Split(string(b), "\n") {
			if l != "" && !strings.HasPrefix(l, "#") {
				kernel := strings.TrimSuffix(filepath.Base(p), ".txt")
				out[kernel] = append(out[kernel], l)
			}
		}
	}
	return out
}

// Every drop reason of the kernels 5.17 to 7.x has a page or is listed as internal, by the enum's name and by the one that pkg/tracer gives.
func TestEveryReasonIsExplained(t *testing.T) {
	for kernel, names := range lists(t) {
		if len(names) < 50 {
			t.Errorf("%s: only %d names", kernel, len(names))
		}
		var missing []string
		for _, n := range names {
			shown := n
			for _, p := range []string{"OVS_", "RX_", "QDISC_DROP_"} {
				if n != "QDISC_DROP" {
					shown = strings.TrimPrefix(shown, p)
				}
			}
			if Find(n) == nil || Find(shown) == nil {
				missing = append(missing, n)
			}
		}
		if len(missing) > 0 {
			t.Errorf("kernel %s, neither explained nor internal: %s", kernel, strings.Join(missing, ", "))
		}
	}
}

// The kernel that runs this, which may be newer than the lists.
func TestRunningKernelIsExplained(t *testing.T) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		t.Logf("not compared: %v", err) // a machine without BTF: the lists are compared above
		return
	}
	var e *btf.Enum
	if spec.TypeByName("skb_drop_reason", &e) != nil {
		return // before 5.17
	}
	for _, v := range e.Values {
		if Find(v.Name) == nil {
			t.Errorf("%s has no page", v.Name)
		}
	}
}

// No page is empty, and none promises a lab case that there is not.
func TestPagesSaySomething(t *testing.T) {
	s, err := library()
	if err != nil {
		t.Fatal(err)
	}
	layers := []string{"underlay", "pod-network", "service", "dns", "application"}
	for _, p := range s.pages {
		if p.Internal != "" {
			if p.Short != "" || len(p.Causes) > 0 {
				t.Errorf("%s is internal and explained", p.Reason)
			}
			continue
		}
		if len(p.Short) < 30 || len(p.Short) > 160 || strings.HasSuffix(p.Short, ".") {
			t.Errorf("%s: short is %q", p.Reason, p.Short)
		}
		if len(p.When) < 8 || len(p.Causes) == 0 || len(p.Next) == 0 || !slices.Contains(layers, p.Layer) {
			t.Errorf("%s: a part is missing", p.Reason)
		}
		for _, c := range p.Cases {
			if _, err := os.Stat("../../lab/cases/" + c + ".yaml"); err != nil {
				t.Errorf("%s: there is no lab case %s", p.Reason, c)
			}
		}
	}
}

func TestFind(t *testing.T) {
	for name, want := range map[string]string{
		"NO_SOCKET": "NO_SOCKET", "no_socket": "NO_SOCKET", "no-socket": "NO_SOCKET", "SKB_DROP_REASON_NO_SOCKET": "NO_SOCKET", "inferred:NETFILTER_DROP": "NETFILTER_DROP",
		"PTYPE_ABSENT": "UNHANDLED_PROTO", "QDISC_DROP_OVERLIMIT": "QDISC_OVERLIMIT", "OVERLIMIT": "QDISC_OVERLIMIT", "DROP_METER": "OVS_DROP_METER",
		"RX_DROP_U_REPLAY": "MAC80211_SECURITY", "": "", "NOPE": "", strings.Repeat("A", 1<<20): "",
	} {
		got := ""
		if p := Find(name); p != nil {
			got = p.Reason
		}
		if got != want {
			t.Errorf("Find(%.40q) = %q, want %q", name, got, want)
		}
	}
}

func TestNear(t *testing.T) {
	for name, want := range map[string]string{
		"NO_SOKET": "NO_SOCKET", "netfilter": "NETFILTER_DROP", "IP_RPFILTR": "IP_RPFILTER", "NEIGH_FAIL": "NEIGH_FAILED", "vni": "VXLAN_VNI_NOT_FOUND",
	} {
		if got := Near(name, Names()); len(got) == 0 || len(got) > maxNear || got[0] != want {
			t.Errorf("Near(%q) = %q, want %s first", name, got, want)
		}
	}
	if got := Near("completely different words", Names()); len(got) != 0 {
		t.Errorf("Near finds %q", got)
	}
}

// The reader refuses pages that contradict each other or have fields that it does not know.
func TestBadPages(t *testing.T) {
	for name, text := range map[string]string{
		"twice":         "- reason: A\n- reason: A\n",
		"alias twice":   "- reason: A\n- reason: B\n  aliases: [A]\n",
		"unknown field": "- reason: A\n  shrot: x\n",
		"no list":       "reason: A\n",
	} {
		if err := (&shelf{byName: map[string]*Page{}}).add([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzFind(f *testing.F) {
	for _, s := range []string{"NO_SOCKET", "inferred:", "\x00", "SKB_DROP_REASON_"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p := Find(s); p != nil && p.Reason == "" {
			t.Error("an empty page")
		}
		Near(s, []string{"NO_SOCKET", s})
	})
}
