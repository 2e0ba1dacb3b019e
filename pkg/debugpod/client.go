// SPDX-License-Identifier: Apache-2.0

package debugpod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// patience is how long one request may take that is no stream.
const patience = 20 * time.Second

// Cluster asks an API server for what pods need. It has a REST client for the core group alone: the generated clientset registers every API
// group of Kubernetes as the program starts, which every command would pay for.
type Cluster struct {
	core   *rest.RESTClient
	cfg    *rest.Config
	params runtime.ParameterCodec
}

// Connect prepares for asking; nothing is asked yet.
func Connect(cfg *rest.Config) (*Cluster, error) {
	s := runtime.NewScheme()
	if err := corev1.AddToScheme(s); err != nil {
		return nil, fmt.Errorf("register API types: %w", err)
	}
	metav1.AddToGroupVersion(s, corev1.SchemeGroupVersion)
	c := &Cluster{cfg: rest.CopyConfig(cfg), params: runtime.NewParameterCodec(s)}
	c.cfg.UserAgent, c.cfg.QPS = "kubectl-nettrace", -1
	c.cfg.WarningHandler = rest.NoWarnings{} // Pod Security's warnings: what is refused is an error
	c.cfg.NegotiatedSerializer = serializer.NewCodecFactory(s).WithoutConversion()
	c.cfg.GroupVersion, c.cfg.APIPath = &schema.GroupVersion{Version: "v1"}, "/api"
	var err error
	if c.core, err = rest.RESTClientFor(c.cfg); err != nil {
		return nil, fmt.Errorf("use the kubeconfig: %s", oneLine(err))
	}
	return c, nil
}

func (c *Cluster) create(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out := &corev1.Pod{}
	return out, c.core.Post().Namespace(pod.Namespace).Resource("pods").VersionedParams(&metav1.CreateOptions{}, c.params).Body(pod).Do(ctx).Into(out)
}

// remove deletes a pod; one that is not there is no error.
func (c *Cluster) remove(ctx context.Context, namespace, name string, grace int64) error {
	err := c.core.Delete().Namespace(namespace).Resource("pods").Name(name).Body(&metav1.DeleteOptions{GracePeriodSeconds: &grace}).Do(ctx).Error()
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// list gives a page of the pods with labels in a namespace, "" for all.
func (c *Cluster) list(ctx context.Context, namespace string, o metav1.ListOptions) (*corev1.PodList, error) {
	out := &corev1.PodList{}
	return out, c.core.Get().NamespaceIfScoped(namespace, namespace != "").Resource("pods").VersionedParams(&o, c.params).Do(ctx).Into(out)
}

// node asks for a node; nil without an error when it may not be read.
func (c *Cluster) node(ctx context.Context, name string) (*corev1.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out := &corev1.Node{}
	err := c.core.Get().Resource("nodes").Name(name).Do(ctx).Into(out)
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		return nil, nil
	}
	return out, err
}

// events are those about a pod; none when they may not be read.
func (c *Cluster) events(ctx context.Context, namespace, pod string) []corev1.Event {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	out := &corev1.EventList{}
	o := metav1.ListOptions{FieldSelector: "involvedObject.name=" + pod, Limit: 100}
	if c.core.Get().Namespace(namespace).Resource("events").VersionedParams(&o, c.params).Do(ctx).Into(out) != nil {
		return nil
	}
	return out.Items
}

// log opens a container's log from its beginning; follow keeps it open until the container ends.
func (c *Cluster) log(ctx context.Context, namespace, pod string, follow bool) (io.ReadCloser, error) {
	o := &corev1.PodLogOptions{Container: containerName, Follow: follow}
	return c.core.Get().Namespace(namespace).Resource("pods").Name(pod).SubResource("log").VersionedParams(o, c.params).Stream(ctx)
}

// Explain turns a refusal of the API server into one sentence that says what to do; doing is what was tried, as in "create pods".
func Explain(err error, doing, namespace string) error {
	text := oneLine(err)
	where := "in namespace " + namespace
	if namespace == "" {
		where = "in all namespaces"
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return err
	case strings.Contains(text, "violates PodSecurity"):
		return fmt.Errorf("namespace %s does not admit the debug pod: it %s; use --pod-namespace with one that admits privileged pods ('kubectl label namespace NAME pod-security.kubernetes.io/enforce=privileged' makes one)", namespace, cut(text, "violates PodSecurity"))
	case strings.Contains(text, "exceeded quota"), strings.Contains(text, "failed quota"):
		return fmt.Errorf("a quota of namespace %s does not leave room for the debug pod: %s; use --pod-namespace with another one", namespace, cut(text, "exceeded quota", "failed quota"))
	case strings.Contains(text, "admission webhook"):
		return fmt.Errorf("the cluster's policy does not admit the debug pod: %s; ask who runs the policy, or use --pod-namespace with a namespace that it leaves out", cut(text, "admission webhook"))
	case apierrors.IsForbidden(err) && strings.Contains(text, "cannot "):
		return fmt.Errorf("RBAC does not allow you to %s %s: ask for that right, or use another --context or --pod-namespace (%s)", doing, where, cut(text, "User "))
	case apierrors.IsForbidden(err):
		return fmt.Errorf("the API server refuses to %s %s: %s; ask who runs the cluster", doing, where, text)
	case apierrors.IsUnauthorized(err):
		return errors.New("the API server does not accept the credentials (401): log in again, or use another --context")
	case apierrors.IsNotFound(err) && strings.Contains(text, "namespaces"):
		return fmt.Errorf("there is no namespace %s: use --pod-namespace or -n with one that exists", namespace)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s %s: the API server did not answer within %v; try again, or look at its health", doing, where, patience)
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return fmt.Errorf("%s %s: %s; 'kubectl describe namespace %s' may say more", doing, where, text, namespace)
	}
	return fmt.Errorf("%s %s: the API server cannot be asked: %s; check --kubeconfig, --context and the network", doing, where, text)
}

// cut is a text from the first of some words on.
func cut(text string, words ...string) string {
	for _, w := range words {
		if i := strings.Index(text, w); i >= 0 {
			return text[i:]
		}
	}
	return text
}

// oneLine makes a sentence of an error that has several lines.
func oneLine(err error) string {
	if err == nil {
		return ""
	}
	return shorten(err.Error())
}

func shorten(text string) string {
	s := strings.Join(strings.Fields(text), " ")
	if len(s) > 500 {
		s = s[:500] + "..."
	}
	return strings.TrimRight(s, ".")
}
