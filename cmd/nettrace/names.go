// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
)

// nameOptions say where Kubernetes names come from.
type nameOptions struct {
	cluster    string // file
	kubeconfig string
	context    string
	namespace  string
	none       bool
	objects    *k8smeta.Objects // of the lab, which knows its own
	stdin      func() io.Reader // for --cluster -
}

func (o *nameOptions) flags(c *cobra.Command) {
	c.Flags().StringVarP(&o.namespace, "namespace", "n", "", "namespace of names without one (default that of the context)")
	o.sourceFlags(c)
}

// sourceFlags are those that say whom or what to ask.
func (o *nameOptions) sourceFlags(c *cobra.Command) {
	o.stdin = c.InOrStdin
	f := c.Flags()
	f.StringVar(&o.cluster, "cluster", "", "Kubernetes objects from a file ('-': stdin) instead of an API server: a YAML or JSON List as kubectl prints it")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file (default $KUBECONFIG, ~/.kube/config, or the pod's service account)")
	f.StringVar(&o.context, "context", "", "context of the kubeconfig")
	f.BoolVar(&o.none, "no-kubernetes", false, "ask no API server: addresses stay addresses")
}

// check finds flags that exclude one another.
func (o *nameOptions) check() error {
	switch {
	case o.cluster != "" && (o.kubeconfig != "" || o.context != ""):
		return errors.New("--cluster takes names from a file instead of an API server: leave --kubeconfig and --context out")
	case o.none && (o.cluster != "" || o.kubeconfig != "" || o.context != ""):
		return errors.New("--no-kubernetes excludes --cluster, --kubeconfig and --context")
	}
	return nil
}

// names are what is known of the cluster. A nil API means that there is nobody to ask; a nil index, that nothing is known.
type names struct {
	api       *k8smeta.API
	why       error // why there is no API, when one was looked for
	namespace string
	objects   k8smeta.Objects
	index     *k8smeta.Index
	now       time.Time
}

// open reads the file, or prepares for an API server. A kubeconfig that cannot be used is no error here: addresses can be traced without it.
func (o *nameOptions) open(warn func(string)) (*names, error) {
	n := &names{namespace: o.namespace, now: time.Now()}
	switch {
	case o.none:
		n.why = errors.New("--no-kubernetes was given")
		return n, nil
	case o.objects != nil:
		n.set(*o.objects)
		return n, nil
	case o.cluster != "":
		objs, err := o.read()
		if err != nil {
			return nil, err
		}
		n.set(*objs)
		return n, nil
	}
	n.api, n.why = k8smeta.Open(k8smeta.Config{Kubeconfig: o.kubeconfig, Context: o.context, Namespace: o.namespace})
	if n.api != nil {
		n.namespace = n.api.Namespace()
	} else if !errors.Is(n.why, k8smeta.ErrNoCluster) {
		warn(n.why.Error() + "; names are missing")
	}
	return n, nil
}

// read reads the objects of --cluster.
func (o *nameOptions) read() (*k8smeta.Objects, error) {
	if o.cluster != "-" {
		return k8smeta.ReadFile(o.cluster)
	}
	objs, err := k8smeta.Read(o.stdin())
	if err != nil {
		return nil, fmt.Errorf("the objects on stdin: %w", err)
	}
	return objs, nil
}

func (n *names) set(o k8smeta.Objects) {
	n.objects = o
	n.index = k8smeta.NewIndex(&n.objects, n.now)
}

// missing tells what could not be asked, each thing once.
func (n *names) missing(warn func(string)) {
	if n.api == nil {
		return
	}
	for _, m := range n.api.Missing() {
		warn(m)
	}
}

// ask gets what the ends of a flow need from the API server.
func (n *names) ask(ctx context.Context, srcText, dstText string, nodes []string) {
	if n.api == nil {
		return
	}
	q := k8smeta.Question{Nodes: nodes}
	for i, text := range []string{srcText, dstText} {
		if p, err := netip.ParseAddrPort(text); err == nil {
			q.Addrs = append(q.Addrs, p.Addr().Unmap())
			continue
		}
		if a, err := netip.ParseAddr(text); err == nil {
			q.Addrs = append(q.Addrs, a.Unmap())
			continue
		}
		name, ok, err := k8smeta.ParseName(text, n.namespace)
		if !ok || err != nil || hasOwnForm(text) {
			continue
		}
		if i == 0 {
			q.Src = &name
		} else {
			q.Dst = &name
		}
	}
	n.set(k8smeta.Gather(ctx, n.api, q))
}

// clusterNote is the part of a recording that has the names.
type clusterNote struct {
	Now     time.Time       `json:"now"`
	Objects k8smeta.Objects `json:"objects"`
}

// relevant is what a recording needs of the objects: of a big file, only what has to do with the flow's ends and this machine.
func (n *names) relevant(addrs map[netip.Addr]bool, ends ...k8smeta.Ref) clusterNote {
	const small = 2000 // objects that are kept without asking
	o := n.objects
	if len(o.Pods)+len(o.Services)+len(o.Slices) <= small {
		return clusterNote{n.now, o}
	}
	out := k8smeta.Objects{Nodes: o.Nodes, Namespaces: o.Namespaces, PoliciesUnread: o.PoliciesUnread}
	spaces := map[string]bool{}
	for _, e := range ends {
		spaces[e.Namespace] = true
	}
	for i := range o.Pods {
		p := &o.Pods[i]
		keep := spaces[p.Namespace]
		for _, a := range p.IPs {
			keep = keep || addrs[a]
		}
		if keep {
			out.Pods = append(out.Pods, *p)
		}
	}
	out.Services = o.Services // rules of any of them may decide
	for i := range o.Slices {
		if spaces[o.Slices[i].Namespace] {
			out.Slices = append(out.Slices, o.Slices[i])
		}
	}
	for i := range o.Policies {
		if spaces[o.Policies[i].Namespace] {
			out.Policies = append(out.Policies, o.Policies[i])
		}
	}
	return clusterNote{n.now, out}
}

// lookup asks for addresses that the trace came across; nil when there is nobody to ask.
func (n *names) lookup() func(context.Context, []netip.Addr) clusterNote {
	if n.api == nil {
		return nil
	}
	return func(ctx context.Context, ips []netip.Addr) clusterNote {
		return clusterNote{time.Now(), k8smeta.GatherAddrs(ctx, n.api, ips)}
	}
}
