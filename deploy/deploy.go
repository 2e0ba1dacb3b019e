// SPDX-License-Identifier: Apache-2.0

// Package deploy holds the manifests that put nettrace on a node, for programs that make pods from them.
package deploy

import _ "embed"

// Pod is the debug pod's manifest, one YAML document of kind Pod. The node's name stands for NodePlaceholder in it.
//
//go:embed pod.yaml
var Pod []byte

// NodePlaceholder is spec.nodeName in Pod, to be replaced.
const NodePlaceholder = "NODE"
