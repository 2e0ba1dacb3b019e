// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
)

// maxList bounds the lists inside one object; the API server's own bounds are far below it.
const maxList = 2000

// Add puts a slim copy of an API object in. Kinds that a trace does not need are passed over. The error says what is wrong with the object.
func (o *Objects) Add(obj runtime.Object) error {
	m, ok := obj.(metav1.Object)
	if !ok {
		return nil
	}
	if err := checkName(m); err != nil {
		return err
	}
	switch x := obj.(type) {
	case *corev1.Pod:
		o.Pods = append(o.Pods, slimPod(x))
	case *corev1.Service:
		o.Services = append(o.Services, slimService(x))
	case *discoveryv1.EndpointSlice:
		o.Slices = append(o.Slices, slimSlice(x))
	case *corev1.Node:
		o.Nodes = append(o.Nodes, slimNode(x))
	case *corev1.Namespace:
		o.Namespaces = append(o.Namespaces, Namespace{Name: x.Name, Labels: keepLabels(x.Labels)})
	case *networkingv1.NetworkPolicy:
		o.Policies = append(o.Policies, Policy{Namespace: x.Namespace, Name: x.Name, Spec: x.Spec})
	}
	return nil
}

// checkName refuses names that the API server would: they are printed, and hash into kube-proxy's chains.
func checkName(m metav1.Object) error {
	if e := validation.IsDNS1123Subdomain(m.GetName()); len(e) > 0 {
		return fmt.Errorf("%s is no name of a Kubernetes object", quoted(m.GetName()))
	}
	if ns := m.GetNamespace(); ns != "" && len(validation.IsDNS1123Label(ns)) > 0 {
		return fmt.Errorf("%s is no namespace", quoted(ns))
	}
	return nil
}

// quoted shows a name that may hold anything.
func quoted(s string) string {
	if len(s) > 80 {
		s = s[:80] + "..."
	}
	return strconv.QuoteToASCII(s)
}

// word keeps a name that is fit to print, of nodes, ports, zones and owners.
func word(s string) string {
	if len(s) > 253 {
		return ""
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return ""
		}
	}
	return s
}

// keepLabels keeps labels as they are: they are compared, never printed unescaped. Too many are no labels.
func keepLabels(m map[string]string) map[string]string {
	if len(m) == 0 || len(m) > maxList {
		return nil
	}
	return m
}

// configHash is kubelet's ConfigHashAnnotationKey: on a static pod, the UID in its control groups' names.
const configHash = "kubernetes.io/config.hash"

// slimPod is what a trace needs of a pod. What it reads, lean keeps.
func slimPod(p *corev1.Pod) Pod {
	out := Pod{Namespace: p.Namespace, Name: p.Name, UID: word(string(p.UID)), Node: word(p.Spec.NodeName), HostNetwork: p.Spec.HostNetwork, Phase: word(string(p.Status.Phase)), Labels: keepLabels(p.Labels)}
	if p.Annotations[corev1.MirrorPodAnnotationKey] != "" {
		out.StaticUID = word(p.Annotations[configHash])
	}
	for _, ip := range bounded(p.Status.PodIPs) {
		out.IPs = address(out.IPs, ip.IP)
	}
	if len(out.IPs) == 0 {
		out.IPs = address(nil, p.Status.PodIP)
	}
	for i := range bounded(p.Status.Conditions) {
		if c := &p.Status.Conditions[i]; c.Type == corev1.PodReady {
			out.Ready = c.Status == corev1.ConditionTrue
		}
	}
	for i := range bounded(p.OwnerReferences) {
		if r := &p.OwnerReferences[i]; r.Controller != nil && *r.Controller {
			out.OwnerKind, out.OwnerName = word(r.Kind), word(r.Name)
		}
	}
	for i := range bounded(p.Spec.InitContainers) { // sidecars
		out.Ports = ports(out.Ports, p.Spec.InitContainers[i].Ports)
	}
	for i := range bounded(p.Spec.Containers) {
		out.Ports = ports(out.Ports, p.Spec.Containers[i].Ports)
	}
	return out
}

// lean is a pod with what slimPod reads, and the resource version, which is the reflectors'. Nothing of it is a part of a larger list, which would
// stay as long as it does; all ports are one container's.
func lean(p *corev1.Pod) corev1.Pod {
	out := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion, Labels: p.Labels},
		Spec:       corev1.PodSpec{NodeName: p.Spec.NodeName, HostNetwork: p.Spec.HostNetwork},
		Status:     corev1.PodStatus{Phase: p.Status.Phase, PodIP: p.Status.PodIP, PodIPs: p.Status.PodIPs},
	}
	if mirror := p.Annotations[corev1.MirrorPodAnnotationKey]; mirror != "" {
		out.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: mirror, configHash: p.Annotations[configHash]}
	}
	for _, c := range bounded(p.Status.Conditions) {
		if c.Type == corev1.PodReady {
			out.Status.Conditions = append(out.Status.Conditions, corev1.PodCondition{Type: c.Type, Status: c.Status})
		}
	}
	for _, r := range bounded(p.OwnerReferences) {
		if r.Controller != nil && *r.Controller {
			out.OwnerReferences = append(out.OwnerReferences, metav1.OwnerReference{Kind: r.Kind, Name: r.Name, Controller: r.Controller})
		}
	}
	var all []corev1.ContainerPort
	for _, containers := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range bounded(containers) {
			all = append(all, bounded(containers[i].Ports)...)
		}
	}
	if len(all) > 0 {
		out.Spec.Containers = []corev1.Container{{Ports: all}}
	}
	return out
}

