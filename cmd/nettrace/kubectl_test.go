// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/merge"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// story is what a run told, without what differs from run to run: times, the sender's port, and the order of different packets.
func story(t *testing.T, out string) (map[string]string, *verdict.Verdict) {
	t.Helper()
	schematest.Lines(t, []byte(out))
	vary := regexp.MustCompile(`:\d{5}\b|VNI \d+`) // of a tunnel that a packet comes out of, only the sender's node knows the VNI
	ways, v := map[string]string{}, (*verdict.Verdict)(nil)
	r := merge.NewReader(strings.NewReader(out), "out")
	for {
		rec, err := r.Next()
		if err != nil {
			if v == nil {
				t.Fatalf("no verdict in\n%s", out)
			}
			return ways, v
		}
		if rec.Verdict != nil {
			v = rec.Verdict
		}
		j := rec.Journey
		if j == nil || j.Packet.Flags != "SYN" && j.Packet.Flags != "SYN,ACK" {
			continue
		}
		way := ""
		for _, h := range j.Hops {
			if h.Stage == journey.StageNeighbour || strings.HasPrefix(h.What, "tunnel packet routed to ") {
				continue // not when a cache has the answer
			}
			way += fmt.Sprintf("%s %s/%s %s: %s\n", h.Node, h.Where.Namespace, h.Where.Name, h.Stage, vary.ReplaceAllString(h.What, "…"))
		}
		ways[fmt.Sprintf("%s %s", j.Direction, j.Packet.Flags)] = way + string(j.End)
	}
}

// The story of two pods on two nodes is that of one nettrace that sees both nodes.
func TestPluginTellsTheSameStory(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "plugin")
	c := newCluster(t, scopesOf(l))
	flow := []string{"flow", "shop/client", "shop/web-7d9c5b8f4-abcde:8080", "--probe", "-o", "json"}
	call(t, append(append(slices.Clone(flow), "--cluster", shopFile(t)), scopeArgs(l)...)...)
	_, direct, _ := call(t, append(append(slices.Clone(flow), "--cluster", shopFile(t)), scopeArgs(l)...)...) // now all neighbours are known
	code, out, errs := c.kubectl(t, flow...)
	if code != 0 || errs != "" {
		t.Fatalf("exit %d: %s\n%s", code, errs, out)
	}
	c.mustHaveNoPods(t)
	got, v := story(t, out)
	want, w := story(t, direct)
	for packet := range want {
		if got[packet] != want[packet] {
			t.Errorf("%s: through the plugin\n%s\nwithout\n%s", packet, got[packet], want[packet])
		}
	}
	if len(want) != 2 || len(got) != 2 {
		t.Errorf("%d and %d kinds of packets", len(got), len(want))
	}
	if v.Outcome != w.Outcome || v.Confidence != w.Confidence || v.Summary != w.Summary || v.Probe == nil || v.Probe.Result != w.Probe.Result {
		t.Errorf("through the plugin %+v, without %+v", v, w)
	}
}

// Topology: the lab, with a fabric that loses VXLAN. Action: follow a probe from pods on both nodes. Expectation: the verdict that neither node
// could be sure of alone, and its exit code.
func TestPluginFindsWhatIsLostBetweenNodes(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "plugin")
	cases, err := lab.Cases()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(cases, func(c lab.Case) bool { return c.Name == "tunnel-lost-in-fabric" })
	if err := l.Apply(t.Context(), cases[i]); err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, scopesOf(l))
	code, out, errs := c.kubectl(t, "flow", "shop/client", "shop/web-7d9c5b8f4-abcde:8080", "--probe", "--timeout", "3s")
	t.Logf("kubectl nettrace flow shop/client shop/web-7d9c5b8f4-abcde:8080 --probe --timeout 3s: exit %d\n%s%s", code, errs, out)
	if code != exitVerdict || errs != "" || !strings.Contains(out, "\nLOST: the request is lost between node1 and node2: node1 sent it inside VXLAN to 192.168.50.2:8472, and node2 never received it\nlayer: underlay · cause: tunnel-lost-in-fabric · confirmed · on node1\n") {
		t.Errorf("exit %d: %s\n%s", code, errs, out)
	}
	c.mustHaveNoPods(t)
}

