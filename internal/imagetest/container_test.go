// SPDX-License-Identifier: Apache-2.0

package imagetest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/internal/image"
	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

func needRuntime(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: containers, network namespaces and tracing")
	}
	for _, cmd := range []string{"podman", "runc", "apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(cmd); err != nil {
			t.Skipf("needs %s: run 'make install-deps'", cmd)
		}
	}
}

// In a container with what the manifest gives, no more and no less, a broken and a healthy
// flow of the lab have the story that they have outside; and without any one of the capabilities the loss is told.
func TestContainer(t *testing.T) {
	needRuntime(t)
	archive, _ := shared(t)
	r := load(t, archive)
	nettrace := r.binary(t)
	t.Run("broken", func(t *testing.T) {
		args, cluster := labUp(t, nettrace, "no-endpoints")
		compare(t, r, nettrace, args, cluster, 2)
		t.Run("one capability less", func(t *testing.T) { withoutOne(t, r, args, cluster) })
	})
	t.Run("healthy", func(t *testing.T) {
		args, cluster := labUp(t, nettrace, "healthy-cross-node")
		compare(t, r, nettrace, args, cluster, 0)
		t.Run("start", func(t *testing.T) { firstHop(t, r, args, cluster) })
	})
}

var sizes = regexp.MustCompile(`(?m)^linux/(\w+) ([0-9.]+) MB, ([0-9.]+) MB compressed, sha256:[0-9a-f]{64}$`)

// checkSizes holds each architecture against 60 MB, unpacked.
func checkSizes(t *testing.T, said string) {
	t.Helper()
	found := sizes.FindAllStringSubmatch(said, -1)
	if len(found) != 2 {
		t.Fatalf("the build does not tell the sizes of two architectures: %q", said)
	}
	for _, m := range found {
		if mb, err := strconv.ParseFloat(m[2], 64); err != nil || mb > 60 {
			t.Errorf("linux/%s takes %s MB, more than 60", m[1], m[2])
		}
	}
}

// traceArgs are the arguments of a trace whose probe comes from a port of its own.
func traceArgs(args []string, sport int, more ...string) []string {
	return append(append(slices.Clone(args), "-o", "json", "--timeout", "5s", "--sport", strconv.Itoa(sport)), more...)
}

// compare traces the same flow inside and outside, and wants the same story.
func compare(t *testing.T, r *runtime, nettrace string, args []string, cluster []byte, code int) {
	t.Helper()
	const insidePort, outsidePort = 45001, 45002
	finish(t, exec.Command(nettrace, traceArgs(args, outsidePort+1)...), cluster) // the neighbours know one another afterwards
	outside := finish(t, exec.Command(nettrace, traceArgs(args, outsidePort)...), cluster)
	inside := finish(t, r.run(t, nil, traceArgs(args, insidePort)...), cluster)
	for name, x := range map[string]result{"outside": outside, "inside": inside} {
		if x.code != code || x.errors != "" {
			t.Errorf("%s: exit %d, want %d; stderr %q", name, x.code, code, x.errors)
		}
		schematest.Lines(t, []byte(x.out))
	}
	want, got := story(t, outside.out, outsidePort), story(t, inside.out, insidePort)
	if len(want) < 3 {
		t.Fatalf("too short a story: %s", outside.out)
	}
	for _, d := range [][3]any{{"inside only", got, want}, {"outside only", want, got}} {
		for _, line := range d[1].([]string) {
			if !slices.Contains(d[2].([]string), line) {
				t.Errorf("%s: %s", d[0], line)
			}
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d lines inside, %d outside", len(got), len(want))
	}
}

// story is the JSON of a trace without what no two runs share: times, numbers of packets, the probe's port.
func story(t *testing.T, out string, sport int) []string {
	t.Helper()
	var lines []string
	for s := bufio.NewScanner(strings.NewReader(out)); s.Scan(); {
		var m map[string]any
		if err := json.Unmarshal(s.Bytes(), &m); err != nil {
			t.Fatalf("%v in %q", err, s.Text())
		}
		if p, ok := m["packet"].(map[string]any); ok && p["proto"] == "tcp" && !strings.Contains(fmt.Sprint(p["flags"]), "SYN") {
			continue // in how many packets a connection ends is a matter of time
		}
		b, err := json.Marshal(strip(m))
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.ReplaceAll(counted.ReplaceAllString(string(b), "N $1"), strconv.Itoa(sport), "SPORT"))
	}
	sort.Strings(lines) // what happens on two processors at once has no order
	return lines
}

var counted = regexp.MustCompile(`[0-9.]+ (ms|packets of the request|of the reply)`)

// strip takes out what differs from run to run. A tunnel's own port is made from those of what is inside, and the connection of a tunnel's
// packets may be as old as any.
func strip(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if v["dport"] == float64(8472) {
			delete(v, "sport")
		}
		if v["outer"] != nil {
			delete(v, "ct")
		}
		for _, k := range []string{"t", "at", "time", "ms", "attachMs", "id", "ipid", "seq", "journey", "journeys", "version"} {
			delete(v, k)
		}
		for k := range v {
			v[k] = strip(v[k])
		}
	case []any:
		v = slices.DeleteFunc(v, remembered)
		for i := range v {
			v[i] = strip(v[i])
		}
		return v
	}
	return v
}

