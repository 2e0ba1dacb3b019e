// SPDX-License-Identifier: Apache-2.0

// Package apitest is an API server for tests: Kubernetes' HTTP API over TLS, as far as nettrace asks it. It gets, lists by field and label,
// watches, speaks JSON and protobuf, refuses what it is told to refuse, goes away and comes back on the same port.
package apitest

import (
	"encoding/json"
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
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
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
	log      []string                    // "GET /api/v1/pods?..."
	denied   map[string]int              // resource → HTTP status
	before   func(http.ResponseWriter, *http.Request) bool
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
	s := &Server{codecs: serializer.NewCodecFactory(sch), dir: t.TempDir(), objects: map[string][]runtime.Object{}, watchers: map[chan event]string{}, denied: map[string]int{}, version: 100}
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
	h.StartTLS()
	s.mu.Lock()
	s.http = h
	s.mu.Unlock()
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

// Deny answers requests for a resource with an HTTP status; 0 allows it again.
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

// Watches is the number of watches that are open now.
func (s *Server) Watches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watchers)
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

func (s *Server) find(res, namespace, name string) int {
	return slices.IndexFunc(s.objects[res], func(o runtime.Object) bool {
		m, _ := meta.Accessor(o)
		return m.GetNamespace() == namespace && m.GetName() == name
	})
}

func (s *Server) tell(e event) {
	s.history = append(s.history, e)
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
	case *corev1.Namespace:
		return "namespaces"
	case *discoveryv1.EndpointSlice:
		return "endpointslices"
	case *networkingv1.NetworkPolicy:
		return "networkpolicies"
	}
	panic(fmt.Sprintf("apitest has no resource for %T", o))
}

// path is a request taken apart.
type path struct{ resource, namespace, name string }

// parse reads /api/v1/…, /apis/GROUP/v1/…, with namespaces/NS in between.
func parse(p string) path {
	parts := strings.Split(strings.Trim(p, "/"), "/")
	if parts[0] == "apis" {
		parts = parts[min(3, len(parts)):]
	} else {
		parts = parts[min(2, len(parts)):]
	}
	var out path
	if len(parts) >= 3 && parts[0] == "namespaces" {
		out.namespace, parts = parts[1], parts[2:]
	}
	if len(parts) > 0 {
		out.resource = parts[0]
	}
	if len(parts) > 1 {
		out.name = parts[1]
	}
	return out
}

