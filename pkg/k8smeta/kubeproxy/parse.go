// SPDX-License-Identifier: Apache-2.0

package kubeproxy

import (
	"net/netip"
	"strconv"
	"strings"
)

// nftNameMax is the longest name that the kernel takes (NFT_NAME_MAXLEN, include/uapi/linux/netfilter/nf_tables.h).
const nftNameMax = 256

// ParseNFT reads the name of a chain of nftables mode, such as service-2QRHZV4L-default/kubernetes/tcp/https. The number of the Service's
// port is no part of it and stays 0. A name that kube-proxy cut (more than 240 bytes: all names of maximal length, and an IPv6 endpoint)
// cannot be verified and is refused; a Table knows those too.
func ParseNFT(chain string) (Chain, bool) {
	if len(chain) > nftNameMax {
		return Chain{}, false
	}
	// The chains that are always there (service-endpoints-check, firewall-check) start alike; their hash is wrong.
	kind, base, ok := strings.Cut(chain, "-")
	if !ok || iptPrefixes[kind] == "" || len(base) <= nftHash || len(base) > nftBaseMax || base[nftHash] != '-' {
		return Chain{}, false
	}
	name := base[nftHash+1:]
	if digest(name, nftHash) != base[:nftHash] {
		return Chain{}, false
	}
	// Names in Kubernetes have no '_', so the first "__" separates.
	service, endpoint, has := strings.Cut(name, "__")
	if has != (kind == KindEndpoint) {
		return Chain{}, false
	}
	c := Chain{Kind: kind}
	if c.Port, ok = parsePort(service); !ok {
		return Chain{}, false
	}
	if !has {
		return c, true
	}
	if c.Endpoint, ok = parseEndpoint(endpoint); !ok {
		return Chain{}, false
	}
	return c, true
}

// parsePort reads namespace/service/proto/port; a Service with a single port need not name it.
func parsePort(s string) (Port, bool) {
	f := strings.Split(s, "/")
	if len(f) != 4 || f[0] == "" || f[1] == "" {
		return Port{}, false
	}
	if !isName(f[0]) || !isName(f[1]) || !isName(f[3]) {
		return Port{}, false
	}
	switch f[2] {
	case "tcp", "udp", "sctp":
		return Port{Namespace: f[0], Service: f[1], Proto: f[2], PortName: f[3]}, true
	}
	return Port{}, false
}

// isName admits the alphabet of DNS labels, which namespaces, Services and ports are, and so nothing that a terminal would obey.
func isName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		default:
			return false
		}
	}
	return len(s) <= 63
}

// parseEndpoint reads address/port, where an IPv6 address has '.' for ':'.
func parseEndpoint(s string) (netip.AddrPort, bool) {
	host, number, ok := strings.Cut(s, "/")
	if !ok || strings.ContainsAny(host, ":%") {
		return netip.AddrPort{}, false
	}
	addr, err := netip.ParseAddr(host)
	if err != nil { // four decimal groups are never an IPv6 address: that has eight, or an empty one
		addr, err = netip.ParseAddr(strings.ReplaceAll(host, ".", ":"))
	}
	// The dots of an IPv4-mapped address could not be told from its colons; Kubernetes has none as an endpoint.
	if err != nil || addr.Is4In6() {
		return netip.AddrPort{}, false
	}
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil || strconv.FormatUint(port, 10) != number {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, uint16(port)), true
}
