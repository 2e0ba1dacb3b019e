// SPDX-License-Identifier: Apache-2.0

// Package k8smeta puts addresses, namespaces and kube-proxy's chains into Kubernetes words. It imports no other package of nettrace.
//
// A Source (an API server, or a file) gives objects; an Index, which never changes once it is built, answers what an address or a name means.
package k8smeta

import (
	_ "k8s.io/api/core/v1"
	_ "k8s.io/api/discovery/v1"
	_ "k8s.io/api/networking/v1"
	_ "k8s.io/client-go/rest"
	_ "k8s.io/client-go/tools/cache"
	_ "k8s.io/client-go/tools/clientcmd"
)
