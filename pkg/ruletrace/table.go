// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// tableOwner is NFT_TABLE_F_OWNER (include/uapi/linux/netfilter/nf_tables.h, since Linux 5.12): the table belongs to the socket that made it
// and goes with it.
const tableOwner = 2

// Priorities of the chains (include/uapi/linux/netfilter_ipv4.h): behind the putting together of fragments (-400) and before all rules of raw
// (-300); and right behind connection tracking (-200), for packets that only their connection tells.
const (
	priorityFirst     = -399
	priorityConntrack = -199
)

// icmp is each family's protocol of errors, which quote the packet that they are about behind a header of 8 bytes (RFC 792, RFC 4443).
const icmpHeader = 8

var icmp = map[uint8]uint8{4: unix.IPPROTO_ICMP, 6: unix.IPPROTO_ICMPV6}

// ownedTable is a table in the current thread's namespace. Closing the connection takes it away.
type ownedTable struct {
	conn  *nftables.Conn
	table *nftables.Table
}

// addTable makes the table of a family, 4 or 6, with its chains and sets, in the current thread's namespace. conntrack says that the
// namespace has connection tracking: asking for it would start it.
func addTable(name string, family uint8, f *Flow, conntrack bool) (*ownedTable, error) {
	t := &nftables.Table{Name: name, Family: map[uint8]nftables.TableFamily{4: nftables.TableFamilyIPv4, 6: nftables.TableFamilyIPv6}[family]}
	// the library makes tables without flags: the table is made over its socket before it makes the rest
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		// a batch is acknowledged message by message, all before the first one can be read: a few hundred do not fit by default
		return errors.Join(c.SetReadBuffer(receiveBuffer), createOwned(c, t))
	}))
	if err != nil {
		return nil, err
	}
	o := &ownedTable{conn: conn, table: t}
	if err := o.fill(family, f, conntrack); err != nil {
		_ = conn.CloseLasting()
		return nil, err
	}
	return o, nil
}

func (o *ownedTable) close() error { return o.conn.CloseLasting() }

// createOwned sends NFT_MSG_NEWTABLE with NFTA_TABLE_FLAGS in a batch of its own.
func createOwned(c *netlink.Conn, t *nftables.Table) error {
	ae := netlink.NewAttributeEncoder()
	ae.ByteOrder = binary.BigEndian
	ae.String(unix.NFTA_TABLE_NAME, t.Name)
	ae.Uint32(unix.NFTA_TABLE_FLAGS, tableOwner)
	attrs, err := ae.Encode()
	if err != nil {
		return err
	}
	message := func(kind uint16, flags netlink.HeaderFlags, family byte, resource uint16, data []byte) netlink.Message {
		head := append([]byte{family, unix.NFNETLINK_V0}, binary.BigEndian.AppendUint16(nil, resource)...)
		return netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request | flags}, Data: append(head, data...)}
	}
	const create = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWTABLE
	if _, err := c.SendMessages([]netlink.Message{
		message(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil),
		message(create, netlink.Acknowledge|netlink.Create|netlink.Excl, byte(t.Family), 0, attrs),
		message(unix.NFNL_MSG_BATCH_END, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil),
	}); err != nil {
		return err
	}
	_, err = c.Receive()
	return err
}

