// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// List is the objects as Read reads them again: a Kubernetes List in JSON, on one line with '\n' at its end. It holds what a trace needs and
// no more: no environment variables, annotations or images of pods.
func (o *Objects) List() ([]byte, error) {
	l := struct {
		APIVersion string           `json:"apiVersion"`
		Kind       string           `json:"kind"`
		Items      []runtime.Object `json:"items"`
		Unread     []string         `json:"policiesUnread,omitempty"` // ours: no Kubernetes object says that something is not known
	}{"v1", "List", []runtime.Object{}, o.PoliciesUnread}
	for i := range o.Namespaces {
		n := &o.Namespaces[i]
		l.Items = append(l.Items, &corev1.Namespace{TypeMeta: typed("Namespace", "v1"), ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: n.Labels}})
	}
	for i := range o.Nodes {
		l.Items = append(l.Items, o.Nodes[i].object())
	}
	for i := range o.Pods {
		l.Items = append(l.Items, o.Pods[i].object())
	}
	for i := range o.Services {
		l.Items = append(l.Items, o.Services[i].object())
	}
	for i := range o.Slices {
		l.Items = append(l.Items, o.Slices[i].object())
	}
	for i := range o.Policies {
		p := &o.Policies[i]
		l.Items = append(l.Items, &networkingv1.NetworkPolicy{TypeMeta: typed("NetworkPolicy", "networking.k8s.io/v1"), ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, Spec: p.Spec})
	}
	b, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("write the Kubernetes objects: %w", err)
	}
	return append(b, '\n'), nil
}

func typed(kind, version string) metav1.TypeMeta {
	return metav1.TypeMeta{Kind: kind, APIVersion: version}
}

func condition(ok bool) corev1.ConditionStatus {
	if ok {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

func (n *Node) object() *corev1.Node {
	out := &corev1.Node{TypeMeta: typed("Node", "v1"), ObjectMeta: metav1.ObjectMeta{Name: n.Name}}
	if n.Zone != "" {
		out.Labels = map[string]string{corev1.LabelTopologyZone: n.Zone}
	}
	for _, a := range n.Addrs { // in their order, which has the internal ones first
		out.Status.Addresses = append(out.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a.String()})
	}
	for _, c := range n.PodCIDRs {
		out.Spec.PodCIDRs = append(out.Spec.PodCIDRs, c.String())
	}
	out.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: condition(n.Ready)}}
	return out
}

func (p *Pod) object() *corev1.Pod {
	out := &corev1.Pod{TypeMeta: typed("Pod", "v1"), ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: types.UID(p.UID), Labels: p.Labels}}
	if p.StaticUID != "" {
		out.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: p.StaticUID, configHash: p.StaticUID}
	}
	if p.OwnerKind != "" {
		yes := true
		out.OwnerReferences = []metav1.OwnerReference{{Kind: p.OwnerKind, Name: p.OwnerName, Controller: &yes}}
	}
	out.Spec.NodeName, out.Spec.HostNetwork = p.Node, p.HostNetwork
	if len(p.Ports) > 0 {
		c := corev1.Container{Name: "all"}
		for _, q := range p.Ports {
			c.Ports = append(c.Ports, corev1.ContainerPort{Name: q.Name, Protocol: protocol(q.Proto), ContainerPort: int32(q.Port)})
		}
		out.Spec.Containers = []corev1.Container{c}
	}
	out.Status.Phase = corev1.PodPhase(p.Phase)
	for _, a := range p.IPs {
		out.Status.PodIPs = append(out.Status.PodIPs, corev1.PodIP{IP: a.String()})
	}
	out.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: condition(p.Ready)}}
	return out
}

func protocol(p string) corev1.Protocol { return corev1.Protocol(strings.ToUpper(p)) }

func texts(all []netip.Addr) []string {
	var out []string
	for _, a := range all {
		out = append(out, a.String())
	}
	return out
}

func (s *Service) object() *corev1.Service {
	out := &corev1.Service{TypeMeta: typed("Service", "v1"), ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name}}
	out.Spec = corev1.ServiceSpec{Type: corev1.ServiceType(s.Type), ExternalName: s.ExternalName, ClusterIPs: texts(s.ClusterIPs), ExternalIPs: texts(s.ExternalIPs), Selector: s.Selector,
		ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicy(s.ExternalPolicy), PublishNotReadyAddresses: s.NotReady}
	if s.InternalPolicy != "" {
		p := corev1.ServiceInternalTrafficPolicy(s.InternalPolicy)
		out.Spec.InternalTrafficPolicy = &p
	}
	if s.Affinity {
		out.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	}
	for _, a := range s.LoadBalancers {
		out.Status.LoadBalancer.Ingress = append(out.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a.String()})
	}
	for _, p := range s.Ports {
		out.Spec.Ports = append(out.Spec.Ports, corev1.ServicePort{Name: p.Name, Protocol: protocol(p.Proto), Port: int32(p.Port), NodePort: int32(p.NodePort), TargetPort: intstr.Parse(p.Target)})
	}
	return out
}

func (s *EndpointSlice) object() *discoveryv1.EndpointSlice {
	out := &discoveryv1.EndpointSlice{TypeMeta: typed("EndpointSlice", "discovery.k8s.io/v1"), ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name}}
	if s.Service != "" {
		out.Labels = map[string]string{discoveryv1.LabelServiceName: s.Service}
	}
	for _, p := range s.Ports {
		name, proto, port := p.Name, protocol(p.Proto), int32(p.Port)
		out.Ports = append(out.Ports, discoveryv1.EndpointPort{Name: &name, Protocol: &proto, Port: &port})
	}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		q := discoveryv1.Endpoint{Addresses: texts(e.Addrs), Conditions: discoveryv1.EndpointConditions{Ready: &e.Ready, Serving: &e.Serving, Terminating: &e.Terminating}}
		if e.Node != "" {
			q.NodeName = &e.Node
		}
		if e.Zone != "" {
			q.Zone = &e.Zone
		}
		if len(e.Hints) > 0 {
			q.Hints = &discoveryv1.EndpointHints{}
		}
		for _, z := range e.Hints {
			q.Hints.ForZones = append(q.Hints.ForZones, discoveryv1.ForZone{Name: z})
		}
		if e.Pod != "" {
			q.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: s.Namespace, Name: e.Pod}
		}
		out.Endpoints = append(out.Endpoints, q)
	}
	return out
}
