// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

func attr(t uint16, v ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(v)))
	b = append(binary.NativeEndian.AppendUint16(b, t), v...)
	return append(b, make([]byte, (4-len(b)%4)%4)...)
}

func message(family byte, attrs ...[]byte) []byte {
	b := []byte{family, 0, 0, 0}
	for _, a := range attrs {
		b = append(b, a...)
	}
	return b
}

func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

var (
	ipv4 = []byte{0x45, 0, 0, 60, 0x10, 0x92, 0x40, 0, 64, 6, 0, 0, 10, 244, 1, 10, 10, 96, 0, 80}
	tcp  = []byte{0xa8, 0x72, 0, 80, 0, 0, 0, 123}
	want = Packet{Src: netip.MustParseAddr("10.244.1.10"), Dst: netip.MustParseAddr("10.96.0.80"), Proto: 6, Sport: 43122, Dport: 80, IPID: 4242, Seq: 123}
)

func nftMessage() []byte {
	drop := attr(unix.NFTA_VERDICT_CODE, be32(0)...)
	return message(2, attr(unix.NFTA_TRACE_TABLE, []byte("filter\x00")...), attr(unix.NFTA_TRACE_CHAIN, []byte("FORWARD\x00")...),
		attr(unix.NFTA_TRACE_RULE_HANDLE, 0, 0, 0, 0, 0, 0, 0, 7), attr(unix.NFTA_TRACE_TYPE, be32(unix.NFT_TRACETYPE_RULE)...),
		attr(unix.NFTA_TRACE_VERDICT|unix.NLA_F_NESTED, drop...), attr(unix.NFTA_TRACE_ID, be32(9)...),
		attr(unix.NFTA_TRACE_IIF, be32(3)...), attr(unix.NFTA_TRACE_NETWORK_HEADER, ipv4...), attr(unix.NFTA_TRACE_TRANSPORT_HEADER, tcp...))
}

func logMessage(prefix string) []byte {
	return message(2, attr(nfulaPrefix, append([]byte(prefix), 0)...), attr(nfulaInDev, be32(3)...), attr(nfulaPayload, append(append([]byte{}, ipv4...), tcp...)...))
}

func TestDecodeNFT(t *testing.T) {
	got, err := DecodeNFT(nftMessage())
	exp := Record{Backend: "nft", Family: 2, Table: "filter", Chain: "FORWARD", Type: "rule", Handle: 7, Verdict: "drop", ID: 9, IIF: 3, Packet: want}
	if err != nil || !reflect.DeepEqual(got, exp) {
		t.Fatalf("got %+v, %v\nwant %+v", got, err, exp)
	}
}

func TestDecodeLog(t *testing.T) {
	for _, c := range []struct {
		prefix, chain, kind string
		number              int
		err                 error
	}{
		{"TRACE: filter:FORWARD:policy:2 ", "FORWARD", "policy", 2, nil},
		{"TRACE: nat:KUBE-SEP-A:rule:1 ", "KUBE-SEP-A", "rule", 1, nil},
		{"TRACE: raw:a:b:return:3 ", "a:b", "return", 3, nil},
		{"TRACE: filter:FORWARD:rule:0 ", "", "", 0, ErrNoTrace},
		{"TRACE: filter:FORWARD", "", "", 0, ErrNoTrace},
		{"calico-drop: ", "", "", 0, ErrNoTrace},
	} {
		got, err := DecodeLog(logMessage(c.prefix))
		if !errors.Is(err, c.err) || got.Chain != c.chain || got.Type != c.kind || got.Number != c.number {
			t.Errorf("%q: got %+v, %v", c.prefix, got, err)
		}
		if err == nil && (got.Packet != want || got.IIF != 3) {
			t.Errorf("%q: packet %+v, iif %d", c.prefix, got.Packet, got.IIF)
		}
	}
}

func TestDecodeCut(t *testing.T) {
	for name, f := range map[string]func([]byte) (Record, error){"nft": DecodeNFT, "log": DecodeLog} {
		for n := range genHeader {
			if _, err := f(make([]byte, n)); err == nil {
				t.Errorf("%s: %d bytes were taken for a record", name, n)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(nftMessage())
	f.Add(logMessage("TRACE: filter:FORWARD:policy:2 "))
	f.Add([]byte{2, 0, 0, 0, 3, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, d := range []func([]byte) (Record, error){DecodeNFT, DecodeLog} {
			if r, err := d(b); err == nil && (len(r.Table) > 255 || len(r.Chain) > 255 || r.Type == "") {
				t.Fatalf("decoded %+v", r)
			}
		}
	})
}
