// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// The test binary is nettrace itself when this is set, so that tests can signal it and take its privileges.
const asMain = "NETTRACE_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
	}
	for k, v := range map[string]string{asMain: "1", // for the guardian of a capture, which is this binary too
		"KUBECONFIG": "/nonexistent", "KUBERNETES_SERVICE_HOST": "", "NODE_NAME": ""} { // no test asks the cluster of whoever runs it
		if err := os.Setenv(k, v); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// nettrace is this program as a process; before are commands that it is run through.
func nettrace(t *testing.T, before []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	line := append(append(append([]string{}, before...), self), args...)
	cmd := exec.CommandContext(t.Context(), line[0], line[1:]...) // a test that fails leaves no process behind
	cmd.Env = append(os.Environ(), asMain+"=1")
	return cmd
}

// leftovers are the things that a lab could leave behind.
func leftovers(t *testing.T) string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"/run/netns/*", lab.StateDir + "/*", "/sys/class/net/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	sort.Strings(all)
	return strings.Join(all, "\n")
}

func mustLeaveNothing(t *testing.T) {
	t.Helper()
	before := leftovers(t)
	t.Cleanup(func() {
		for _, x := range strings.Split(leftovers(t), "\n") { // what was there before may go meanwhile: it is somebody else's
			if !strings.Contains("\n"+before+"\n", "\n"+x+"\n") {
				t.Errorf("left behind: %s", x)
			}
		}
	})
}

// serve builds a lab whose pods answer, until the test ends.
func serve(t *testing.T, prefix string) *lab.Lab {
	t.Helper()
	l, err := lab.Up(t.Context(), lab.Options{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(); err != nil {
			t.Error(err)
		}
	})
	if err := l.Serve(); err != nil {
		t.Fatal(err)
	}
	return l
}

// A recording of a live run replays to the same bytes.
func TestReplayEqualsLive(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	for _, name := range []string{"healthy-service", "host-firewall-drops-tunnel", "network-policy-drop"} {
		file := filepath.Join(t.TempDir(), name+".nt")
		code, live, errs := call(t, "lab", "run", name, "-o", "json", "--record", file)
		if code != 0 {
			t.Fatalf("%s: exit %d: %s", name, code, errs)
		}
		_, replay, _ := call(t, "replay", file, "-o", "json")
		if live != replay {
			t.Errorf("%s: the replay differs from the live run", name)
		}
	}
}

// A flood that the ring buffer cannot hold: the loss is in the verdict and lowers its confidence.
func TestFloodIsReported(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "flood")
	var out bytes.Buffer
	o := flowOptions{output: output{format: "json"}, proto: "tcp", probe: true, count: 20, size: 1 << 20, timeout: 5 * time.Second, scope: l.Scopes(), backend: "auto", ringBytes: 4096}
	v, err := runFlow(t.Context(), streams{nil, &out, io.Discard}, o, "netns:"+l.NetNS("client"), "10.244.2.20:8080")
	if err != nil {
		t.Fatal(err)
	}
	if v.LostEvents == 0 {
		t.Fatal("a flood through a ring of one page lost nothing: the test does not test")
	}
	if v.Confidence == verdict.Confirmed {
		t.Errorf("confidence is %s although %d events were lost", v.Confidence, v.LostEvents)
	}
	if !strings.Contains(strings.Join(v.Evidence, "\n"), fmt.Sprintf("%d events were lost", v.LostEvents)) {
		t.Errorf("the evidence does not tell of the loss: %q", v.Evidence)
	}
	kinds := schematest.Lines(t, out.Bytes())
	lost := 0
	for _, j := range kinds["journey"] {
		if n, _ := j["lost"].(float64); n > 0 {
			lost++
			if complete, _ := j["complete"].(bool); complete {
				t.Errorf("journey %v lost events and is said to be complete", j["id"])
			}
		}
	}
	if lost == 0 {
		t.Error("no journey says that events were lost while it was under way")
	}
}

// Nothing matches: exit 3, and stderr names what similar traffic there was and that --probe exists.
func TestNothingMatches(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "quiet")
	args := []string{"flow", "10.244.1.10", "10.244.2.20:8081", "--timeout", "7s", "-o", "json"}
	for _, s := range l.Scopes() {
		args = append(args, "--scope", s)
	}
	started, said := make(chan struct{}), make(chan string)
	pr, pw := io.Pipe()
	go func() { // traffic to another port of the same hosts, once the tracer is attached
		<-started
		o := flowOptions{output: output{format: "json"}, probe: true, timeout: time.Second, scope: l.Scopes(), ring: 1, backend: "auto"}
		if _, err := runFlow(t.Context(), streams{nil, io.Discard, io.Discard}, o, "netns:"+l.NetNS("client"), "10.244.2.20:8080"); err != nil {
			t.Error(err)
		}
	}()
	go func() {
		r := bufio.NewReader(pr)
		first, _ := r.ReadString('\n')
		close(started)
		rest, _ := io.ReadAll(r)
		said <- first + string(rest)
	}()
	var errs bytes.Buffer
	code := run(t.Context(), args, streams{nil, pw, &errs})
	_ = pw.Close()
	out := <-said
	if code != exitUnseen {
		t.Errorf("exit code %d, want 3", code)
	}
	for _, want := range []string{"nothing matching was seen", "10.244.1.10 → 10.244.2.20:8080", "--probe"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("stderr %q lacks %q", errs.String(), want)
		}
	}
	kinds := schematest.Lines(t, []byte(out))
	if len(kinds["verdict"]) != 1 || kinds["verdict"][0]["outcome"] != "unseen" {
		t.Errorf("verdict: %v", kinds["verdict"])
	}
}

