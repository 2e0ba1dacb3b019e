// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// maxDstNodes bounds on how many nodes of a Service's endpoints a flow is watched, and maxNodes on how many a command runs.
const (
	maxDstNodes = 4
	maxNodes    = 50
)

// nodePlan says on which nodes a command runs, and what it is told of the cluster.
type nodePlan struct {
	nodes   []string // the first one leads: a probe is sent from it, and its end is that of the run
	senders []string // nodes that have the flow's sender, as far as that is known: nobody has translated what is sent there
	args    []string // the ends of the flow, as each of the nodes is told them
	objects k8smeta.Objects
}

// planFlow finds the nodes of a flow's ends.
func (n *names) planFlow(ctx context.Context, src, dst, proto string, forced []string, say func(string)) (*nodePlan, error) {
	n.ask(ctx, src, dst, nil)
	l := &lookup{snapshot: &netstate.Snapshot{}, names: n, proto: proto}
	if len(forced) > 0 {
		l.node = forced[0]
	}
	srcNodes, from, err := l.nodesOfEnd(src, true)
	if err != nil {
		return nil, err
	}
	dstNodes, to, err := l.nodesOfEnd(dst, false)
	if err != nil {
		return nil, err
	}
	p := &nodePlan{nodes: forced, senders: srcNodes, args: []string{from, to}}
	for i, text := range []string{src, dst} {
		if p.args[i] != text {
			say(fmt.Sprintf("of the pods of %s, %s is followed", text, p.args[i]))
		}
	}
	if src == "host" || hasOwnForm(src) || strings.HasPrefix(src, "host:") {
		if len(forced) == 0 {
			return nil, fmt.Errorf("on which node is %s? use --node NAME", src)
		}
		p.senders = forced[:1]
	}
	if len(forced) == 0 {
		p.nodes = slices.Clone(srcNodes)
		left := 0
		for _, d := range dstNodes {
			switch {
			case slices.Contains(p.nodes, d):
			case len(p.nodes) >= maxDstNodes+len(srcNodes):
				left++
			default:
				p.nodes = append(p.nodes, d)
			}
		}
		if left > 0 {
			say(fmt.Sprintf("%s has endpoints on %d nodes; the flow is watched on %s, and not on %d others: --node chooses", dst, len(dstNodes), strings.Join(p.nodes, ", "), left))
		}
	} else if i := indexOfAny(forced, srcNodes); i > 0 { // the sender's node leads
		p.nodes = append([]string{forced[i]}, slices.Delete(slices.Clone(forced), i, i+1)...)
	}
	if len(p.nodes) == 0 {
		return nil, fmt.Errorf("on which node? neither %s nor %s is known to be on one: use --node NAME", src, dst)
	}
	p.objects = n.objects.Merge(n.about(ctx, p.nodes))
	return p, nil
}

// role is that of one of the nodes; together says that they tell one story, which one of them leads.
func (p *nodePlan) role(node string, together bool) podRole {
	return podRole{leads: !together || node == p.nodes[0], sends: slices.Contains(p.senders, node)}
}

func indexOfAny(list, want []string) int {
	return slices.IndexFunc(list, func(x string) bool { return slices.Contains(want, x) })
}

// nodesOfEnd are the nodes of one end of a flow: that of a pod, those of a Service's endpoints. None for what is on no node. as is how the nodes
// are told of the end: each of them would prefer a pod of its own where the name is that of a controller.
func (l *lookup) nodesOfEnd(text string, source bool) (nodes []string, as string, err error) {
	if text == "any" || text == "host" || strings.HasPrefix(text, "host:") || hasOwnForm(text) {
		return nil, text, nil // of the node that is named with --node
	}
	a, err := netip.ParseAddr(text)
	port := uint16(0)
	if ap, e := netip.ParseAddrPort(text); e == nil {
		a, port, err = ap.Addr(), ap.Port(), nil
	}
	if err == nil {
		return l.names.nodesOfAddr(a.Unmap(), port), text, nil
	}
	name, ok, err := k8smeta.ParseName(text, l.names.namespace)
	if err != nil || !ok { // a DNS name of the world, or what the pod will say is none
		return nil, text, err
	}
	e, err := l.named(name, source)
	switch {
	case err != nil:
		return nil, "", err
	case e.node == "":
		return nodesOfEndpoints(e.endpoints), text, nil
	case name.OfController():
		as = fmt.Sprintf("pod/%s/%s", e.ref.Namespace, e.ref.Name)
		if name.Port != "" {
			as += ":" + name.Port
		}
		return []string{e.node}, as, nil
	}
	return []string{e.node}, text, nil
}

