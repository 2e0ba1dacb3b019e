// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// Watcher keeps what a long-running command needs of a whole cluster. Objects are made slim as they come in, so that it holds about a
// kilobyte for each pod. It reconnects as client-go's reflectors do, after errors and after the server was away.
type Watcher struct {
	clock func() time.Time
	say   func(string)

	mu    sync.Mutex
	pods  table[Pod]
	svcs  table[Service]
	slice table[EndpointSlice]
	nodes table[Node]
	names table[Namespace]
	rules table[Policy]
	dirty bool
	built time.Time
	index *Index
	said  map[string]bool
	off   map[string]string // by resource: why it was not given when it was asked for last
	ready []<-chan struct{}
	news  chan struct{} // closed at the next change
}

// rebuildEvery bounds how often an index is built while objects change: 100,000 pods take about 100 ms.
const rebuildEvery = time.Second

// WatchOptions are the settings of a Watcher.
type WatchOptions struct {
	Config
	Node string           // only this node's pods; "" for all
	Now  func() time.Time // for tests; nil for time.Now
	Say  func(string)     // one sentence on what cannot be watched, each once; nil for none
}

// Watch starts watching until ctx ends. It returns at once; Wait tells when the first lists are in.
func Watch(ctx context.Context, o WatchOptions) (*Watcher, error) {
	cl, err := open(o.Config)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	w := &Watcher{clock: o.Now, say: o.Say, said: map[string]bool{}, off: map[string]string{}, dirty: true, news: make(chan struct{})}
	pods := ""
	if o.Node != "" {
		pods = "spec.nodeName=" + o.Node
	}
	start(ctx, w, cl, "", "pods", pods, &corev1.Pod{}, &corev1.PodList{}, &w.pods, slimPod)
	start(ctx, w, cl, "", "services", "", &corev1.Service{}, &corev1.ServiceList{}, &w.svcs, slimService)
	start(ctx, w, cl, "", "nodes", "", &corev1.Node{}, &corev1.NodeList{}, &w.nodes, slimNode)
	start(ctx, w, cl, "", "namespaces", "", &corev1.Namespace{}, &corev1.NamespaceList{}, &w.names, func(n *corev1.Namespace) Namespace { return Namespace{Name: n.Name, Labels: keepLabels(n.Labels)} })
	start(ctx, w, cl, discoveryv1.GroupName, "endpointslices", "", &discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{}, &w.slice, slimSlice)
	start(ctx, w, cl, networkingv1.GroupName, "networkpolicies", "", &networkingv1.NetworkPolicy{}, &networkingv1.NetworkPolicyList{}, &w.rules, func(p *networkingv1.NetworkPolicy) Policy {
		return Policy{Namespace: p.Namespace, Name: p.Name, Spec: p.Spec}
	})
	return w, nil
}

// Wait returns when the first lists have come in or are known not to come, or when ctx ends, which is its error.
func (w *Watcher) Wait(ctx context.Context) error {
	for _, c := range w.ready {
		select {
		case <-c:
		case <-ctx.Done():
			return fmt.Errorf("wait for the API server: %w", ctx.Err())
		}
	}
	return nil
}

// Denied says why a resource was not given when it was asked for last, "" when it was given or has not been refused yet.
func (w *Watcher) Denied(resource string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.off[resource]
}

// Changed is closed when something changes after the call: whoever shows names can ask for a new Index then.
func (w *Watcher) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.news
}

// touch notes a change; the caller holds the lock.
func (w *Watcher) touch() {
	w.dirty = true
	close(w.news)
	w.news = make(chan struct{})
}

// Index is what is known now. It is at most a second old.
func (w *Watcher) Index() *Index {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock()
	old := now.Sub(w.built)
	if w.index != nil && (!w.dirty && old < KeepDeleted/10 || w.dirty && old < rebuildEvery) {
		return w.index
	}
	o := &Objects{Pods: w.pods.list(now), Services: w.svcs.list(now), Slices: w.slice.list(now), Nodes: w.nodes.list(now), Namespaces: w.names.list(now), Policies: w.rules.list(now)}
	w.index, w.built, w.dirty = NewIndex(o, now), now, false
	return w.index
}

