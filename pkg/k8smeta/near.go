// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"cmp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

const (
	maxNear    = 3
	maxCompare = 20000 // objects that are looked at for near matches
)

// near lists names that resemble one that was not found, the nearest first: few letters differ, the name is in another namespace, or it is
// the beginning of one.
func (x *Index) near(n Name, source bool) []string {
	if x == nil || n.Kind == "addr" {
		return nil
	}
	type candidate struct {
		name     string
		distance int
	}
	var found []candidate
	seen := map[string]bool{}
	consider := func(prefix, namespace, name string) {
		full := name
		if namespace != "" {
			full = namespace + "/" + name
		}
		d := unlike(n, namespace, name)
		if d < 0 || seen[prefix+full] {
			return
		}
		seen[prefix+full] = true
		found = append(found, candidate{prefix + full, d})
	}
	for i := range x.objs.Pods[:min(len(x.objs.Pods), maxCompare)] {
		p := &x.objs.Pods[i]
		switch {
		case p.Over():
		case n.Kind == "pod" || n.Kind == "any":
			consider("", p.Namespace, p.Name)
		case n.Kind == "deploy" && p.OwnerKind == "ReplicaSet" && strings.Contains(p.OwnerName, "-"):
			consider("deploy/", p.Namespace, p.OwnerName[:strings.LastIndexByte(p.OwnerName, '-')])
		case ownerKinds[n.Kind] == p.OwnerKind && p.OwnerKind != "":
			consider(n.Kind+"/", p.Namespace, p.OwnerName)
		}
	}
	if !source && (n.Kind == "svc" || n.Kind == "any") {
		for i := range x.objs.Services[:min(len(x.objs.Services), maxCompare)] {
			consider("svc/", x.objs.Services[i].Namespace, x.objs.Services[i].Name)
		}
	}
	if n.Kind == "node" {
		for i := range x.objs.Nodes[:min(len(x.objs.Nodes), maxCompare)] {
			consider("node/", "", x.objs.Nodes[i].Name)
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	var out []string
	for _, c := range found[:min(len(found), maxNear)] {
		out = append(out, c.name)
	}
	return out
}

// unlike is a distance between a wanted name and one that there is; -1 when they have little in common.
func unlike(n Name, namespace, name string) int {
	d := levenshtein.ComputeDistance(n.Name, name)
	other := 0
	if namespace != n.Namespace {
		other = 1 + min(levenshtein.ComputeDistance(n.Namespace, namespace), 2)
	}
	switch {
	case d <= 2 && d < len(n.Name):
		return d + other
	case len(n.Name) >= 3 && strings.HasPrefix(name, n.Name): // a Deployment's name instead of its pod's
		return 3 + other
	}
	return -1
}
