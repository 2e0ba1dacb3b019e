// SPDX-License-Identifier: Apache-2.0

package ruleset

import "sync"

// IPSets are the ipsets of one network namespace, which iptables rules ask with --match-set.
type IPSets struct {
	Sets []*IPSet `json:"sets"`

	once   sync.Once
	byName map[string]*IPSet
}

// IPSet is one set as 'ipset save' prints it (ipset(8)).
type IPSet struct {
	Name   string `json:"name"`
	Type   string `json:"type"`             // hash:ip,port, bitmap:port, list:set, ...
	Family string `json:"family,omitempty"` // inet, inet6; "" for a type that is of no family
	// Bits is the option netmask: so many bits of an address count; 0 for all.
	Bits int `json:"bits,omitempty"`
	// Partial says that elements are missing here: who is not in it may be in the kernel's.
	Partial bool `json:"partial,omitempty"`
	// Strange says that the set has a type or an option that is not understood: nothing can be said of it.
	Strange bool `json:"strange,omitempty"`
	// Elements are the set's members as they are printed, with their options but without counters: "10.0.0.0/8 nomatch".
	Elements []string `json:"elements,omitempty"`

	once sync.Once
	index
}

// Set finds a set by name; nil when there is none. It works on nil.
func (s *IPSets) Set(name string) *IPSet {
	if s == nil {
		return nil
	}
	s.once.Do(func() {
		s.byName = make(map[string]*IPSet, len(s.Sets))
		for _, set := range s.Sets {
			if set != nil { // a recording can have one
				s.byName[set.Name] = set
			}
		}
	})
	return s.byName[name]
}

// Cut says that the output from which the sets were read ended early: the last set may lack elements.
func (s *IPSets) Cut() {
	if len(s.Sets) > 0 {
		s.Sets[len(s.Sets)-1].Partial = true
	}
}
