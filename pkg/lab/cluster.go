// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
)

// Objects are the lab as its API server would have it, without those that its case adds.
func (l *Lab) Objects() []runtime.Object { return Objects(l.services) }

// Cluster are the lab's objects, and those of its case, as --cluster reads them.
func (l *Lab) Cluster() (*k8smeta.Objects, error) {
	b, err := l.clusterYAML()
	if err != nil {
		return nil, err
	}
	return k8smeta.Read(bytes.NewReader(b))
}

func (l *Lab) clusterYAML() ([]byte, error) {
	b, err := ClusterYAML(l.services)
	if err == nil && l.objects != "" {
		b = append(append(b, "---\n"...), l.objects...)
	}
	return b, err
}

// Objects are a lab's nodes and pods, and Services with their EndpointSlices, as an API server would have them.
func Objects(services []Service) []runtime.Object {
	var out []runtime.Object
	for _, name := range []string{"default", "shop"} {
		out = append(out, &corev1.Namespace{TypeMeta: kind("Namespace", "v1"), ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelMetadataName: name}}})
	}
	for _, n := range Nodes() {
		out = append(out, n.object())
	}
	for _, p := range Pods() {
		out = append(out, p.object())
	}
	for i := range services {
		s := &services[i]
		out = append(out, s.object(), s.slice())
	}
	return out
}

func kind(k, version string) metav1.TypeMeta { return metav1.TypeMeta{Kind: k, APIVersion: version} }

func (n *Node) object() *corev1.Node {
	return &corev1.Node{TypeMeta: kind("Node", "v1"), ObjectMeta: metav1.ObjectMeta{Name: n.Name},
		Spec: corev1.NodeSpec{PodCIDR: n.PodCIDR.String(), PodCIDRs: []string{n.PodCIDR.String(), n.PodCIDR6.String()}},
		Status: corev1.NodeStatus{
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: n.IP.String()}, {Type: corev1.NodeHostName, Address: n.Name}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		}}
}

func (p *Pod) object() *corev1.Pod {
	o := &corev1.Pod{TypeMeta: kind("Pod", "v1"), ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.uid(), Labels: map[string]string{"app": "client"}}}
	if rs, _, ok := cutLast(p.Name, "-"); ok { // web-7d9c5b8f4-fghij is of the ReplicaSet web-7d9c5b8f4 of the Deployment web
		yes := true
		app, _, _ := cutLast(rs, "-")
		o.Labels["app"] = app
		o.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: rs, Controller: &yes}}
	}
	o.Spec.NodeName = p.Node
	o.Spec.Containers = []corev1.Container{{Name: "app", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: int32(p.TCP)}, {Name: "udp", ContainerPort: int32(p.UDP), Protocol: corev1.ProtocolUDP}}}}
	o.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: p.IP.String(), PodIPs: []corev1.PodIP{{IP: p.IP.String()}, {IP: p.IP6.String()}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	return o
}

// uid is made of the pod's address, so that it is the same in every lab.
func (p *Pod) uid() types.UID {
	b := p.IP.As4()
	return types.UID(fmt.Sprintf("00000000-0000-4000-8000-0000%02x%02x%02x%02x", b[0], b[1], b[2], b[3]))
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func (s *Service) object() *corev1.Service {
	o := &corev1.Service{TypeMeta: kind("Service", "v1"), ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name}}
	o.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: s.ClusterIP.String(), ClusterIPs: []string{s.ClusterIP.String()}, Selector: map[string]string{"app": s.Name},
		Ports: []corev1.ServicePort{{Name: s.PortName, Protocol: corev1.Protocol(strings.ToUpper(s.Proto)), Port: int32(s.Port), NodePort: int32(s.NodePort), TargetPort: intstr.FromString(s.PortName)}}}
	if s.NodePort != 0 {
		o.Spec.Type = corev1.ServiceTypeNodePort
	}
	if s.Local {
		o.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}
	if s.Sticky {
		o.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	}
	return o
}

func (s *Service) slice() *discoveryv1.EndpointSlice {
	o := &discoveryv1.EndpointSlice{TypeMeta: kind("EndpointSlice", "discovery.k8s.io/v1"), AddressType: discoveryv1.AddressTypeIPv4,
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name + "-lab00", Labels: map[string]string{discoveryv1.LabelServiceName: s.Name}}}
	if s.ClusterIP.Is6() {
		o.AddressType = discoveryv1.AddressTypeIPv6
	}
	proto, target, ready := corev1.Protocol(strings.ToUpper(s.Proto)), int32(s.Port), true
	for _, e := range s.Endpoints {
		target = int32(e.Addr.Port())
		ep := discoveryv1.Endpoint{Addresses: []string{e.Addr.Addr().String()}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}
		if e.Node != "" {
			ep.NodeName = &e.Node
		}
		if p := podAt(e.Addr.Addr()); p != nil {
			ep.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name}
		}
		o.Endpoints = append(o.Endpoints, ep)
	}
	o.Ports = []discoveryv1.EndpointPort{{Name: &s.PortName, Protocol: &proto, Port: &target}}
	return o
}

func podAt(a netip.Addr) *Pod {
	for _, p := range Pods() {
		if p.IP == a || p.IP6 == a {
			return &p
		}
	}
	return nil
}

// ClusterYAML is a List of a lab's objects, as kubectl prints it.
func ClusterYAML(services []Service) ([]byte, error) {
	list := struct {
		APIVersion string           `json:"apiVersion"`
		Kind       string           `json:"kind"`
		Items      []runtime.Object `json:"items"`
	}{"v1", "List", Objects(services)}
	b, err := yaml.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("describe the lab: %w", err)
	}
	return b, nil
}

// ClusterFile is where 'lab up' puts the objects of a lab, for --cluster.
func ClusterFile(prefix string) string { return filepath.Join(StateDir, prefix+".yaml") }

// WriteCluster writes the lab's objects for --cluster. Down removes the file.
func (l *Lab) WriteCluster() (string, error) {
	b, err := l.clusterYAML()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(StateDir, 0o755); err != nil {
		return "", fmt.Errorf("write the lab's objects: %w", err)
	}
	name := ClusterFile(l.prefix)
	if have, err := os.ReadFile(name); err == nil && bytes.Equal(have, b) {
		return name, nil
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		return "", fmt.Errorf("write the lab's objects: %w", err)
	}
	return name, nil
}