// Privileges and features that are missing are named, with exit code 4.
func TestMissingPrivileges(t *testing.T) {
	needRoot(t)
	for _, tc := range []struct {
		name   string
		before []string
		args   []string
		want   string
	}{
		{"no capabilities", []string{"setpriv", "--bounding-set=-all", "--inh-caps=-all"}, []string{"flow", "127.0.0.1", "127.0.0.2:80"}, "missing CAP_BPF and CAP_PERFMON"},
		{"no BTF", []string{"unshare", "-m", "sh", "-c", `mount -t tmpfs none /sys/kernel/btf && exec "$0" "$@"`}, []string{"flow", "127.0.0.1", "127.0.0.2:80"}, "does not have BTF"},
		{"rules may not be traced", []string{"setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"}, []string{"flow", "127.0.0.1", "127.0.0.2:80", "--trace-rules"}, "missing CAP_NET_ADMIN"},
		{"the lab without root", []string{"setpriv", "--reuid=65534", "--clear-groups"}, []string{"lab", "up"}, "run it as root"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.before[0] == "setpriv" && strings.Contains(strings.Join(tc.before, " "), "reuid") {
				readable(t)
			}
			cmd := nettrace(t, tc.before, tc.args...)
			if public != "" && strings.Contains(strings.Join(tc.before, " "), "reuid") {
				cmd.Args[len(tc.before)] = public
			}
			var errs bytes.Buffer
			cmd.Stderr = &errs
			err := cmd.Run()
			var ee *exec.ExitError
			if !errors.As(err, &ee) || ee.ExitCode() != exitPrivileges {
				t.Errorf("%v, want exit code 4; stderr %q", err, errs.String())
			}
			if !strings.Contains(errs.String(), tc.want) || strings.Count(errs.String(), "\n") != 1 {
				t.Errorf("stderr %q: want one sentence with %q", errs.String(), tc.want)
			}
		})
	}
}

// public is a copy of the test binary that another user can run.
var public string

func readable(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp("/var/tmp", "nettrace-test-*")
	if err != nil {
		t.Fatal(err)
	}
	public = f.Name()
	t.Cleanup(func() { _ = os.Remove(public) })
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Chmod(0o755), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// Ctrl-C in the middle of a traced run ends it in order: nothing is left attached or behind.
func TestInterrupt(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	for _, tc := range []struct {
		name string
		args []string
		seen string // the signal is sent when this was read from stderr or stdout
		code int
	}{
		{"lab up", []string{"lab", "up", "--prefix", "intr"}, "lab: node2 tunnel", exitInterrupted},
		{"flow without traffic", []string{"flow", "127.0.0.1", "127.0.0.2:9", "--timeout", "0"}, "points attached", exitInterrupted},
		{"lab run", []string{"lab", "run", "tunnel-lost-in-fabric"}, "points attached", exitInterrupted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := nettrace(t, nil, tc.args...)
			pr, pw := io.Pipe()
			cmd.Stdout, cmd.Stderr = pw, pw
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			go func() {
				s := bufio.NewScanner(pr)
				for sent := false; s.Scan(); {
					if !sent && strings.Contains(s.Text(), tc.seen) {
						sent = true
						_ = cmd.Process.Signal(unix.SIGINT)
					}
				}
			}()
			err := cmd.Wait()
			_ = pw.Close()
			var ee *exec.ExitError
			if !errors.As(err, &ee) || ee.ExitCode() != tc.code {
				t.Errorf("%v, want exit code %d", err, tc.code)
			}
		})
	}
}

// The reader of the output goes away in the middle ('nettrace lab run … | head -1'): nothing is left behind.
func TestClosedPipe(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	cmd := nettrace(t, nil, "lab", "run", "healthy-service")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReaderSize(out, 16).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	var ee *exec.ExitError
	if !errors.As(err, &ee) || ee.ExitCode() != exitUsage {
		t.Errorf("%v, want exit code 1", err)
	}
}

// 'lab up' outlives its command; 'lab exec' works in it; 'lab down' removes all of it, the server process included.
func TestLabUpExecDown(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	if out, err := nettrace(t, nil, "lab", "up", "--prefix", "updown", "--case", "not-listening").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _ = lab.Down("updown") })
	out, err := nettrace(t, nil, "lab", "exec", "--prefix", "updown", "web-b", "--", "ip", "-br", "addr", "show", "eth0").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "10.244.2.20/24") {
		t.Errorf("lab exec: %v: %s", err, out)
	}
	code, story, errs := call(t, "flow", "netns:updown-client", "10.244.2.20:8080", "--probe", "--timeout", "2s", "--scope", "node1=updown-node1+updown-client+updown-web-a", "--scope", "node2=updown-node2+updown-web-b")
	if code != 0 || !strings.Contains(story, "DELIVERED") {
		t.Errorf("flow in the lab: exit %d, %s%s", code, story, errs)
	}
	err = nettrace(t, nil, "lab", "exec", "--prefix", "updown", "client", "--", "sh", "-c", "exit 7").Run()
	var ee *exec.ExitError
	if !errors.As(err, &ee) || ee.ExitCode() != 7 {
		t.Errorf("lab exec passes exit codes: %v", err)
	}
	if out, err := nettrace(t, nil, "lab", "down", "--prefix", "updown").CombinedOutput(); err != nil {
		t.Errorf("lab down: %v: %s", err, out)
	}
}

// A run that is cancelled before it starts builds nothing that stays.
func TestContextCancelBeforeStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	needRoot(t)
	mustLeaveNothing(t)
	c, err := lab.FindCase("healthy-service")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := runCase(ctx, streams{nil, io.Discard, io.Discard}, labRunOptions{output: output{format: "story"}}, c); err == nil {
		t.Error("a cancelled run ended without an error")
	}
}
