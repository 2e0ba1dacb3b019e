// SPDX-License-Identifier: Apache-2.0

// Package apitest is an API server for tests: Kubernetes' HTTP API over TLS, as far as nettrace asks it. It gets, lists by field and label,
// watches, creates and deletes pods, speaks JSON and protobuf, refuses what it is told to refuse, goes away and comes back on the same port.
// With a Kubelet, pods run real programs on this machine, which can be attached to and whose logs can be read.
package apitest

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// Server is a running API server.
type Server struct {
	codecs serializer.CodecFactory
	addr   string
	dir    string

	mu       sync.Mutex
	http     *httptest.Server
	version  int
	objects  map[string][]runtime.Object // by resource
	watchers map[chan event]string       // resource
	history  []event                     // for watches that begin in the past
	changed  chan struct{}               // closed when a watch begins or an object changes
	log      []string                    // "GET /api/v1/pods?..."
	denied   map[string]int              // resource → HTTP status
	before   func(http.ResponseWriter, *http.Request) bool
	admit    func(*corev1.Pod) *metav1.Status
	kubelet  *Kubelet
}

type event struct {
	kind     string
	obj      runtime.Object
	resource string
	version  int
}

// tester is the part of testing.TB that is used, so that benchmarks outside of tests can have a server too.
type tester interface {
	Helper()
	Fatal(args ...any)
	TempDir() string
	Cleanup(func())
}

// New starts a server with objects.
func New(t tester, objs ...runtime.Object) *Server {
	t.Helper()
	sch := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, discoveryv1.AddToScheme, networkingv1.AddToScheme} {
		if err := add(sch); err != nil {
			t.Fatal(err)
		}
	}
	metav1.AddToGroupVersion(sch, schema.GroupVersion{Version: "v1"})
	s := &Server{codecs: serializer.NewCodecFactory(sch), dir: t.TempDir(), objects: map[string][]runtime.Object{}, watchers: map[chan event]string{}, changed: make(chan struct{}), denied: map[string]int{}, version: 100}
	for _, o := range objs {
		s.Put(o)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	s.serve(l)
	t.Cleanup(s.Stop)
	return s
}

func (s *Server) serve(l net.Listener) {
	h := httptest.NewUnstartedServer(http.HandlerFunc(s.handle))
	_ = h.Listener.Close()
	h.Listener = l
	h.EnableHTTP2 = true
	h.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that give up are part of the tests
	s.mu.Lock()
	s.http = h
	s.mu.Unlock()
	h.StartTLS()
}

// Stop takes the server away: connections and watches end.
func (s *Server) Stop() {
	s.mu.Lock()
	h := s.http
	s.http = nil
	for c := range s.watchers {
		close(c)
		delete(s.watchers, c)
	}
	s.mu.Unlock()
	if h != nil {
		h.CloseClientConnections()
		h.Close()
	}
}

// Restart brings it back on the same port with the same certificate and objects.
func (s *Server) Restart() error {
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	s.serve(l)
	return nil
}

// Kubeconfig writes a kubeconfig for the server and returns its path. The context's namespace is "shop".
func (s *Server) Kubeconfig() (string, error) {
	name := filepath.Join(s.dir, "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: lab
clusters: [{name: lab, cluster: {server: "https://%s", insecure-skip-tls-verify: true}}]
contexts: [{name: lab, context: {cluster: lab, user: tester, namespace: shop}}]
users: [{name: tester, user: {token: secret}}]
`, s.addr)
	return name, os.WriteFile(name, []byte(text), 0o600)
}

// Deny answers requests for a resource, "pods" or "pods/log", or for one verb on it, "create pods", with an HTTP status; 0 allows it again.
func (s *Server) Deny(resource string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied[resource] = status
}

// Before is called with each request; when it returns true, it has answered it.
func (s *Server) Before(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// Requests are those so far, as "GET /api/v1/pods?fieldSelector=…".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// WaitForWatches returns when so many watches are open, or with the context's error.
func (s *Server) WaitForWatches(ctx context.Context, n int) error {
	return s.WaitFor(ctx, fmt.Sprintf("%d open watches", n), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.watchers) >= n
	})
}

// WaitFor returns when something holds, which is looked at again at every change of an object and every new watch, or with the context's error.
func (s *Server) WaitFor(ctx context.Context, what string, holds func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if holds() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
	}
}

// Put adds or replaces an object and tells watchers.
func (s *Server) Put(o runtime.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	res := resourceOf(o)
	m, _ := meta.Accessor(o)
	s.version++
	m.SetResourceVersion(strconv.Itoa(s.version))
	kind := "ADDED"
	if i := s.find(res, m.GetNamespace(), m.GetName()); i >= 0 {
		s.objects[res][i], kind = o, "MODIFIED"
	} else {
		s.objects[res] = append(s.objects[res], o)
	}
	s.tell(event{kind, o.DeepCopyObject(), res, s.version})
}

// Delete removes an object and tells watchers.
func (s *Server) Delete(o runtime.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	res := resourceOf(o)
	m, _ := meta.Accessor(o)
	if i := s.find(res, m.GetNamespace(), m.GetName()); i >= 0 {
		s.version++
		m.SetResourceVersion(strconv.Itoa(s.version))
		s.objects[res] = slices.Delete(s.objects[res], i, i+1)
		s.tell(event{"DELETED", o.DeepCopyObject(), res, s.version})
	}
}

// wake has those who wait look again.
func (s *Server) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) find(res, namespace, name string) int {
	return slices.IndexFunc(s.objects[res], func(o runtime.Object) bool {
		m, _ := meta.Accessor(o)
		return m.GetNamespace() == namespace && m.GetName() == name
	})
}

func (s *Server) tell(e event) {
	s.history = append(s.history, e)
	close(s.changed)
	s.changed = make(chan struct{})
	for c, r := range s.watchers {
		if r == e.resource {
			c <- e
		}
	}
}

func resourceOf(o runtime.Object) string {
	switch o.(type) {
	case *corev1.Pod:
		return "pods"
	case *corev1.Service:
		return "services"
	case *corev1.Node:
		return "nodes"
	case *corev1.Event:
		return "events"
	case *corev1.Namespace:
		return "namespaces"
	case *discoveryv1.EndpointSlice:
		return "endpointslices"
	case *networkingv1.NetworkPolicy:
		return "networkpolicies"
	}
	panic(fmt.Sprintf("apitest has no resource for %T", o))
}
