// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nettrace-io/nettrace/pkg/debugpod"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// The tests of this file need no privileges: instead of nettrace, pods run scripts that say what nettrace said on two nodes of the lab.

// recorded makes the nodes' programs say what a run of nettrace said there, in two halves: the first line at once, the rest when stdin closes, or
// at once on the node of the sender.
func recorded(t *testing.T, c *cluster, name string) {
	t.Helper()
	c.kubelet = c.RunKubelet(t, func(p *corev1.Pod) *exec.Cmd {
		file, err := filepath.Abs("../../testdata/merged/" + name + "." + p.Spec.NodeName + ".jsonl")
		if err != nil {
			t.Error(err)
		}
		wait := "cat >/dev/null; "
		if strings.Contains(strings.Join(p.Spec.Containers[0].Args, " "), "--probe") {
			wait = ""
		}
		return exec.Command("sh", "-c", `trap "" TERM; read objects; head -n1 "$0"; `+wait+`tail -n+2 "$0"; echo "nettrace: end of output" >&2; exit 2`, file)
	})
}

// The streams of two pods are one story: that of the same records in files.
func TestPluginMergesStreams(t *testing.T) {
	c := newCluster(t, nil)
	recorded(t, c, "tunnel-lost-in-fabric")
	code, out, errs := c.kubectl(t, "flow", "shop/client", "shop/web-7d9c5b8f4-abcde:8080", "--probe")
	want, err := os.ReadFile("../../testdata/merged/tunnel-lost-in-fabric.story")
	if err != nil {
		t.Fatal(err)
	}
	// live, the order of the lines proves that node2 watched before the first of the packets was sent; from files only the clocks speak
	doubt := regexp.MustCompile(`(?s)  - node2 may have missed 1 of them.*?cannot have missed\n`)
	if want = doubt.ReplaceAll(want, nil); code != exitVerdict || errs != "" || out != string(want) {
		t.Errorf("exit %d: %s\n%s\nwant\n%s", code, errs, out, want)
	}
	c.mustHaveNoPods(t)
}

// Ctrl-C while nodes watch: the pods are gone before the command ends, and the verdict is of what was seen.
func TestPluginInterruptedWhileScriptsWatch(t *testing.T) {
	c := newCluster(t, nil)
	recorded(t, c, "tunnel-lost-in-fabric")
	p := c.start(t, "flow", "shop/client", "shop/web-7d9c5b8f4-abcde:8080", "-o", "json")
	p.out.has(t, begun)
	c.until(t, "two attached programs", func() bool { return c.kubelet.Attached() == 2 })
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	code := p.ends(t)
	c.mustHaveNoPods(t)
	if code != exitVerdict || !strings.Contains(p.out.String(), `"kind":"verdict","outcome":"lost"`) || p.errs.String() != "" {
		t.Errorf("exit %d: %s\n%s", code, p.errs, p.out)
	}
}

// A connection that is cut in the middle of a story: the rest comes from the log.
func TestPluginCutWhileScriptsWatch(t *testing.T) {
	c := newCluster(t, nil)
	recorded(t, c, "tunnel-lost-in-fabric")
	p := c.start(t, "flow", "shop/client", "shop/web-7d9c5b8f4-abcde:8080", "-o", "json")
	p.out.has(t, begun)
	c.until(t, "two attached programs", func() bool { return c.kubelet.Attached() == 2 })
	c.kubelet.Cut()
	code := p.ends(t)
	c.mustHaveNoPods(t)
	if code != exitVerdict || !strings.Contains(p.out.String(), `"kind":"verdict","outcome":"lost"`) || strings.Count(p.errs.String(), "was cut: its run ended there; what it wrote was read from its log\n") != 2 {
		t.Errorf("exit %d: %s\n%s", code, p.errs, p.out)
	}
}

// Nodes that are shown as they are go on until somebody ends them; their lines say whose they are.
func TestPluginShowsLinesOfNodes(t *testing.T) {
	c := newCluster(t, nil)
	c.kubelet = c.RunKubelet(t, func(p *corev1.Pod) *exec.Cmd {
		return exec.Command("sh", "-c", `trap "" TERM; read objects; echo "a drop `+"\x1b[31m"+`"; cat >/dev/null; echo last; echo "nettrace: end of output" >&2`)
	})
	p := c.start(t, "drops", "--all-nodes")
	p.out.times(t, `: a drop \x1b[31m`, 2)
	if len(c.kubelet.PIDs()) != 2 {
		t.Errorf("programs: %v", c.kubelet.PIDs())
	}
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	code := p.ends(t)
	c.mustHaveNoPods(t)
	lines := strings.Split(p.out.String(), "\n")
	slices.Sort(lines)
	if want := `,node1: a drop \x1b[31m,node1: last,node2: a drop \x1b[31m,node2: last`; code != 0 || strings.Join(lines, ",") != want || p.errs.String() != "" {
		t.Errorf("exit %d: %s\n%s", code, p.errs, strings.Join(lines, ","))
	}
}

