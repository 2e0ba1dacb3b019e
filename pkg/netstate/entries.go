// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// The socket options that read a table (include/uapi/linux/netfilter_ipv4/ip_tables.h); those of IPv6 have the same numbers.
const (
	soGetInfo    = 64
	soGetEntries = 65
)

// places asks the kernel where it keeps the rules of iptables-legacy, so that a rule that was seen at work can be told from its neighbours. It
// reads what iptables-legacy-save reads.
func (r *reader) places(s *ruleset.Ruleset) {
	family, level := unix.AF_INET, unix.SOL_IP
	if s.Family == "ip6" {
		family, level = unix.AF_INET6, unix.SOL_IPV6
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		r.unread("the places of "+s.Backend+" rules", err)
		return
	}
	defer func() { _ = unix.Close(fd) }()
	for i := range s.Tables {
		info, rules, err := tableEntries(fd, level, s.Tables[i].Name)
		if err == nil && !ruleset.GivePlaces(s, s.Tables[i].Name, info, rules) {
			err = errors.New("they changed meanwhile, or have another layout")
		}
		r.unread("the places of "+s.Backend+" rules of table "+s.Tables[i].Name, err)
	}
}

func tableEntries(fd, level int, table string) (ruleset.Info, []byte, error) {
	b := make([]byte, ruleset.InfoSize)
	copy(b[:31], table)
	if err := getsockopt(fd, level, soGetInfo, b); err != nil {
		return ruleset.Info{}, nil, err
	}
	info, ok := ruleset.ParseInfo(b)
	if !ok || info.Size > maxRuleBytes {
		return info, nil, errors.New("the table is too large")
	}
	b = make([]byte, ruleset.EntriesHeader+int(info.Size))
	copy(b[:31], table)
	binary.NativeEndian.PutUint32(b[32:], info.Size)
	err := getsockopt(fd, level, soGetEntries, b)
	return info, b[ruleset.EntriesHeader:], err
}

func getsockopt(fd, level, option int, b []byte) error {
	size := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option), uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
