// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// maxFaults keeps a sentence readable when a policy is broken in many places.
const maxFaults = 3

func (d *direction) whyOpen(broken []string) string {
	return "no policy selects pod " + podName(d.own.Pod) + " for " + d.word() + faults(broken)
}

func (d *direction) whyAllowed(by *Rule) string {
	return fmt.Sprintf("%s rule %d of policy %s/%s allows %s", d.word(), by.Index, by.Namespace, by.Policy, d.what())
}

func (d *direction) whyDenied(by, broken []string) string {
	if len(by) == 1 {
		return "policy " + by[0] + " selects pod " + podName(d.own.Pod) + " and no rule of it allows " + d.what() + faults(broken)
	}
	last := len(by) - 1
	return "policies " + strings.Join(by[:last], ", ") + " and " + by[last] + " select pod " + podName(d.own.Pod) +
		" and no rule of them allows " + d.what() + faults(broken)
}

// faults is the end of a sentence.
func faults(broken []string) string {
	if len(broken) == 0 {
		return ""
	}
	if more := len(broken) - maxFaults; more > 0 {
		return fmt.Sprintf(" (%s; and %d more faults)", strings.Join(broken[:maxFaults], "; "), more)
	}
	return " (" + strings.Join(broken, "; ") + ")"
}

// what is the traffic as a rule would name it: "tcp/8080 from shop/client".
func (d *direction) what() string {
	traffic := d.flow.Proto
	if d.flow.Port != 0 {
		traffic = fmt.Sprintf("%s/%d", d.flow.Proto, d.flow.Port)
	}
	if d.kind == networkingv1.PolicyTypeEgress {
		return traffic + " to " + endName(d.peer)
	}
	return traffic + " from " + endName(d.peer)
}

func (d *direction) word() string { return strings.ToLower(string(d.kind)) }

func (d *direction) ruleName(p *networkingv1.NetworkPolicy, index int) string {
	return fmt.Sprintf("%s rule %d of policy %s", d.word(), index, name(p))
}

func podName(p *Pod) string { return p.Namespace + "/" + p.Name }

func endName(e *End) string {
	switch {
	case e.Pod != nil:
		return podName(e.Pod)
	case e.Node != "":
		return "node " + e.Node
	case e.Addr.IsValid():
		return e.Addr.String()
	}
	return "an unknown address"
}