// fullOutput takes one line.
type fullOutput struct{ lines int }

func (f *fullOutput) Write(b []byte) (int, error) {
	if f.lines++; f.lines > 1 {
		return 0, unix.EPIPE
	}
	return len(b), nil
}

// When nobody reads the output any more, the programs are told to end.
func TestPluginEndsWithItsOutput(t *testing.T) {
	c := newCluster(t, nil)
	c.kubelet = c.RunKubelet(t, func(*corev1.Pod) *exec.Cmd {
		return exec.Command("sh", "-c", `read objects; echo "a drop"; echo "a drop"; cat >/dev/null; echo "nettrace: end of output" >&2`)
	})
	var errs bytes.Buffer
	code := runPlugin(t.Context(), []string{"drops", "--all-nodes", "--kubeconfig", c.config}, streams{strings.NewReader(""), &fullOutput{}, &errs})
	c.mustHaveNoPods(t)
	if code != exitUsage || !strings.Contains(errs.String(), "write the output: broken pipe") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}

// The pod that diagnoses is told of the cluster's DNS, whoever the ends are.
func TestPluginTellsOfDNS(t *testing.T) {
	c := newCluster(t, nil)
	c.kubelet = c.RunKubelet(t, func(*corev1.Pod) *exec.Cmd {
		return exec.Command("sh", "-c", `head -n1; echo "nettrace: end of output" >&2; cat >/dev/null`)
	})
	p := c.start(t, "diagnose", "shop/client", "10.244.2.20:8080")
	p.out.has(t, `"kubernetes.io/service-name":"kube-dns"`)
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	_ = p.ends(t)
	c.mustHaveNoPods(t)
}

