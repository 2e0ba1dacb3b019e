// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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

// ours are the debug pods that are there.
func (c *cluster) ours() []*corev1.Pod { return c.Pods("shop", debugpod.LabelName, "nettrace") }

func (c *cluster) mustHaveNoPods(t *testing.T) {
	t.Helper()
	for _, p := range c.ours() {
		t.Errorf("left behind: pod %s, %s", p.Name, p.Status.Phase)
	}
	if pids := c.kubelet.PIDs(); len(pids) > 0 {
		t.Errorf("programs still run: %v", pids)
	}
}

// kubectl runs the plugin as kubectl would.
func (c *cluster) kubectl(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := runPlugin(context.Background(), append(args, "--kubeconfig", c.config), streams{strings.NewReader(""), &out, &errs})
	return code, out.String(), errs.String()
}

// The story of two nodes is told as if there were one.
func TestPluginFollowsAFlow(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "plugin")
	c := newCluster(t, scopesOf(l))
	code, out, errs := c.kubectl(t, "flow", "shop/client", "svc/shop/web:http", "--probe", "-o", "json")
	t.Logf("exit %d: %s\n%s", code, errs, out)
	if code != 0 {
		t.Errorf("exit %d", code)
	}
	c.mustHaveNoPods(t)
	_ = filepath.Join
}