// A flow inside of one node needs one pod; what it says is shown in every format, and its exit code is the plugin's.
func TestPluginOnOneNode(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "plugin")
	c := newCluster(t, scopesOf(l))
	made := 0
	c.Admit(func(p *corev1.Pod) *metav1.Status {
		made++
		if want := int64(8 + 60 + 60 + 30); *p.Spec.ActiveDeadlineSeconds != want || p.Spec.NodeName != "node1" || p.Spec.Containers[0].Image != "registry.example/nettrace:test" {
			t.Errorf("pod on %s with deadline %d and image %s", p.Spec.NodeName, *p.Spec.ActiveDeadlineSeconds, p.Spec.Containers[0].Image)
		}
		return nil
	})
	code, out, errs := c.kubectl(t, "flow", "shop/client", "shop/web-7d9c5b8f4-fghij:8080", "--probe", "--timeout", "8s", "--image", "registry.example/nettrace:test")
	if code != 0 || errs != "" || !strings.HasPrefix(out, "tcp shop/client (10.244.1.10) → shop/web-7d9c5b8f4-fghij:8080 (10.244.1.20:8080) on node1, kernel ") ||
		!strings.Contains(out, "\nDELIVERED: shop/client (10.244.1.10) reaches shop/web-7d9c5b8f4-fghij:8080 (10.244.1.20:8080) and the answer comes back\n") || made != 1 {
		t.Errorf("exit %d, %d pods: %s\n%s", code, made, errs, out)
	}
	// nobody listens there
	code, out, errs = c.kubectl(t, "flow", "shop/client", "shop/web-7d9c5b8f4-fghij:9", "--probe", "--timeout", "8s", "-o", "table", "--image", "registry.example/nettrace:test")
	if code != exitVerdict || errs != "" || !strings.Contains(out, "cause: not-listening") {
		t.Errorf("exit %d: %s\n%s", code, errs, out)
	}
	c.mustHaveNoPods(t)
}

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

