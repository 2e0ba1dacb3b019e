// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
	"github.com/nettrace-io/nettrace/pkg/render"
)

// Topology: a snapshot of a node with two pods; rules of one namespace ask the ipset S. Action: a dry run from one pod to the other.
// Expectation: the namespace's own set decides, for certain; without it the match is not known, and neither is the end.
func TestRulesAskTheSnapshotsSets(t *testing.T) {
	const sender, stranger = "create S hash:ip family inet\nadd S 10.244.1.10\n", "create S hash:ip family inet\nadd S 10.244.9.9\n"
	unknown := []any{"--match-set S src"}
	for _, tc := range []struct {
		name      string
		at, chain string // the namespace that has the rule
		sets      string // of that namespace; "" when they were not read
		others    string // of all other namespaces
		end       string
		unknown   any
	}{
		{"the sender is in the node's set", "host", "FORWARD", sender, "", "drop", nil},
		{"the sender is not in the node's set", "host", "FORWARD", stranger, sender, "accept", nil},
		{"the node's sets were not read", "host", "FORWARD", "", sender, "unknown", unknown},
		{"in the set of the sender's namespace", "client", "OUTPUT", sender, "", "drop", nil},
		{"not in the set of the sender's namespace", "client", "OUTPUT", stranger, sender, "accept", nil},
		{"in the set of the other pod's namespace", "web", "INPUT", sender, stranger, "drop", nil},
		{"the other pod's sets were not read", "web", "INPUT", "", sender, "unknown", unknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := balancedPlan(t)
			p.names, p.dst.addrs = &names{}, []netip.Addr{netip.MustParseAddr("10.244.1.11")}
			for i := range p.before.Namespaces {
				n := &p.before.Namespaces[i]
				n.Rulesets, n.IPSets = nil, parseSets(t, tc.others)
				if n.Name == tc.at {
					n.Rulesets, n.IPSets = []ruleset.Ruleset{setRule(t, tc.chain)}, parseSets(t, tc.sets)
				}
			}
			rule, ruling := dryRuling(t, p)
			if ruling["end"] != tc.end {
				t.Errorf("the flow ends with %v, want %s: %v", ruling["end"], tc.end, ruling)
			}
			met := tc.end != "accept"
			switch {
			case met != (len(rule) == 1):
				t.Errorf("rules that are met: %v", rule)
			case met && (rule[0]["chain"] != tc.chain || rule[0]["certain"] != (tc.unknown == nil) || !reflect.DeepEqual(rule[0]["unknown"], tc.unknown)):
				t.Errorf("rule %v, unknown %v want %v", rule[0], rule[0]["unknown"], tc.unknown)
			}
		})
	}
}

func setRule(t *testing.T, chain string) ruleset.Ruleset {
	t.Helper()
	save := "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A " + chain + " -m set --match-set S src -j DROP\nCOMMIT\n"
	rs, warnings, err := ruleset.Parse(strings.NewReader(save), "iptables-legacy", "ip")
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	return rs
}

func parseSets(t *testing.T, save string) *ruleset.IPSets {
	t.Helper()
	if save == "" {
		return nil
	}
	sets, warnings, err := ruleset.ParseIPSets(strings.NewReader(save))
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	return sets
}

// dryRuling is what a dry run of a plan says: its rules and its end.
func dryRuling(t *testing.T, p *plan) (rules []map[string]any, ruling map[string]any) {
	t.Helper()
	d := &dryRun{plan: p, o: &rulesOptions{}}
	r, err := d.walk()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := render.NewRules("json", &out, render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.tell(w, r); err != nil {
		t.Fatal(err)
	}
	kinds := schematest.Lines(t, out.Bytes())
	return kinds["rule"], kinds["ruling"][0]
}

// Topology: rules that drop what is in an ipset, saved, and the sets of 'ipset save'. Action: a dry run from files, without a node. Expectation: the
// set decides for certain; without it, or when its save is cut before the sender, nothing is decided; sets alone, or twice, are one sentence.
func TestSavedIPSets(t *testing.T) {
	write := writer(t)
	rules := write("rules", "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m set --match-set S src -j DROP\nCOMMIT\n")
	run := func(files ...string) (int, map[string][]map[string]any, string) {
		args := []string{"rules", "10.0.0.1", "10.0.0.2:80", "--no-kubernetes", "-o", "json"}
		for _, f := range files {
			args = append(args, "--rules", f)
		}
		code, out, errs := call(t, args...)
		if code == 1 {
			return code, nil, errs
		}
		return code, schematest.Lines(t, []byte(out)), errs
	}
	for _, tc := range []struct {
		name, sets, end string
		code            int
	}{
		{"in it", "create S hash:ip family inet\nadd S 10.0.0.1\n", "drop", exitVerdict},
		{"not in it", "create S hash:ip family inet\nadd S 10.0.0.9\n", "accept", 0},
		{"in it by its net", "create S hash:net family inet\nadd S 10.0.0.0/24\n", "drop", exitVerdict},
		{"cut", "create S hash:ip family inet\nadd S 10.0.0.9\nadd S 10.0", "unknown", exitUnseen},
		{"another set", "create T hash:ip family inet\nadd T 10.0.0.1\n", "unknown", exitUnseen},
	} {
		code, k, errs := run(rules, write("sets", tc.sets))
		if code != tc.code || k["ruling"][0]["end"] != tc.end {
			t.Errorf("%s: exit %d, %v, %s", tc.name, code, k["ruling"], errs)
			continue
		}
		if got := fmt.Sprint(k["start"][0]["rules"]); got != "[iptables-legacy ip of rules ipsets of sets]" {
			t.Errorf("%s: read %s", tc.name, got)
		}
	}
	if code, k, _ := run(rules); code != exitUnseen || k["ruling"][0]["end"] != "unknown" {
		t.Errorf("without sets: exit %d, %v", code, k["ruling"])
	}
	sets := write("one", "create S hash:ip family inet\n")
	for name, tc := range map[string]struct {
		files []string
		want  string
	}{
		"alone": {[]string{sets}, "--rules has ipsets only"},
		"twice": {[]string{rules, sets, sets}, "second file of ipsets"},
	} {
		if code, _, errs := run(tc.files...); code != 1 || !strings.Contains(errs, tc.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit %d, %q", name, code, errs)
		}
	}
}