// table holds the slim objects of one kind; those that were deleted stay for KeepDeleted.
type table[S any] struct {
	live map[key]*S
	dead map[key]dead[S] // by name and when: an object may be deleted again and again
}

type dead[S any] struct {
	obj S
	at  time.Time
}

func (t *table[S]) list(now time.Time) []S {
	out := make([]S, 0, len(t.live)+len(t.dead))
	for k, d := range t.dead {
		if now.Sub(d.at) > KeepDeleted {
			delete(t.dead, k)
			continue
		}
		out = append(out, d.obj)
	}
	for _, s := range t.live { // behind the dead ones: the later one of a name counts
		out = append(out, *s)
	}
	return out
}

// bury moves an object to the dead ones. Kinds whose end matters carry its time.
func (t *table[S]) bury(k key, now time.Time) {
	s, ok := t.live[k]
	if !ok {
		return
	}
	delete(t.live, k)
	switch x := any(s).(type) {
	case *Pod:
		x.Deleted = now
	case *Service:
		x.Deleted = now
	case *EndpointSlice:
		x.Deleted = now
	case *Node:
		x.Deleted = now
	default:
		return // namespaces and policies that are gone decide nothing
	}
	t.dead[key{k.namespace, k.name + "@" + now.Format(time.RFC3339Nano)}] = dead[S]{*s, now}
}

// store is what a reflector writes into. It implements cache.ReflectorStore.
type store[S, O any] struct {
	w     *Watcher
	what  string // the resource
	t     *table[S]
	slim  func(O) S
	ready chan struct{}
	once  *sync.Once
}

func (s *store[S, O]) put(obj any) error {
	m, ok := obj.(metav1.Object)
	o, same := obj.(O)
	if !ok || !same || checkName(m) != nil {
		return nil // not ours, or hostile: the reflector would stop at an error
	}
	k, slim := key{m.GetNamespace(), m.GetName()}, s.slim(o)
	if p, ok := any(s.t.live[k]).(*Pod); ok && p != nil && p.UID != string(m.GetUID()) {
		s.t.bury(k, s.w.clock()) // another pod took the name, and we missed the end of the first
	}
	s.t.live[k] = &slim
	s.w.touch()
	return nil
}

// Add implements cache.ReflectorStore.
func (s *store[S, O]) Add(obj any) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.put(obj)
}

// Update implements cache.ReflectorStore.
func (s *store[S, O]) Update(obj any) error { return s.Add(obj) }

// Delete implements cache.ReflectorStore.
func (s *store[S, O]) Delete(obj any) error {
	if m, ok := obj.(metav1.Object); ok {
		s.w.mu.Lock()
		defer s.w.mu.Unlock()
		s.t.bury(key{m.GetNamespace(), m.GetName()}, s.w.clock())
		s.w.touch()
	}
	return nil
}

// Replace implements cache.ReflectorStore: what a new list lacks was deleted while we did not look.
func (s *store[S, O]) Replace(all []any, _ string) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	listed := map[key]bool{}
	for _, obj := range all {
		if m, ok := obj.(metav1.Object); ok {
			listed[key{m.GetNamespace(), m.GetName()}] = true
		}
	}
	for k := range s.t.live {
		if !listed[k] {
			s.t.bury(k, s.w.clock())
		}
	}
	for _, obj := range all {
		if err := s.put(obj); err != nil {
			return err
		}
	}
	delete(s.w.off, s.what)
	s.w.touch()
	s.once.Do(func() { close(s.ready) })
	return nil
}

// Resync implements cache.ReflectorStore; there is nothing to do.
func (s *store[S, O]) Resync() error { return nil }

