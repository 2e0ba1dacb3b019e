// SPDX-License-Identifier: Apache-2.0

package debugpod

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func podWith(st corev1.PodStatus) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ops", Name: "nettrace-x"}, Spec: corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: containerName, Image: "img"}}}, Status: st}
}

func container(s corev1.ContainerState) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{Name: "other"}, {Name: containerName, State: s}}}
}

func waitsFor(reason, message string) corev1.PodStatus {
	return container(corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}})
}

func event(reason, message string, second int64) corev1.Event {
	return corev1.Event{Reason: reason, Message: message, LastTimestamp: metav1.NewTime(time.Unix(second, 0))}
}

func TestLook(t *testing.T) {
	running1 := container(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})
	dead := func(code int32, reason string) corev1.PodStatus {
		return container(corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}})
	}
	evicted := dead(137, "Error")
	evicted.Phase, evicted.Reason, evicted.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
	unscheduled := corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/2 nodes are available: 2 node(s) had untolerated taint(s)."}}}
	for _, tc := range []struct {
		name   string
		st     corev1.PodStatus
		events []corev1.Event
		stage  stage
		why    string
	}{
		{"new", corev1.PodStatus{Phase: corev1.PodPending}, nil, waiting, "the kubelet of node n1 has not taken it up yet"},
		{"not scheduled", unscheduled, nil, waiting, "it is not scheduled: 0/2 nodes are available: 2 node(s) had untolerated taint(s)"},
		{"pulls", waitsFor("ContainerCreating", ""), []corev1.Event{event("Pulling", `Pulling image "img"`, 1)}, waiting, "the image is being pulled"},
		{"has pulled", waitsFor("ContainerCreating", ""), []corev1.Event{event("Pulling", `Pulling image "img"`, 1), event("Pulled", "Successfully pulled", 2)}, waiting, "ContainerCreating"},
		{"mount", waitsFor("ContainerCreating", ""), []corev1.Event{event("FailedMount", "old", 1), event("FailedMount", "hostPath type check failed", 2)}, waiting, "a volume cannot be mounted: hostPath type check failed"},
		{"sandbox", waitsFor("ContainerCreating", ""), []corev1.Event{event("FailedCreatePodSandBox", "plugin type=calico failed", 1)}, waiting, "the runtime cannot make its sandbox: plugin type=calico failed"},
		{"runs", running1, nil, running, ""},
		{"ended", dead(2, "Error"), nil, ended, ""},
		{"delivered", dead(0, "Completed"), nil, ended, ""},
		{"back-off with an event", waitsFor("ImagePullBackOff", `Back-off pulling image "img"`), []corev1.Event{event("Failed", `Failed to pull image "img": unauthorized`, 1), event("Failed", "Error: ImagePullBackOff", 2)}, hopeless,
			`node n1 cannot pull the image img: Failed to pull image "img": unauthorized; name one that it can with --image (or NETTRACE_IMAGE), and check the registry's access`},
		{"never pulled", waitsFor("ErrImageNeverPull", ""), nil, hopeless, "the image img is not on node n1: load it there, or name another one with --image"},
		{"config", waitsFor("CreateContainerError", "bad mount"), nil, hopeless, "the container cannot be started on node n1: bad mount (CreateContainerError); 'kubectl describe pod -n ops nettrace-x' has more, with --keep"},
		{"cannot start", dead(128, "StartError"), nil, hopeless, "the container cannot be started on node n1: StartError, exit code 128; is the image built for the node's architecture, and does the node run it with the pod's capabilities?"},
		{"evicted", evicted, nil, hopeless, "the pod was evicted from node n1: The node was low on resource: memory; what it had written until then is shown, try again when the node has room"},
		{"deadline", corev1.PodStatus{Phase: corev1.PodFailed, Reason: "DeadlineExceeded"}, nil, hopeless, "the pod on node n1 was ended by its deadline: give --deadline more time"},
		{"no room", corev1.PodStatus{Phase: corev1.PodFailed, Reason: "OutOfpods", Message: "Node didn't have enough resource: pods"}, nil, hopeless, "node n1 has no room for the pod: Node didn't have enough resource: pods; end a pod there, and try again"},
		{"shutdown", corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Terminated", Message: "Pod was terminated in response to imminent node shutdown."}, nil, hopeless, "node n1 is shutting down: Pod was terminated in response to imminent node shutdown"},
		{"preempted", corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Preempting", Message: "Preempted in order to admit critical pod"}, nil, hopeless, "the pod had to make room for another one on node n1: Preempted in order to admit critical pod; try again"},
		{"admission of the kubelet", corev1.PodStatus{Phase: corev1.PodFailed, Reason: "SysctlForbidden", Message: "forbidden sysctl"}, nil, hopeless, "the kubelet of node n1 does not run the pod: forbidden sysctl (SysctlForbidden)"},
		{"over without a word", corev1.PodStatus{Phase: corev1.PodFailed}, nil, hopeless, "the pod on node n1 has ended, and its exit code is not known: no reason was given"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if st, why := look(podWith(tc.st), tc.events); st != tc.stage || why != tc.why {
				t.Errorf("%d %s\nwant %d %s", st, why, tc.stage, tc.why)
			}
		})
	}
	gone := podWith(running1)
	gone.DeletionTimestamp = &metav1.Time{}
	if st, why := look(gone, nil); st != hopeless || why != "the pod on node n1 is being deleted by somebody else: is the node being drained?" {
		t.Errorf("%d %s", st, why)
	}
}

