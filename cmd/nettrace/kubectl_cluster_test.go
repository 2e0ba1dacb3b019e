// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/nettrace-io/nettrace/internal/apitest"
	"github.com/nettrace-io/nettrace/pkg/debugpod"
	"github.com/nettrace-io/nettrace/pkg/lab"
)

// cluster is an API server with the lab's objects, whose nodes run pods as processes of this machine.
type cluster struct {
	*apitest.Server
	kubelet *apitest.Kubelet
	config  string
}

// newCluster makes one. scopes are what a node's programs are told of this kernel, by the node's name: it holds all nodes.
func newCluster(t *testing.T, scopes map[string]string) *cluster {
	t.Helper()
	c := &cluster{Server: apitest.New(t, lab.Objects(lab.Services())...)}
	var err error
	if c.config, err = c.Kubeconfig(); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c.kubelet = c.RunKubelet(t, func(p *corev1.Pod) *exec.Cmd { return podProcess(self, p, scopes[p.Spec.NodeName]) })
	return c
}

// podProcess is a pod's program as a process.
func podProcess(self string, p *corev1.Pod, scope string) *exec.Cmd {
	args := slices.Clone(p.Spec.Containers[0].Args)
	if scope != "" && (args[0] == "flow" || args[0] == "drops") {
		args = slices.Insert(args, 1, "--scope="+scope)
	}
	cmd := exec.Command(self, args...)
	cmd.Args[0] = "nettrace"
	cmd.Env = append(os.Environ(), asMain+"=1")
	for _, e := range p.Spec.Containers[0].Env {
		cmd.Env = append(cmd.Env, e.Name+"="+e.Value)
	}
	return cmd
}

// scopesOf are a lab's, by node.
func scopesOf(l *lab.Lab) map[string]string {
	out := map[string]string{}
	for _, s := range l.Scopes() {
		node, _, _ := strings.Cut(s, "=")
		out[node] = s
	}
	return out
}

// debugPods are those that are there.
func (c *cluster) debugPods() []*corev1.Pod { return c.Pods("shop", debugpod.LabelName, "nettrace") }

func (c *cluster) mustHaveNoPods(t *testing.T) {
	t.Helper()
	for _, p := range c.debugPods() {
		t.Errorf("left behind: pod %s, %s", p.Name, p.Status.Phase)
	}
	if pids := c.kubelet.PIDs(); len(pids) > 0 {
		t.Errorf("programs still run: %v", pids)
	}
}

// until waits for something that changes objects, for as long as any test may take.
func (c *cluster) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.WaitFor(ctx, what, holds); err != nil {
		t.Fatal(err)
	}
}

// kubectl runs the plugin as kubectl would.
func (c *cluster) kubectl(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := runPlugin(context.Background(), append(slices.Clone(args), "--kubeconfig", c.config), streams{strings.NewReader(""), &out, &errs})
	return code, out.String(), errs.String()
}

// plugin is the plugin as a process.
type plugin struct {
	cmd  *exec.Cmd
	out  *heard
	errs *heard
}

// start starts the plugin as a process.
func (c *cluster) start(t *testing.T, args ...string) *plugin {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &plugin{cmd: exec.Command(self, append(slices.Clone(args), "--kubeconfig", c.config)...), out: newHeard(), errs: newHeard()}
	p.cmd.Args[0] = "kubectl-nettrace"
	p.cmd.Env = append(os.Environ(), asMain+"=1")
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.errs
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// ends waits for the process and returns its exit code.
func (p *plugin) ends(t *testing.T) int {
	t.Helper()
	timer := time.AfterFunc(time.Minute, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// guardian is the process id of the plugin's guardian.
func (p *plugin) guardian(t *testing.T) int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		b, _ := os.ReadFile(f)
		if !strings.Contains(string(b), fmt.Sprintf("\nPPid:\t%d\n", p.cmd.Process.Pid)) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
			return pid
		}
	}
	t.Fatal("the plugin has no guardian")
	return 0
}

// heard is a buffer that can be waited for.
type heard struct {
	mu   sync.Mutex
	b    bytes.Buffer
	news chan struct{}
}

func newHeard() *heard { return &heard{news: make(chan struct{})} }

func (w *heard) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b.Write(p)
	close(w.news)
	w.news = make(chan struct{})
	return len(p), nil
}

func (w *heard) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// has waits for a text.
func (w *heard) has(t *testing.T, text string) {
	t.Helper()
	w.times(t, text, 1)
}

// times waits for a text to come so many times.
func (w *heard) times(t *testing.T, text string, n int) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		w.mu.Lock()
		news, there := w.news, strings.Count(w.b.String(), text) >= n
		w.mu.Unlock()
		if there {
			return
		}
		select {
		case <-news:
		case <-late:
			t.Fatalf("%q did not come in\n%s", text, w.String())
		}
	}
}
