// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"net/netip"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
)

// Objects is what is known of a cluster. It is JSON in recordings.
type Objects struct {
	Pods       []Pod           `json:"pods,omitempty"`
	Services   []Service       `json:"services,omitempty"`
	Slices     []EndpointSlice `json:"endpointSlices,omitempty"`
	Nodes      []Node          `json:"nodes,omitempty"`
	Namespaces []Namespace     `json:"namespaces,omitempty"`
	Policies   []Policy        `json:"networkPolicies,omitempty"`
	// PoliciesUnread are namespaces of a flow's ends whose policies could not be read: that none is known there says nothing.
	PoliciesUnread []string `json:"policiesUnread,omitempty"`
}

// Pod is a pod, or one that was there until a few minutes ago.
type Pod struct {
	Namespace   string            `json:"namespace"`
	Name        string            `json:"name"`
	UID         string            `json:"uid,omitempty"`
	StaticUID   string            `json:"staticUid,omitempty"` // of a static pod: the UID in its control groups, which its mirror's is not
	Node        string            `json:"node,omitempty"`
	IPs         []netip.Addr      `json:"ips,omitempty"` // status.podIPs; of a hostNetwork pod the node's
	HostNetwork bool              `json:"hostNetwork,omitempty"`
	Phase       string            `json:"phase,omitempty"` // Pending, Running, Succeeded, Failed, Unknown
	Ready       bool              `json:"ready,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	OwnerKind   string            `json:"ownerKind,omitempty"` // of its controller: ReplicaSet, DaemonSet, ...
	OwnerName   string            `json:"ownerName,omitempty"`
	Ports       []PodPort         `json:"ports,omitempty"`
	Deleted     time.Time         `json:"deleted,omitzero"` // when it went; zero while it is there
}

// PodPort is a port that a container declares.
type PodPort struct {
	Name  string `json:"name,omitempty"`
	Proto string `json:"proto"` // tcp, udp, sctp
	Port  uint16 `json:"port"`
}

// Service is a Service.
type Service struct {
	Namespace      string            `json:"namespace"`
	Name           string            `json:"name"`
	Type           string            `json:"type,omitempty"`         // ClusterIP, NodePort, LoadBalancer, ExternalName
	ExternalName   string            `json:"externalName,omitempty"` // a DNS name
	ClusterIPs     []netip.Addr      `json:"clusterIPs,omitempty"`   // none for a headless Service
	ExternalIPs    []netip.Addr      `json:"externalIPs,omitempty"`
	LoadBalancers  []netip.Addr      `json:"loadBalancers,omitempty"` // status.loadBalancer.ingress[].ip
	Ports          []ServicePort     `json:"ports,omitempty"`
	Selector       map[string]string `json:"selector,omitempty"`
	InternalPolicy string            `json:"internalTrafficPolicy,omitempty"`
	ExternalPolicy string            `json:"externalTrafficPolicy,omitempty"`
	Affinity       bool              `json:"sessionAffinity,omitempty"`
	NotReady       bool              `json:"publishNotReadyAddresses,omitempty"`
	Deleted        time.Time         `json:"deleted,omitzero"`
}

// ServicePort is one port of a Service.
type ServicePort struct {
	Name     string `json:"name,omitempty"`
	Proto    string `json:"proto"` // tcp, udp, sctp
	Port     uint16 `json:"port"`
	NodePort uint16 `json:"nodePort,omitempty"`
	Target   string `json:"target,omitempty"` // number or name of the pods' port
}

// EndpointSlice is part of a Service's endpoints.
type EndpointSlice struct {
	Namespace string         `json:"namespace"`
	Name      string         `json:"name"`
	Service   string         `json:"service"` // label kubernetes.io/service-name
	Ports     []EndpointPort `json:"ports,omitempty"`
	Endpoints []Endpoint     `json:"endpoints,omitempty"`
	Deleted   time.Time      `json:"deleted,omitzero"`
}

// EndpointPort is a port of every endpoint in a slice; Name is that of the Service's port.
type EndpointPort struct {
	Name  string `json:"name,omitempty"`
	Proto string `json:"proto"`
	Port  uint16 `json:"port"`
}

// Endpoint is one address that a Service stands for.
type Endpoint struct {
	Addrs       []netip.Addr `json:"addrs"`
	Ready       bool         `json:"ready,omitempty"`
	Serving     bool         `json:"serving,omitempty"`
	Terminating bool         `json:"terminating,omitempty"`
	Node        string       `json:"node,omitempty"`
	Zone        string       `json:"zone,omitempty"`
	Hints       []string     `json:"hints,omitempty"` // zones that should use it
	Pod         string       `json:"pod,omitempty"`   // name, in the slice's namespace
}

// Node is a node.
type Node struct {
	Name     string         `json:"name"`
	Addrs    []netip.Addr   `json:"addrs,omitempty"` // internal ones first
	PodCIDRs []netip.Prefix `json:"podCIDRs,omitempty"`
	Zone     string         `json:"zone,omitempty"`
	Ready    bool           `json:"ready,omitempty"`
	Deleted  time.Time      `json:"deleted,omitzero"`
}

// Namespace is a namespace with the labels that policies select.
type Namespace struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
}

// Policy is a NetworkPolicy.
type Policy struct {
	Namespace string                         `json:"namespace"`
	Name      string                         `json:"name"`
	Spec      networkingv1.NetworkPolicySpec `json:"spec"`
}

// Ref names one object. Its String is "svc/shop/web:http", "pod/shop/client", "node/node1".
type Ref struct {
	Kind      string // Pod, Service, Node
	Namespace string
	Name      string
	Port      string // of a Service: the port's name, or its number when it has none
}

func (r Ref) String() string {
	s := r.Name
	if r.Namespace != "" {
		s = r.Namespace + "/" + s
	}
	if k := kindWords[r.Kind]; k != "" {
		s = k + "/" + s
	}
	if r.Port != "" {
		s += ":" + r.Port
	}
	return s
}

var kindWords = map[string]string{"Pod": "pod", "Service": "svc", "Node": "node"}

// Ref names the pod.
func (p *Pod) Ref() Ref { return Ref{Kind: "Pod", Namespace: p.Namespace, Name: p.Name} }

// Over reports that the pod has ended: its address may be another's by now.
func (p *Pod) Over() bool {
	return !p.Deleted.IsZero() || p.Phase == "Succeeded" || p.Phase == "Failed"
}

// Ref names the Service; with a port, that port of it.
func (s *Service) Ref(p *ServicePort) Ref {
	r := Ref{Kind: "Service", Namespace: s.Namespace, Name: s.Name}
	if p != nil {
		r.Port = p.Label()
	}
	return r
}

// Label is the port's name, or its number.
func (p *ServicePort) Label() string {
	if p.Name != "" {
		return p.Name
	}
	return decimal(p.Port)
}

// Headless reports a Service without an address of its own, whose name stands for its endpoints.
func (s *Service) Headless() bool { return len(s.ClusterIPs) == 0 && s.Type != "ExternalName" }

// Ref names the node.
func (n *Node) Ref() Ref { return Ref{Kind: "Node", Name: n.Name} }

// Usable reports whether kube-proxy sends new connections to the endpoint. Terminating endpoints that serve are used only when there are no
// ready ones (KEP-1669); that is for the caller.
func (e *Endpoint) Usable() bool { return e.Ready }
