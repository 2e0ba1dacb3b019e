// SPDX-License-Identifier: Apache-2.0

package debugpod

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// Session is the pods of one run.
type Session struct {
	c    *Cluster
	opt  Options
	run  string
	stop context.CancelFunc // of the watch

	mu      sync.Mutex
	pods    map[string]*corev1.Pod // as they are now, by name; nil: known to be gone
	final   map[string]*corev1.Pod // as they were when their programs had ended
	news    chan struct{}          // closed when one of them changes
	ready   bool                   // the watch works
	broken  error                  // it does not
	made    []string               // names of pods that were made, or may have been
	deleted map[string]bool        // asked to be deleted by us
}

// Options are the settings of a session.
type Options struct {
	Namespace string
	Keep      bool
	Say       func(string) // one sentence on how things go
	// Grace is how long the programs get to end in order when their pods are deleted.
	Grace time.Duration
	// Gone is how long Close waits to see that the pods are gone.
	Gone time.Duration
	// Guard is told of every pod before it is made; nil for nobody.
	Guard func(namespace, name string)
}

// NewSession begins a run: it watches for its pods, of which there are none yet.
func (c *Cluster) NewSession(o Options) *Session {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Session{c: c, opt: o, run: utilrand.String(6), stop: cancel, pods: map[string]*corev1.Pod{}, final: map[string]*corev1.Pod{}, news: make(chan struct{}), deleted: map[string]bool{}}
	if s.opt.Say == nil {
		s.opt.Say = func(string) {}
	}
	go s.watch(ctx)
	return s
}

// watch keeps the pods' states, and comes back after a cut, as client-go's reflectors do.
func (s *Session) watch(ctx context.Context) {
	selector := LabelRun + "=" + s.run
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			l, err := s.c.list(ctx, s.opt.Namespace, o)
			s.watchFailed(err)
			return l, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector, o.Watch = selector, true
			w, err := s.c.core.Get().Namespace(s.opt.Namespace).Resource("pods").VersionedParams(&o, s.c.params).Watch(ctx)
			s.watchFailed(err)
			return w, err
		},
	}
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{ListerWatcher: lw, ObjectType: &corev1.Pod{}, Handler: cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { s.saw(o, false) },
		UpdateFunc: func(_, o any) { s.saw(o, false) },
		DeleteFunc: func(o any) { s.saw(o, true) },
	}})
	go informer.RunWithContext(ctx)
	cache.WaitForCacheSync(ctx.Done(), informer.HasSynced)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = true
	s.wake()
}

// listening returns when the watch works, so that no change of a pod that is made now is missed.
func (s *Session) listening(ctx context.Context) error {
	late := time.After(patience)
	for {
		s.mu.Lock()
		ready, broken, news := s.ready, s.broken, s.news
		s.mu.Unlock()
		if broken != nil || ready {
			return broken
		}
		select {
		case <-news:
		case <-late:
			return fmt.Errorf("watch pods in namespace %s: the API server did not answer within %v; check --kubeconfig, --context and the network", s.opt.Namespace, patience)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Session) saw(o any, gone bool) {
	if t, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = t.Obj
	}
	p, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods[p.Name], s.broken = p, nil
	if c := containerOf(p); c != nil && c.State.Terminated != nil {
		s.final[p.Name] = p
	}
	if gone {
		s.pods[p.Name] = nil
	}
	s.wake()
}

// watchFailed notes what will not get better by itself; anything else is tried again.
func (s *Session) watchFailed(err error) {
	if err == nil || errors.Is(err, context.Canceled) || apierrors.IsTimeout(err) || apierrors.IsResourceExpired(err) || apierrors.IsInvalid(err) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready && !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err) {
		return // the server was there, and may come back
	}
	s.broken = Explain(err, "list and watch pods", s.opt.Namespace)
	s.wake()
}

func (s *Session) wake() {
	close(s.news)
	s.news = make(chan struct{})
}

// state is what is known of a pod; known is false before it was first seen.
func (s *Session) state(name string) (p *corev1.Pod, known bool, news <-chan struct{}, broken error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, known = s.pods[name]
	return p, known, s.news, s.broken
}

