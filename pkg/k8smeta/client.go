// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// requestTimeout is how long one request may take: a trace at night does not wait for a dead API server.
const requestTimeout = 3 * time.Second

// maxAnswer bounds one answer of an API server. An object in etcd is at most 1.5 MiB by default, a page of 500 pods about 10.
const maxAnswer = 64 << 20

// Config says how an API server is reached, as kubectl does.
type Config struct {
	Kubeconfig string // a file; "" for $KUBECONFIG, ~/.kube/config, and then the pod's service account
	Context    string // "" for the current one
	Namespace  string // "" for the context's
}

// ErrNoCluster is returned where nothing says how to reach an API server.
var ErrNoCluster = errors.New("no kubeconfig was found and this is no pod with a service account")

// client has a REST client for each API group. The generated clientset registers every API group of Kubernetes as the program starts,
// which costs a command that never asks a server 20 ms.
type client struct {
	groups    map[string]*rest.RESTClient // by group, "" for core
	host      string
	namespace string
	requests  atomic.Int64
}

var groupVersions = []schema.GroupVersion{corev1.SchemeGroupVersion, discoveryv1.SchemeGroupVersion, networkingv1.SchemeGroupVersion}

// codecs are the serialisers of the kinds that a trace needs.
func codecs() (serializer.CodecFactory, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, discoveryv1.AddToScheme, networkingv1.AddToScheme} {
		if err := add(s); err != nil {
			return serializer.CodecFactory{}, fmt.Errorf("register API types: %w", err)
		}
	}
	metav1.AddToGroupVersion(s, schema.GroupVersion{Version: "v1"})
	return serializer.NewCodecFactory(s), nil
}

// quiet is for klog, whose logger is the process's.
var quiet sync.Once

// open reads the configuration; it does not yet talk to the server. The error is ErrNoCluster, or says what is wrong with the configuration.
func open(c Config) (*client, error) {
	Quiet()
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.Kubeconfig
	over := &clientcmd.ConfigOverrides{CurrentContext: c.Context}
	over.Context.Namespace = c.Namespace
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, over)
	cfg, err := loader.ClientConfig()
	if err != nil {
		if clientcmd.IsEmptyConfig(err) && c.Kubeconfig == "" && c.Context == "" {
			return nil, ErrNoCluster
		}
		return nil, fmt.Errorf("read the kubeconfig: %s", oneLine(err))
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %s", oneLine(err))
	}
	return connect(cfg, namespace)
}

// Connect prepares for asking the API server of a configuration that the caller has read; patience is how long one request may take, 0 for
// the 3 s of a trace that should not wait for names. namespace is that of names without one.
func Connect(cfg *rest.Config, namespace string, patience time.Duration) (*API, error) {
	cl, err := connect(cfg, namespace)
	if err != nil {
		return nil, err
	}
	a := newAPI(cl)
	if patience > 0 {
		a.patience = patience
	}
	return a, nil
}

// Quiet keeps client-go from writing to stderr by itself: what matters is told in sentences of our own.
func Quiet() { quiet.Do(func() { klog.SetLogger(logr.Discard()) }) }

func connect(cfg *rest.Config, namespace string) (*client, error) {
	cs, err := codecs()
	if err != nil {
		return nil, err
	}
	out := &client{groups: map[string]*rest.RESTClient{}, host: cfg.Host, namespace: namespace}
	cfg = rest.CopyConfig(cfg)
	cfg.UserAgent, cfg.QPS = "nettrace", -1
	cfg.WarningHandler = rest.NoWarnings{}
	cfg.NegotiatedSerializer = cs.WithoutConversion()
	cfg.ContentType = runtime.ContentTypeProtobuf
	cfg.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return &counted{next, &out.requests} })
	hc, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("use the kubeconfig: %s", oneLine(err))
	}
	for _, gv := range groupVersions {
		one := rest.CopyConfig(cfg)
		one.GroupVersion, one.APIPath = &gv, "/apis"
		if gv.Group == "" {
			one.APIPath = "/api"
		}
		rc, err := rest.RESTClientForConfigAndClient(one, hc)
		if err != nil {
			return nil, fmt.Errorf("use the kubeconfig: %s", oneLine(err))
		}
		out.groups[gv.Group] = rc
	}
	return out, nil
}

// counted counts requests, and bounds what is read of an answer. Watches are answers without an end; they are not bounded.
type counted struct {
	next http.RoundTripper
	n    *atomic.Int64
}

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	resp, err := c.next.RoundTrip(r)
	if err == nil && r.URL.Query().Get("watch") == "" {
		resp.Body = &limitedBody{resp.Body, maxAnswer}
	}
	return resp, err
}

var errTooLarge = fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)

type limitedBody struct {
	io.ReadCloser
	left int64
}

func (l *limitedBody) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errTooLarge
	}
	n, err := l.ReadCloser.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}

// oneLine makes a sentence of an error that has several lines.
func oneLine(err error) string {
	s := strings.Join(strings.Fields(err.Error()), " ")
	if len(s) > 500 {
		s = s[:500] + "..."
	}
	return s
}

// NodeName is the name under which Kubernetes may know this node: $NODE_NAME, which a debug pod is given, else the host's name, which
// kubelet takes in lower case unless it is told another.
func NodeName() string {
	if n := os.Getenv("NODE_NAME"); n != "" {
		return n
	}
	h, _ := os.Hostname()
	return lower(h)
}