// fill adds the sets and chains in one batch: the kernel takes all of it or nothing.
func (o *ownedTable) fill(family uint8, f *Flow, conntrack bool) error {
	sets := map[uint8][]legSets{}
	for _, inner := range []uint8{4, 6} {
		if inner != family && !slices.Contains(f.Outer, family) {
			continue
		}
		for _, l := range f.legs(inner) {
			s, err := o.sets(&l, inner)
			if err != nil {
				return err
			}
			sets[inner] = append(sets[inner], s)
		}
	}
	rules := [][]expr.Any{}
	h, quoted := plain(family), inside(family, icmpHeader)
	rules = bothWays(rules, l4proto(f.Proto), &h, sets[family])
	quoting, err := o.carries(icmp[family])
	if err != nil {
		return err
	}
	rules = bothWays(rules, append(quoting, quoted.protocol(f.Proto)...), &quoted, sets[family])
	if slices.Contains(f.Outer, family) {
		tunnelled, err := o.tunnelRules(f, sets)
		if err != nil {
			return err
		}
		rules = append(rules, tunnelled...)
	}
	o.chains(rules, "", priorityFirst)
	if conntrack {
		rules = nil
		for _, l := range f.legs(family) {
			for _, c := range l.connections() {
				for _, proto := range slices.Compact([]uint8{f.Proto, icmp[family]}) { // an ICMP error belongs to the connection that it is about
					rules = append(rules, slices.Concat(l4proto(proto), c, mark()))
				}
			}
		}
		rules = rules[:min(len(rules), maxPairs)]
		o.chains(rules, "_connection", priorityConntrack)
	}
	return o.conn.Flush()
}

// carries asks for the protocol of a packet that carries or quotes another. It does so through a set: told the protocol by a comparison, nft
// (1.0.6 at least) would take what lies inside for that protocol's header when it lists the rules, and abort.
func (o *ownedTable) carries(proto uint8) ([]expr.Any, error) {
	s := &nftables.Set{Table: o.table, Name: fmt.Sprintf("protocol_%d", proto), KeyType: nftables.TypeInetProto}
	if err := o.conn.AddSet(s, []nftables.SetElement{{Key: []byte{proto}}}); err != nil {
		return nil, fmt.Errorf("describe a protocol: %w", err)
	}
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: regFirst}, lookup(s)}, nil
}

// bothWays adds rules for the packets of each leg, and for those of its replies.
func bothWays(rules [][]expr.Any, begin []expr.Any, h *headers, legs []legSets) [][]expr.Any {
	for i := range legs {
		for _, reply := range []bool{false, true} {
			rules = append(rules, slices.Concat(begin, h.match(&legs[i], reply), mark()))
		}
	}
	return rules
}

// chains adds the same rules to the two hooks at which packets come into a namespace's rules.
func (o *ownedTable) chains(rules [][]expr.Any, suffix string, priority nftables.ChainPriority) {
	if len(rules) == 0 {
		return
	}
	accept := nftables.ChainPolicyAccept
	for _, hook := range []struct {
		name string
		at   *nftables.ChainHook
	}{{"prerouting", nftables.ChainHookPrerouting}, {"output", nftables.ChainHookOutput}} {
		c := o.conn.AddChain(&nftables.Chain{Name: hook.name + suffix, Table: o.table, Hooknum: hook.at, Priority: &priority, Type: nftables.ChainTypeFilter, Policy: &accept})
		for _, r := range rules {
			o.conn.AddRule(&nftables.Rule{Table: o.table, Chain: c, Exprs: r})
		}
	}
}

// sets adds the sets of a leg.
func (o *ownedTable) sets(l *leg, family uint8) (s legSets, err error) {
	s.sport, s.dport = l.sport, l.dport
	if !l.any {
		if s.src, err = o.set(fmt.Sprintf("%s_src%d", l.name, family), family, l.src); err != nil {
			return s, err
		}
	}
	s.dst, err = o.set(fmt.Sprintf("%s_dst%d", l.name, family), family, l.dst)
	return s, err
}

// set adds a set of addresses.
func (o *ownedTable) set(name string, family uint8, addrs []netip.Addr) (*nftables.Set, error) {
	s := &nftables.Set{Table: o.table, Name: name, KeyType: map[uint8]nftables.SetDatatype{4: nftables.TypeIPAddr, 6: nftables.TypeIP6Addr}[family]}
	elements := make([]nftables.SetElement, 0, len(addrs))
	for _, a := range addrs {
		elements = append(elements, nftables.SetElement{Key: a.AsSlice()})
	}
	if err := o.conn.AddSet(s, elements); err != nil {
		return nil, fmt.Errorf("describe the flow's addresses: %w", err)
	}
	return s, nil
}
