// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/verdict"
	"github.com/nettrace-io/nettrace/pkg/verdict/causes"
)

// Each cause has a case that must end with it, or a reason why there is none; each case expects a cause of the list, in one of its layers.
func TestEveryCauseHasACase(t *testing.T) {
	cases, err := lab.Cases()
	if err != nil {
		t.Fatal(err)
	}
	all, err := causes.All()
	if err != nil {
		t.Fatal(err)
	}
	shown, healthy := map[string]int{}, 0
	for _, c := range cases {
		if c.Expect.Cause == "" {
			healthy++
			continue
		}
		shown[c.Expect.Cause]++
		x := causes.Find(c.Expect.Cause)
		switch {
		case x == nil:
			t.Errorf("case %s expects %s, which is not in causes.yaml", c.Name, c.Expect.Cause)
		case !slices.Contains(x.Layers, c.Layer):
			t.Errorf("case %s expects %s in layer %s: causes.yaml has %v", c.Name, c.Expect.Cause, c.Layer, x.Layers)
		}
	}
	for _, c := range all {
		switch n := shown[c.Cause]; {
		case c.Generic:
		case n == 0 && c.Unshown == "":
			t.Errorf("no case shows %s, and causes.yaml does not say why", c.Cause)
		case n > 0 && c.Unshown != "":
			t.Errorf("%d cases show %s, and causes.yaml says why none does", n, c.Cause)
		}
	}
	if healthy < 12 {
		t.Errorf("%d healthy cases guard against false alarms, want 12 at least", healthy)
	}
}

// A healthy case that ends well with something else found is not as expected.
func TestFindingsInHealthyCasesAreFalseAlarms(t *testing.T) {
	c := lab.Case{Name: "healthy-x", Expect: lab.Expect{Outcome: "delivered", Exit: 0}}
	v := &verdict.Verdict{Outcome: verdict.Delivered, Confidence: verdict.Confirmed}
	if wrong := compare(c, v, nil); len(wrong) > 0 {
		t.Errorf("nothing was found: %q", wrong)
	}
	v.Also = []verdict.Also{{Cause: "qdisc-drop", Layer: verdict.PodNetwork, Summary: "a queue is full"}}
	if wrong := compare(c, v, nil); len(wrong) != 1 || !strings.Contains(wrong[0], "qdisc-drop (pod-network) was found: a queue is full") {
		t.Errorf("a finding beside: %q", wrong)
	}
	c.Layer, c.Expect.Cause, v.Layer, v.Cause = "dns", "dns-search-expansion", verdict.DNS, "dns-search-expansion"
	if wrong := compare(c, v, nil); len(wrong) > 0 {
		t.Errorf("a case with a cause may find more: %q", wrong)
	}
}

func TestExplain(t *testing.T) {
	for _, tc := range []struct {
		args []string
		code int
		want string // of stdout, or of stderr when the code is not 0
	}{
		{[]string{"no-endpoints"}, exitOK, "no-endpoints\nThe Service has no ready endpoints.\nlayer: service\n"},
		{[]string{"No-Endpoints"}, exitOK, "see it happen: sudo nettrace lab run no-endpoints --teach\nsee it"},
		{[]string{"conntrack-race"}, exitOK, "layer: DNS, or service\n"},
		{[]string{"ipvs-connection-reuse"}, exitOK, "no lab case ends with it: kernels before 5.9 only, and the oldest of the matrix is 5.10\n"},
		{[]string{"packet-drop"}, exitOK, "The kernel drops the packet at a place that no check knows.\n"},
		{[]string{"no_socket"}, exitOK, "NO_SOCKET\n"},
		{[]string{"no-endpoint"}, exitUsage, "did you mean no-endpoints"},
		{[]string{"\x1b[31mzzzzzzzzzzzz"}, exitUsage, `"\x1b[31mzzzzzzzzzzzz": 'nettrace explain' lists them all`},
	} {
		code, out, errs := call(t, append([]string{"explain"}, tc.args...)...)
		if code != exitOK {
			out = errs
		}
		if code != tc.code || !strings.Contains(out, tc.want) {
			t.Errorf("explain %q: exit %d, want %d with %q: %s", tc.args, code, tc.code, tc.want, out)
		}
	}
}

// Without a name everything is listed: the reasons, then every cause once.
func TestExplainListsAll(t *testing.T) {
	_, out, _ := call(t, "explain", "-o", "json")
	var got []string
	for _, line := range bytes.Split(bytes.TrimSpace([]byte(out)), []byte("\n")) {
		var r struct{ Reason, Cause, Short, Layer string }
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if r.Cause != "" {
			got = append(got, r.Cause)
		} else if r.Reason == "" || len(got) > 0 {
			t.Errorf("neither reason nor cause, or out of order: %s", line)
		}
	}
	if want := causeNames(); !slices.Equal(got, want) {
		t.Errorf("causes %q, want %q", got, want)
	}
	_, out, _ = call(t, "lab", "list")
	for _, want := range []string{"CASE ", "CAUSE ", "conntrack-race", "neighbour-queue-full", "stale-endpoint"} {
		if !strings.Contains(out, want) {
			t.Errorf("lab list lacks %q: %s", want, out)
		}
	}
}
