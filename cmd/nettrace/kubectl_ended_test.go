// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// quietFlow is a flow that nobody has; it is followed on node1 until somebody ends it.
var quietFlow = []string{"flow", "192.0.2.1", "192.0.2.2:9", "--node", "node1", "--timeout", "5m", "-o", "json"}

// toldBy is what the plugin said, without what of this machine's processes the program could not read.
func toldBy(p *plugin) string { return ownAffair.ReplaceAllString(p.errs.String(), "") }

var ownAffair = regexp.MustCompile(`(?m)^nettrace: in namespace host: .*\n`)

const begun = `{"kind":"start"`

// Ctrl-C deletes the pods before the plugin ends, and what was seen until then is judged.
func TestPluginInterrupted(t *testing.T) {
	needRoot(t)
	c := newCluster(t, nil)
	p := c.start(t, quietFlow...)
	p.out.has(t, begun)
	if len(c.debugPods()) != 1 {
		t.Fatalf("%d pods", len(c.debugPods()))
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	code := p.ends(t)
	c.mustHaveNoPods(t)
	if code != exitInterrupted || !strings.Contains(p.out.String(), `"outcome":"unseen"`) || strings.Contains(p.errs.String(), "panic") {
		t.Errorf("exit %d: %s\n%s", code, p.errs, p.out)
	}
}

// A program that does not end in order is not waited for at the second Ctrl-C.
func TestPluginInterruptedTwice(t *testing.T) {
	c := newCluster(t, nil)
	c.kubelet = c.RunKubelet(t, func(*corev1.Pod) *exec.Cmd {
		return exec.Command("sh", "-c", `trap "" TERM; while :; do sleep 1; done`)
	})
	p := c.start(t, quietFlow...)
	c.until(t, "an attached plugin", func() bool { return c.kubelet.Attached() == 1 })
	for i := range 2 {
		if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			c.until(t, "a pod that is being deleted", func() bool { return len(c.debugPods()) == 0 || c.debugPods()[0].DeletionTimestamp != nil })
		}
	}
	code := p.ends(t)
	if code != exitInterrupted || len(c.debugPods()) > 0 {
		t.Errorf("exit %d, %d pods: %s", code, len(c.debugPods()), p.errs)
	}
}

// When the plugin is killed, its guardian deletes the pods.
func TestPluginKilled(t *testing.T) {
	needRoot(t)
	c := newCluster(t, nil)
	p := c.start(t, quietFlow...)
	p.out.has(t, begun)
	_ = p.cmd.Process.Kill()
	p.ends(t)
	c.until(t, "no pods", func() bool { return len(c.debugPods()) == 0 && len(c.kubelet.PIDs()) == 0 })
}

// When the guardian is killed too, the program ends with its stdin; cleanup removes the pod that has ended.
func TestPluginAndGuardianKilled(t *testing.T) {
	needRoot(t)
	c := newCluster(t, nil)
	p := c.start(t, quietFlow...)
	p.out.has(t, begun)
	_ = syscall.Kill(p.guardian(t), syscall.SIGKILL)
	_ = p.cmd.Process.Kill()
	p.ends(t)
	c.until(t, "no program", func() bool { return len(c.kubelet.PIDs()) == 0 && c.debugPods()[0].Status.Phase == corev1.PodFailed })
	pod := c.debugPods()[0]
	if s := pod.Status.ContainerStatuses[0].State.Terminated; pod.Status.Reason != "" || s.ExitCode != exitInterrupted {
		t.Errorf("the program ended with %+v, %s", s, pod.Status.Reason)
	}
	code, out, errs := c.kubectl(t, "cleanup")
	if want := regexp.MustCompile(`^pod shop/nettrace-node1-\w{6}-\w{5} on node node1, \d+s old: deleted\n$`); code != 0 || errs != "" || !want.MatchString(out) {
		t.Errorf("cleanup: exit %d: %s%s", code, errs, out)
	}
	c.mustHaveNoPods(t)
}

