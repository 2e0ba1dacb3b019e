// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// ICMP is an ICMP error, or the kernel's own word, about a packet that was sent.
type ICMP struct {
	From string `json:"from,omitempty"` // who sent it; absent when it is this host's own word
	Type string `json:"type"`           // "port-unreachable", "host-unreachable", "frag-needed", ...
	MTU  int    `json:"mtu,omitempty"`  // that was told with frag-needed
}

// wantErrors has the kernel keep the ICMP errors about a socket's packets (ip(7), IP_RECVERR).
func wantErrors(c syscall.RawConn, v6 bool) {
	_ = c.Control(func(fd uintptr) {
		if v6 {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
			return
		}
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1)
	})
}

// icmpError takes the oldest error out of a connection's error queue; nil for none.
func icmpError(conn net.Conn) *ICMP {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	var e *ICMP
	_ = raw.Control(func(fd uintptr) {
		oob := make([]byte, 512)
		_, n, _, _, err := unix.Recvmsg(int(fd), make([]byte, 64), oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err != nil {
			return
		}
		msgs, err := unix.ParseSocketControlMessage(oob[:n])
		if err != nil {
			return
		}
		for _, m := range msgs {
			if (m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR) || (m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR) {
				e = parseExtendedError(m.Data)
			}
		}
	})
	return e
}

// parseExtendedError reads a struct sock_extended_err and the address of the offender behind it (include/uapi/linux/errqueue.h).
func parseExtendedError(b []byte) *ICMP {
	if len(b) < 16 {
		return nil
	}
	errno := syscall.Errno(binary.NativeEndian.Uint32(b))
	origin, kind, code, info := b[4], b[5], b[6], binary.NativeEndian.Uint32(b[8:])
	e := &ICMP{}
	if errno == unix.EMSGSIZE {
		e.MTU = int(min(info, 65535))
	}
	switch origin {
	case unix.SO_EE_ORIGIN_LOCAL:
		e.Type = "local"
		if errno == unix.EMSGSIZE {
			e.Type = localMTU
		}
		return e
	case unix.SO_EE_ORIGIN_ICMP:
		e.Type = icmp4Name(kind, code)
	case unix.SO_EE_ORIGIN_ICMP6:
		e.Type = icmp6Name(kind, code)
	default:
		return nil
	}
	e.From = offender(b[16:])
	return e
}

// offender reads a struct sockaddr_in or sockaddr_in6.
func offender(b []byte) string {
	if len(b) < 8 {
		return ""
	}
	switch binary.NativeEndian.Uint16(b) {
	case unix.AF_INET:
		return netip.AddrFrom4([4]byte(b[4:8])).String()
	case unix.AF_INET6:
		if len(b) >= 24 {
			return netip.AddrFrom16([16]byte(b[8:24])).Unmap().String()
		}
	}
	return ""
}

// fragNeeded is ICMP's "fragmentation needed" and ICMPv6's "packet too big".
const fragNeeded = "frag-needed"

// localMTU is the sender's own kernel's word: its device takes no packet of this size.
const localMTU = "local-mtu"

// icmp4Name names an error of RFC 792 and RFC 1812, 5.2.7.1.
func icmp4Name(kind, code byte) string {
	if kind == 3 {
		names := map[byte]string{0: "net-unreachable", 1: "host-unreachable", 2: "protocol-unreachable", 3: "port-unreachable", 4: fragNeeded, 9: "net-prohibited", 10: "host-prohibited", 13: "admin-prohibited"}
		if n, ok := names[code]; ok {
			return n
		}
	}
	if kind == 11 {
		return "time-exceeded"
	}
	return fmt.Sprintf("%d/%d", kind, code)
}

// icmp6Name names an error of RFC 4443.
func icmp6Name(kind, code byte) string {
	switch kind {
	case 1:
		names := map[byte]string{0: "net-unreachable", 1: "admin-prohibited", 3: "host-unreachable", 4: "port-unreachable"}
		if n, ok := names[code]; ok {
			return n
		}
	case 2:
		return fragNeeded
	case 3:
		return "time-exceeded"
	}
	return fmt.Sprintf("%d/%d", kind, code)
}

// quoted is what an ICMP error returns of the packet that it is about.
type quoted struct {
	dst   netip.Addr
	proto int
	body  []byte // from behind the IP header; nil when that is not whole
}

// quote reads what stands behind the eight bytes of an ICMP error's own header.
func quote(f *icmpFamily, b []byte) quoted {
	if len(b) < 8 {
		return quoted{}
	}
	b = b[8:]
	if f.proto == unix.IPPROTO_ICMPV6 {
		return quote6(b)
	}
	if len(b) < 20 {
		return quoted{}
	}
	header := int(b[0]&0xf) * 4
	if header < 20 || len(b) < header {
		return quoted{}
	}
	return quoted{netip.AddrFrom4([4]byte(b[16:20])), int(b[9]), b[header:]}
}

// quote6 passes over a fragment header: an echo that is larger than the sender's device has one.
func quote6(b []byte) quoted {
	if len(b) < 40 {
		return quoted{}
	}
	q := quoted{netip.AddrFrom16([16]byte(b[24:40])), int(b[6]), b[40:]}
	if q.proto == unix.IPPROTO_FRAGMENT && len(q.body) >= 8 {
		q.proto, q.body = int(q.body[0]), q.body[8:]
	}
	return q
}

// tooBig reads "fragmentation needed" (RFC 1191, section 4) or "packet too big" (RFC 4443, 3.2): the MTU that it tells, and what it returns of the
// packet, which is nothing when the message is another one.
func tooBig(f *icmpFamily, b []byte) (mtu int, about quoted) {
	if len(b) < 8 {
		return 0, quoted{}
	}
	told := binary.BigEndian.Uint32(b[4:])
	switch {
	case f.proto == unix.IPPROTO_ICMP && b[0] == 3 && b[1] == 4:
		told &= 0xffff
	case f.proto == unix.IPPROTO_ICMPV6 && b[0] == 2:
	default:
		return 0, quoted{}
	}
	return int(min(told, 65535)), quote(f, b)
}
