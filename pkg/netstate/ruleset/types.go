// SPDX-License-Identifier: Apache-2.0

package ruleset

// Ruleset is one iptables ruleset of one network namespace, as iptables-save prints it.
type Ruleset struct {
	Backend string  `json:"backend"` // iptables-legacy, iptables-nft, nft
	Family  string  `json:"family"`  // ip, ip6
	Tables  []Table `json:"tables"`
	NFT     *NFT    `json:"nft,omitempty"` // of backend "nft", whose rules are no iptables rules
}

// Table is one table: filter, nat, mangle, raw, security.
type Table struct {
	Name   string  `json:"name"`
	Chains []Chain `json:"chains"`
}

// Chain is one chain. Policy is "ACCEPT" or "DROP" for a built-in chain, "" for a user chain.
type Chain struct {
	Name   string `json:"name"`
	Policy string `json:"policy,omitempty"`
	Rules  []Rule `json:"rules,omitempty"`
}

// Rule is one rule: its text as printed (without "-A CHAIN"), and the words it was parsed into.
type Rule struct {
	Number  int    `json:"number"` // 1-based position in its chain
	Text    string `json:"text"`
	Comment string `json:"comment,omitempty"`
	Target  string `json:"target,omitempty"` // ACCEPT, DROP, REJECT, DNAT, a chain's name, ...; "" for none
	Goto    bool   `json:"goto,omitempty"`
	// Begin and End are where the kernel keeps a rule of iptables-legacy, in bytes from the start of its table; 0 when that is not known.
	Begin uint32 `json:"begin,omitempty"`
	End   uint32 `json:"end,omitempty"`
	// Handle is nftables' number of a rule of iptables-nft.
	Handle  uint64 `json:"handle,omitempty"`
	Packets uint64 `json:"packets,omitempty"`
	Bytes   uint64 `json:"bytes,omitempty"`
}