// A program that does not look at its stdin is ended by the pod's deadline.
func TestPluginKilledAndDeadline(t *testing.T) {
	c := newCluster(t, nil)
	c.kubelet = c.RunKubelet(t, func(*corev1.Pod) *exec.Cmd { return exec.Command("sleep", "600") })
	p := c.start(t, append(quietFlow, "--deadline", "3s")...)
	c.until(t, "an attached plugin", func() bool { return c.kubelet.Attached() == 1 })
	_ = syscall.Kill(p.guardian(t), syscall.SIGKILL)
	_ = p.cmd.Process.Kill()
	p.ends(t)
	c.until(t, "no program", func() bool { return len(c.kubelet.PIDs()) == 0 && c.debugPods()[0].Status.Reason == "DeadlineExceeded" })
	code, out, errs := c.kubectl(t, "cleanup")
	t.Log(out)
	if code != 0 || errs != "" {
		t.Errorf("cleanup: exit %d: %s%s", code, errs, out)
	}
	c.mustHaveNoPods(t)
}

// A connection that is cut ends the run; what the program wrote at its end comes from its log, also when the log's stream is cut, and is
// missing, which is said, when the log cannot be read.
func TestPluginCut(t *testing.T) {
	needRoot(t)
	for _, tc := range []struct {
		name   string
		before func(c *cluster)
		want   string
		code   int
	}{
		{"the log is read", func(*cluster) {}, "nettrace: the connection to the pod on node node1 was cut: its run ended there; what it wrote was read from its log\n", exitInterrupted},
		{"the log is cut once", func(c *cluster) {
			n := 0
			c.Before(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/log") {
					return false
				}
				if n++; n > 1 {
					return false
				}
				w.Header().Set("Content-Length", "1000000")
				_, _ = w.Write([]byte(begun))
				return true // the server ends the connection: less came than was promised
			})
		}, "nettrace: the connection to the pod on node node1 was cut: its run ended there; what it wrote was read from its log\n", exitInterrupted},
		{"no log", func(c *cluster) { c.Deny("pods/log", http.StatusForbidden) },
			"nettrace: the connection to the pod on node node1 was cut, and its log cannot be read (RBAC does not allow you to get pods/log in namespace shop: ask for that right, or use another --context or --pod-namespace (User \"tester\" cannot get resource \"pods/log\" in API group \"\" in the namespace \"shop\")): what it wrote after the cut is missing\n", exitInterrupted},
		{"over SPDY", func(c *cluster) { c.kubelet.OnlySPDY() }, "nettrace: the connection to the pod on node node1 was cut: its run ended there; what it wrote was read from its log\n", exitInterrupted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCluster(t, nil)
			tc.before(c)
			p := c.start(t, quietFlow...)
			p.out.has(t, begun)
			if n := c.kubelet.Cut(); n != 1 {
				t.Fatalf("%d were attached", n)
			}
			code := p.ends(t)
			c.mustHaveNoPods(t)
			if code != tc.code || toldBy(p) != tc.want {
				t.Errorf("exit %d: %s\nwant %d: %s", code, p.errs, tc.code, tc.want)
			}
			if n := strings.Count(p.out.String(), begun); n != 1 || strings.Contains(p.out.String(), `"outcome":"unseen"`) == strings.Contains(tc.want, "missing") {
				t.Errorf("%d starts in\n%s", n, p.out)
			}
		})
	}
}

// A pod that is evicted in the middle: why is said, and what came until then was shown.
func TestPluginEvicted(t *testing.T) {
	needRoot(t)
	c := newCluster(t, nil)
	p := c.start(t, quietFlow...)
	p.out.has(t, begun)
	c.kubelet.Evict("The node was low on resource: memory.")
	code := p.ends(t)
	c.mustHaveNoPods(t)
	if want := "nettrace: the pod was evicted from node node1: The node was low on resource: memory; what it had written until then is shown, try again when the node has room\n"; code != 1 || toldBy(p) != want {
		t.Errorf("exit %d: %s", code, p.errs)
	}
}
