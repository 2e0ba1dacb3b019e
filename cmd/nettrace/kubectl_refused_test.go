// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nettrace-io/nettrace/pkg/verdict"
)

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
