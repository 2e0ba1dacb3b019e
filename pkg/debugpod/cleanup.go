// SPDX-License-Identifier: Apache-2.0

package debugpod

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Leftover is a pod of nettrace that is still there.
type Leftover struct {
	Namespace, Name, Node string
	Running               bool // somebody's run, as far as one can tell: programs end with whoever started them
	Kept                  bool // by --keep
	Age                   time.Duration
}

// maxPages bounds how many pages of 500 pods are read.
const maxPages = 200

// Leftovers lists the debug pods of all runs in a namespace, "" for all. Pods of a DaemonSet are none.
func (c *Cluster) Leftovers(ctx context.Context, namespace string) ([]Leftover, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	var out []Leftover
	o := metav1.ListOptions{LabelSelector: ours, Limit: 500}
	for range maxPages {
		l, err := c.list(ctx, namespace, o)
		if err != nil {
			return nil, Explain(err, "list pods", namespace)
		}
		for i := range l.Items {
			p := &l.Items[i]
			if metav1.GetControllerOf(p) != nil {
				continue
			}
			over := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
			out = append(out, Leftover{Namespace: p.Namespace, Name: p.Name, Node: p.Spec.NodeName, Running: !over, Kept: p.Annotations[AnnotationKeep] != "", Age: time.Since(p.CreationTimestamp.Time)})
		}
		if o.Continue = l.Continue; o.Continue == "" {
			break
		}
	}
	return out, nil
}

// Remove deletes a leftover; grace is how long its program gets to end in order.
func (c *Cluster) Remove(ctx context.Context, l Leftover, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.remove(ctx, l.Namespace, l.Name, int64(grace.Seconds())); err != nil {
		return fmt.Errorf("pod %s: %w", l.Name, Explain(err, "delete pods", l.Namespace))
	}
	return nil
}
