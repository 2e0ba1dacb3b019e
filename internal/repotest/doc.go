// SPDX-License-Identifier: Apache-2.0

// Package repotest holds what is true of the repository as a whole and is easy to break without noticing: every source file names its
// licence, every make target that the pages tell readers to type exists, every link inside the repository leads somewhere, and every
// screen in the README holds output of a case that exists.
//
// A check is a function of a file system, returns one sentence for each defect, and reads nothing else. The package is used by its tests
// only; no program imports it.
package repotest
