// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"regexp"
	"strings"
)

// Owner says whose rule it is.
type Owner struct {
	By     string // "kube-proxy", "Calico", "kube-router", "flannel", "Docker", ..., "node firewall"
	Policy bool   // it enforces NetworkPolicies
	// The Service of a kube-proxy rule.
	Namespace, Service, Port string
	Why                      string // "has no endpoints", "has no local endpoints", "traffic not accepted" (loadBalancerSourceRanges)
}

// writers are chain names' beginnings with who writes them: kube-proxy pkg/proxy/iptables, Felix rules/, kube-router netpol/, flannel
// pkg/trafficmngr, Docker, firewalld, ufw, Istio.
var writers = []struct {
	prefix, by string
	policy     bool
}{
	{"KUBE-POD-FW-", "kube-router", true}, {"KUBE-NWPLCY-", "kube-router", true}, {"KUBE-ROUTER-", "kube-router", true},
	{"KUBE-", "kube-proxy", false},
	{"cali-tw-", "Calico", true}, {"cali-fw-", "Calico", true}, {"cali-pi-", "Calico", true}, {"cali-po-", "Calico", true}, {"cali-pri-", "Calico", true},
	{"cali-pro-", "Calico", true}, {"cali-th-", "Calico", true}, {"cali-fh-", "Calico", true}, {"cali-", "Calico", false},
	{"AZURE-NPM", "Azure NPM", true}, {"WEAVE-NPC", "Weave", true}, {"CILIUM_", "Cilium", false}, {"FLANNEL-", "flannel", false},
	{"DOCKER", "Docker", false}, {"ISTIO_", "Istio", false}, {"ufw", "ufw", false}, {"IN_", "firewalld", false}, {"FWD", "firewalld", false},
}

// serviceComment is what kube-proxy writes: "shop/web:http cluster IP", "shop/web:http -> 10.0.0.1:80", "shop/web has no endpoints".
var serviceComment = regexp.MustCompile(`^([a-z0-9-]{1,63})/([a-z0-9.-]{1,253})(?::([a-z0-9-]{1,63}))?(?: (has no endpoints|has no local endpoints|cluster IP|-> \S+|traffic not accepted by \S+|loadbalancer IP|external IP))?$`)

// OwnerOf reads the owner from the chain, the chains on the way to it, and the comment.
func OwnerOf(chain, comment string, path []string) Owner {
	o := Owner{By: "node firewall"}
	chains := []string{chain}
	for i := len(path) - 1; i >= 0; i-- {
		chains = append(chains, path[i])
	}
search:
	for _, c := range chains {
		for _, w := range writers {
			if strings.HasPrefix(c, w.prefix) {
				o.By, o.Policy = w.by, w.policy
				break search
			}
		}
	}
	if o.By == "kube-proxy" {
		if m := serviceComment.FindStringSubmatch(comment); m != nil {
			o.Namespace, o.Service, o.Port = m[1], m[2], m[3]
			switch {
			case strings.HasPrefix(m[4], "has no"):
				o.Why = m[4]
			case strings.HasPrefix(m[4], "traffic not accepted"):
				o.Why = "traffic not accepted"
			}
		}
	}
	return o
}
