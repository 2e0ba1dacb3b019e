// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/k8smeta/owner"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// maxNamespaces bounds what is read at the start; a node has a namespace for each pod.
const maxNamespaces = 2048

// hostname is this node's name as Kubernetes has it.
func hostname() string { return cmp.Or(k8smeta.NodeName(), "this node") }

// scopes reads --scope values, "[NODE=]HOSTNETNS[+NETNS…]". Without any, every namespace of this kernel is this node.
func scopes(values []string) (node string, refs []netstate.Ref, err error) {
	node = hostname()
	if len(values) == 0 {
		refs = netstate.Discover()
		refs = refs[:min(len(refs), maxNamespaces)]
		for i := range refs {
			refs[i].Node = node
		}
		ownPods(refs)
		return node, refs, nil
	}
	seen := map[string]bool{}
	for k, v := range values {
		name, spaces, ok := strings.Cut(v, "=")
		if !ok {
			name, spaces = fmt.Sprintf("node%d", k+1), v
		}
		if name == "" || len(name) > 253 {
			return "", nil, fmt.Errorf("scope %q: name the node before the '='", v)
		}
		for i, s := range strings.Split(spaces, "+") {
			path, err := netns.Path(s)
			if err == nil {
				_, err = netns.Inode(path)
			}
			if err != nil {
				return "", nil, fmt.Errorf("scope %q: %w", v, err)
			}
			if seen[path] {
				return "", nil, fmt.Errorf("scope %q: namespace %s is in two scopes", v, s)
			}
			seen[path] = true
			refs = append(refs, netstate.Ref{Path: path, Name: s, Node: name, Host: i == 0})
		}
		if k == 0 {
			node = name
		}
	}
	ownPods(refs)
	return node, refs, nil
}

// ownPods says whose the namespaces are, by the control groups of the processes in them. What cannot be told is left to addresses.
func ownPods(refs []netstate.Ref) {
	host, err := netns.Inode(netns.Self)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	pods, _ := owner.Scan(ctx, "/proc", uint64(host))
	if len(pods) == 0 {
		return
	}
	for i := range refs {
		if ino, err := netns.Inode(refs[i].Path); err == nil {
			refs[i].PodUID = pods[ino].PodUID
		}
	}
}

// places gives each namespace of a snapshot its name in words: a pod's, where the index knows whose it is.
func places(s *netstate.Snapshot, x *k8smeta.Index) map[uint32]journey.Place {
	m := map[uint32]journey.Place{}
	if s == nil {
		return m
	}
	pods := podsOf(s, x)
	for _, n := range s.Namespaces {
		w := &journey.Where{Kind: "netns", Name: n.Name}
		if n.Host {
			w = &journey.Where{Kind: "host", Name: n.Node}
		} else if p := pods[n.Inode]; p != nil {
			w = &journey.Where{Kind: "pod", Namespace: p.Namespace, Name: p.Name}
		}
		m[n.Inode] = journey.Place{Node: n.Node, Where: w}
	}
	return m
}
