// SPDX-License-Identifier: Apache-2.0

package drops

import (
	"cmp"
	"testing"
	"time"
)

func byReason(c *Count) (string, bool) { return c.Reason, c.Reason != "" }

// Kinds of one group are summed; rates come from what was added since; the fastest group is first.
func TestTable(t *testing.T) {
	var tab Table[string]
	tab.Update([]Count{{Kind{Reason: "A", Ifindex: 1}, 10, 100}, {Kind{Reason: "A", Ifindex: 2}, 5, 50}, {Kind{Reason: "B"}, 100, 1000}, {Kind{}, 7, 7}}, byReason, time.Second)
	tab.Update([]Count{{Kind{Reason: "A", Ifindex: 1}, 110, 1100}, {Kind{Reason: "A", Ifindex: 2}, 5, 50}, {Kind{Reason: "B"}, 100, 1000}}, byReason, time.Second)
	rows := tab.Rows(cmp.Compare[string])
	if len(rows) != 2 || rows[0].Group != "A" || rows[0].Packets != 115 || rows[0].Bytes != 1150 {
		t.Fatalf("rows %+v", rows)
	}
	if want := 15*smooth*(1-smooth) + 100*smooth; rows[0].Rate < want-0.01 || rows[0].Rate > want+0.01 {
		t.Errorf("rate %.2f, want %.2f", rows[0].Rate, want)
	}
	if rows[1].Rate >= rows[0].Rate {
		t.Errorf("a group without drops is as fast: %+v", rows)
	}
	for range 30 { // and comes to rest
		tab.Update([]Count{{Kind{Reason: "A"}, 115, 1150}, {Kind{Reason: "B"}, 100, 1000}}, byReason, time.Second)
	}
	for _, r := range tab.Rows(cmp.Compare[string]) {
		if r.Rate != 0 {
			t.Errorf("%s still has a rate of %f", r.Group, r.Rate)
		}
	}
}

// A group whose kinds got another name is gone, and does not come back with a jump.
func TestTableRegroup(t *testing.T) {
	var tab Table[string]
	tab.Update([]Count{{Kind{Reason: "A"}, 10, 10}}, byReason, time.Second)
	tab.Update([]Count{{Kind{Reason: "B"}, 10, 10}}, byReason, time.Second)
	rows := tab.Rows(cmp.Compare[string])
	if len(rows) != 1 || rows[0].Group != "B" {
		t.Errorf("rows %+v", rows)
	}
	tab.Update([]Count{{Kind{Reason: "B"}, 4, 4}}, byReason, time.Second) // a kind was dropped from the map
	if r := tab.Rows(cmp.Compare[string]); r[0].Packets != 4 || r[0].Rate < 0 {
		t.Errorf("rows %+v", r)
	}
	tab.Update(nil, byReason, 0)
	if r := tab.Rows(cmp.Compare[string]); len(r) != 0 {
		t.Errorf("rows %+v", r)
	}
}

func TestInfer(t *testing.T) {
	for _, tc := range []struct{ reason, location, want string }{
		{"NO_SOCKET", "tcp_v4_rcv", "NO_SOCKET"},
		{"", "tcp_v4_rcv", "inferred:NO_SOCKET"},
		{"", "nf_hook_slow", "inferred:NETFILTER_DROP"},
		{"", "neigh_invalidate", "inferred:NEIGH_FAILED"},
		{"NOT_SPECIFIED", "ip_error", "NOT_SPECIFIED"},
		{"", "some_driver", ""},
	} {
		k := Kind{Reason: tc.reason, Location: tc.location}.Infer()
		if k.Reason != tc.want {
			t.Errorf("%s in %s: %q, want %q", tc.reason, tc.location, k.Reason, tc.want)
		}
	}
	if Plain("inferred:X") != "X" || Plain("X") != "X" {
		t.Error("Plain")
	}
}
