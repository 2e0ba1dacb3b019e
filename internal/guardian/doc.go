// SPDX-License-Identifier: Apache-2.0

// Package guardian keeps a process beside this one that undoes what this one changed, should it be killed. What is changed is told to the
// guardian before it is done. A kill of the whole container kills the guardian too.
package guardian
