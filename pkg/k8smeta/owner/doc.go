// SPDX-License-Identifier: Apache-2.0

// Package owner finds the pod that a process, and so a network namespace, belongs to. It reads /proc only: the control group of a container
// has the pod's UID in its path whatever the runtime is, so that no runtime's socket has to be found or allowed.
package owner
