// SPDX-License-Identifier: Apache-2.0

// Command testreport reads the JSON of 'go test -json' and lists every skipped test with its reason. A skip that the allow-list does not
// have fails: a green run that skipped things unseen is a defect. So does a run in which nothing passed.
//
// It does not judge failures: go test's own exit code does. The format of the events is test2json's (go doc test2json), that of the
// allow-list is described at readAllowances.
package main
