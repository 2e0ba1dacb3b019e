// SPDX-License-Identifier: Apache-2.0

package kubeproxy

import (
	"crypto/sha256"
	"encoding/base32"
	"net/netip"
	"strconv"
	"strings"
)

// The kinds of chains that belong to one Service port.
const (
	KindService  = "service"  // spreads to all endpoints (traffic policy Cluster)
	KindLocal    = "local"    // spreads to the endpoints of this node (traffic policy Local)
	KindExternal = "external" // NodePort, external and load-balancer addresses
	KindFirewall = "firewall" // loadBalancerSourceRanges
	KindEndpoint = "endpoint" // DNAT to one endpoint
)

// Port is a port of a Service.
type Port struct {
	Namespace, Service, PortName string
	Proto                        string // lower case: tcp, udp, sctp
	Port                         uint16 // the Service's, not the target's; 0 when it is not known. No part of any name.
}

// String is kube-proxy's name for a Service port: ServicePortName.String in pkg/proxy/types.go. The comments of the rules start with it.
func (p Port) String() string {
	if p.PortName == "" {
		return p.Namespace + "/" + p.Service
	}
	return p.Namespace + "/" + p.Service + ":" + p.PortName
}

// Chain is what the name of a chain stands for.
type Chain struct {
	Kind     string
	Port     Port
	Endpoint netip.AddrPort // only of KindEndpoint
}

const (
	iptHash = 16 // digits of portProtoHash, pkg/proxy/iptables/proxier.go
	nftHash = 8  // digits in hashAndTruncate, pkg/proxy/nftables/proxier.go
	// nftBaseMax is chainNameBaseLengthMax of pkg/proxy/nftables/proxier.go: 256 of knftables less 16 for the prefix. What is longer ends
	// in nftCut. (Early versions had 112.)
	nftBaseMax = 240
	nftCut     = "..."
)

// iptPrefixes are the constants above servicePortPolicyClusterChain in pkg/proxy/iptables/proxier.go.
var iptPrefixes = map[string]string{
	KindService:  "KUBE-SVC-",
	KindLocal:    "KUBE-SVL-",
	KindExternal: "KUBE-EXT-",
	KindFirewall: "KUBE-FW-",
	KindEndpoint: "KUBE-SEP-",
}

// IPTablesChain is the name that kube-proxy's iptables mode gives a chain: portProtoHash and servicePortEndpointChainName in
// pkg/proxy/iptables/proxier.go. The endpoint counts for KindEndpoint only. It is empty for an unknown kind.
func IPTablesChain(kind string, p Port, endpoint netip.AddrPort) string {
	prefix, ok := iptPrefixes[kind]
	if !ok {
		return ""
	}
	if kind != KindEndpoint {
		return prefix + serviceHash(p)
	}
	return prefix + endpointHash(p, endpoint)
}

func serviceHash(p Port) string {
	return digest(p.String()+strings.ToLower(p.Proto), iptHash)
}

func endpointHash(p Port, endpoint netip.AddrPort) string {
	// As of net.JoinHostPort: IPv6 addresses stand in brackets.
	return digest(p.String()+strings.ToLower(p.Proto)+unmap(endpoint).String(), iptHash)
}

// NFTablesChain is the name that kube-proxy's nftables mode gives a chain: servicePortChainNameBase and servicePortEndpointChainNameBase
// in pkg/proxy/nftables/proxier.go. The endpoint counts for KindEndpoint only. It is empty for an unknown kind.
func NFTablesChain(kind string, p Port, endpoint netip.AddrPort) string {
	if iptPrefixes[kind] == "" {
		return ""
	}
	name := p.Namespace + "/" + p.Service + "/" + strings.ToLower(p.Proto) + "/" + p.PortName
	if kind == KindEndpoint {
		endpoint = unmap(endpoint)
		// nftables allows no ':' in the name of a chain.
		addr := strings.ReplaceAll(endpoint.Addr().String(), ":", ".")
		name += "__" + addr + "/" + strconv.Itoa(int(endpoint.Port()))
	}
	base := digest(name, nftHash) + "-" + name
	if len(base) > nftBaseMax {
		base = base[:nftBaseMax-len(nftCut)] + nftCut
	}
	return kind + "-" + base
}

func digest(s string, digits int) string {
	sum := sha256.Sum256([]byte(s))
	return base32.StdEncoding.EncodeToString(sum[:])[:digits]
}

// unmap makes 1.2.3.4 of ::ffff:1.2.3.4, the form of an address that went through a net.IP: Kubernetes knows the first one only.
func unmap(e netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(e.Addr().Unmap(), e.Port())
}
