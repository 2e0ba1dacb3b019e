// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
	"github.com/nettrace-io/nettrace/pkg/ruletrace"
)

// said is a record of iptables-legacy about the packet of dropAt80.
func said(chain, kind string, n int) ruletrace.Record {
	return ruletrace.Record{NetNS: 1, Backend: "iptables-legacy", Family: 2, Table: "filter", Chain: chain, Type: kind, Number: n,
		Packet: ruletrace.Packet{Src: ip("10.244.1.10"), Sport: 4000, Dst: ip("10.244.2.20"), Dport: 80, Proto: 6, IPID: 7, Seq: 9}}
}

func changed(r ruletrace.Record, f func(*ruletrace.Record)) ruletrace.Record {
	f(&r)
	return r
}

func drop80() *journey.Journey {
	j := dropAt80("drop", 80)
	j.Packet.IPID, j.Packet.Seq, j.End = 7, 9, journey.Dropped
	return j
}

// The rule of a drop is the one that the kernel named for this very packet; what it named for others, or for rules that decide nothing, is not.
func TestTracedDrops(t *testing.T) {
	for _, tc := range []struct {
		name    string
		records []ruletrace.Record
		chain   string
		number  int
		end     journey.End
		is      string
	}{
		{"nothing was told", nil, "OTHER", 1, journey.Dropped, inferred},
		{"on its way and at its end", []ruletrace.Record{said("FORWARD", "rule", 1), said("FORWARD", "rule", 3)}, "FORWARD", 3, journey.Dropped, exact},
		{"a REJECT whose error was not seen", []ruletrace.Record{said("FORWARD", "rule", 2)}, "FORWARD", 2, journey.Rejected, exact},
		{"a jump decides nothing", []ruletrace.Record{said("FORWARD", "rule", 1), said("OTHER", "return", 2)}, "OTHER", 1, journey.Dropped, inferred},
		{"a policy that accepts", []ruletrace.Record{said("FORWARD", "policy", 5)}, "OTHER", 1, journey.Dropped, inferred},
		{"another packet by its id", []ruletrace.Record{changed(said("FORWARD", "rule", 3), func(r *ruletrace.Record) { r.Packet.IPID = 8 })}, "OTHER", 1, journey.Dropped, inferred},
		{"another packet by its sequence", []ruletrace.Record{changed(said("FORWARD", "rule", 3), func(r *ruletrace.Record) { r.Packet.Seq = 8 })}, "OTHER", 1, journey.Dropped, inferred},
		{"another connection", []ruletrace.Record{changed(said("FORWARD", "rule", 3), func(r *ruletrace.Record) { r.Packet.Sport = 8 })}, "OTHER", 1, journey.Dropped, inferred},
		{"another protocol", []ruletrace.Record{changed(said("FORWARD", "rule", 3), func(r *ruletrace.Record) { r.Packet.Proto = 17 })}, "OTHER", 1, journey.Dropped, inferred},
		{"another namespace", []ruletrace.Record{changed(said("FORWARD", "rule", 3), func(r *ruletrace.Record) { r.NetNS = 2 })}, "OTHER", 1, journey.Dropped, inferred},
		{"two rules for one packet", []ruletrace.Record{said("FORWARD", "rule", 3), said("FORWARD", "rule", 4)}, "OTHER", 1, journey.Dropped, inferred},
		{"a rule that the snapshot does not have", []ruletrace.Record{said("FORWARD", "rule", 9)}, "OTHER", 1, journey.Dropped, inferred},
		{"a chain that it does not have", []ruletrace.Record{said("GONE", "rule", 1)}, "OTHER", 1, journey.Dropped, inferred},
	} {
		s := &Snapshot{Namespaces: []Namespace{*placed()}}
		var traced Traced
		for i := range tc.records {
			traced.Add(s, &tc.records[i])
		}
		j := drop80()
		Attribute(s, &traced, j)
		r := j.Hops[0].Rule
		if r == nil || r.Chain != tc.chain || r.Number != tc.number || r.Certainty != tc.is || j.End != tc.end || (j.Hops[0].Verdict == "reject") != (tc.end == journey.Rejected) {
			t.Errorf("%s: %+v, end %s", tc.name, r, j.End)
		}
	}
}

// withNFT has, in nftables, a drop, a DNAT and a verdict map; the policy drops.
func withNFT() *Snapshot {
	return &Snapshot{Namespaces: []Namespace{{Inode: 1, Node: "node1", Host: true, Rulesets: []ruleset.Ruleset{{Backend: "nft", NFT: &ruleset.NFT{Tables: []ruleset.NFTTable{{Family: "inet", Name: "fw", Chains: []ruleset.NFTChain{
		{Name: "forward", Type: "filter", Hook: "forward", Policy: "drop", Rules: []ruleset.NFTRule{{Handle: 4, Expr: []byte(`[{"drop": null}]`)}, {Handle: 5, Expr: []byte(`[{"vmap": {"key": "@x", "data": "@y"}}]`)}}},
		{Name: "dstnat", Type: "nat", Hook: "prerouting", Policy: "accept", Rules: []ruleset.NFTRule{{Handle: 7, Expr: []byte(`[{"dnat": {"addr": "10.244.2.20"}}]`)}}},
	}}}}}}}}}
}

