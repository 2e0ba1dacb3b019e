// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// anyPort says whether one of the ports is the destination's. A fault is a port that cannot be understood, or a name that stands for none.
func (d *direction) anyPort(ports []networkingv1.NetworkPolicyPort) (bool, []string) {
	if len(ports) == 0 {
		return true, nil
	}
	var faults []string
	for i := range ports {
		ok, fault := d.isPort(&ports[i])
		if ok {
			return true, nil
		}
		if fault != "" {
			faults = append(faults, fault)
		}
	}
	return false, faults
}

func (d *direction) isPort(p *networkingv1.NetworkPolicyPort) (ok bool, fault string) {
	proto, valid := protocol(p.Protocol)
	if !valid {
		return false, "has a protocol " + strconv.Quote(string(*p.Protocol)) + " that is none of TCP, UDP and SCTP, which never matches"
	}
	if proto != d.flow.Proto {
		return false, ""
	}
	named := p.Port != nil && p.Port.Type == intstr.String
	switch {
	case p.EndPort != nil && (p.Port == nil || named):
		return false, "has an endPort without a numeric port, which never matches"
	case p.Port == nil:
		return true, ""
	case named:
		return d.hasName(p.Port.StrVal, proto)
	}
	first, last := p.Port.IntVal, p.Port.IntVal
	if p.EndPort != nil {
		last = *p.EndPort
	}
	if first < 1 || last < first || last > math.MaxUint16 {
		return false, fmt.Sprintf("has an impossible port range %d to %d, which never matches", first, last)
	}
	port := int32(d.flow.Port)
	return first <= port && port <= last, ""
}

// hasName looks the name up in the destination for both directions: what a client calls its own ports says nothing about the server's.
func (d *direction) hasName(name, proto string) (ok bool, fault string) {
	pod := d.flow.Dst.Pod
	if pod == nil || pod.HostNetwork {
		return false, "names port " + strconv.Quote(name) + ", but " + endName(&d.flow.Dst) + " has no named ports"
	}
	known := false
	for _, c := range pod.Ports {
		if c.Name != name || c.Proto != proto && (c.Proto != "" || proto != "tcp") {
			continue
		}
		if c.Port == d.flow.Port {
			return true, ""
		}
		known = true
	}
	if known {
		return false, ""
	}
	return false, "names port " + strconv.Quote(name) + ", but pod " + podName(pod) + " has no " + proto + " port of that name"
}

// protocol is strict about upper case, as the API is.
func protocol(p *corev1.Protocol) (proto string, valid bool) {
	if p == nil {
		return "tcp", true
	}
	switch *p {
	case corev1.ProtocolTCP:
		return "tcp", true
	case corev1.ProtocolUDP:
		return "udp", true
	case corev1.ProtocolSCTP:
		return "sctp", true
	}
	return "", false
}
