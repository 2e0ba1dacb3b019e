// SPDX-License-Identifier: Apache-2.0

// Package k8smeta puts addresses, namespaces and names into Kubernetes words. It imports no other package of nettrace.
//
// Objects are slim copies of what the API server has: only the fields that a trace needs, every name checked, every list bounded. They come
// from a file (ReadFile), from an API server by point lookups (API, Gather) or by watches (Watch). An Index over them never changes once it
// is built, so that lookups need no lock and no allocation. Find turns an endpoint's name, "svc/shop/web:http", into addresses.
package k8smeta
