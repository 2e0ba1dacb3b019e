// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// API asks an API server for single objects, and for lists by field, label or namespace, of at most 5000 objects; only All asks for all pods of
// a cluster. Answers are kept, the
// empty ones too. A server that does not answer is asked no more, and a resource that may not be read is not asked for again: what is
// missing is told by Missing.
type API struct {
	c        *client
	patience time.Duration // for one request
	mu       sync.Mutex
	answers  map[query]*answer
	gone     error             // the server does not answer
	refused  map[string]string // resource → what RBAC does not allow
	missing  []string
	told     map[string]bool // what missing had
}

// query is one request.
type query struct {
	group, resource, namespace, name, fields, labels string
}

type answer struct {
	done chan struct{}
	objs Objects
	err  error
}

// errNotThere is the negative answer.
var errNotThere = errors.New("not found")

// Open prepares for asking the API server that a configuration names; nothing is asked yet. The error is ErrNoCluster where nothing names one.
func Open(c Config) (*API, error) {
	cl, err := open(c)
	if err != nil {
		return nil, err
	}
	return newAPI(cl), nil
}

func newAPI(cl *client) *API {
	return &API{c: cl, patience: requestTimeout, answers: map[query]*answer{}, refused: map[string]string{}, told: map[string]bool{}}
}

// Namespace is that of names without one.
func (a *API) Namespace() string { return a.c.namespace }

// Requests is the number of HTTP requests so far.
func (a *API) Requests() int { return int(a.c.requests.Load()) }

// Missing says what could not be asked, one sentence each, each once: what was told is not told again.
func (a *API) Missing() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.missing
	a.missing = nil
	return out
}

// Pod asks for a pod by its name.
func (a *API) Pod(ctx context.Context, namespace, name string) (Objects, bool) {
	return a.ask(ctx, query{resource: "pods", namespace: namespace, name: name})
}

// PodsOn asks for the pods of a node.
func (a *API) PodsOn(ctx context.Context, node string) (Objects, bool) {
	return a.ask(ctx, query{resource: "pods", fields: fields.OneTermEqualSelector("spec.nodeName", node).String()})
}

// PodsAt asks for the pods with an address. The server compares status.podIP, the first address of a dual-stack pod.
func (a *API) PodsAt(ctx context.Context, ip netip.Addr) (Objects, bool) {
	return a.ask(ctx, query{resource: "pods", fields: fields.OneTermEqualSelector("status.podIP", ip.String()).String()})
}

// PodsIn asks for the pods of a namespace: for a Deployment's pods, and for names that are near.
func (a *API) PodsIn(ctx context.Context, namespace string) (Objects, bool) {
	return a.ask(ctx, query{resource: "pods", namespace: namespace})
}

// Service asks for a Service by its name.
func (a *API) Service(ctx context.Context, namespace, name string) (Objects, bool) {
	return a.ask(ctx, query{resource: "services", namespace: namespace, name: name})
}

// ServicesAt asks for the Services with a ClusterIP.
func (a *API) ServicesAt(ctx context.Context, ip netip.Addr) (Objects, bool) {
	return a.ask(ctx, query{resource: "services", fields: fields.OneTermEqualSelector("spec.clusterIP", ip.String()).String()})
}

// ServicesIn asks for the Services of a namespace.
func (a *API) ServicesIn(ctx context.Context, namespace string) (Objects, bool) {
	return a.ask(ctx, query{resource: "services", namespace: namespace})
}

// Slices asks for the EndpointSlices of a Service.
func (a *API) Slices(ctx context.Context, namespace, service string) (Objects, bool) {
	l := labels.Set{discoveryv1.LabelServiceName: service}.String()
	return a.ask(ctx, query{group: discoveryv1.GroupName, resource: "endpointslices", namespace: namespace, labels: l})
}

// Node asks for a node by its name.
func (a *API) Node(ctx context.Context, name string) (Objects, bool) {
	return a.ask(ctx, query{resource: "nodes", name: name})
}

// NamespaceOf asks for a namespace, which has the labels that policies select.
func (a *API) NamespaceOf(ctx context.Context, name string) (Objects, bool) {
	return a.ask(ctx, query{resource: "namespaces", name: name})
}

// Policies asks for the NetworkPolicies of a namespace.
func (a *API) Policies(ctx context.Context, namespace string) (Objects, bool) {
	return a.ask(ctx, query{group: networkingv1.GroupName, resource: "networkpolicies", namespace: namespace})
}

// ask answers from what is known, or asks the server; two askers of the same share one request. ok is false when nothing was found or
// could be asked.
func (a *API) ask(ctx context.Context, q query) (Objects, bool) {
	a.mu.Lock()
	have := a.answers[q]
	if have == nil && a.gone != nil {
		a.mu.Unlock()
		return Objects{}, false
	}
	if have == nil {
		have = &answer{done: make(chan struct{})}
		a.answers[q] = have
		a.mu.Unlock()
		have.objs, have.err = a.get(ctx, q)
		close(have.done)
	} else {
		a.mu.Unlock()
		select {
		case <-have.done:
		case <-ctx.Done():
			return Objects{}, false
		}
	}
	return have.objs, have.err == nil
}

