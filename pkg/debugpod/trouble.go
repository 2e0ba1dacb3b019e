// SPDX-License-Identifier: Apache-2.0

package debugpod

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// stage is how far a pod has come.
type stage int

const (
	waiting stage = iota // it may still start
	running
	ended    // the program has ended, with an exit code
	hopeless // it will not start, or was taken away
)

// look says how far a pod has come, and why it is there in words: of a waiting one what it waits for, of a hopeless one the reason and what to
// do. events may be none.
func look(p *corev1.Pod, events []corev1.Event) (stage, string) {
	node := p.Spec.NodeName
	if s := containerOf(p); s != nil {
		switch {
		case s.State.Terminated != nil && !taken(p) && started(s.State.Terminated):
			return ended, ""
		case s.State.Terminated != nil && !taken(p):
			return hopeless, fmt.Sprintf("the container cannot be started on node %s: %s; is the image built for the node's architecture, and does the node run it with the pod's capabilities?", node, terminated(s.State.Terminated))
		case s.State.Running != nil && p.DeletionTimestamp == nil:
			return running, ""
		case s.State.Waiting != nil:
			if why := stuck(s.State.Waiting, s.Image, p, events); why != "" {
				return hopeless, why
			}
		}
	}
	switch {
	case p.DeletionTimestamp != nil && p.Status.Reason == "":
		return hopeless, fmt.Sprintf("the pod on node %s is being deleted by somebody else: is the node being drained?", node)
	case p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded:
		return hopeless, failed(p)
	case p.DeletionTimestamp != nil:
		return hopeless, fmt.Sprintf("the pod on node %s is being deleted by somebody else: is the node being drained?", node)
	}
	return waiting, waits(p, events)
}

// taken reports that the program did not end by itself.
func taken(p *corev1.Pod) bool {
	return p.Status.Reason != "" || p.DeletionTimestamp != nil
}

func containerOf(p *corev1.Pod) *corev1.ContainerStatus {
	for i := range p.Status.ContainerStatuses {
		if s := &p.Status.ContainerStatuses[i]; s.Name == containerName {
			return s
		}
	}
	return nil
}

// started tells an end of the program from a container that never ran: runtimes give the latter 127 or 128 and a reason of their own.
func started(t *corev1.ContainerStateTerminated) bool {
	switch t.Reason {
	case "StartError", "ContainerCannotRun", "ContainerStatusUnknown":
		return false
	}
	return true
}

func terminated(t *corev1.ContainerStateTerminated) string {
	if t.Message != "" {
		return shorten(t.Message)
	}
	return fmt.Sprintf("%s, exit code %d", t.Reason, t.ExitCode)
}

// stuck says why a container that waits will wait for ever; "" when it may start.
func stuck(w *corev1.ContainerStateWaiting, image string, p *corev1.Pod, events []corev1.Event) string {
	node := p.Spec.NodeName
	if image == "" && len(p.Spec.Containers) > 0 {
		image = p.Spec.Containers[0].Image
	}
	why := shorten(w.Message)
	switch w.Reason {
	case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed":
		if said := said(events, "Failed", "pull"); said != "" && !strings.Contains(why, "rpc error") {
			why = said
		}
		return fmt.Sprintf("node %s cannot pull the image %s: %s; name one that it can with --image (or NETTRACE_IMAGE), and check the registry's access", node, image, why)
	case "InvalidImageName":
		return fmt.Sprintf("%s is no image name: %s; correct --image or NETTRACE_IMAGE", image, why)
	case "ErrImageNeverPull":
		return fmt.Sprintf("the image %s is not on node %s: load it there, or name another one with --image", image, node)
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff":
		return fmt.Sprintf("the container cannot be started on node %s: %s (%s); 'kubectl describe pod -n %s %s' has more, with --keep", node, why, w.Reason, p.Namespace, p.Name)
	}
	return ""
}

// failed says why a pod that did not run its program to the end is over.
func failed(p *corev1.Pod) string {
	node, why := p.Spec.NodeName, shorten(p.Status.Message)
	if why == "" {
		why = "no reason was given"
	}
	switch r := p.Status.Reason; {
	case r == "Evicted":
		return fmt.Sprintf("the pod was evicted from node %s: %s; what it had written until then is shown, try again when the node has room", node, why)
	case r == "DeadlineExceeded":
		return fmt.Sprintf("the pod on node %s was ended by its deadline: give --deadline more time", node)
	case strings.HasPrefix(r, "OutOf"):
		return fmt.Sprintf("node %s has no room for the pod: %s; end a pod there, and try again", node, why)
	case r == "NodeShutdown" || r == "Terminated" || r == "NodeLost":
		return fmt.Sprintf("node %s is shutting down: %s", node, why)
	case strings.HasPrefix(r, "Preempt"):
		return fmt.Sprintf("the pod had to make room for another one on node %s: %s; try again", node, why)
	case r != "":
		return fmt.Sprintf("the kubelet of node %s does not run the pod: %s (%s)", node, why, r)
	}
	return fmt.Sprintf("the pod on node %s has ended, and its exit code is not known: %s", node, why)
}

// waits says what a pod waits for.
func waits(p *corev1.Pod, events []corev1.Event) string {
	node := p.Spec.NodeName
	for i := range p.Status.Conditions {
		if c := &p.Status.Conditions[i]; c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "it is not scheduled: " + shorten(c.Message)
		}
	}
	if s := said(events, "FailedMount", ""); s != "" {
		return "a volume cannot be mounted: " + s
	}
	if s := said(events, "FailedCreatePodSandBox", ""); s != "" {
		return "the runtime cannot make its sandbox: " + s
	}
	s := containerOf(p)
	switch {
	case s == nil:
		return fmt.Sprintf("the kubelet of node %s has not taken it up yet", node)
	case said(events, "Pulling", "") != "" && said(events, "Pulled", "") == "":
		return "the image is being pulled"
	case s.State.Waiting != nil && s.State.Waiting.Reason != "":
		return s.State.Waiting.Reason
	}
	return "it is being started"
}

// said is the newest event with a reason whose message has a word in it.
func said(events []corev1.Event, reason, word string) string {
	best, at := "", time.Time{}
	for i := range events {
		e := &events[i]
		if e.Reason != reason || !strings.Contains(e.Message, word) {
			continue
		}
		if t := e.LastTimestamp.Time; best == "" || !t.Before(at) {
			best, at = shorten(e.Message), t
		}
	}
	return best
}

// nodeTrouble says why a pod would not start on a node; "" when nothing speaks against it.
func nodeTrouble(n *corev1.Node) string {
	for i := range n.Status.Conditions {
		c := &n.Status.Conditions[i]
		if c.Type != corev1.NodeReady || c.Status == corev1.ConditionTrue {
			continue
		}
		why := shorten(c.Message)
		if why == "" {
			why = c.Reason
		}
		since := ""
		if !c.LastTransitionTime.IsZero() {
			since = " since " + c.LastTransitionTime.UTC().Format(time.RFC3339)
		}
		return fmt.Sprintf("node %s is not ready%s: %s; its kubelet starts no pods, log in to the node and run nettrace there", n.Name, since, why)
	}
	return ""
}
