// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// Rule is a rule that some hop of the probe must show: "BACKEND TABLE/CHAIN NUMBER VERDICT", such as "iptables-nft filter/KUBE-SERVICES 1 REJECT",
// or "ipvs SERVER" with a virtual or real server as ipvsadm-save writes it. Number 0 is the chain's policy. {veth:POD} stands for a pod's
// device, as in set-up lines. With "exact" at the end, the kernel must have been seen to run it where its functions are traced.
type Rule string

type ruleParts struct {
	backend, table, chain, verdict string
	number                         int
	text                           string // of IPVS, which has no tables
}

const (
	exactly = " exact"
	certain = "exact" // as a journey's rules have it
)

// Exact reports whether the rule must be told exactly where functions are traced.
func (r Rule) Exact() bool { return strings.HasSuffix(string(r), exactly) }

func (r Rule) parts() (ruleParts, error) {
	text := (&Lab{}).expand(strings.TrimSuffix(string(r), exactly))
	if server, ok := strings.CutPrefix(text, "ipvs "); ok && strings.HasPrefix(server, "-") {
		return ruleParts{backend: "ipvs", text: server}, nil
	}
	words := strings.Fields(text)
	if len(words) != 4 {
		return ruleParts{}, fmt.Errorf("%q is not of the form 'BACKEND TABLE/CHAIN NUMBER VERDICT [exact]' or 'ipvs SERVER [exact]'", string(r))
	}
	p := ruleParts{backend: words[0], verdict: words[3]}
	var ok bool
	if p.table, p.chain, ok = strings.Cut(words[1], "/"); !ok || p.table == "" || p.chain == "" { // nftables' chains have slashes in their names
		return ruleParts{}, fmt.Errorf("%q: %q is not of the form TABLE/CHAIN", string(r), words[1])
	}
	n, err := strconv.ParseUint(words[2], 10, 31)
	if err != nil {
		return ruleParts{}, fmt.Errorf("%q: %q is no number of a rule", string(r), words[2])
	}
	p.number = int(n)
	return p, nil
}

// Is reports whether a hop's rule is this one. functions says that kernel functions were traced.
func (r Rule) Is(have *journey.Rule, functions bool) bool {
	p, err := r.parts()
	if err != nil || have == nil || functions && r.Exact() && have.Certainty != certain {
		return false
	}
	if p.text != "" {
		return p == ruleParts{backend: have.Backend, text: have.Text}
	}
	return p == ruleParts{have.Backend, have.Table, have.Chain, have.Verdict, have.Number, ""}
}

// RuleOf writes a hop's rule as a case file has it.
func RuleOf(r *journey.Rule) Rule {
	suffix := ""
	if r.Certainty == certain {
		suffix = exactly
	}
	if r.Backend == "ipvs" {
		return Rule("ipvs " + r.Text + suffix)
	}
	return Rule(fmt.Sprintf("%s %s/%s %d %s%s", r.Backend, r.Table, r.Chain, r.Number, r.Verdict, suffix))
}
