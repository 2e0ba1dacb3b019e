// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"strings"

	"github.com/nettrace-io/nettrace/pkg/k8smeta/kubeproxy"
)

// nftWriters are tables with who makes them: kube-proxy pkg/proxy/nftables, flannel pkg/trafficmngr/nftables, Felix nftables/, firewalld.
var nftWriters = []struct{ prefix, by string }{
	{"kube-proxy", "kube-proxy"}, {"calico", "Calico"}, {"flannel-", "flannel"}, {"firewalld", "firewalld"}, {"docker", "Docker"}, {"cilium", "Cilium"}, {"istio", "Istio"},
}

// ownerOfNFT reads the owner from the table, kube-proxy's Service from the chains on the way or from the element that led to them.
func ownerOfNFT(table string, o *nftOutcome) Owner {
	own := Owner{By: "node firewall"}
	for _, w := range nftWriters {
		if strings.HasPrefix(table, w.prefix) {
			own.By = w.by
			break
		}
	}
	switch own.By {
	case "kube-proxy":
		kubeProxyOwner(&own, o)
	case "Calico":
		own.Policy = OwnerOf(strings.TrimPrefix(o.chain, "filter-"), "", nil).Policy
	}
	return own
}

func kubeProxyOwner(own *Owner, o *nftOutcome) {
	for i := len(o.path) - 1; i >= 0; i-- {
		if c, ok := kubeproxy.ParseNFT(o.path[i]); ok {
			own.Namespace, own.Service, own.Port = c.Port.Namespace, c.Port.Service, c.Port.PortName
			return
		}
	}
	m := serviceComment.FindStringSubmatch(o.via.comment)
	if m == nil {
		return
	}
	own.Namespace, own.Service, own.Port = m[1], m[2], m[3]
	if !strings.HasPrefix(o.viaMap, "no-endpoint-") {
		return
	}
	own.Why = "has no endpoints"
	if o.verdict == "drop" { // kube-proxy rejects where there are none at all, and drops where the policy Local leaves none
		own.Why = "has no local endpoints"
	}
}