// Two users follow a flow on one node at once; neither is in the other's way.
func TestPluginTwice(t *testing.T) {
	needRoot(t)
	c := newCluster(t, nil)
	a, b := c.start(t, quietFlow...), c.start(t, quietFlow...)
	a.out.has(t, begun)
	b.out.has(t, begun)
	if len(c.debugPods()) != 2 {
		t.Errorf("%d pods", len(c.debugPods()))
	}
	_ = a.cmd.Process.Signal(syscall.SIGINT)
	if code := a.ends(t); code != exitInterrupted || len(c.debugPods()) != 1 || len(c.kubelet.PIDs()) != 1 {
		t.Errorf("exit %d, %d pods, programs %v: %s", code, len(c.debugPods()), c.kubelet.PIDs(), a.errs)
	}
	code, out, errs := c.kubectl(t, "cleanup")
	if code != 0 || errs != "" || !strings.HasSuffix(out, ": left, it is running (--running deletes it too)\n") || strings.Count(out, "\n") != 1 {
		t.Errorf("cleanup: exit %d: %s%s", code, errs, out)
	}
	_ = b.cmd.Process.Signal(syscall.SIGTERM)
	if code := b.ends(t); code != exitInterrupted {
		t.Errorf("exit %d: %s", code, b.errs)
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

// refuse makes an admission's answer.
func refuse(code int32, reason metav1.StatusReason, message string) func(*corev1.Pod) *metav1.Status {
	return func(*corev1.Pod) *metav1.Status {
		return &metav1.Status{Code: code, Reason: reason, Message: message}
	}
}

// waitingFor is the status of a pod whose container waits.
func waitingFor(reason, message string) func(*corev1.Pod) *corev1.PodStatus {
	return func(p *corev1.Pod) *corev1.PodStatus {
		return &corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{Name: "nettrace", Image: p.Spec.Containers[0].Image,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}}
	}
}

// Why a pod does not start is one sentence, with what to do; nothing stays behind.
func TestPluginSaysWhyAPodDoesNotStart(t *testing.T) {
	flow := []string{"flow", "shop/client", "10.244.1.20:8080", "--image", "img"}
	notReady := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node1"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown,
		Message: "Kubelet stopped posting node status.", LastTransitionTime: metav1.NewTime(time.Unix(1700000000, 0))}}}}
	for _, tc := range []struct {
		name   string
		before func(c *cluster)
		args   []string
		want   string
	}{
		{"image", func(c *cluster) { c.kubelet.Refuse(waitingFor("ErrImagePull", `failed to pull "img": not found`)) }, flow,
			`node node1 cannot pull the image img: failed to pull "img": not found; name one that it can with --image (or NETTRACE_IMAGE), and check the registry's access`},
		{"image name", func(c *cluster) { c.kubelet.Refuse(waitingFor("InvalidImageName", "couldn't parse image name")) }, flow,
			"img is no image name: couldn't parse image name; correct --image or NETTRACE_IMAGE"},
		{"the program cannot be started", func(c *cluster) {
			c.RunKubelet(t, func(*corev1.Pod) *exec.Cmd { return exec.Command("/nonexistent/nettrace") })
		}, flow, "the container cannot be started on node node1: fork/exec /nonexistent/nettrace: no such file or directory; is the image built for the node's architecture, and does the node run it with the pod's capabilities?"},
		{"no room", func(c *cluster) {
			c.kubelet.Refuse(func(*corev1.Pod) *corev1.PodStatus {
				return &corev1.PodStatus{Phase: corev1.PodFailed, Reason: "OutOfcpu", Message: "Pod was rejected: Node didn't have enough resource: cpu"}
			})
		}, flow, "node node1 has no room for the pod: Pod was rejected: Node didn't have enough resource: cpu; end a pod there, and try again"},
		{"forbidden to create", func(c *cluster) { c.Deny("create pods", http.StatusForbidden) }, flow,
			`RBAC does not allow you to create pods in namespace shop: ask for that right, or use another --context or --pod-namespace (User "tester" cannot create resource "pods" in API group "" in the namespace "shop")`},
		{"forbidden to watch", func(c *cluster) { c.Deny("watch pods", http.StatusForbidden) }, flow,
			`RBAC does not allow you to list and watch pods in namespace shop: ask for that right, or use another --context or --pod-namespace (User "tester" cannot watch resource "pods" in API group "" in the namespace "shop")`},
		{"Pod Security", func(c *cluster) {
			c.Admit(refuse(403, metav1.StatusReasonForbidden, `pods "x" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true, hostPID=true)`))
		}, flow, `namespace shop does not admit the debug pod: it violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true, hostPID=true); use --pod-namespace with one that admits privileged pods ('kubectl label namespace NAME pod-security.kubernetes.io/enforce=privileged' makes one)`},
		{"quota", func(c *cluster) {
			c.Admit(refuse(403, metav1.StatusReasonForbidden, `pods "x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4`))
		}, flow, "a quota of namespace shop does not leave room for the debug pod: exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4; use --pod-namespace with another one"},
		{"no namespace", func(*cluster) {}, append(flow, "--pod-namespace", "nowhere"), "there is no namespace nowhere: use --pod-namespace or -n with one that exists"},
		{"no node", func(*cluster) {}, append(flow, "--node", "node7"), "there is no node node7; 'kubectl get nodes' lists them"},
		{"node not ready", func(c *cluster) { c.Put(notReady) }, flow,
			"node node1 is not ready since 2023-11-14T22:13:20Z: Kubelet stopped posting node status; its kubelet starts no pods, log in to the node and run nettrace there"},
		{"does not start", func(c *cluster) {
			c.kubelet.Refuse(func(*corev1.Pod) *corev1.PodStatus { return &corev1.PodStatus{Phase: corev1.PodPending} })
		}, append(flow, "--start-timeout", "300ms"), "the pod on node node1 did not start within 300ms: the kubelet of node node1 has not taken it up yet; --start-timeout waits longer, 'kubectl describe node node1' may say more"},
		{"forbidden to attach", func(c *cluster) { c.Deny("pods/attach", http.StatusForbidden) }, flow,
			"RBAC does not allow you to create pods/attach in namespace shop: ask for that right, or use another --context or --pod-namespace"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCluster(t, nil)
			tc.before(c)
			code, out, errs := c.kubectl(t, tc.args...)
			if code != 1 || out != "" || errs != "nettrace: "+tc.want+"\n" {
				t.Errorf("exit %d: %s%s\nwant %s", code, errs, out, tc.want)
			}
			c.mustHaveNoPods(t)
		})
	}
}

