// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// maxNFT bounds a listing; 10,000 Services are about 40 MB.
const maxNFT = 256 << 20

// object is one entry of the listing; only the fields that are used.
type object struct {
	Family  string          `json:"family"`
	Table   string          `json:"table"`
	Name    string          `json:"name"`
	Chain   string          `json:"chain"`
	Handle  uint64          `json:"handle"`
	Type    json.RawMessage `json:"type"` // a chain's is a string, a set's may be a list
	Hook    string          `json:"hook"`
	Prio    int             `json:"prio"`
	Policy  string          `json:"policy"`
	Comment string          `json:"comment"`
	Expr    json.RawMessage `json:"expr"`
	Elem    json.RawMessage `json:"elem"`
	Flags   json.RawMessage `json:"flags"`
}

// ParseNFT reads 'nft -j -a list ruleset'. skip names the tables that iptables made: of them only the
// handles are kept. What is whole of a listing that was cut
// is returned, with a sentence about the rest; objects that are not understood are counted in one. An error is one of reading.
func ParseNFT(r io.Reader, skip func(family, table string) bool) (*NFT, []string, error) {
	d := json.NewDecoder(io.LimitReader(r, maxNFT))
	if err := intoList(d); err != nil {
		return &NFT{}, []string{"nftables rules: the listing is not what nft -j prints: " + err.Error()}, nil
	}
	p := &nftParser{out: &NFT{}, at: map[[2]string]int{}, chains: map[[3]string]int{}, skip: skip}
	var warnings []string
	for d.More() {
		var entry entry
		err := d.Decode(&entry)
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			p.odd++
			continue
		}
		if err != nil {
			var syntax *json.SyntaxError
			if !errors.As(err, &syntax) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
				return p.out, warnings, fmt.Errorf("read the nftables rules: %w", err)
			}
			warnings = append(warnings, "nftables rules: the listing ends early: "+err.Error())
			break
		}
		p.take(&entry)
	}
	p.setAside()
	for i := range p.out.Tables {
		for k := range p.out.Tables[i].Sets {
			p.out.Tables[i].Sets[k].load() // questions come later, and are to be answered at once
		}
	}
	if p.odd > 0 {
		warnings = append(warnings, fmt.Sprintf("nftables rules: %d entries of the listing are not understood", p.odd))
	}
	return p.out, warnings, nil
}

// intoList moves to the elements of {"nftables": [...]}.
func intoList(d *json.Decoder) error {
	for _, want := range []any{json.Delim('{'), "nftables", json.Delim('[')} {
		t, err := d.Token()
		if err != nil {
			return err
		}
		if t != want {
			return fmt.Errorf("%v where %v is expected", t, want)
		}
	}
	return nil
}

type nftParser struct {
	out    *NFT
	at     map[[2]string]int // family, table
	chains map[[3]string]int
	skip   func(family, table string) bool
	odd    int
}

// entry is one member of the list; what is none of these, metainfo, counters, flowtables, decides nothing.
type entry struct {
	Table, Chain, Rule, Set, Map *object
}

func (p *nftParser) take(e *entry) {
	o := e.Table
	for _, other := range []*object{e.Chain, e.Rule, e.Set, e.Map} {
		if o == nil {
			o = other
		}
	}
	if o == nil {
		return
	}
	name := o.Table
	if e.Table != nil {
		name = o.Name
	}
	t := p.table(clean(o.Family), clean(name), e.Table != nil)
	switch {
	case t == nil || e.Table != nil:
	case e.Chain != nil:
		c := NFTChain{Name: clean(o.Name), Hook: clean(o.Hook), Prio: o.Prio, Policy: clean(o.Policy)}
		_ = json.Unmarshal(o.Type, &c.Type)
		p.chains[[3]string{t.Family, t.Name, c.Name}] = len(t.Chains)
		t.Chains = append(t.Chains, c)
	case e.Rule != nil:
		i, ok := p.chains[[3]string{t.Family, t.Name, clean(o.Chain)}]
		if !ok {
			p.odd++
			return
		}
		r := NFTRule{Handle: o.Handle}
		if !p.skipped(t) {
			r.Comment, r.Expr = clean(o.Comment), o.Expr
		}
		t.Chains[i].Rules = append(t.Chains[i].Rules, r)
	case !p.skipped(t):
		t.Sets = append(t.Sets, NFTSet{Name: clean(o.Name), Loose: loose(o.Flags), Elem: o.Elem})
	}
}

func (p *nftParser) skipped(t *NFTTable) bool { return p.skip != nil && p.skip(t.Family, t.Name) }

// setAside takes the skipped tables out of those that are evaluated.
func (p *nftParser) setAside() {
	all := p.out.Tables
	p.out.Tables = nil
	for i := range all {
		if p.skipped(&all[i]) {
			p.out.Skipped = append(p.out.Skipped, all[i])
		} else {
			p.out.Tables = append(p.out.Tables, all[i])
		}
	}
}

// table finds a table; nil for one that was not declared.
func (p *nftParser) table(family, name string, declared bool) *NFTTable {
	k := [2]string{family, name}
	i, ok := p.at[k]
	if !ok {
		if !declared {
			p.odd++
			return nil
		}
		i = len(p.out.Tables)
		p.at[k] = i
		p.out.Tables = append(p.out.Tables, NFTTable{Family: family, Name: name})
	}
	return &p.out.Tables[i]
}

// loose: elements with a timeout, or that rules add.
func loose(flags json.RawMessage) bool {
	var list []string
	if json.Unmarshal(flags, &list) != nil {
		var one string
		_ = json.Unmarshal(flags, &one)
		list = []string{one}
	}
	return slices.Contains(list, "timeout") || slices.Contains(list, "dynamic")
}
