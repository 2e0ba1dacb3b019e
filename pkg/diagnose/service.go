// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
)

func init() {
	register(check{name: "endpoints", layer: Service, run: endpoints, silences: []string{"service-rules", "traffic-policy"}})
	register(check{name: "target-name", layer: Service, run: targetName})
	register(check{name: "traffic-policy", layer: Service, run: trafficPolicy, silences: []string{"service-rules"}})
}

const noService = "the destination is no Service"

// service is the flow's Service in words, "shop/web"; where it is not known, "(unnamed)".
func (w *way) service() string {
	if w.svc == nil {
		return "(unnamed)"
	}
	return w.svc.Namespace + "/" + w.svc.Name
}

// needService is the answer of the checks that need one, when there is none.
func (in *Input) needService() (Result, bool) {
	switch {
	case in.path().svc != nil:
		return Result{}, false
	case in.Index == nil:
		return unknown("whether the destination is a Service is not known: " + in.NoIndex), true
	}
	return notForThis(noService), true
}

// endpoints: the Service has an endpoint that is ready.
func endpoints(in *Input) Result {
	if r, none := in.needService(); none {
		return r
	}
	w := in.path()
	ready := 0
	for _, b := range w.backends {
		if b.Ready {
			ready++
		}
	}
	switch {
	case w.backends == nil:
		return unknown("no EndpointSlice of Service " + w.service() + " is known")
	case ready > 0:
		return Result{Status: OK, Summary: fmt.Sprintf("Service %s has %d ready of %d endpoints", w.service(), ready, len(w.backends))}
	case len(w.last) > 0:
		return Result{Status: OK, Summary: fmt.Sprintf("Service %s has 0 ready of %d endpoints; kube-proxy uses those that terminate and still serve: %d", w.service(), len(w.backends), len(w.last))}
	}
	r := Result{Status: Wrong, Cause: "no-endpoints", Stops: true, Summary: fmt.Sprintf("Service %s has no ready endpoints", w.service()),
		Evidence: []string{fmt.Sprintf("the API has %d endpoints for port %s, and none is ready", len(w.backends), w.port.Label())},
		Fix: []string{fmt.Sprintf("kubectl get endpointslices -n %s -l kubernetes.io/service-name=%s -o wide", w.svc.Namespace, w.svc.Name),
			fmt.Sprintf("kubectl describe service -n %s %s, then compare its selector and targetPort with the pods' labels, readiness and port names", w.svc.Namespace, w.svc.Name)}}
	if pods := in.selected(w.svc); pods != nil {
		r.Evidence = append(r.Evidence, fmt.Sprintf("its selector finds %d pods that are known", len(pods)))
	}
	if in.forDNS() {
		r.Layer, r.Cause = DNS, "dns-no-endpoints"
		r.Summary = "names cannot be resolved: " + r.Summary
		r.Fix = append(r.Fix, "are the CoreDNS pods running and ready? kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide")
	}
	return r
}

// selected are the known living pods of a Service's selector; nil when it has none.
func (in *Input) selected(s *k8smeta.Service) []*k8smeta.Pod {
	if len(s.Selector) == 0 {
		return nil
	}
	out := []*k8smeta.Pod{}
	pods := in.Index.Objects().Pods
next:
	for i := range pods {
		if pods[i].Namespace != s.Namespace || pods[i].Over() {
			continue
		}
		for k, v := range s.Selector {
			if pods[i].Labels[k] != v {
				continue next
			}
		}
		out = append(out, &pods[i])
	}
	return out
}

// targetName: a targetPort that is a name is the name of a port in the pods; one that no pod has leaves the Service without endpoints.
func targetName(in *Input) Result {
	if r, none := in.needService(); none {
		return r
	}
	w := in.path()
	if _, err := strconv.Atoi(w.port.Target); err == nil || w.port.Target == "" {
		return notForThis("targetPort is a number")
	}
	for _, b := range w.backends {
		if b.Ready || slices.Contains(w.last, b.Addr) { // the name was found, or there would be none
			return Result{Status: OK, Summary: fmt.Sprintf("targetPort %q is port %d of the endpoints", w.port.Target, b.Addr.Port())}
		}
	}
	pods := in.selected(w.svc)
	if len(pods) == 0 {
		return unknown(fmt.Sprintf("no pod that Service %s selects is known", w.service()))
	}
	for _, p := range pods {
		if slices.ContainsFunc(p.Ports, func(c k8smeta.PodPort) bool { return c.Name == w.port.Target && c.Proto == w.port.Proto }) {
			return Result{Status: OK, Summary: fmt.Sprintf("targetPort %q is a port of %s/%s", w.port.Target, p.Namespace, p.Name)}
		}
	}
	return Result{Status: Wrong, Cause: "no-endpoints", Stops: true, Summary: fmt.Sprintf("targetPort %q of Service %s is the name of no port of the pods that it selects", w.port.Target, w.service()),
		Evidence: []string{fmt.Sprintf("the API has %d pods with the Service's selector, and none declares a %s port with this name", len(pods), w.port.Proto)},
		Fix:      []string{fmt.Sprintf("kubectl get service -n %s %s -o yaml: targetPort is a number, or the name of a containerPort", w.svc.Namespace, w.svc.Name)}}
}

// trafficPolicy: with a Local policy only endpoints of the node that the packet enters count.
func trafficPolicy(in *Input) Result {
	if r, none := in.needService(); none {
		return r
	}
	w := in.path()
	name, local := "internalTrafficPolicy", w.svc.InternalPolicy == "Local"
	if !slices.Contains(w.svc.ClusterIPs, in.Dst) {
		name, local = "externalTrafficPolicy", w.svc.ExternalPolicy == "Local"
	}
	switch {
	case !local:
		return Result{Status: OK, Summary: "every ready endpoint may be used"}
	case w.entry == nil:
		return unknown("which node the flow enters is not known")
	}
	here := w.entry.Node
	if n := in.kubeNode(here); n != nil {
		here = n.Name
	}
	for _, b := range w.backends {
		switch {
		case b.Node != here:
		case b.Ready:
			return Result{Status: OK, Summary: fmt.Sprintf("%s is Local, and %s has a ready endpoint", name, b.Node)}
		case slices.Contains(w.last, b.Addr):
			return Result{Status: OK, Summary: fmt.Sprintf("%s is Local, and %s has an endpoint that terminates and still serves", name, b.Node)}
		}
	}
	// kube-proxy binds the cluster's own pods and nodes to no external policy: its rules know whom they let pass
	if name == "externalTrafficPolicy" && slices.ContainsFunc(in.walkRules().entry, in.backend) {
		return Result{Status: OK, Summary: fmt.Sprintf("%s is Local, and the rules of %s send this sender to endpoints of other nodes too", name, w.entry.Node)}
	}
	return Result{Status: Wrong, Cause: "no-local-endpoints", Node: w.entry.Node, Stops: true, Summary: fmt.Sprintf("Service %s has no ready endpoint on %s and its %s is Local", w.service(), w.entry.Node, name),
		Evidence: []string{"the API has no ready endpoint with nodeName " + here},
		Fix:      []string{"send only to nodes that have an endpoint (the load balancer's health check does), or set the traffic policy to Cluster"}}
}
