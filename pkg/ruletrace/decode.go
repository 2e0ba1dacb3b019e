// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Record is one step of one packet through the rules.
type Record struct {
	NetNS   uint32 `json:"netns,omitempty"` // inode of the namespace
	Backend string `json:"backend"`         // nft, which stands for iptables-nft too, or iptables-legacy
	Family  uint8  `json:"family"`          // of the table, NFPROTO_* (include/uapi/linux/netfilter.h): 1 inet, 2 ip, 7 bridge, 10 ip6
	Table   string `json:"table"`
	Chain   string `json:"chain"`
	Type    string `json:"type"` // rule, return or policy
	// Handle is nftables' number of the rule; Number is the rule's place in its chain from 1, of iptables-legacy, which counts a policy
	// behind the last rule.
	Handle uint64 `json:"handle,omitempty"`
	Number int    `json:"number,omitempty"`
	// Verdict is accept, drop, continue, jump, ...; "" where the kernel does not tell, as of legacy rules. Target is the chain of a jump or
	// goto.
	Verdict string `json:"verdict,omitempty"`
	Target  string `json:"target,omitempty"`
	ID      uint32 `json:"id,omitempty"` // of the packet within one trace, nftables
	Mark    uint32 `json:"mark,omitempty"`
	IIF     uint32 `json:"iif,omitempty"` // device number; 0: none
	OIF     uint32 `json:"oif,omitempty"`
	Packet  Packet `json:"packet"`
}

// ErrNoTrace is a message that is well formed and no trace record, such as a line that another rule logs.
var ErrNoTrace = errors.New("no trace record")

// genHeader is struct nfgenmsg: family, version, resource (include/uapi/linux/netfilter/nfnetlink.h).
const genHeader = 4

// attrType is NLA_TYPE_MASK (include/uapi/linux/netlink.h): without the bits for nested and byte order.
const attrType = 0x3fff

// DecodeNFT reads the payload of an NFT_MSG_TRACE message, struct nfgenmsg included. Attributes: enum nft_trace_attributes
// (include/uapi/linux/netfilter/nf_tables.h); numbers in them are big-endian. Those that are not known are left out.
func DecodeNFT(b []byte) (Record, error) {
	r := Record{Backend: "nft"}
	attrs, err := attributes(b)
	if err != nil {
		return r, fmt.Errorf("decode an nft trace event: %w", err)
	}
	var network, transport []byte
	for t, v := range attrs {
		switch t {
		case unix.NFTA_TRACE_TABLE:
			r.Table = text(v)
		case unix.NFTA_TRACE_CHAIN:
			r.Chain = text(v)
		case unix.NFTA_TRACE_RULE_HANDLE:
			if len(v) == 8 {
				r.Handle = binary.BigEndian.Uint64(v)
			}
		case unix.NFTA_TRACE_TYPE:
			r.Type = map[uint32]string{unix.NFT_TRACETYPE_POLICY: "policy", unix.NFT_TRACETYPE_RETURN: "return", unix.NFT_TRACETYPE_RULE: "rule"}[number(v)]
		case unix.NFTA_TRACE_VERDICT:
			r.Verdict, r.Target = verdict(v)
		case unix.NFTA_TRACE_ID:
			r.ID = number(v)
		case unix.NFTA_TRACE_NETWORK_HEADER:
			network = v
		case unix.NFTA_TRACE_TRANSPORT_HEADER:
			transport = v
		case unix.NFTA_TRACE_IIF:
			r.IIF = number(v)
		case unix.NFTA_TRACE_OIF:
			r.OIF = number(v)
		case unix.NFTA_TRACE_MARK:
			r.Mark = number(v)
		}
	}
	if policy, ok := attrs[unix.NFTA_TRACE_POLICY]; ok && r.Type == "policy" {
		r.Verdict = verdictName(number(policy))
	}
	if r.Table == "" || r.Chain == "" || r.Type == "" {
		return r, fmt.Errorf("decode an nft trace event: %w", ErrNoTrace)
	}
	r.Family, r.Packet = b[0], decodePacket(network, transport)
	return r, nil
}

