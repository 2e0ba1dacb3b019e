// SPDX-License-Identifier: Apache-2.0

// Package reasons holds the pages of the kernel's drop reasons: what each means, when the kernel gives it, usual causes in Kubernetes, and what
// to look at next. The pages are the YAML files beside this one; a new reason is one more entry. Names of other kernels for the same
// thing are aliases. Tests compare with the lists in testdata/dropreasons and with the running kernel.
package reasons