// nodesOfEndpoints are the nodes of ready endpoints, or of all when none is ready.
func nodesOfEndpoints(all []verdict.Endpoint) []string {
	var ready, others []string
	for _, b := range all {
		list := &others
		if b.Ready {
			list = &ready
		}
		if b.Node != "" && !slices.Contains(*list, b.Node) {
			*list = append(*list, b.Node)
		}
	}
	if len(ready) > 0 {
		return ready
	}
	return others
}

func (n *names) nodesOfAddr(a netip.Addr, port uint16) []string {
	if n.index == nil {
		return nil
	}
	for _, proto := range []string{"tcp", "udp", "sctp"} {
		if s, p := n.index.ServicePort(proto, a, port); s != nil {
			return nodesOfEndpoints(toEndpoints(n.index.Backends(s, p)))
		}
	}
	h := n.index.Addr(a)
	switch {
	case h.Pod != nil && h.Pod.Node != "":
		return []string{h.Pod.Node}
	case h.Node != nil:
		return []string{h.Node.Name}
	}
	return nil
}

// about is what a node's pod needs to know of the node: its pods, and the node itself.
func (n *names) about(ctx context.Context, nodes []string) k8smeta.Objects {
	var out k8smeta.Objects
	for _, node := range nodes {
		o, _ := n.api.PodsOn(ctx, node)
		x, _ := n.api.Node(ctx, node)
		out = out.Merge(o).Merge(x)
	}
	return out
}

// dns is the cluster's DNS, which is looked at whoever the ends are.
func (n *names) dns(ctx context.Context) k8smeta.Objects {
	o, ok := n.api.Service(ctx, "kube-system", "kube-dns")
	if !ok { // where it has another name, the checks say that they do not know it
		return o
	}
	ends, _ := n.api.Slices(ctx, "kube-system", "kube-dns")
	return o.Merge(ends)
}

// planNodes takes the nodes that were named, or all that are ready. What is told of the cluster has the pods of these nodes, and those that the
// command is about, also where a list of all pods does not come so far: it is read in the order of names.
func (n *names) planNodes(ctx context.Context, o *podOptions, objects bool, subject string, say func(string)) (*nodePlan, error) {
	p := &nodePlan{nodes: o.nodes}
	if objects || o.all {
		p.objects = n.api.All(ctx)
	}
	cut := len(p.objects.Pods) >= k8smeta.MaxAll
	if o.all {
		if err := p.takeReady(n, say); err != nil {
			return nil, err
		}
	}
	if objects && (cut || !o.all) { // all nodes' pods are in a whole list
		p.objects = p.objects.Merge(n.about(ctx, p.nodes))
	}
	if objects {
		p.objects = p.objects.Merge(n.podsOf(ctx, subject))
	}
	return p, nil
}

// podsOf are the pods that "NAMESPACE/NAME" or "NAMESPACE/" is about. A name in any namespace cannot be asked for.
func (n *names) podsOf(ctx context.Context, subject string) (out k8smeta.Objects) {
	switch ns, name, _ := strings.Cut(subject, "/"); {
	case ns == "":
	case name == "":
		out, _ = n.api.PodsIn(ctx, ns)
	default:
		out, _ = n.api.Pod(ctx, ns, name)
	}
	return out
}

// takeReady takes all nodes that are ready.
func (p *nodePlan) takeReady(n *names, say func(string)) error {
	for i := range p.objects.Nodes {
		if x := &p.objects.Nodes[i]; x.Ready {
			p.nodes = append(p.nodes, x.Name)
		} else {
			say(fmt.Sprintf("node %s is not ready and is left out", x.Name))
		}
	}
	switch {
	case len(p.nodes) == 0:
		for _, m := range n.api.Missing() {
			say(m)
		}
		return errors.New("no node is ready, or nodes may not be listed: use --node NAME")
	case len(p.nodes) > maxNodes:
		return fmt.Errorf("%d nodes are more than the %d that one run takes: name them with --node", len(p.nodes), maxNodes)
	}
	return nil
}