// Transformer keeps what a reflector collects small as well.
func (s *store[S, O]) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) {
		lighten(obj)
		return obj, nil
	}
}

// lighten takes from an object what nobody looks at, so that the lists of a large cluster fit until they are made slim: a reflector collects all of
// them first.
func lighten(obj any) {
	if p, ok := obj.(*corev1.Pod); ok {
		*p = lean(p)
		return
	}
	if n, ok := obj.(*corev1.Node); ok { // up to 50 images, 10 KB
		n.Status.Images = nil
	}
	if m, ok := obj.(metav1.Object); ok {
		m.SetManagedFields(nil)
		m.SetAnnotations(nil)
	}
}

// start runs one reflector.
func start[S any, O runtime.Object, L runtime.Object](ctx context.Context, w *Watcher, cl *client, group, resource, selector string, kind O, list L, t *table[S], slim func(O) S) {
	t.live, t.dead = map[key]*S{}, map[key]dead[S]{}
	s := &store[S, O]{w: w, what: resource, t: t, slim: slim, ready: make(chan struct{}), once: &sync.Once{}}
	w.ready = append(w.ready, s.ready)
	lw := &listWatch{cl: cl, group: group, resource: resource, selector: selector, list: list, denied: func(err error) {
		w.denied(resource, group, err)
		s.once.Do(func() { close(s.ready) })
	}}
	r := cache.NewReflectorWithOptions(lw, kind, s, cache.ReflectorOptions{})
	r.WatchListPageSize = pageSize
	go r.RunWithContext(ctx)
}

// denied says once what may not be watched; the reflector goes on trying, as permissions can come.
func (w *Watcher) denied(resource, group string, err error) {
	plain := resource
	if group != "" {
		resource += "." + group
	}
	text := fmt.Sprintf("the API server cannot be asked for %s: %s; names from them may be missing", resource, oneLine(err))
	if apierrors.IsForbidden(err) {
		text = fmt.Sprintf("RBAC does not allow to list and watch %s: names from them are missing", resource)
	}
	w.mu.Lock()
	first := !w.said[text]
	w.said[text] = true
	w.off[plain] = text
	w.mu.Unlock()
	if first {
		w.say(text)
	}
}

// pageSize is how many objects of a list come at once. An API server that lists from its cache gives all of them whatever the page's size is, more
// than maxAnswer of a large cluster's: with a resource version, as reflectors ask, it does, so lists are asked for without one.
const pageSize = 500

// listWatch asks for one resource. It implements cache.ListerWatcherWithContext.
type listWatch struct {
	cl                        *client
	group, resource, selector string
	list                      runtime.Object
	denied                    func(error)
}

func (l *listWatch) List(o metav1.ListOptions) (runtime.Object, error) {
	return l.ListWithContext(context.Background(), o)
}

func (l *listWatch) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return l.WatchWithContext(context.Background(), o)
}

func (l *listWatch) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	o.FieldSelector = l.selector
	o.ResourceVersion, o.ResourceVersionMatch = "", "" // see pageSize
	out := l.list.DeepCopyObject()
	err := l.cl.groups[l.group].Get().Resource(l.resource).VersionedParams(&o, metav1.ParameterCodec).Do(ctx).Into(out)
	if err != nil && ctx.Err() == nil {
		l.denied(err)
	}
	_ = meta.EachListItem(out, func(item runtime.Object) error {
		lighten(item)
		return nil
	})
	return out, err
}

func (l *listWatch) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.FieldSelector, o.Watch = l.selector, true
	w, err := l.cl.groups[l.group].Get().Resource(l.resource).VersionedParams(&o, metav1.ParameterCodec).Watch(ctx)
	// a status is an answer: a streaming list that is refused is followed by a plain one, which tells
	if status := apierrors.APIStatus(nil); err != nil && !errors.As(err, &status) && ctx.Err() == nil {
		l.denied(err)
	}
	return w, err
}
