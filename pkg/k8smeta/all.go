// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
)

// maxAll bounds how many objects of a kind All reads.
const maxAll = 50000

// All asks for every pod, Service and node, page by page: for a command that shows whatever a node does. What there is beyond 50,000 of a
// kind is told as missing.
func (a *API) All(ctx context.Context) Objects {
	var out Objects
	for _, resource := range []string{"nodes", "services", "pods"} {
		out = out.Merge(a.every(ctx, query{resource: resource}))
	}
	return out
}

// every reads the pages of a list.
func (a *API) every(ctx context.Context, q query) Objects {
	var out Objects
	next := ""
	for n := 0; ; {
		page, cancel := context.WithTimeout(ctx, a.patience)
		obj := blankFor(q)
		err := a.c.groups[q.group].Get().Resource(q.resource).MaxRetries(1).Param("limit", "500").Param("continue", next).Do(page).Into(obj)
		if err != nil {
			_ = a.note(page, q, err)
			cancel()
			return out
		}
		cancel()
		items, err := meta.ExtractList(obj)
		if a.odd(q, err) != nil {
			return out
		}
		for _, item := range items {
			_ = a.odd(q, out.Add(item))
		}
		l, err := meta.ListAccessor(obj)
		if n += len(items); err != nil || l.GetContinue() == "" {
			return out
		}
		if next = l.GetContinue(); n >= maxAll {
			a.say(fmt.Sprintf("the cluster has more than %d %s: names of the others are missing", maxAll, q.resource))
			return out
		}
	}
}
