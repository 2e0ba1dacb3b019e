// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writer writes files into a folder of the test's and returns their paths.
func writer(t *testing.T) func(name, text string) string {
	dir := t.TempDir()
	return func(name, text string) string {
		f := filepath.Join(dir, name)
		if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return f
	}
}

// Nothing is guessed: what is not known is named, and the exit code says that the rules do not decide.
func TestRulesThatDoNotDecide(t *testing.T) {
	write := writer(t)
	for _, tc := range []struct{ name, save, want string }{
		{"a match", "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m bpf --bytecode \"1,6 0 0 0\" -j DROP\nCOMMIT\n", "filter/FORWARD rule 1: -m bpf --bytecode 1,6 0 0 0 is not known"},
		{"a target", "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j SYNPROXY --mss 1460\nCOMMIT\n", "target SYNPROXY is not known"},
		{"a device", "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -i eth0 -j DROP\nCOMMIT\n", "-i eth0 is not known"},
		{"a draw", "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m statistic --mode random --probability 0.5 -j DROP\nCOMMIT\n", "50 % of the connections end with drop"},
	} {
		code, out, errs := call(t, "rules", "10.0.0.1", "10.0.0.2:80", "--no-kubernetes", "--rules", write("x.save", tc.save))
		if code != exitUnseen || !strings.Contains(out, "UNDECIDED: the rules do not decide") || !strings.Contains(strings.Join(strings.Fields(out), " "), tc.want) || errs != "" {
			t.Errorf("%s: exit %d\n%s%s", tc.name, code, out, errs)
		}
	}
	cut := write("cut.save", "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p udp -j ACCE")
	code, out, errs := call(t, "rules", "10.0.0.1", "10.0.0.2:80", "--no-kubernetes", "--rules", cut)
	if code != exitUnseen || !strings.Contains(errs, "the save ends inside table filter") || !strings.Contains(strings.Join(strings.Fields(out), " "), "ends inside table filter") {
		t.Errorf("a save that was cut: exit %d\n%s%s", code, out, errs)
	}
	hostile := write("hostile.save", "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m comment --comment \"\x1b[2J\xff\" -j DROP\nCOMMIT\n")
	for _, format := range []string{"story", "table", "json"} {
		if code, out, _ := call(t, "rules", "10.0.0.1", "10.0.0.2:80", "--no-kubernetes", "-o", format, "--rules", hostile); code != exitVerdict || strings.ContainsRune(out, '\x1b') {
			t.Errorf("%s: exit %d, %q", format, code, out)
		}
	}
}

// Rules of several machineries of one node, and what a file is, told by its content.
func TestRulesFromSeveralFiles(t *testing.T) {
	dir := t.TempDir()
	six := filepath.Join(dir, "six")
	drop := filepath.Join(dir, "drop")
	for name, text := range map[string]string{six: "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -d fd00::2/128 -j REJECT\nCOMMIT\n", drop: "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k := dryRecords(t, exitVerdict, "10.244.1.10", "10.96.0.80:80", "--rules", "nft="+fixture("nftables.json"), "--rules", "legacy="+drop, "--rules", six)
	if got := fmt.Sprint(k["start"][0]["rules"]); got != "[iptables-legacy ip of drop iptables-legacy ip6 of six nft of nftables.json]" {
		t.Error(got)
	}
	last := k["rule"][len(k["rule"])-1]
	if last["number"] != 0.0 || last["backend"] != "iptables-legacy" || last["verdict"] != "DROP" {
		t.Errorf("the policy of the legacy rules: %v", last)
	}
	dryRecords(t, exitVerdict, "fd00::1", "[fd00::2]:80", "--rules", six)
	dryRecords(t, exitOK, "fd00::1", "[fd00::3]:80", "--rules", six)
	k = dryRecords(t, exitVerdict, "10.244.1.10", "10.96.0.80:80", "--rules", "nft="+drop)
	if k["rule"][0]["backend"] != "iptables-nft" {
		t.Errorf("%v", k["rule"][0])
	}
	k = dryRecords(t, exitVerdict, "host", "10.96.0.82:80", "--local", "192.168.50.1", "--rules", fixture("iptables-legacy.save"))
	if k["rule"][0]["hook"] != "OUTPUT" {
		t.Errorf("from the node: %v", k["rule"][0])
	}
}
