// SPDX-License-Identifier: Apache-2.0

// Package debugpod runs a program as a pod on chosen nodes: it makes the pod, says why one does not start, feeds it through an attached
// stdin, reads what it writes, takes what a cut connection swallowed from its log, and deletes it again.
//
// Nothing is shared between runs: each has an id of its own, which is in its pods' names and labels. A pod outlives its run in no case: Close
// deletes it, a Guardian does when the program was killed, the program in it ends with its stdin, and activeDeadlineSeconds ends what is left.
package debugpod