// CheckNode says why a pod would not start on a node, before one is made. A node that may not be read is not in the way.
func (s *Session) CheckNode(ctx context.Context, name string) error {
	n, err := s.c.node(ctx, name)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("there is no node %s; 'kubectl get nodes' lists them", name)
	case err != nil:
		return Explain(err, "get node "+name, "")
	case n == nil:
		return nil
	}
	if why := nodeTrouble(n); why != "" {
		return errors.New(why)
	}
	return nil
}

// Create makes a pod and returns its name. When the run is over meanwhile, the pod is deleted by Close all the same.
func (s *Session) Create(ctx context.Context, spec Spec) (string, error) {
	pod, err := spec.build(s.opt.Namespace, s.run)
	if err != nil {
		return "", err
	}
	if err := s.listening(ctx); err != nil {
		return "", err
	}
	s.mu.Lock()
	s.made = append(s.made, pod.Name)
	s.mu.Unlock()
	if s.opt.Guard != nil && !s.opt.Keep {
		s.opt.Guard(pod.Namespace, pod.Name)
	}
	// The request is not given up in the middle: whether there is a pod is to be known.
	got, err := s.c.create(context.WithoutCancel(ctx), pod)
	if err != nil {
		return "", Explain(err, "create pods", s.opt.Namespace)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.pods[pod.Name]; !known {
		s.pods[pod.Name] = got
	}
	return pod.Name, nil
}

// pollEvents is how often a pod that does not start has its events read.
const pollEvents = 2 * time.Second

// WaitStarted returns when the program runs or has already ended, or says in one sentence why it does not start.
func (s *Session) WaitStarted(ctx context.Context, name, node string, within time.Duration) error {
	late := time.After(within)
	told, why := "", fmt.Sprintf("the kubelet of node %s has not taken it up yet", node)
	began := time.Now()
	var events []corev1.Event
	for {
		p, known, news, broken := s.state(name)
		switch {
		case broken != nil:
			return broken
		case known && p == nil:
			return fmt.Errorf("the pod on node %s was deleted by somebody else before it started: try again", node)
		case known:
			st, reason := look(p, events)
			if st == hopeless {
				if _, better := look(p, s.c.events(ctx, s.opt.Namespace, name)); better != "" {
					reason = better
				}
				return errors.New(reason)
			}
			if st != waiting {
				return nil
			}
			why = reason
		}
		if why != told && time.Since(began) > time.Second {
			s.opt.Say(fmt.Sprintf("%s: waiting for the pod %s: %s", node, name, why))
			told = why
		}
		select {
		case <-news:
		case <-time.After(pollEvents):
			events = s.c.events(ctx, s.opt.Namespace, name)
		case <-late:
			return fmt.Errorf("the pod on node %s did not start within %v: %s; --start-timeout waits longer, 'kubectl describe node %s' may say more", node, within, why, node)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Ended waits for the program's end and returns its exit code. The error says what ended it instead, in one sentence.
func (s *Session) Ended(ctx context.Context, name, node string) (int, error) {
	for {
		p, known, news, broken := s.state(name)
		switch {
		case broken != nil:
			return 0, broken
		case known && s.deletedByUs(name): // the program's end counts, whatever becomes of the pod
			if p == nil {
				p = s.lastOf(name)
			}
			if c := containerOf(p); c != nil && c.State.Terminated != nil {
				return int(c.State.Terminated.ExitCode), nil
			}
			if s.isGone(name) {
				return 0, fmt.Errorf("the pod on node %s was deleted before its program had ended", node)
			}
		case known && p == nil:
			return 0, fmt.Errorf("the pod on node %s was deleted in the middle: try again", node)
		case known:
			switch st, why := look(p, nil); {
			case st == ended:
				return int(containerOf(p).State.Terminated.ExitCode), nil
			case st == hopeless:
				return 0, errors.New(why)
			}
		}
		select {
		case <-news:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// lastOf is a pod as it was when its program had ended; an empty one when that is not known.
func (s *Session) lastOf(name string) *corev1.Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.final[name]; p != nil {
		return p
	}
	return &corev1.Pod{}
}

func (s *Session) isGone(name string) bool {
	p, known, _, _ := s.state(name)
	return known && p == nil
}

func (s *Session) deletedByUs(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deleted[name]
}
