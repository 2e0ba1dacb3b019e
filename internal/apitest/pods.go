// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"fmt"
	"io"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
)

// Admit is asked for every pod that is created; a status that is not nil refuses it.
func (s *Server) Admit(f func(*corev1.Pod) *metav1.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admit = f
}

// Pods are those of a namespace whose labels have a name and value.
func (s *Server) Pods(namespace, label, value string) []*corev1.Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*corev1.Pod
	for _, o := range s.objects["pods"] {
		if p := o.(*corev1.Pod); p.Namespace == namespace && p.Labels[label] == value {
			out = append(out, p.DeepCopy())
		}
	}
	return out
}

// pod is a copy of a pod, nil when there is none.
func (s *Server) pod(namespace, name string) *corev1.Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find("pods", namespace, name)
	if i < 0 {
		return nil
	}
	return s.objects["pods"][i].(*corev1.Pod).DeepCopy()
}

func (s *Server) decode(r *http.Request, into runtime.Object) error {
	b, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	if err != nil || len(b) == 0 {
		return err
	}
	_, _, err = s.codecs.UniversalDeserializer().Decode(b, nil, into)
	return err
}

func (s *Server) create(w http.ResponseWriter, r *http.Request, p path) {
	pod := &corev1.Pod{}
	if err := s.decode(r, pod); err != nil {
		s.fail(w, r, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	admit, kubelet := s.admit, s.kubelet
	exists := s.find("pods", p.namespace, pod.Name) >= 0
	home := s.find("namespaces", "", p.namespace) >= 0
	s.mu.Unlock()
	if pod.Name == "" {
		pod.Name = pod.GenerateName + utilrand.String(5)
	}
	var refused *metav1.Status
	if admit != nil {
		refused = admit(pod)
	}
	switch {
	case !home:
		s.fail(w, r, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("namespaces %q not found", p.namespace))
		return
	case exists:
		s.fail(w, r, http.StatusConflict, metav1.StatusReasonAlreadyExists, fmt.Sprintf("pods %q already exists", pod.Name))
		return
	case refused != nil:
		s.fail(w, r, int(refused.Code), refused.Reason, refused.Message)
		return
	}
	pod.Namespace, pod.UID, pod.CreationTimestamp = p.namespace, types.UID(utilrand.String(12)), metav1.Now()
	pod.Status.Phase = corev1.PodPending
	s.Put(pod.DeepCopy())
	if kubelet != nil && pod.Spec.NodeName != "" {
		kubelet.take(pod.DeepCopy())
	}
	s.write(w, r, http.StatusCreated, pod)
}

// remove deletes a pod: at once with a grace of 0 or when nothing of it runs, else its kubelet does when the program has ended.
func (s *Server) remove(w http.ResponseWriter, r *http.Request, p path) {
	o := &metav1.DeleteOptions{}
	if err := s.decode(r, o); err != nil {
		s.fail(w, r, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	pod := s.pod(p.namespace, p.name)
	if pod == nil {
		s.fail(w, r, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("pods %q not found", p.name))
		return
	}
	grace := int64(30)
	if o.GracePeriodSeconds != nil {
		grace = *o.GracePeriodSeconds
	}
	s.mu.Lock()
	kubelet := s.kubelet
	s.mu.Unlock()
	if kubelet != nil {
		kubelet.ending.Lock()
		defer kubelet.ending.Unlock()
	}
	if kubelet == nil || grace == 0 || !kubelet.runs(pod) {
		s.Delete(pod)
		if kubelet != nil {
			kubelet.end(pod, 0)
		}
		s.write(w, r, http.StatusOK, pod)
		return
	}
	now := metav1.NewTime(time.Now().Add(time.Duration(grace) * time.Second))
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &now, &grace
	s.Put(pod.DeepCopy())
	kubelet.end(pod, time.Duration(grace)*time.Second)
	s.write(w, r, http.StatusOK, pod)
}
