// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"net/netip"
	"slices"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// peers are the targets on other nodes than the one where the way between the nodes begins, one for each node.
func (in *Input) peers() []side {
	w := in.path()
	var out []side
	for _, t := range w.targets {
		if t.node == "" || w.entry != nil && t.node == w.entry.Node || w.entry == nil && t.node == w.src.node {
			continue
		}
		if !slices.ContainsFunc(out, func(s side) bool { return s.node == t.node }) {
			out = append(out, t)
		}
	}
	return out
}

// hosts are the nodes on the way whose host namespace is on this kernel, and the names of those that are not.
func (in *Input) hosts() (here []*netstate.Namespace, elsewhere []string) {
	w := in.path()
	see := func(host *netstate.Namespace, node string) {
		switch {
		case host != nil && !in.isNode(host.Node): // a host outside of the cluster
		case host != nil && !slices.Contains(here, host):
			here = append(here, host)
		case host == nil && node != "" && !slices.Contains(elsewhere, node):
			elsewhere = append(elsewhere, node)
		}
	}
	see(w.src.host, w.src.node)
	see(w.entry, "")
	for _, t := range w.targets {
		see(t.host, t.node)
	}
	return here, elsewhere
}

// leg is a part of the way between two nodes.
type leg struct {
	from *netstate.Namespace
	to   side
}

// legs are the parts of the way in the underlay: from the sender's node to one whose NodePort it calls, and from the node that translates to those
// of the targets. from is nil where the sending node is not on this kernel.
func (in *Input) legs() []leg {
	w := in.path()
	var out []leg
	if w.entry != nil && w.src.host != nil && w.entry != w.src.host {
		out = append(out, leg{w.src.host, side{addr: in.Dst, node: w.entry.Node, host: w.entry, ns: w.entry}})
	}
	for _, t := range in.peers() {
		out = append(out, leg{w.entry, t})
	}
	return out
}

// Question is an echo that shall be sent before the checks are made: from a node's host namespace to another node's address.
type Question struct {
	From *netstate.Namespace
	To   netip.Addr
}

// Questions are the echoes that the checks would like to have, the first few.
func (in *Input) Questions() []Question {
	const most = 2
	var out []Question
	for _, l := range in.legs() {
		if to := in.nodeAddress(l.to.node, l.to.host, in.Src.Is6()); l.from != nil && to.IsValid() && len(out) < most {
			out = append(out, Question{l.from, to})
		}
	}
	return out
}