func saidNFT(chain, kind, verdict string, handle uint64) ruletrace.Record {
	r := said(chain, kind, 0)
	r.Backend, r.Family, r.Table, r.Handle, r.Verdict = "nft", 1, "fw", handle, verdict
	return r
}

func TestTracedNFT(t *testing.T) {
	for _, tc := range []struct {
		name   string
		record ruletrace.Record
		handle uint64
		number int
		is     string
	}{
		{"a rule that drops", saidNFT("forward", "rule", "drop", 4), 4, 1, exact},
		{"a verdict map", saidNFT("forward", "rule", "drop", 5), 5, 2, exact},
		{"a policy", saidNFT("forward", "policy", "drop", 0), 0, 0, exact},
		{"a rule that would drop and did not", saidNFT("forward", "rule", "continue", 4), 4, 1, inferred},
		{"a rule that was made since", saidNFT("forward", "rule", "drop", 99), 99, 0, exact},
	} {
		s := withNFT()
		var traced Traced
		traced.Add(s, &tc.record)
		j := drop80()
		j.Hops[0].Location = "nft_do_chain"
		Attribute(s, &traced, j)
		r := j.Hops[0].Rule
		if r == nil || r.Handle != tc.handle || r.Number != tc.number || r.Certainty != tc.is || r.Verdict != "DROP" {
			t.Errorf("%s: %+v", tc.name, r)
		}
		if r != nil && r.IsPolicy() != (tc.record.Type == "policy") {
			t.Errorf("%s: policy %v", tc.name, r.IsPolicy())
		}
	}
}

// A connection's translation is that of its first packet, whose record has the addresses from before.
func TestTracedTranslations(t *testing.T) {
	s := withNFT()
	record := changed(saidNFT("dstnat", "rule", "accept", 7), func(r *ruletrace.Record) { r.Packet.Dst = ip("10.96.0.80") })
	var traced Traced
	traced.Add(s, &record)
	for _, tc := range []struct {
		name string
		seq  uint32
		port uint16
		is   string
	}{{"the first packet", 9, 4000, exact}, {"a later one", 10, 4000, exact}, {"another connection", 9, 4001, inferred}} {
		j := drop80()
		j.Packet.Dst, j.Packet.Seq, j.Packet.Sport = ip("10.96.0.80"), tc.seq, tc.port
		to := journey.Tuple{Src: ip("10.244.1.10"), Sport: tc.port, Dst: ip("10.244.2.20"), Dport: 80}
		j.Hops = []journey.Hop{{NetNS: 1, Stage: journey.StageDeviceRx, Dev: "cni0"}, {NetNS: 1, Stage: journey.StageNAT, Tuple: &to, NAT: &journey.NAT{Type: "dnat", From: "10.96.0.80:80", To: "10.244.2.20:80"}}}
		Attribute(s, &traced, j)
		if r := j.Hops[1].Rule; r == nil || r.Handle != 7 || r.Verdict != "DNAT" || r.Certainty != tc.is {
			t.Errorf("%s: %+v", tc.name, r)
		}
	}
}

// Inside a tunnel the rules see the packet that carries it.
func TestTracedTunnels(t *testing.T) {
	s := &Snapshot{Namespaces: []Namespace{*placed()}}
	outer := journey.Tuple{Src: ip("192.168.50.1"), Sport: 50000, Dst: ip("192.168.50.2"), Dport: 8472}
	record := changed(said("FORWARD", "rule", 3), func(r *ruletrace.Record) {
		r.Packet = ruletrace.Packet{Src: outer.Src, Sport: outer.Sport, Dst: outer.Dst, Dport: outer.Dport, Proto: 17, IPID: 77}
	})
	var traced Traced
	traced.Add(s, &record)
	j := drop80()
	j.Hops[0].Outer = &outer
	Attribute(s, &traced, j)
	if r := j.Hops[0].Rule; r == nil || r.Number != 3 || r.Certainty != exact {
		t.Errorf("%+v", r)
	}
}

// What is kept is bounded; the newest stay. Nothing known is no harm.
func TestTracedIsBounded(t *testing.T) {
	s := &Snapshot{Namespaces: []Namespace{*placed()}}
	var traced Traced
	r := said("FORWARD", "rule", 3)
	for i := range maxTraced + 10 {
		r.Packet.IPID = uint16(i)
		traced.Add(s, &r)
	}
	if list := traced.rules[1]; traced.n != len(list) || traced.n > maxTraced || list[len(list)-1].packet.IPID != r.Packet.IPID {
		t.Errorf("%d are kept, counted %d", len(list), traced.n)
	}
	var none *Traced
	if _, ok := none.at(drop80(), 0, dropTargets); ok {
		t.Error("nil knows a rule")
	}
	traced.Add(nil, &r)
}