// remembered are hops that a packet takes only when the kernel, on the processor that it is on, does not remember the answer: a tunnel's route,
// a neighbour.
func remembered(hop any) bool {
	h, ok := hop.(map[string]any)
	what, _ := h["what"].(string)
	return ok && (h["stage"] == "neighbour" || h["stage"] == "route" && strings.HasPrefix(what, "tunnel packet routed to "))
}

// withoutOne takes the capabilities away one by one: a trace says what it lacks, and ends as it should.
func withoutOne(t *testing.T, r *runtime, args []string, cluster []byte) {
	lost := map[string]string{}
	for _, c := range tracer.Capabilities {
		lost[strings.TrimPrefix(c.Name, "CAP_")] = "nettrace: " + c.String() + "\n"
	}
	for i, c := range r.pod.Spec.Containers[0].SecurityContext.Capabilities.Add {
		t.Run(string(c), func(t *testing.T) {
			x := finish(t, r.run(t, []string{string(c)}, traceArgs(args, 45010+i)...), cluster)
			if c == "SYS_ADMIN" { // BPF and PERFMON are in it: nothing can be traced
				const want = "missing CAP_BPF and CAP_PERFMON: run nettrace as root, or give the pod these capabilities, or CAP_SYS_ADMIN, which has them in it\n"
				if x.code != 4 || !strings.HasSuffix(x.errors, want) || strings.Count(x.errors, "\n") != 1 {
					t.Errorf("exit %d, %q; want 4 and %q", x.code, x.errors, want)
				}
				return
			}
			if lost[string(c)] == "" {
				t.Fatalf("nothing is said to be lost without %s: why does the pod have it?", c)
			}
			if x.code != 2 || !strings.Contains(x.errors, lost[string(c)]) {
				t.Errorf("exit %d, %q; want 2 and %q", x.code, x.errors, lost[string(c)])
			}
			for other, sentence := range lost {
				if other != string(c) && strings.Contains(x.errors, sentence) {
					t.Errorf("%s is there, and said to be missing", other)
				}
			}
			kinds := schematest.Lines(t, []byte(x.out))
			if v := kinds["verdict"]; len(v) != 1 || v[0]["outcome"] != "rejected" && v[0]["outcome"] != "dropped" {
				t.Errorf("verdict %v", v)
			}
		})
	}
	t.Run("BPF and PERFMON for SYS_ADMIN", func(t *testing.T) { // what is left: the node's own namespace
		pod := r.pod.DeepCopy()
		pod.Spec.Containers[0].SecurityContext.Capabilities.Add = append(pod.Spec.Containers[0].SecurityContext.Capabilities.Add, "BPF", "PERFMON")
		less := &runtime{r.dir, r.image, pod}
		x := finish(t, less.run(t, []string{"SYS_ADMIN"}, "drops", "--no-kubernetes", "--duration", "1s"), nil)
		if x.code != 0 || !strings.Contains(x.errors, lost["SYS_ADMIN"]) {
			t.Errorf("exit %d, %q; want 0 and %q", x.code, x.errors, lost["SYS_ADMIN"])
		}
	})
}

// firstHop measures from the command to the first packet's way, less what the runtime takes until a container says its first word.
func firstHop(t *testing.T, r *runtime, args []string, cluster []byte) {
	best := time.Hour
	for i := range 3 {
		idle := until(t, r.run(t, nil, "--version"), nil, "nettrace version")
		if d := until(t, r.run(t, nil, traceArgs(args, 45020+i)...), cluster, `"kind":"journey"`) - idle; d < best {
			best = d
		}
	}
	t.Logf("the first hop comes %v after the container's start", best.Round(time.Millisecond))
	if best > 2*time.Second {
		t.Errorf("the first hop comes %v after the container's start, which is more than 2 s", best)
	}
}

// until is how long a command takes to print a line with certain words.
func until(t *testing.T, cmd *exec.Cmd, stdin []byte, words string) time.Duration {
	t.Helper()
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(stdin), &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var took time.Duration
	lines := bufio.NewReader(out)
	for err == nil {
		var line string
		line, err = lines.ReadString('\n')
		if took == 0 && strings.Contains(line, words) {
			took = time.Since(begin)
		}
	}
	if err := cmd.Wait(); err != nil || took == 0 {
		t.Fatalf("no %q: %v, %s", words, err, errs.String())
	}
	return took
}

// Each architecture fits into 60 MB, and the same tree gives the same bytes.
func TestImageIsSmallAndReproducible(t *testing.T) {
	needRuntime(t)
	_, said := shared(t)
	if os.Getenv(imageEnv) != "" {
		t.Skip("an image was given: " + imageEnv)
	}
	t.Log(said)
	checkSizes(t, said)
	again, err := build(filepath.Join(t.TempDir(), "again.tar"), goruntime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(again, "\n")
	if !sizes.MatchString(line) || !slices.Contains(strings.Split(said, "\n"), line) {
		t.Errorf("built again: %q, which is not among %q", line, said)
	}
}

// Every tool that is in the image runs in it: all of its libraries are there.
func TestToolsRunInside(t *testing.T) {
	needRuntime(t)
	archive, _ := shared(t)
	r := load(t, archive)
	for _, tool := range image.Programs() {
		args, err := flags(r.pod, nil)
		if err != nil {
			t.Fatal(err)
		}
		x := finish(t, r.podman(append(append([]string{"run", "--rm", "--entrypoint", tool}, args...), r.image, "--version")...), nil)
		if x.code != 0 || !strings.Contains(x.out+x.errors, " v") {
			t.Errorf("%s --version: exit %d, %s", tool, x.code, fmt.Sprint(x.out, x.errors))
		}
	}
}