// Attributes of an nfnetlink_log packet: enum nfulnl_attr_type (include/uapi/linux/netfilter/nfnetlink_log.h).
const (
	nfulaMark    = 2
	nfulaInDev   = 4
	nfulaOutDev  = 5
	nfulaPayload = 9
	nfulaPrefix  = 10
)

// DecodeLog reads the payload of an NFULNL_MSG_PACKET message, struct nfgenmsg included. A line that is no TRACE record is ErrNoTrace.
func DecodeLog(b []byte) (Record, error) {
	r := Record{Backend: "iptables-legacy"}
	attrs, err := attributes(b)
	if err != nil {
		return r, fmt.Errorf("decode a log record: %w", err)
	}
	if r.Table, r.Chain, r.Type, r.Number, err = tracePrefix(text(attrs[nfulaPrefix])); err != nil {
		return r, err
	}
	r.Family, r.Mark = b[0], number(attrs[nfulaMark])
	r.IIF, r.OIF = number(attrs[nfulaInDev]), number(attrs[nfulaOutDev])
	r.Packet = decodePacket(attrs[nfulaPayload], nil)
	return r, nil
}

// tracePrefix reads "TRACE: table:chain:type:number " (net/ipv4/netfilter/ip_tables.c, trace_packet). A chain's name may have colons.
func tracePrefix(s string) (table, chain, kind string, n int, err error) {
	rest, ok := strings.CutPrefix(strings.TrimRight(s, " "), "TRACE: ")
	f := strings.Split(rest, ":")
	if !ok || len(f) < 4 {
		return "", "", "", 0, ErrNoTrace
	}
	last := len(f) - 1
	kind = f[last-1]
	n, err = strconv.Atoi(f[last])
	if err != nil || n < 1 || kind != "rule" && kind != "return" && kind != "policy" {
		return "", "", "", 0, ErrNoTrace
	}
	return f[0], strings.Join(f[1:last-1], ":"), kind, n, nil
}

func attributes(b []byte) (map[uint16][]byte, error) {
	if len(b) < genHeader {
		return nil, errors.New("it is cut short")
	}
	list, err := parse(b[genHeader:])
	if err != nil {
		return nil, err
	}
	m := make(map[uint16][]byte, len(list))
	for _, a := range list {
		m[a.Attr.Type&attrType] = a.Value
	}
	return m, nil
}

// parse pads a copy first: the library steps over the padding behind the last attribute without looking whether it is there.
func parse(b []byte) ([]syscall.NetlinkRouteAttr, error) {
	return nl.ParseRouteAttr(append(bytes.Clone(b), make([]byte, -len(b)&3)...))
}

// text is a name up to its end; the kernel's names are shorter than 256 bytes.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b[:min(len(b), 255)])
}

func number(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func verdict(b []byte) (name, target string) {
	list, err := parse(b)
	if err != nil {
		return "", ""
	}
	for _, a := range list {
		switch a.Attr.Type & attrType {
		case unix.NFTA_VERDICT_CODE:
			name = verdictName(number(a.Value))
		case unix.NFTA_VERDICT_CHAIN:
			target = text(a.Value)
		}
	}
	return name, target
}

// verdictName names NF_* and NFT_* verdicts; the upper half of a queue's or drop's code is an argument.
func verdictName(code uint32) string {
	switch int32(code) {
	case unix.NFT_CONTINUE:
		return "continue"
	case unix.NFT_BREAK:
		return "break"
	case unix.NFT_JUMP:
		return "jump"
	case unix.NFT_GOTO:
		return "goto"
	case unix.NFT_RETURN:
		return "return"
	}
	if k := code & 0xff; k < 5 {
		return [...]string{"drop", "accept", "stolen", "queue", "repeat"}[k]
	}
	return ""
}
