// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

var pointsOnly = flag.Bool("points", false, "ask the kernels for their points and signatures only, not for the lab")

var update = flag.Bool("update", false, "write docs/kernels.md, docs/cases.md and testdata/btf from what the kernels say")

// These restrict the run: to kernels, "6.12,7.x", and to cases of the lab on the preferred rung, "conntrack-race|healthy-udp".
const (
	kernelsEnv = "NETTRACE_KERNELS"
	casesEnv   = "NETTRACE_CASES"
)

// wholeEnv has every kernel run every case, as 'make test-kernels' does: under emulation that takes more than an hour. Without it each runs its
// share, and what is left out is told.
const wholeEnv = "NETTRACE_WHOLE_LAB"

// answers are what a guest said, part by part.
type answers struct {
	doctor     map[string]*tracer.Preflight // by backend
	signatures []string
	tests      map[string]*Results // by part
	release    string
}

// rungCases are the lab's cases that run on every rung of a kernel; on the preferred rung its whole share runs, or all.
var rungCases = []string{"healthy-service", "healthy-ipvs", "conntrack-invalid", "no-endpoints", "fdb-entry-missing", "accept-queue-full"}

// Each kernel of the matrix boots; its points attach or are known to be blind; the lab gets its verdicts on the preferred rung, and the cases
// above on the other rungs; the arguments of hooked functions are the expected ones.
func TestKernels(t *testing.T) {
	if testing.Short() {
		t.Skip("boots four kernels under emulation: minutes")
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("needs qemu-system-x86_64: run 'make install-deps'")
	}
	cache, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	files := build(t)
	all := make([]*answers, len(Kernels))
	t.Run("on", func(t *testing.T) {
		for i, k := range Kernels {
			if only := os.Getenv(kernelsEnv); only != "" && !slices.Contains(strings.Split(only, ","), k.Line) {
				continue
			}
			t.Run(k.Line, func(t *testing.T) {
				t.Parallel()
				all[i] = askKernel(t, cache, k, files)
			})
		}
	})
	if os.Getenv(kernelsEnv) == "" && os.Getenv(casesEnv) == "" && !t.Failed() {
		compareFile(t, "../../docs/kernels.md", kernelsTable(all))
	}
	if !*pointsOnly && (*update || !t.Failed()) { // what passed is written also when something else did not
		compareCases(t, all)
	}
}

// A test binary that is built with -trimpath looks for the schema under the module's name, from where it runs.
const (
	module = "github.com/nettrace-io/nettrace/"
	schema = module + "testdata/schema/nettrace-v1.schema.json"
)

// build makes the programs that run in the guests.
func build(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"/nettrace": filepath.Join(dir, "nettrace"), "/nettrace.test": filepath.Join(dir, "nettrace.test"),
		"/data/" + schema: "../../" + strings.TrimPrefix(schema, module)}
	programs := [][]string{
		{"build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", files["/nettrace"], "../../cmd/nettrace"},
		{"test", "-c", "-trimpath", "-ldflags", "-s -w", "-o", files["/nettrace.test"], "../../cmd/nettrace"},
	}
	for _, args := range programs {
		cmd := exec.Command("go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v: %s", args[0], err, out)
		}
	}
	return files
}

// kernelTests are those besides the lab's cases whose outcome depends on the kernel.
var kernelTests = []string{"TestKilled", "TestTwoAtOnce", "TestDoctor.*", "TestBackendThatIsNotThere", "TestDropsInOwnNamespace", "TestCaptureOnThisKernel"}

// script asks everything in one boot. A part that fails does not stop the next.
func script(k Kernel) string {
	var b strings.Builder
	part := func(name, command string) { fmt.Fprintf(&b, "echo '@@part %s'\n%s\n", name, command) }
	b.WriteString("#!/bin/sh\ncd /data\nexport NETTRACE_TEST_ROUNDS=1\n")
	tests := func(rung, command string) { part("tests "+rung, command+"; echo \""+codeLine+"$?\"") }
	if only := os.Getenv(casesEnv); only != "" {
		tests("auto", fmt.Sprintf("/nettrace.test -test.v -test.run '^TestLabCases$/^(%s)$' -test.timeout 60m", only))
		return b.String() + "exit 0\n"
	}
	part("signatures", "/nettrace doctor --signatures")
	for _, rung := range append([]string{tracer.BackendAuto}, k.Rungs...) {
		part("doctor "+rung, "/nettrace doctor -o json --backend "+rung)
	}
	if *pointsOnly {
		return b.String() + "exit 0\n"
	}
	skip := ""
	if names := slices.Concat(slices.Sorted(maps.Keys(k.Unable)), leftOut(k)); len(names) > 0 {
		skip = " -test.skip '^TestLabCases$/^(" + strings.Join(names, "|") + ")$'"
	}
	tests("auto", "/nettrace.test"+skip+" -test.v -test.run '^("+strings.Join(append(kernelTests, "TestLabCases"), "|")+")$' -test.timeout 90m")
	for _, rung := range k.Rungs[:len(k.Rungs)-1] { // the last one is the preferred: it was 'auto'
		cases := rungCases
		if own := k.Cases[rung]; own != nil {
			cases = own
		}
		tests(rung, fmt.Sprintf("NETTRACE_TEST_BACKEND=%s /nettrace.test -test.v -test.run '^TestLabCases$/^(%s)$' -test.timeout 30m", rung, strings.Join(cases, "|")))
	}
	b.WriteString("exit 0\n")
	return b.String()
}

