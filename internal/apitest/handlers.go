// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// path is a request taken apart.
type path struct{ resource, namespace, name, sub string }

// verb is what RBAC calls a request.
func (p path) verb(r *http.Request) string {
	switch {
	case p.sub == "attach" || r.Method == http.MethodPost:
		return "create"
	case r.Method == http.MethodDelete:
		return "delete"
	case r.URL.Query().Get("watch") != "":
		return "watch"
	case p.name != "":
		return "get"
	}
	return "list"
}

// whole is the resource with its subresource, "pods/log".
func (p path) whole() string {
	if p.sub != "" {
		return p.resource + "/" + p.sub
	}
	return p.resource
}

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
	if len(parts) > 2 {
		out.sub = parts[2]
	}
	return out
}

func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	p := parse(r.URL.Path)
	s.mu.Lock()
	s.log = append(s.log, r.Method+" "+r.URL.RequestURI())
	status, before := s.denied[p.whole()], s.before
	if one := s.denied[p.verb(r)+" "+p.whole()]; one != 0 {
		status = one
	}
	s.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer secret":
		s.fail(w, r, http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
	case status == http.StatusForbidden:
		s.fail(w, r, status, metav1.StatusReasonForbidden, fmt.Sprintf("%s is forbidden: User \"tester\" cannot %s resource %q in API group \"\" in the namespace %q", p.resource, p.verb(r), p.whole(), p.namespace))
	case status != 0:
		s.fail(w, r, status, metav1.StatusReasonInternalError, "refused by the test")
	case p.sub == "attach":
		s.attach(w, r, p)
	case p.sub == "log":
		s.readLog(w, r, p)
	case r.Method == http.MethodPost && p.resource == "pods":
		s.create(w, r, p)
	case r.Method == http.MethodDelete && p.resource == "pods":
		s.remove(w, r, p)
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
	case *corev1.Event:
		return map[string]string{"involvedObject.name": x.InvolvedObject.Name}[field] == want
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
	case "events":
		return &corev1.EventList{}
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
	sel, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		s.fail(w, r, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	c := make(chan event, 1000)
	since, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	s.mu.Lock()
	if s.http == nil { // Stop waits for what began behind its back
		s.mu.Unlock()
		return
	}
	for _, e := range s.history {
		if e.resource == p.resource && e.version > since {
			c <- e
		}
	}
	s.watchers[c] = p.resource
	close(s.changed)
	s.changed = make(chan struct{})
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
			if m, _ := meta.Accessor(e.obj); !fieldsFit(e.obj, r.URL.Query().Get("fieldSelector")) || !sel.Matches(labels.Set(m.GetLabels())) || p.namespace != "" && m.GetNamespace() != p.namespace {
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