// What a kubelet or registry says is one bounded line.
func TestLookBoundsWords(t *testing.T) {
	_, why := look(podWith(waitsFor("ErrImagePull", strings.Repeat("no\nway ", 1000))), nil)
	if len(why) > 800 || strings.Contains(why, "\n") || !strings.Contains(why, "no way no way") {
		t.Errorf("%d bytes: %s", len(why), why)
	}
}

func TestNodeTrouble(t *testing.T) {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	if why := nodeTrouble(n); why != "" {
		t.Error(why)
	}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue}, {Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "KubeletNotReady"}}
	if why := nodeTrouble(n); why != "node n1 is not ready: KubeletNotReady; its kubelet starts no pods, log in to the node and run nettrace there" {
		t.Error(why)
	}
	n.Status.Conditions[1].Status = corev1.ConditionTrue
	if why := nodeTrouble(n); why != "" {
		t.Error(why)
	}
}

func TestExplain(t *testing.T) {
	status := func(code int32, reason metav1.StatusReason, message string) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message}}
	}
	for _, tc := range []struct {
		err  error
		want string
	}{
		{status(403, metav1.StatusReasonForbidden, `pods is forbidden: User "u" cannot create resource "pods"`), `RBAC does not allow you to create pods in namespace ops: ask for that right, or use another --context or --pod-namespace (User "u" cannot create resource "pods")`},
		{status(403, metav1.StatusReasonForbidden, `pods "x" is forbidden: node restriction`), `the API server refuses to create pods in namespace ops: pods "x" is forbidden: node restriction; ask who runs the cluster`},
		{status(400, metav1.StatusReasonBadRequest, `admission webhook "validate.kyverno.svc" denied the request: hostPath`), `the cluster's policy does not admit the debug pod: admission webhook "validate.kyverno.svc" denied the request: hostPath; ask who runs the policy, or use --pod-namespace with a namespace that it leaves out`},
		{status(401, metav1.StatusReasonUnauthorized, "Unauthorized"), "the API server does not accept the credentials (401): log in again, or use another --context"},
		{status(422, metav1.StatusReasonInvalid, `Pod "x" is invalid: spec.nodeName`), `create pods in namespace ops: Pod "x" is invalid: spec.nodeName; 'kubectl describe namespace ops' may say more`},
		{errors.New("dial tcp 192.0.2.1:443: connect: connection refused"), "create pods in namespace ops: the API server cannot be asked: dial tcp 192.0.2.1:443: connect: connection refused; check --kubeconfig, --context and the network"},
	} {
		if got := Explain(tc.err, "create pods", "ops"); got.Error() != tc.want {
			t.Errorf("%v: %v\nwant %s", tc.err, got, tc.want)
		}
	}
	if Explain(nil, "create pods", "ops") != nil {
		t.Error("no error is none")
	}
}

func TestPodName(t *testing.T) {
	for node, want := range map[string]string{"n1": "nettrace-n1-run-", "ip-10-0-0-1.eu.compute.internal": "nettrace-ip-10-0-0-1-eu-compute-interna-run-", "A_B.": "nettrace-a-b-run-", strings.Repeat("x", 253): "nettrace-" + strings.Repeat("x", 30) + "-run-"} {
		a, b := podName(node, "run"), podName(node, "run")
		if !strings.HasPrefix(a, want) || len(a) != len(want)+5 || len(a) > 63 || a == b {
			t.Errorf("%s: %s and %s", node, a, b)
		}
	}
}

// The pod is the manifest's, with what a run needs put in.
func TestBuild(t *testing.T) {
	s := Spec{Node: "n1", Image: "img", Args: []string{"flow", "a", "b"}, Deadline: 1500 * time.Millisecond, Keep: true}
	p, err := s.build("ops", "run")
	if err != nil {
		t.Fatal(err)
	}
	c := p.Spec.Containers[0]
	got := fmt.Sprint(p.Namespace, p.GenerateName, p.Spec.NodeName, *p.Spec.ActiveDeadlineSeconds, p.Labels[LabelName], p.Labels[LabelBy], p.Labels[LabelRun], p.Annotations[AnnotationKeep],
		c.Image, c.Args, c.Stdin, c.StdinOnce, c.TTY, c.Env, p.Spec.HostNetwork, p.Spec.HostPID, *p.Spec.AutomountServiceAccountToken, p.Spec.RestartPolicy)
	if want := "opsn12 nettracenettraceruntrueimg[flow a b]truetruefalse[{GOMEMLIMIT 435MiB nil} {NODE_NAME n1 nil}]truetruefalseNever"; strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("%s\nwant %s", got, want)
	}
	if c.SecurityContext == nil || len(c.SecurityContext.Capabilities.Drop) != 1 || c.SecurityContext.Privileged != nil {
		t.Errorf("%+v", c.SecurityContext)
	}
}
