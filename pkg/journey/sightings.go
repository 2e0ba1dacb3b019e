// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"slices"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// Sighting is a rule of which the kernel ran a part over the packet, by its place in the kernel's memory.
type Sighting struct {
	Func  string
	Table string // iptables table, or the nftables base chain, "table/chain", from which the rule was reached
	// Offset is where the parameters of a match or target lie in an iptables table, in bytes.
	Offset uint32
	// Memory is what lies before the expression of an nftables rule that ran, up to it; nil for iptables.
	Memory []byte
}

// asked is the table of rules that a packet is in.
type asked struct {
	table string
	base  int64 // address of an iptables table's rules
	seen  []Sighting
}

// maxSightings bounds what is kept of one hook: the last ones decide.
const maxSightings = 16

// enter notes the table or base chain that is asked now.
func (p *asked) enter(e *tracer.Event, name string) {
	p.table, p.base = name, 0
	if tracer.RoleOf(e.Point) == tracer.RoleTable {
		p.base = e.Value
	}
}

func (p *asked) see(e *tracer.Event) {
	s := Sighting{Func: tracer.FuncOf(e.Point), Table: p.table, Memory: e.Memory}
	if s.Memory == nil {
		const largest = 1 << 30
		offset := e.Value - p.base
		if p.base == 0 || offset <= 0 || offset > largest {
			return // a target of iptables-nft, whose parameters lie elsewhere
		}
		s.Offset = uint32(offset)
	}
	if len(p.seen) >= maxSightings {
		p.seen = slices.Delete(p.seen, 0, 1)
	}
	p.seen = append(p.seen, s)
}
