// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// newID is the id of a query, or the number of an echo: forging an answer to a probe gains nothing, but a late one must not be taken for another's.
func newID() uint16 { return uint16(rand.Uint32()) }

func newQuery(name string, t dnsmessage.Type, id uint16) ([]byte, error) {
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: n, Type: t, Class: dnsmessage.ClassINET}}}
	return m.Pack()
}

// readMessage reads one message: a datagram, or two bytes of length and as much (RFC 1035, 4.2.2).
func readMessage(conn net.Conn, proto string) ([]byte, error) {
	if proto == "udp" {
		b := make([]byte, 65535)
		n, err := conn.Read(b)
		return b[:n], err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(conn, b)
	return b, err
}

// answers reports whether a message that cannot be read has a header that answers the query.
func answers(b []byte, id uint16) bool {
	return len(b) >= 12 && binary.BigEndian.Uint16(b) == id && b[2]&0x80 != 0
}

func sameName(a, b string) bool { return strings.EqualFold(a, b) }

func typeName(t dnsmessage.Type) string { return strings.TrimPrefix(t.String(), "Type") }

// rcodeName is the name in the registry of IANA, as dig prints it.
func rcodeName(r dnsmessage.RCode) string {
	known := map[dnsmessage.RCode]string{dnsmessage.RCodeSuccess: "NOERROR", dnsmessage.RCodeFormatError: "FORMERR", dnsmessage.RCodeServerFailure: "SERVFAIL",
		dnsmessage.RCodeNameError: "NXDOMAIN", dnsmessage.RCodeNotImplemented: "NOTIMP", dnsmessage.RCodeRefused: "REFUSED"}
	if n, ok := known[r]; ok {
		return n
	}
	return fmt.Sprintf("RCODE%d", r)
}

// addresses are those of an answer, the first few.
func addresses(m *dnsmessage.Message) []string {
	var out []string
	for i := range m.Answers {
		if len(out) == maxAnswers {
			break
		}
		switch b := m.Answers[i].Body.(type) {
		case *dnsmessage.AResource:
			out = append(out, netip.AddrFrom4(b.A).String())
		case *dnsmessage.AAAAResource:
			out = append(out, netip.AddrFrom16(b.AAAA).String())
		}
	}
	return out
}
