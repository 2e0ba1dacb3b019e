// SPDX-License-Identifier: Apache-2.0

package ruleset

// GiveHandles tells the rules of iptables-nft their handles, from the same tables as nft lists them. A chain in which the two do not have the
// same number of rules, as after a change between them, gets none.
func GiveHandles(s *Ruleset, listed []NFTTable) {
	for i := range s.Tables {
		for k := range listed {
			if listed[k].Family == s.Family && listed[k].Name == s.Tables[i].Name {
				giveHandles(&s.Tables[i], &listed[k])
			}
		}
	}
}

func giveHandles(t *Table, listed *NFTTable) {
	chains := map[string][]NFTRule{}
	for i := range listed.Chains {
		chains[listed.Chains[i].Name] = listed.Chains[i].Rules
	}
	for i := range t.Chains {
		rules := chains[t.Chains[i].Name]
		if len(rules) != len(t.Chains[i].Rules) {
			continue
		}
		for k := range rules {
			t.Chains[i].Rules[k].Handle = rules[k].Handle
		}
	}
}
