// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
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
