// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
)

// MaxAll bounds how many objects of a kind All reads.
const MaxAll = 50000

// All asks for every pod, Service and node, page by page: for a command that shows whatever a node does. What there is beyond 50,000 of a
// kind is told as missing.
func (a *API) All(ctx context.Context) Objects {
	var out Objects
	for _, resource := range []string{"nodes", "services", "pods"} {
		page, _ := a.pages(ctx, query{resource: resource}, MaxAll)
		out = out.Merge(page)
	}
	return out
}

// pages reads a list, of at most so many objects. With an error it gives what came until then.
func (a *API) pages(ctx context.Context, q query, most int) (Objects, error) {
	var out Objects
	next := ""
	for n := 0; ; {
		obj := blankFor(q)
		if err := a.page(ctx, q, next, obj); err != nil {
			return out, err
		}
		items, err := meta.ExtractList(obj)
		if err != nil {
			return out, a.odd(q, err)
		}
		for _, item := range items {
			_ = a.odd(q, out.Add(item)) // the others are good
		}
		l, err := meta.ListAccessor(obj)
		if n += len(items); err != nil || l.GetContinue() == "" {
			return out, nil
		}
		if next = l.GetContinue(); n >= most {
			a.say(fmt.Sprintf("there are more than %d %s %s: names of the others are missing", most, q.resource, q.where()))
			return out, nil
		}
	}
}

// page makes the request for one page.
func (a *API) page(ctx context.Context, q query, next string, into runtime.Object) error {
	ctx, cancel := context.WithTimeout(ctx, a.patience)
	defer cancel()
	r := a.c.groups[q.group].Get().NamespaceIfScoped(q.namespace, q.namespace != "").Resource(q.resource).MaxRetries(1).Param("limit", "500")
	for name, value := range map[string]string{"continue": next, "fieldSelector": q.fields, "labelSelector": q.labels} {
		if value != "" {
			r = r.Param(name, value)
		}
	}
	if err := r.Do(ctx).Into(into); err != nil {
		return a.note(ctx, q, err)
	}
	return nil
}
