// SPDX-License-Identifier: Apache-2.0

package diagnose

import "fmt"

func init() { register(check{name: "node-ready", layer: Underlay, run: nodeReady}) }

// nodeReady: the kubelet of a node that is not Ready does not report, and endpoints on it are taken away after a while.
func nodeReady(in *Input) Result {
	if in.Index == nil {
		return unknown("whether the nodes are Ready is not known: " + in.NoIndex)
	}
	var p parts
	here, elsewhere := in.hosts()
	names := elsewhere
	for _, n := range here {
		names = append(names, n.Node)
	}
	for _, name := range names {
		n := in.kubeNode(name)
		switch {
		case n == nil:
			p.unsure("Kubernetes has no node " + name + " that may be read")
		case n.Ready:
			p.good(name + " is Ready")
		default:
			p.bad(Result{Cause: "node-not-ready", Node: name, Summary: fmt.Sprintf("node %s is not Ready", name),
				Evidence: []string{"its condition Ready is not True"},
				Fix:      []string{"kubectl describe node " + name + ": conditions and events", "on " + name + ": systemctl status kubelet; journalctl -u kubelet -e"}})
		}
	}
	return p.result("no node of the cluster is on the way")
}