// A node whose pod does not start is said; the story is told without it.
func TestPluginWithoutOneNode(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "plugin")
	c := newCluster(t, scopesOf(l))
	pull := waitingFor("ImagePullBackOff", "no route to the registry")
	c.kubelet.Refuse(func(p *corev1.Pod) *corev1.PodStatus {
		if p.Spec.NodeName == "node2" {
			return pull(p)
		}
		return nil
	})
	code, out, errs := c.kubectl(t, "flow", "shop/client", "shop/web-7d9c5b8f4-abcde:8080", "--probe", "-o", "json", "--image", "img")
	c.mustHaveNoPods(t)
	if !strings.Contains(errs, "nettrace: node2: node node2 cannot pull the image img: no route to the registry; ") || !strings.Contains(errs, "node2 ended before it began to trace: the story is told without it") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, v := story(t, out); v.Probe == nil || v.Probe.Result != "connected" || code != verdict.ExitCode(v) {
		t.Errorf("exit %d: %+v", code, v)
	}
}

func TestPluginKeeps(t *testing.T) {
	needRoot(t)
	c := newCluster(t, nil)
	code, out, errs := c.kubectl(t, "flow", "192.0.2.1", "192.0.2.2:9", "--node", "node1", "--timeout", "10ms", "--keep", "-o", "json")
	if len(c.debugPods()) != 1 {
		t.Fatalf("exit %d, %d pods: %s%s", code, len(c.debugPods()), errs, out)
	}
	name := c.debugPods()[0].Name
	if want := fmt.Sprintf("nettrace: kept: pod %s; 'kubectl logs -n shop %[1]s' shows what it wrote, 'kubectl nettrace cleanup -n shop' removes it\n", name); code != exitUnseen || ownAffair.ReplaceAllString(errs, "") != want {
		t.Errorf("exit %d: %s", code, errs)
	}
	code, out, _ = c.kubectl(t, "cleanup", "--dry-run")
	if code != 0 || !strings.Contains(out, ", kept by its user: would be deleted") || len(c.debugPods()) != 1 {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, _, _ = c.kubectl(t, "cleanup", "-A"); code != 0 {
		t.Errorf("exit %d", code)
	}
	c.mustHaveNoPods(t)
	code, out, errs = c.kubectl(t, "cleanup")
	if code != 0 || out != "" || errs != "nettrace: no debug pods in namespace shop\n" {
		t.Errorf("exit %d: %s%s", code, errs, out)
	}
}

// The commands that show nodes as they are.
func TestPluginDoctor(t *testing.T) {
	needRoot(t)
	c := newCluster(t, nil)
	code, out, errs := c.kubectl(t, "doctor", "--all-nodes")
	if code != 0 || errs != "" || !strings.HasPrefix(out, "node node") || strings.Count(out, "\nlockdown ") != 2 {
		t.Errorf("exit %d: %s\n%s", code, errs, out)
	}
	code, out, errs = c.kubectl(t, "doctor", "--node", "node2", "-o", "json")
	if code != 0 || errs != "" || len(schematest.Lines(t, []byte(out))["doctor"]) != 1 {
		t.Errorf("exit %d: %s\n%s", code, errs, out)
	}
	c.mustHaveNoPods(t)
}

func TestPluginDrops(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "plugin")
	c := newCluster(t, scopesOf(l))
	p := c.start(t, "drops", "--node", "node1", "--node", "node2", "-o", "json")
	c.until(t, "two attached programs", func() bool { return c.kubelet.Attached() == 2 })
	p.out.times(t, begun, 2)
	_ = netns.Do(l.Path("client"), func() error {
		return exec.Command("bash", "-c", "echo > /dev/tcp/10.244.2.20/8081").Run() // refused, as it should be
	})
	p.out.has(t, `"location":"tcp_v4_rcv"`)
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	if code := p.ends(t); code != exitOK || p.errs.String() != "" {
		t.Errorf("exit %d: %s%s", code, p.errs, p.out)
	}
	lines := schematest.Lines(t, []byte(p.out.String()))
	if len(lines["start"]) != 2 || len(lines["drops"]) != 2 {
		t.Errorf("%d starts and %d ends", len(lines["start"]), len(lines["drops"]))
	}
	c.mustHaveNoPods(t)
}