// What a kernel cannot decide are cases that exist, and each has its reason.
func TestUnableCasesExist(t *testing.T) {
	cases, err := lab.Cases()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Kernels {
		for name, why := range k.Unable {
			if why == "" || !slices.ContainsFunc(cases, func(c lab.Case) bool { return c.Name == name }) {
				t.Errorf("%s: case %s does not exist, or has no reason", k.Line, name)
			}
		}
	}
}

// ours is what a kernel says when a program of ours may have crashed it: then once is enough.
var ours = regexp.MustCompile(`bpf_prog_|bpf_trampoline|kprobe|fprobe`)

func askKernel(t *testing.T, cache string, k Kernel, files map[string]string) *answers {
	if out := leftOut(k); len(out) > 0 {
		t.Logf("%s: %d cases are left to 'make test-kernels': %s", k.Line, len(out), strings.Join(out, " "))
	}
	m, err := Prepare(t.Context(), cache, k)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	a, err := ask(t, m, k, files)
	if errors.Is(err, ErrGuest) && !ours.MatchString(err.Error()) && t.Context().Err() == nil {
		// The emulator itself crashes or hangs a guest now and then, also one in which nothing was traced. A crash of ours comes again.
		t.Logf("%s: the first attempt ended early: %v", m.Fetched.Release, err)
		a, err = ask(t, m, k, files)
	}
	if err != nil {
		t.Error(err)
	}
	t.Logf("%s: %v", m.Fetched.Release, time.Since(begin).Round(time.Second))
	a.check(t, k)
	return a
}

// logEnv is a folder for what the guests say as they say it, a file for each kernel: for who watches a long run.
const logEnv = "NETTRACE_GUEST_LOG"

