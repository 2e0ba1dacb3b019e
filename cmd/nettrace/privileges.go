// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/nettrace-io/nettrace/pkg/tracer"

// mayEnter says whether other namespaces can be entered: nothing of them is known otherwise.
func mayEnter() error {
	if len(tracer.Lacking("CAP_SYS_ADMIN")) == 0 {
		return nil
	}
	if err := tracer.MayTrace(); err != nil { // the larger want
		return err
	}
	return &tracer.PrivilegeError{Missing: []string{"CAP_SYS_ADMIN"}}
}

// sayLacking tells what will be missing for want of capabilities, before anybody wonders.
func sayLacking(warn func(string), names ...string) {
	for _, c := range tracer.Lacking(names...) {
		warn(c.String())
	}
}