// maxOfOne bounds how many objects one list of a single namespace, node or Service may have.
const maxOfOne = 5000

// get makes the request.
func (a *API) get(ctx context.Context, q query) (Objects, error) {
	if q.name == "" {
		return a.pages(ctx, q, maxOfOne)
	}
	ctx, cancel := context.WithTimeout(ctx, a.patience)
	defer cancel()
	obj := blankFor(q)
	r := a.c.groups[q.group].Get().NamespaceIfScoped(q.namespace, q.namespace != "").Resource(q.resource).MaxRetries(1).Name(q.name)
	if err := r.Do(ctx).Into(obj); err != nil {
		return Objects{}, a.note(ctx, q, err)
	}
	var out Objects
	return out, a.odd(q, out.Add(obj))
}

// odd tells of an object that cannot be used.
func (a *API) odd(q query, err error) error {
	if err != nil {
		a.say(fmt.Sprintf("an object of the API server's %s is passed over: %s", q.resource, oneLine(err)))
	}
	return err
}

func (a *API) say(s string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.told[s] || len(a.told) >= 20 {
		return
	}
	a.told[s] = true
	a.missing = append(a.missing, s)
}

// note turns a failed request into what the user is told, and decides whether the server is asked again.
func (a *API) note(ctx context.Context, q query, err error) error {
	status := apierrors.APIStatus(nil)
	switch {
	case apierrors.IsNotFound(err):
		return errNotThere
	case apierrors.IsUnauthorized(err):
		a.giveUp(fmt.Sprintf("the API server %s does not accept the credentials (401): log in again, or use another --context; names that it would give are missing", a.c.host))
	case apierrors.IsForbidden(err):
		a.mu.Lock()
		a.refused[q.resource] = q.forbidden()
		a.mu.Unlock()
		a.say(q.forbidden())
	case errors.Is(err, errTooLarge) || strings.Contains(err.Error(), errTooLarge.Error()):
		a.say(fmt.Sprintf("the API server's %s are passed over: %v", q.resource, errTooLarge))
	case errors.As(err, &status):
		a.say(fmt.Sprintf("the API server did not give %s: %s", q.resource, oneLine(err)))
	case errors.Is(err, context.Canceled):
	default: // no answer of an API server
		why := oneLine(err)
		if ctx.Err() != nil {
			why = fmt.Sprintf("no answer within %v", a.patience)
		}
		a.giveUp(fmt.Sprintf("the API server %s cannot be asked: %s; names that it would give are missing", a.c.host, why))
	}
	return err
}

func (a *API) giveUp(why string) {
	a.mu.Lock()
	again := a.gone != nil
	a.gone = errors.New(why)
	a.mu.Unlock()
	if !again {
		a.say(why)
	}
}

// Unasked says why a name may be unknown although it exists: the server does not answer, or what the name needs may not be read. nil when
// the server was asked and answered.
func (a *API) Unasked(n Name) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gone != nil {
		return a.gone
	}
	needs := map[string][]string{"svc": {"services"}, "node": {"nodes"}, "any": {"pods", "services"}}[n.Kind]
	if needs == nil {
		needs = []string{"pods"}
	}
	for _, r := range needs {
		if why := a.refused[r]; why != "" {
			return errors.New(why)
		}
	}
	return nil
}

// forbidden names the permission that is missing.
func (q query) forbidden() string {
	verb := "list"
	if q.name != "" {
		verb = "get"
	}
	resource := q.resource
	if q.group != "" {
		resource += "." + q.group
	}
	return fmt.Sprintf("RBAC does not allow to %s %s %s: names from them are missing", verb, resource, q.where())
}

// where is what was asked, in words.
func (q query) where() string {
	switch {
	case q.resource == "nodes" || q.resource == "namespaces":
		return "cluster-wide"
	case q.namespace != "":
		return "in namespace " + q.namespace
	}
	return "in all namespaces"
}

// blankFor is what an answer is decoded into.
func blankFor(q query) runtime.Object {
	one, many := map[string]func() runtime.Object{
		"pods": func() runtime.Object { return &corev1.Pod{} }, "services": func() runtime.Object { return &corev1.Service{} }, "nodes": func() runtime.Object { return &corev1.Node{} },
		"namespaces": func() runtime.Object { return &corev1.Namespace{} },
	}, map[string]func() runtime.Object{
		"pods": func() runtime.Object { return &corev1.PodList{} }, "services": func() runtime.Object { return &corev1.ServiceList{} },
		"nodes":          func() runtime.Object { return &corev1.NodeList{} },
		"endpointslices": func() runtime.Object { return &discoveryv1.EndpointSliceList{} }, "networkpolicies": func() runtime.Object { return &networkingv1.NetworkPolicyList{} },
	}
	if q.name != "" {
		return one[q.resource]()
	}
	return many[q.resource]()
}
