// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Name is an endpoint as a user wrote it, taken apart. Kind is "pod", "svc", "deploy", "sts", "ds", "node", "addr" (a pod's DNS name), or
// "any" for a bare NAMESPACE/NAME, which is tried as a pod and, for a destination, then as a Service.
type Name struct {
	Text      string
	Kind      string
	Namespace string
	Name      string
	Addr      netip.Addr
	Port      string // a number or a name; "" when none was given
}

// kinds are the words before the first slash, as kubectl has them.
var kinds = map[string]string{
	"pod": "pod", "pods": "pod", "po": "pod", "svc": "svc", "service": "svc", "services": "svc",
	"deploy": "deploy", "deployment": "deploy", "deployments": "deploy", "sts": "sts", "statefulset": "sts", "statefulsets": "sts",
	"ds": "ds", "daemonset": "ds", "daemonsets": "ds", "node": "node", "nodes": "node", "no": "node",
}

// ownerKinds are the kinds of controllers.
var ownerKinds = map[string]string{"deploy": "ReplicaSet", "sts": "StatefulSet", "ds": "DaemonSet"}

// OfController reports a name that stands for one of several pods.
func (n *Name) OfController() bool { return ownerKinds[n.Kind] != "" }

// maxText bounds what a user can write: the longest DNS name with a port is far shorter.
const maxText = 1024

// ParseName takes an endpoint's name apart; namespace is that of names without one. ok is false for what has not the form of a Kubernetes
// name: no slash, and no DNS name of a Service or pod.
func ParseName(text, namespace string) (n Name, ok bool, err error) {
	if len(text) > maxText {
		return Name{}, true, fmt.Errorf("a name of %d characters is no endpoint", len(text))
	}
	n.Text = text
	body, port := cutLast(text)
	n.Port = port
	if !strings.Contains(body, "/") {
		return dnsName(n, body)
	}
	parts := strings.Split(body, "/")
	kind, known := kinds[lower(parts[0])]
	switch {
	case known && kind == "node" && len(parts) == 2:
		n.Kind, n.Name = kind, parts[1]
	case known && len(parts) == 3:
		n.Kind, n.Namespace, n.Name = kind, parts[1], parts[2]
	case known && len(parts) == 2:
		n.Kind, n.Namespace, n.Name = kind, namespace, parts[1]
	case len(parts) == 2:
		n.Kind, n.Namespace, n.Name = "any", parts[0], parts[1]
	default:
		return n, true, fmt.Errorf("%s is no endpoint: use NAMESPACE/POD, svc/NAMESPACE/NAME:PORT, deploy/NAMESPACE/NAME or node/NAME", quoted(text))
	}
	if known && n.Namespace == "" && n.Kind != "node" {
		return n, true, fmt.Errorf("%s lacks a namespace: write %s/NAMESPACE/%s, or add -n NAMESPACE", quoted(text), parts[0], n.Name)
	}
	return n, true, n.check()
}

// cutLast takes a port off the end.
func cutLast(text string) (body, port string) {
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		return text[:i], text[i+1:]
	}
	return text, ""
}

func (n *Name) check() error {
	if len(validation.IsDNS1123Subdomain(n.Name)) > 0 {
		return fmt.Errorf("%s is no endpoint: %s is no name of a Kubernetes object (lower-case letters, digits, '-' and '.')", quoted(n.Text), quoted(n.Name))
	}
	if n.Kind != "node" && len(validation.IsDNS1123Label(n.Namespace)) > 0 {
		return fmt.Errorf("%s is no endpoint: %s is no namespace (lower-case letters, digits and '-')", quoted(n.Text), quoted(n.Namespace))
	}
	if strings.HasSuffix(n.Text, ":") {
		return fmt.Errorf("%s ends with ':': write the port behind it, or leave it out", quoted(n.Text))
	}
	if n.Port == "" {
		return nil
	}
	if v, err := strconv.Atoi(n.Port); err == nil {
		if v < 1 || v > 65535 {
			return fmt.Errorf("%s: port %d: use 1 to 65535, or a port's name", quoted(n.Text), v)
		}
		return nil
	}
	if len(validation.IsDNS1123Label(n.Port)) > 0 { // names of Services' ports; those of containers are shorter
		return fmt.Errorf("%s: %s is no port: use a number, or a port's name", quoted(n.Text), quoted(n.Port))
	}
	return nil
}

// dnsName reads names that the cluster's DNS gives (the DNS specification of Kubernetes): SERVICE.NAMESPACE.svc[.ZONE],
// POD.SERVICE.NAMESPACE.svc[.ZONE] of a StatefulSet's pod, and A-B-C-D.NAMESPACE.pod[.ZONE].
func dnsName(n Name, body string) (Name, bool, error) {
	parts := strings.Split(strings.TrimSuffix(lower(body), "."), ".")
	at := func(i int) string {
		if i < len(parts) {
			return parts[i]
		}
		return ""
	}
	switch {
	case at(2) == "svc":
		n.Kind, n.Namespace, n.Name = "svc", at(1), at(0)
	case at(3) == "svc":
		n.Kind, n.Namespace, n.Name = "pod", at(2), at(0)
	case at(2) == "pod":
		a, ok := dashed(at(0))
		if !ok {
			return n, true, fmt.Errorf("%s: the DNS name of a pod begins with its address, as in 10-244-1-10.%s.pod", quoted(n.Text), at(1))
		}
		n.Kind, n.Addr = "addr", a
		return n, true, nil
	default:
		return n, false, nil
	}
	return n, true, n.check()
}

// dashed reads an address with '-' for its dots or colons.
func dashed(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.ReplaceAll(s, "-", ".")); err == nil {
		return a, true
	}
	a, err := netip.ParseAddr(strings.ReplaceAll(s, "-", ":"))
	return a, err == nil
}
