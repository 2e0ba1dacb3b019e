// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// announcement says what is about to be changed.
func announcement(table string, all []Namespace) string {
	legacy := 0
	for _, n := range all {
		if len(n.Legacy) > 0 {
			legacy++
		}
	}
	s := fmt.Sprintf("--trace-rules adds the nftables table %s in %s until nettrace ends; it sets nftrace on this flow's packets", table, count(len(all), "namespace"))
	if legacy > 0 {
		s += fmt.Sprintf(", and the records of iptables-legacy go to nettrace meanwhile (net.netfilter.nf_log in %s)", count(legacy, "namespace"))
	}
	return s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// lacking names what is not traced. Without quiet the kernel would write every step into its own log, so nothing is.
func lacking(quiet, nft bool) string {
	switch {
	case quiet:
		return "iptables-legacy's rules are"
	case nft:
		return "neither iptables-legacy's nor nftables' rules are"
	}
	return "the rules are"
}

// explain says what an error of the kernel means.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return &tracer.PrivilegeError{Missing: []string{"CAP_NET_ADMIN", "CAP_SYS_ADMIN"}}
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT), errors.Is(err, unix.EAFNOSUPPORT):
		return &tracer.FeatureError{What: "nftables tables that go with their owner (flags owner, since Linux 5.12), or their tracing", Next: "leave --trace-rules out, and rules are inferred", Err: err}
	}
	return err
}