func ports(to []PodPort, from []corev1.ContainerPort) []PodPort {
	for _, c := range bounded(from) {
		if len(to) < maxList {
			to = append(to, PodPort{Name: word(c.Name), Proto: proto(c.Protocol), Port: port(c.ContainerPort)})
		}
	}
	return to
}

func slimService(s *corev1.Service) Service {
	out := Service{Namespace: s.Namespace, Name: s.Name, Type: word(string(s.Spec.Type)), ExternalName: word(s.Spec.ExternalName), Selector: keepLabels(s.Spec.Selector),
		ExternalPolicy: word(string(s.Spec.ExternalTrafficPolicy)), Affinity: s.Spec.SessionAffinity == corev1.ServiceAffinityClientIP, NotReady: s.Spec.PublishNotReadyAddresses}
	if s.Spec.InternalTrafficPolicy != nil {
		out.InternalPolicy = word(string(*s.Spec.InternalTrafficPolicy))
	}
	for _, a := range bounded(s.Spec.ClusterIPs) {
		out.ClusterIPs = address(out.ClusterIPs, a)
	}
	if len(out.ClusterIPs) == 0 {
		out.ClusterIPs = address(nil, s.Spec.ClusterIP) // "None" is no address
	}
	for _, a := range bounded(s.Spec.ExternalIPs) {
		out.ExternalIPs = address(out.ExternalIPs, a)
	}
	for _, in := range bounded(s.Status.LoadBalancer.Ingress) {
		out.LoadBalancers = address(out.LoadBalancers, in.IP)
	}
	for _, p := range bounded(s.Spec.Ports) {
		out.Ports = append(out.Ports, ServicePort{Name: word(p.Name), Proto: proto(p.Protocol), Port: port(p.Port), NodePort: port(p.NodePort), Target: word(p.TargetPort.String())})
	}
	return out
}

func slimSlice(s *discoveryv1.EndpointSlice) EndpointSlice {
	out := EndpointSlice{Namespace: s.Namespace, Name: s.Name, Service: word(s.Labels[discoveryv1.LabelServiceName])}
	for _, p := range bounded(s.Ports) {
		q := EndpointPort{Proto: "tcp"}
		if p.Name != nil {
			q.Name = word(*p.Name)
		}
		if p.Protocol != nil {
			q.Proto = proto(*p.Protocol)
		}
		if p.Port != nil {
			q.Port = port(*p.Port)
		}
		out.Ports = append(out.Ports, q)
	}
	for i := range bounded(s.Endpoints) {
		out.Endpoints = append(out.Endpoints, slimEndpoint(&s.Endpoints[i]))
	}
	return out
}

// slimEndpoint reads conditions as the API documents them: an unknown ready counts as ready, serving as ready, terminating as false.
func slimEndpoint(e *discoveryv1.Endpoint) Endpoint {
	out := Endpoint{Ready: e.Conditions.Ready == nil || *e.Conditions.Ready, Terminating: e.Conditions.Terminating != nil && *e.Conditions.Terminating}
	out.Serving = out.Ready
	if e.Conditions.Serving != nil {
		out.Serving = *e.Conditions.Serving
	}
	for _, a := range bounded(e.Addresses) {
		out.Addrs = address(out.Addrs, a)
	}
	if e.NodeName != nil {
		out.Node = word(*e.NodeName)
	}
	if e.Zone != nil {
		out.Zone = word(*e.Zone)
	}
	if e.Hints != nil {
		for _, z := range bounded(e.Hints.ForZones) {
			out.Hints = append(out.Hints, word(z.Name))
		}
	}
	if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
		out.Pod = word(e.TargetRef.Name)
	}
	return out
}

func slimNode(n *corev1.Node) Node {
	out := Node{Name: n.Name, Zone: word(n.Labels[corev1.LabelTopologyZone])}
	for _, kind := range []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP} {
		for _, a := range bounded(n.Status.Addresses) {
			if a.Type == kind {
				out.Addrs = address(out.Addrs, a.Address)
			}
		}
	}
	cidrs := n.Spec.PodCIDRs
	if len(cidrs) == 0 {
		cidrs = []string{n.Spec.PodCIDR}
	}
	for _, c := range bounded(cidrs) {
		if p, err := netip.ParsePrefix(c); err == nil {
			out.PodCIDRs = append(out.PodCIDRs, p.Masked())
		}
	}
	for i := range bounded(n.Status.Conditions) {
		if c := &n.Status.Conditions[i]; c.Type == corev1.NodeReady {
			out.Ready = c.Status == corev1.ConditionTrue
		}
	}
	return out
}

func bounded[T any](s []T) []T { return s[:min(len(s), maxList)] }

// address appends an address when it is one.
func address(to []netip.Addr, s string) []netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || len(to) >= maxList {
		return to
	}
	return append(to, a.Unmap())
}

func proto(p corev1.Protocol) string {
	switch p {
	case corev1.ProtocolUDP:
		return "udp"
	case corev1.ProtocolSCTP:
		return "sctp"
	}
	return "tcp" // the API's default
}

func port(n int32) uint16 {
	if n < 0 || n > 65535 {
		return 0
	}
	return uint16(n)
}

func decimal(n uint16) string { return strconv.Itoa(int(n)) }

// lower is for words of users.
func lower(s string) string { return strings.ToLower(s) }