func TestPluginBadInput(t *testing.T) {
	c := newCluster(t, nil)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"flow", "shop/clinet", "svc/shop/web:http"}, "no pod or Service shop/clinet; did you mean shop/client?"},
		{[]string{"flow", "shop/client", "svc/shop/web:http", "--proto", "quic"}, `unknown protocol "quic": use tcp, udp, icmp or sctp`},
		{[]string{"flow", "any", "192.0.2.1:80"}, "on which node? neither any nor 192.0.2.1:80 is known to be on one: use --node NAME"},
		{[]string{"flow", "any", "192.0.2.1:80", "--record", "x"}, "unknown flag: --record; 'kubectl nettrace flow --help' lists the flags"},
		{[]string{"flow", "host", "shop/web-7d9c5b8f4-abcde:8080", "--probe"}, "on which node is host? use --node NAME"},
		{[]string{"flow", "pid:1", "shop/web-7d9c5b8f4-abcde:8080"}, "on which node is pid:1? use --node NAME"},
		{[]string{"diagnose", "shop/client", "svc/shop/web:http", "--node", "a", "--node", "b"}, "this command looks at one node, the sender's: name one with --node"},
		{[]string{"diagnose", "shop/client", "svc/shop/web:http", "--timeout", "0s"}, "--timeout 0s: use a duration of up to 1m, such as 4s"},
		{[]string{"drops", "--node", "a", "-o", "table"}, "-o table: through pods there are auto, text, json"},
		{[]string{"drops"}, "on which node? use --node NAME (repeatable) or --all-nodes; 'kubectl get nodes' lists them"},
		{[]string{"doctor", "--node", "a", "--node", "a"}, `--node "a" is given twice or empty: name each node once`},
		{[]string{"doctor", "--node", "a", "--all-nodes"}, "--all-nodes and --node exclude one another"},
		{[]string{"doctor", "--node", "a", "-o", "yaml"}, `unknown output format "yaml": use text or json`},
		{[]string{"flow", "shop/client", "svc/shop/web:http", "--context", "other"}, `read the kubeconfig: context "other" does not exist; 'kubectl config view' shows it`},
		{[]string{"flow", "shop/client", "svc/shop/web:http", "--deadline", "48h"}, "--deadline 48h0m0s: use up to 24h"},
	} {
		code, out, errs := c.kubectl(t, tc.args...)
		if code != 1 || out != "" || errs != "nettrace: "+tc.want+"\n" {
			t.Errorf("%v: exit %d: %s%s", tc.args, code, errs, out)
		}
	}
	c.mustHaveNoPods(t)
}

// When nobody can be asked, names cannot be resolved, and no pod is tried.
func TestPluginWithoutAServer(t *testing.T) {
	c := newCluster(t, nil)
	c.Stop()
	code, _, errs := c.kubectl(t, "flow", "shop/client", "svc/shop/web:http", "--request-timeout", "2s")
	if code != 1 || !strings.Contains(errs, "cannot be looked up: the API server https://127.0.0.1:") || !strings.Contains(errs, "connection refused") {
		t.Errorf("exit %d: %s", code, errs)
	}
	code, _, errs = c.kubectl(t, "doctor", "--node", "node1")
	if code != 1 || !strings.Contains(errs, "connection refused") || strings.Count(errs, "\n") != 1 {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestPluginHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"flow", "--help"}, {"drops", "--help"}, {"doctor", "--help"}, {"cleanup", "--help"}} {
		var b bytes.Buffer
		code := runPlugin(t.Context(), args, streams{strings.NewReader(""), &b, &b})
		out := b.String()
		if code != 0 || !strings.Contains(out, "Examples:\n") || !strings.Contains(out, "kubectl nettrace") || regexp.MustCompile(`(?m)^  (sudo )?nettrace `).MatchString(out) {
			t.Errorf("%v: exit %d\n%s", args, code, out)
		}
	}
}
