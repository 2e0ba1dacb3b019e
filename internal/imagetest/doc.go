// SPDX-License-Identifier: Apache-2.0

// Package imagetest runs the container image in a container runtime as deploy/pod.yaml says: its capabilities, mounts, namespaces and limits are
// read from the manifest and translated into the runtime's flags, so that what is tested is what is deployed.
package imagetest