func logTo(t *testing.T, line string) io.Writer {
	dir := os.Getenv(logEnv)
	if dir == "" {
		return io.Discard
	}
	f, err := os.OpenFile(filepath.Join(dir, line+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// ask boots the kernel and collects its answers.
func ask(t *testing.T, m *Machine, k Kernel, files map[string]string) (*answers, error) {
	a := &answers{doctor: map[string]*tracer.Preflight{}, tests: map[string]*Results{}, release: m.Fetched.Release}
	part := ""
	said := logTo(t, k.Line)
	err := m.Run(t.Context(), Job{Files: files, Script: script(k), Line: func(line string) {
		fmt.Fprintln(said, line)
		if name, ok := strings.CutPrefix(line, "@@part "); ok {
			part = name
			return
		}
		if err := a.take(part, line); err != nil {
			t.Error(err)
		}
	}})
	return a, err
}

func (a *answers) take(part, line string) error {
	kind, arg, _ := strings.Cut(part, " ")
	switch kind {
	case "signatures":
		a.signatures = append(a.signatures, line)
	case "doctor":
		if !strings.HasPrefix(line, "{") {
			return nil
		}
		p := &tracer.Preflight{}
		if err := json.Unmarshal([]byte(line), p); err != nil {
			return fmt.Errorf("doctor on %s: %w", arg, err)
		}
		a.doctor[arg] = p
	case "tests":
		if a.tests[arg] == nil {
			a.tests[arg] = &Results{}
		}
		a.tests[arg].Add(line)
	}
	return nil
}

func (a *answers) check(t *testing.T, k Kernel) {
	if os.Getenv(casesEnv) != "" {
		a.relay(t, tracer.BackendAuto)
		return
	}
	for _, rung := range append([]string{tracer.BackendAuto}, k.Rungs...) {
		t.Run("points "+rung, func(t *testing.T) { a.checkPoints(t, k, rung) })
		if !*pointsOnly && (rung == tracer.BackendAuto || rung != k.Rungs[len(k.Rungs)-1]) {
			a.relay(t, rung)
		}
	}
	t.Run("signatures", func(t *testing.T) {
		compareFile(t, "../../testdata/btf/"+k.Line+".txt", strings.Join(a.signatures, "\n")+"\n")
	})
}

func (a *answers) checkPoints(t *testing.T, k Kernel, rung string) {
	p := a.doctor[rung]
	if p == nil || len(p.Points) == 0 {
		t.Fatalf("doctor said nothing about the points: %+v", p)
	}
	known := map[string]string{}
	for _, m := range []map[string]string{k.Blind, k.BlindOn[rung]} {
		for name, why := range m {
			known[name] = why
		}
	}
	for _, s := range p.Points {
		why, listed := known[s.Name]
		switch {
		case s.Attached && listed:
			t.Errorf("%s attaches although kernels.go lists it as blind: take it out", s.Name)
		case !s.Attached && !s.Needless && !listed:
			t.Errorf("%s is blind: %s; if that is right, list it in kernels.go", s.Name, s.Why)
		case !s.Attached && listed && !strings.Contains(s.Why, why):
			t.Errorf("%s is blind for another reason than %q: %s", s.Name, why, s.Why)
		}
	}
	t.Logf("attach %d ms, detach %d ms", p.AttachMS, p.DetachMS)
}

// relay makes each test of the guest one here.
func (a *answers) relay(t *testing.T, rung string) {
	r := a.tests[rung]
	if r == nil || len(r.Done()) == 0 {
		t.Errorf("no test ran on %s", rung)
		return
	}
	if p := r.Problem(); p != "" {
		t.Errorf("%s: %s", rung, p)
	}
	for _, one := range r.Done() {
		t.Run(rung+" "+one.Name, func(t *testing.T) {
			switch one.Status {
			case "FAIL":
				t.Error(strings.Join(one.Output, "\n"))
			case "SKIP":
				t.Skip(strings.Join(one.Output, " "))
			}
		})
	}
}

// compareFile compares what the kernels say with what is committed, or writes it.
func compareFile(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(want), 0o644)); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) == want {
		return
	}
	was, is := strings.Split(string(have), "\n"), strings.Split(want, "\n")
	for i := range max(len(was), len(is)) {
		if i >= len(was) || i >= len(is) || was[i] != is[i] {
			t.Errorf("%s is out of date, first at line %d; when the change is right: go test ./internal/vmtest -run TestKernels -update", filepath.Base(path), i+1)
			if i < len(was) && i < len(is) {
				t.Errorf("was %s\nis  %s", was[i], is[i])
			}
			return
		}
	}
}

// kernelsTable is docs/kernels.md.
func kernelsTable(all []*answers) string {
	var b strings.Builder
	b.WriteString("<!-- Generated by 'make test-kernels' (go test ./internal/vmtest -run TestKernels -update); do not edit. -->\n# Points by kernel\n\n")
	b.WriteString("How each point attaches on Debian's cloud kernels when nothing is forced. *blind*: it does not, and what it would tell is missed.\n-: it is not needed there.\n\n")
	b.WriteString("| point | tells |")
	for _, k := range Kernels {
		b.WriteString(" " + k.Line + " |")
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(Kernels)) + "\n")
	meaning := tracer.Meanings()
	for i, s := range all[0].doctor[tracer.BackendAuto].Points {
		fmt.Fprintf(&b, "| `%s` | %s |", s.Name, meaning[s.Name])
		for _, a := range all {
			b.WriteString(" " + rungWord(a.doctor[tracer.BackendAuto].Points[i]) + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\nWhat makes the kernels different: ")
	for i, k := range Kernels {
		b.WriteString(map[bool]string{true: "; "}[i > 0] + k.Line + ": " + k.Why)
	}
	b.WriteString(".\n\n'make test-kernels' holds the whole lab against its verdicts on each of them ([cases.md](cases.md)), 'make test' a share of it, except for:\n\n")
	for _, k := range Kernels {
		for _, name := range slices.Sorted(maps.Keys(k.Unable)) {
			fmt.Fprintf(&b, "- %s on %s: %s\n", name, k.Line, k.Unable[name])
		}
	}
	return b.String()
}

func rungWord(s tracer.PointStatus) string {
	switch {
	case s.Attached:
		return s.Backend
	case s.Needless:
		return "-"
	}
	return "*blind*"
}
