// SPDX-License-Identifier: Apache-2.0

// Package verdict judges a run: which of the five layers failed, why, with evidence, a fix, and how sure that is.
//
// A diagnosis is one file checks_NAME.go that registers itself. A check reads the journeys and the snapshots of one run and changes
// nothing; it says which others it silences when it applies. Drops are judged by the place, not only by the reason: the same NO_SOCKET
// is an underlay fault at a node's tunnel port, a Service fault at a NodePort and an application fault in a pod.
package verdict
