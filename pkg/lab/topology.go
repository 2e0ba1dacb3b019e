// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
)

// Pod is a pod of the lab. Its namespace has the lab's prefix before its short name.
type Pod struct {
	Short     string // "client": the name in cases and in 'lab exec'
	Namespace string
	Name      string
	Node      string
	IP, IP6   netip.Addr
	UDP, TCP  uint16 // ports that it serves
}

// Node is a node of the lab.
type Node struct {
	Name     string
	IP       netip.Addr // underlay
	PodCIDR  netip.Prefix
	PodCIDR6 netip.Prefix
	VTEP     netip.Addr // of flannel.1: the first address of the pod CIDR
	VTEP6    netip.Addr
	VTEPMAC  net.HardwareAddr
	Gateway  netip.Addr // of cni0
	Gateway6 netip.Addr
}

// The names of the other namespaces.
const (
	Fabric   = "fabric" // the switch between the nodes; a node never sees inside
	External = "ext"    // a host outside of the cluster, and the nodes' default gateway
)

// The addresses are those of the kube-proxy fixtures.
var (
	ClusterCIDR = netip.MustParsePrefix("10.244.0.0/16")
	externalIP  = netip.MustParseAddr("192.168.50.100")
	underlay    = 24
	podMTU      = 1450
	vxlanPort   = 8472
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// Nodes are the lab's two nodes.
func Nodes() []Node {
	var nodes []Node
	for i, name := range []string{"node1", "node2"} {
		k := i + 1
		nodes = append(nodes, Node{
			Name: name, IP: addr(fmt.Sprintf("192.168.50.%d", k)),
			PodCIDR: netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", k)), PodCIDR6: netip.MustParsePrefix(fmt.Sprintf("fd00:10:244:%d::/64", k)),
			VTEP: addr(fmt.Sprintf("10.244.%d.0", k)), VTEP6: addr(fmt.Sprintf("fd00:10:244:%d::", k)),
			VTEPMAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(k)},
			Gateway: addr(fmt.Sprintf("10.244.%d.1", k)), Gateway6: addr(fmt.Sprintf("fd00:10:244:%d::1", k)),
		})
	}
	return nodes
}

// Pods are the lab's pods.
func Pods() []Pod {
	return []Pod{
		{Short: "client", Namespace: "shop", Name: "client", Node: "node1", IP: addr("10.244.1.10"), IP6: addr("fd00:10:244:1::10"), TCP: 8080, UDP: 9000},
		{Short: "web-a", Namespace: "shop", Name: "web-7d9c5b8f4-fghij", Node: "node1", IP: addr("10.244.1.20"), IP6: addr("fd00:10:244:1::20"), TCP: 8080, UDP: 9000},
		{Short: "web-b", Namespace: "shop", Name: "web-7d9c5b8f4-abcde", Node: "node2", IP: addr("10.244.2.20"), IP6: addr("fd00:10:244:2::20"), TCP: 8080, UDP: 9000},
	}
}

// hostVeth is the name of a pod's device on its node: like a CNI plugin's, a hash of the pod's name.
func (p *Pod) hostVeth() string {
	sum := sha256.Sum256([]byte(p.Namespace + "/" + p.Name))
	return "veth" + hex.EncodeToString(sum[:4])
}

// Services are the Services of the lab, before a case changes them.
func Services() []Service {
	a := Endpoint{Addr: netip.MustParseAddrPort("10.244.1.20:8080"), Node: "node1"}
	b := Endpoint{Addr: netip.MustParseAddrPort("10.244.2.20:8080"), Node: "node2"}
	return []Service{
		{Namespace: "default", Name: "kubernetes", PortName: "https", Proto: "tcp", ClusterIP: addr("10.0.0.1"), Port: 443, Endpoints: []Endpoint{{Addr: netip.MustParseAddrPort("192.0.2.2:9443")}}},
		{Namespace: "kube-system", Name: "kube-dns", PortName: "dns", Proto: "udp", ClusterIP: ClusterDNS, Port: 53, Endpoints: []Endpoint{{Addr: netip.MustParseAddrPort("10.244.2.20:53"), Node: "node2"}}},
		{Namespace: "shop", Name: "web", PortName: "http", Proto: "tcp", ClusterIP: addr("10.96.0.80"), Port: 80, Endpoints: []Endpoint{a, b}},
		{Namespace: "shop", Name: "web-node", PortName: "http", Proto: "tcp", ClusterIP: addr("10.96.0.81"), Port: 80, NodePort: 30080, Endpoints: []Endpoint{b}},
		{Namespace: "shop", Name: "empty", PortName: "http", Proto: "tcp", ClusterIP: addr("10.96.0.82"), Port: 80},
		{Namespace: "shop", Name: "self", PortName: "http", Proto: "tcp", ClusterIP: addr("10.96.0.84"), Port: 80, Endpoints: []Endpoint{{Addr: netip.MustParseAddrPort("10.244.1.10:8080"), Node: "node1"}}},
		{Namespace: "shop", Name: "echo", PortName: "udp", Proto: "udp", ClusterIP: addr("10.96.0.85"), Port: 9000, Endpoints: []Endpoint{{Addr: netip.MustParseAddrPort("10.244.2.20:9000"), Node: "node2"}}},
	}
}

// ShortNames are the names of all namespaces without the prefix.
func ShortNames() []string {
	names := []string{Fabric, External}
	for _, n := range Nodes() {
		names = append(names, n.Name)
	}
	for _, p := range Pods() {
		names = append(names, p.Short)
	}
	return names
}
