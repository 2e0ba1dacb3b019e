// SPDX-License-Identifier: Apache-2.0

package kubeproxy

import (
	"crypto/sha256"
	"encoding/base32"
	"net/netip"
	"strconv"
	"strings"
)

// Kind is what a chain is for.
type Kind string

// The kinds: traffic to the cluster's endpoints, to endpoints on this node only, from outside of the cluster, through a load balancer's
// source ranges, and to one endpoint.
const (
	Cluster  Kind = "service"
	Local    Kind = "local"
	External Kind = "external"
	Firewall Kind = "firewall"
	Endpoint Kind = "endpoint"
)

// prefixes of iptables mode (pkg/proxy/iptables/proxier.go: servicePortPolicyClusterChainNamePrefix and those after it).
var prefixes = map[Kind]string{Cluster: "KUBE-SVC-", Local: "KUBE-SVL-", External: "KUBE-EXT-", Firewall: "KUBE-FW-", Endpoint: "KUBE-SEP-"}

// Port is one port of a Service. Proto is tcp, udp or sctp.
type Port struct {
	Namespace, Service, Name, Proto string
}

// portName is kube-proxy's ServicePortName.String: "ns/name", or "ns/name:port" (pkg/proxy/types.go).
func (p Port) portName() string {
	s := p.Namespace + "/" + p.Service
	if p.Name != "" {
		s += ":" + p.Name
	}
	return s
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base32.StdEncoding.EncodeToString(sum[:])
}

// IPTablesChain is the name in iptables mode: the prefix and 16 characters of the base32 of a SHA-256 over the port's name and protocol, and
// for an endpoint its address (portProtoHash, servicePortEndpointChainName). The endpoint is not looked at for other kinds.
func IPTablesChain(k Kind, p Port, endpoint netip.AddrPort) string {
	s := p.portName() + p.Proto
	if k == Endpoint {
		s += endpoint.String()
	}
	return prefixes[k] + hash(s)[:16]
}

// maxChain is the longest chain name that kube-proxy gives in nftables mode; longer ones are cut and end in "...".
const maxChain = 200

// NFTablesChain is the name in nftables mode: the kind, 8 characters of a hash, and what was hashed (pkg/proxy/nftables/proxier.go,
// hashAndTruncate, servicePortPolicyClusterChainNameBase, servicePortEndpointChainNameBase).
func NFTablesChain(k Kind, p Port, endpoint netip.AddrPort) string {
	s := p.Namespace + "/" + p.Service + "/" + p.Proto + "/" + p.Name
	if k == Endpoint {
		s += "__" + strings.ReplaceAll(endpoint.Addr().String(), ":", ".") + "/" + strconv.Itoa(int(endpoint.Port()))
	}
	name := hash(s)[:8] + "-" + s
	if len(name) > maxChain {
		name = name[:maxChain-3] + "..."
	}
	return string(k) + "-" + name
}