// What cannot be written of the story of two nodes is said, and the exit code says so too: when the disk is full at the end, or before a verdict.
func TestPluginCannotWriteItsStory(t *testing.T) {
	for _, tc := range []struct {
		story, format string
		want          int
	}{
		{"healthy-service", "html", exitUsage},
		{"tunnel-lost-in-fabric", "html", exitVerdict},
		{"healthy-service", "json", exitUsage},
	} {
		c := newCluster(t, nil)
		recorded(t, c, tc.story)
		var errs bytes.Buffer
		args := []string{"flow", "shop/client", "shop/web-7d9c5b8f4-abcde:8080", "--probe", "-o", tc.format, "--kubeconfig", c.config}
		code := runPlugin(t.Context(), args, streams{strings.NewReader(""), full{}, &errs})
		c.mustHaveNoPods(t)
		if code != tc.want || !strings.Contains(errs.String(), unix.ENOSPC.Error()) {
			t.Errorf("%s, %s: exit %d: %s", tc.story, tc.format, code, errs.String())
		}
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, unix.ENOSPC }

// How a story of two nodes ends: what could not be written is an error whatever the nodes say.
func TestStoryConcludes(t *testing.T) {
	unwritten, evicted := errors.New("write: no space"), errors.New("evicted")
	delivered, lost := &verdict.Verdict{Outcome: verdict.Delivered}, &verdict.Verdict{Outcome: verdict.Lost, Confidence: verdict.Confirmed}
	for _, tc := range []struct {
		name    string
		verdict *verdict.Verdict
		lead    *podNode
		shown   error
		stopped bool
		code    int
		says    string
	}{
		{"delivered", delivered, &podNode{}, nil, false, exitOK, ""},
		{"delivered, not written", delivered, &podNode{}, unwritten, false, exitUsage, "write: no space"},
		{"lost, not written", lost, &podNode{result: debugpod.Result{Code: exitVerdict}}, unwritten, false, exitVerdict, "write: no space"},
		{"delivered, evicted", delivered, &podNode{err: evicted}, nil, false, exitUsage, "evicted"},
		{"delivered, evicted and not written", delivered, &podNode{err: evicted}, unwritten, false, exitUsage, "evicted\nwrite: no space"},
		{"Ctrl-C, not written", delivered, &podNode{err: context.Canceled}, unwritten, true, exitUsage, "write: no space"},
		{"Ctrl-C", delivered, &podNode{err: context.Canceled}, nil, true, exitOK, ""},
		{"no verdict, Ctrl-C", nil, &podNode{err: context.Canceled}, nil, true, exitInterrupted, ""},
		{"a journey is not written", nil, &podNode{result: debugpod.Result{Code: exitVerdict}}, unwritten, false, exitUsage, "write: no space"},
		{"the leading node said why", nil, &podNode{result: debugpod.Result{Code: exitPrivileges}}, errors.New("no node began"), false, exitPrivileges, ""},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if tc.stopped {
			cancel()
		}
		err := (&storyOutput{verdict: tc.verdict}).conclude(ctx, []*podNode{tc.lead, {}}, tc.shown)
		cancel()
		code, text := exitOK, ""
		var ee *exitError
		switch {
		case errors.As(err, &ee):
			code = ee.code
			if ee.err != nil {
				text = ee.err.Error()
			}
		case err != nil:
			code, text = exitUsage, err.Error()
		}
		if code != tc.code || text != tc.says {
			t.Errorf("%s: exit %d: %q", tc.name, code, text)
		}
	}
}

// One node's end is that of all when it leads, or has the drop that is waited for; not when it could not start.
func TestWhoseEndEndsAll(t *testing.T) {
	for _, tc := range []struct {
		until, leads, drop bool
		err                error
		want               bool
	}{
		{want: false},
		{leads: true, want: true},
		{drop: true, want: false},
		{until: true, want: false},
		{until: true, err: errors.New("the image cannot be pulled"), want: false},
		{until: true, drop: true, want: true},
		{until: true, leads: true, err: errors.New("the image cannot be pulled"), want: true},
	} {
		lead, other := &podNode{name: "node1"}, &podNode{name: "node2"}
		r := &podRun{until: tc.until, nodes: []*podNode{lead, other}}
		one := other
		if tc.leads {
			one = lead
		}
		one.err = tc.err
		one.drop.Store(tc.drop)
		if got := r.endsAll(one, &storyOutput{}); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}

// With --until-drop, a node whose pod cannot start ends nothing, and a drop on any node ends all.
func TestPluginUntilDropGoesOnWithoutANode(t *testing.T) {
	c := newCluster(t, nil)
	record := func(node string) string {
		b, err := os.ReadFile("../../testdata/merged/tunnel-lost-in-fabric." + node + ".jsonl")
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(b), "\n")
		return first
	}
	// node1 leads and ends when it is told to; node2 tells of a drop a second later, if nobody ends node1 before; node3 does not start
	c.Put(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node3"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}})
	told := filepath.Join(t.TempDir(), "told")
	c.kubelet = c.RunKubelet(t, func(p *corev1.Pod) *exec.Cmd {
		node := p.Spec.NodeName
		end := `cat >/dev/null; echo "told" >&2; : >"$1"`
		if node == "node2" {
			end = `for i in 1 2 3 4 5 6 7 8 9 10; do [ -e "$1" ] || sleep 0.1; done; echo "dropped" >&2; echo '{"kind":"drop","time":"2026-11-25T12:00:00Z","journey":1,"hop":{"t":1,"stage":"drop","what":"dropped"}}'`
		}
		return exec.Command("sh", "-c", `trap "" TERM; read objects; echo "$0"; `+end+`; echo "nettrace: end of output" >&2; exit 3`, record(node), told)
	})
	pull := waitingFor("ImagePullBackOff", "no route to the registry")
	c.kubelet.Refuse(func(p *corev1.Pod) *corev1.PodStatus {
		if p.Spec.NodeName == "node3" {
			return pull(p)
		}
		return nil
	})
	p := c.start(t, "flow", "shop/client", "shop/web-7d9c5b8f4-abcde:8080", "--until-drop", "-o", "json", "--image", "img", "--node", "node1", "--node", "node2", "--node", "node3")
	p.errs.has(t, "node3: node node3 cannot pull the image img")
	p.errs.has(t, "node1: told")
	code := p.ends(t)
	c.mustHaveNoPods(t)
	if before, _, _ := strings.Cut(p.errs.String(), "node1: told"); code != exitUnseen || !strings.Contains(before, "node2: dropped") {
		t.Errorf("exit %d: %s\n%s", code, p.errs, p.out)
	}
}
