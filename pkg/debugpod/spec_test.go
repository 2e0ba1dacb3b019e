// SPDX-License-Identifier: Apache-2.0

package debugpod

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// The pod's deadline is in whole seconds, never less than asked for and never none: a pod without one would stay for ever.
func TestDeadline(t *testing.T) {
	for d, want := range map[time.Duration]int64{-time.Second: 1, 0: 1, time.Millisecond: 1, time.Second: 1, time.Second + 1: 2, 90 * time.Second: 90, 24 * time.Hour: 86400} {
		p, err := (&Spec{Node: "n1", Deadline: d}).build("ops", "run")
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Spec.ActiveDeadlineSeconds; got == nil || *got != want {
			t.Errorf("%v: %v, want %d s", d, got, want)
		}
	}
}

// Two pods of two nodes differ in name, node and what they are told of it, and in nothing else: both have the manifest's rights.
func TestPodsOfOneRun(t *testing.T) {
	build := func(node string) (name string, rest any) {
		p, err := (&Spec{Node: node, Image: "img", Args: []string{"flow"}, Deadline: time.Minute}).build("ops", "run")
		if err != nil {
			t.Fatal(err)
		}
		env := p.Spec.Containers[0].Env
		if p.Spec.NodeName != node || env[len(env)-1].Value != node {
			t.Errorf("%s: on %s, told %v", node, p.Spec.NodeName, env)
		}
		if _, kept := p.Annotations[AnnotationKeep]; kept {
			t.Errorf("%s is kept, which nobody asked for", node)
		}
		name = p.Name
		p.Name, p.Spec.NodeName, env[len(env)-1].Value = "", "", ""
		return name, p
	}
	a, restA := build("n1")
	b, restB := build("n2")
	if a == b || !reflect.DeepEqual(restA, restB) {
		t.Errorf("%s and %s\n%+v\n%+v", a, b, restA, restB)
	}
}

// Whatever a node is called, the pod's name is a DNS label, and the node's own name is not changed.
func TestHostileNodes(t *testing.T) {
	for _, node := range []string{"", "---", "N1", "a.b", "\x1b[2J", "名前", "\xff\xfe", strings.Repeat("é", 40), strings.Repeat("-", 29) + "a" + strings.Repeat("-", 9), "../../etc"} {
		p, err := (&Spec{Node: node}).build("ops", "ab12")
		if err != nil {
			t.Fatal(err)
		}
		if wrong := validation.IsDNS1123Label(p.Name); len(wrong) > 0 || p.Spec.NodeName != node {
			t.Errorf("%q: name %q, node %q: %v", node, p.Name, p.Spec.NodeName, wrong)
		}
	}
}
