// SPDX-License-Identifier: Apache-2.0

// Package owner says which pod a process, and so a network namespace, belongs to.
//
// It asks no container runtime: the paths of their sockets differ, and a debug pod seldom has them. The kubelet itself writes the UID of
// the pod into the name of the cgroup (pkg/kubelet/cm/pod_container_manager_linux.go, and ToSystemd and ToCgroupfs in
// cgroup_manager_linux.go of Kubernetes), and every runtime puts its containers below that.
//
// The UID is the one that the kubelet uses. For a static pod that is the hash of its manifest, 32 hex digits, which the API server shows
// as the annotation kubernetes.io/config.hash of the mirror pod, whose own UID is another one.
//
// Whoever may create cgroups can name them like a pod's. Of several names in a path the outermost counts, so nobody inside a pod can
// speak for another one; root on the node can.
package owner