func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	p := parse(r.URL.Path)
	s.mu.Lock()
	s.log = append(s.log, r.Method+" "+r.URL.RequestURI())
	status, before := s.denied[p.resource], s.before
	s.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer secret":
		s.fail(w, r, http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
	case status == http.StatusForbidden:
		s.fail(w, r, status, metav1.StatusReasonForbidden, p.resource+" is forbidden: User \"tester\" cannot list resource")
	case status != 0:
		s.fail(w, r, status, metav1.StatusReasonInternalError, "refused by the test")
	case r.URL.Query().Get("watch") != "":
		s.watch(w, r, p)
	case p.name != "":
		s.get(w, r, p)
	default:
		s.list(w, r, p)
	}
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, code int, reason metav1.StatusReason, message string) {
	s.write(w, r, code, &metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message})
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, p path) {
	s.mu.Lock()
	i := s.find(p.resource, p.namespace, p.name)
	var o runtime.Object
	if i >= 0 {
		o = s.objects[p.resource][i].DeepCopyObject()
	}
	s.mu.Unlock()
	if o == nil {
		s.fail(w, r, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s %q not found", p.resource, p.name))
		return
	}
	s.write(w, r, http.StatusOK, o)
}

// list filters by namespace, field and label as the real one does for the fields that it knows.
func (s *Server) list(w http.ResponseWriter, r *http.Request, p path) {
	l := listFor(p.resource)
	if l == nil {
		s.fail(w, r, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
		return
	}
	sel, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		s.fail(w, r, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	var items []runtime.Object
	for _, o := range s.objects[p.resource] {
		m, _ := meta.Accessor(o)
		if (p.namespace == "" || m.GetNamespace() == p.namespace) && sel.Matches(labels.Set(m.GetLabels())) && fieldsFit(o, r.URL.Query().Get("fieldSelector")) {
			items = append(items, o.DeepCopyObject())
		}
	}
	version := strconv.Itoa(s.version)
	s.mu.Unlock()
	_ = meta.SetList(l, items)
	m, _ := meta.ListAccessor(l)
	m.SetResourceVersion(version)
	s.write(w, r, http.StatusOK, l)
}

func fieldsFit(o runtime.Object, selector string) bool {
	field, want, ok := strings.Cut(selector, "=")
	if !ok {
		return true
	}
	switch x := o.(type) {
	case *corev1.Pod:
		return map[string]string{"spec.nodeName": x.Spec.NodeName, "status.podIP": x.Status.PodIP}[field] == want
	case *corev1.Service:
		return map[string]string{"spec.clusterIP": x.Spec.ClusterIP}[field] == want
	}
	return false
}

func listFor(resource string) runtime.Object {
	switch resource {
	case "pods":
		return &corev1.PodList{}
	case "services":
		return &corev1.ServiceList{}
	case "nodes":
		return &corev1.NodeList{}
	case "namespaces":
		return &corev1.NamespaceList{}
	case "endpointslices":
		return &discoveryv1.EndpointSliceList{}
	case "networkpolicies":
		return &networkingv1.NetworkPolicyList{}
	}
	return nil
}

// groupOf is the API group of a resource.
func groupOf(o runtime.Object) schema.GroupVersion {
	switch o.(type) {
	case *discoveryv1.EndpointSliceList, *discoveryv1.EndpointSlice:
		return discoveryv1.SchemeGroupVersion
	case *networkingv1.NetworkPolicyList, *networkingv1.NetworkPolicy:
		return networkingv1.SchemeGroupVersion
	}
	return corev1.SchemeGroupVersion
}

// write answers in protobuf when the client takes it, else in JSON.
func (s *Server) write(w http.ResponseWriter, r *http.Request, code int, o runtime.Object) {
	kind := runtime.ContentTypeJSON
	if strings.Contains(r.Header.Get("Accept"), runtime.ContentTypeProtobuf) {
		kind = runtime.ContentTypeProtobuf
	}
	info, _ := runtime.SerializerInfoForMediaType(s.codecs.SupportedMediaTypes(), kind)
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(code)
	_ = s.codecs.EncoderForVersion(info.Serializer, groupOf(o)).Encode(o, w)
}

// watch streams JSON, which a server may answer with whatever the client would like best. Streaming lists (sendInitialEvents) are refused,
// as by servers before 1.32: clients fall back to a list.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, p path) {
	if r.URL.Query().Get("sendInitialEvents") != "" {
		s.fail(w, r, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled")
		return
	}
	c := make(chan event, 1000)
	since, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	s.mu.Lock()
	for _, e := range s.history {
		if e.resource == p.resource && e.version > since {
			c <- e
		}
	}
	s.watchers[c] = p.resource
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.watchers, c) // Stop may have closed it
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", runtime.ContentTypeJSON)
	w.WriteHeader(http.StatusOK)
	flush := w.(http.Flusher)
	flush.Flush()
	info, _ := runtime.SerializerInfoForMediaType(s.codecs.SupportedMediaTypes(), runtime.ContentTypeJSON)
	for {
		select {
		case e, ok := <-c:
			if !ok {
				return
			}
			if !fieldsFit(e.obj, r.URL.Query().Get("fieldSelector")) {
				continue
			}
			raw, err := runtime.Encode(s.codecs.EncoderForVersion(info.Serializer, groupOf(e.obj)), e.obj)
			if err == nil {
				err = json.NewEncoder(w).Encode(map[string]any{"type": e.kind, "object": json.RawMessage(raw)})
			}
			if err != nil {
				return
			}
			flush.Flush()
		case <-r.Context().Done():
			return
		}
	}
}
