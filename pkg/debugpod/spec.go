// SPDX-License-Identifier: Apache-2.0

package debugpod

import (
	"fmt"
	"math"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/yaml"

	"github.com/nettrace-io/nettrace/deploy"
)

// The labels and the annotation of pods that a run makes.
const (
	LabelName = "app.kubernetes.io/name"       // always "nettrace"
	LabelBy   = "app.kubernetes.io/managed-by" // "nettrace", as in the manifest for use by hand
	LabelRun  = "nettrace.io/run"              // the run's id
	ManagedBy = "nettrace"
	// AnnotationKeep says that its user wants the pod to stay.
	AnnotationKeep = "nettrace.io/keep"
)

// ours selects the pods of all runs.
const ours = LabelName + "=nettrace," + LabelBy + "=" + ManagedBy

const containerName = "nettrace"

// Spec is a pod to be made.
type Spec struct {
	Node     string
	Image    string
	Args     []string
	Deadline time.Duration // of the pod; whole seconds, at least one
	Keep     bool
}

// build makes a pod from the manifest that users apply by hand, so that there is one list of capabilities and mounts.
func (s *Spec) build(namespace, run string) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict(deploy.Pod, pod); err != nil {
		return nil, fmt.Errorf("read the debug pod's manifest: %w", err)
	}
	if len(pod.Spec.Containers) != 1 || pod.Spec.Containers[0].Name != containerName {
		return nil, fmt.Errorf("the debug pod's manifest lacks the container %s", containerName)
	}
	pod.GenerateName, pod.Namespace = "", namespace
	// A name of our own instead of generateName: when the answer to the creation is lost, it is still known what to delete.
	pod.Name = podName(s.Node, run)
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[LabelName], pod.Labels[LabelBy], pod.Labels[LabelRun] = "nettrace", ManagedBy, run
	if s.Keep {
		pod.Annotations = map[string]string{AnnotationKeep: "true"}
	}
	pod.Spec.NodeName = s.Node
	seconds := int64(max(1, math.Ceil(s.Deadline.Seconds())))
	pod.Spec.ActiveDeadlineSeconds = &seconds
	c := &pod.Spec.Containers[0]
	c.Image, c.Args = s.Image, s.Args
	c.Env = append(c.Env, corev1.EnvVar{Name: "NODE_NAME", Value: s.Node})
	c.Stdin, c.StdinOnce = true, true // the runtime closes stdin when whoever attached goes away
	return pod, nil
}

// podName is "nettrace-NODE-RUN-XXXXX", a DNS label.
func podName(node, run string) string {
	n := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(node))
	return "nettrace-" + strings.Trim(n[:min(len(n), 30)], "-") + "-" + run + "-" + utilrand.String(5)
}
