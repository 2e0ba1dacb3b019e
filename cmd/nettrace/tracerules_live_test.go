// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/ruletrace"
)

// rulesetOf is what --trace-rules can change on a lab's node.
func rulesetOf(t *testing.T, l *lab.Lab, node string) string {
	t.Helper()
	var out []byte
	if err := netns.Do(l.Path(node), func() (err error) {
		out, err = exec.Command("sh", "-c", "nft list tables; cat /proc/sys/net/netfilter/nf_log/2 /proc/sys/net/netfilter/nf_log/10").Output()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// While rules are traced a table is there and the records of iptables-legacy go to nettrace; neither is left after Ctrl-C, nor after a kill.
func TestTraceRulesEnds(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "trends")
	before := rulesetOf(t, l, "node1")
	args := []string{"flow", "10.244.1.10", "10.244.2.20:8080", "--timeout", "0", "--trace-rules"}
	for _, s := range l.Scopes() {
		args = append(args, "--scope", s)
	}
	for name, signal := range map[string]unix.Signal{"Ctrl-C": unix.SIGINT, "a kill": unix.SIGKILL} {
		cmd := nettrace(t, nil, args...)
		said(t, cmd, "points attached")
		while := rulesetOf(t, l, "node1")
		if strings.Count(while, ruletrace.TablePrefix) != 1 || !strings.Contains(while, "nfnetlink_log") {
			t.Errorf("while it runs: %q", while)
		}
		_ = cmd.Process.Signal(signal)
		_ = cmd.Wait()
		for end := time.Now().Add(20 * time.Second); rulesetOf(t, l, "node1") != before; time.Sleep(20 * time.Millisecond) { // the guardian of a killed one takes a moment
			if time.Now().After(end) || signal == unix.SIGINT {
				t.Errorf("after %s: %q, before: %q", name, rulesetOf(t, l, "node1"), before)
				break
			}
		}
	}
}

// Two traces of one flow at once see the same rules, each with its own table, and the table is in neither snapshot nor story; a replay gives
// the same bytes.
func TestTraceRulesTwiceAtOnce(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "trtwo")
	args := []string{"flow", "10.244.1.10", "10.96.0.81:80", "--timeout", "0", "--trace-rules"}
	probe := []string{"flow", "netns:" + l.NetNS("client"), "10.96.0.81:80", "--probe", "--trace-rules", "-o", "json"}
	for _, s := range l.Scopes() {
		args, probe = append(args, "--scope", s), append(probe, "--scope", s)
	}
	other := nettrace(t, nil, args...)
	said(t, other, "points attached")
	file := filepath.Join(t.TempDir(), "x.nt")
	code, live, errs := call(t, append(probe, "--record", file)...)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if !strings.Contains(errs, "until nettrace ends") || !strings.Contains(errs, "another program, perhaps another nettrace, has log group 0") {
		t.Errorf("stderr: %q", errs)
	}
	_ = other.Process.Signal(unix.SIGINT)
	_ = other.Wait()
	if strings.Contains(live, ruletrace.TablePrefix) {
		t.Error("the story tells of nettrace's own table")
	}
	if _, replay, _ := call(t, "replay", file, "-o", "json"); replay != live {
		t.Error("the replay differs from the live run")
	}
	code, live, errs = call(t, append(probe, "--record", file)...)
	if _, replay, _ := call(t, "replay", file, "-o", "json"); code != 0 || replay != live || !bytes.Contains([]byte(live), []byte(`"certainty":"exact"`)) {
		t.Errorf("alone: exit %d, %s; the replay is the same: %v", code, errs, replay == live)
	}
}
