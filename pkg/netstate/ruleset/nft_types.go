// SPDX-License-Identifier: Apache-2.0

package ruleset

import "encoding/json"

// NFT is a native nftables ruleset of one network namespace, as 'nft -j -a list ruleset' prints it, without the tables that iptables made:
// those are read as iptables rules. Expressions stay JSON until a question needs them.
type NFT struct {
	Tables []NFTTable `json:"tables"`
	// Skipped are the handles of the tables that iptables made; they are only for GiveHandles.
	Skipped []NFTTable `json:"-"`
}

// NFTTable is one table; Family is ip, ip6, inet, bridge, netdev, arp.
type NFTTable struct {
	Family string     `json:"family"`
	Name   string     `json:"name"`
	Chains []NFTChain `json:"chains,omitempty"`
	Sets   []NFTSet   `json:"sets,omitempty"` // maps too
}

// NFTChain is one chain; Hook is "" for a chain that is only jumped to.
type NFTChain struct {
	Name   string    `json:"name"`
	Type   string    `json:"type,omitempty"` // filter, nat, route
	Hook   string    `json:"hook,omitempty"` // prerouting, input, forward, output, postrouting
	Prio   int       `json:"prio,omitempty"`
	Policy string    `json:"policy,omitempty"` // accept, drop
	Rules  []NFTRule `json:"rules,omitempty"`
}

// NFTRule is one rule: statements in nft's JSON schema (libnftables-json(5)).
type NFTRule struct {
	Handle  uint64          `json:"handle"`
	Comment string          `json:"comment,omitempty"`
	Expr    json.RawMessage `json:"expr,omitempty"`
}

// NFTSet is a named set or map with its elements.
type NFTSet struct {
	Name string `json:"name"`
	// Loose is true for a set whose elements come and go with the traffic: a snapshot says little about it.
	Loose bool            `json:"loose,omitempty"`
	Elem  json.RawMessage `json:"elem,omitempty"`

	index *setIndex // made when a question first needs it; questions are asked one at a time
}
