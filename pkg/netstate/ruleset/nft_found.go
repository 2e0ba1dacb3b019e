// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"strings"
)

// target is the address and port of a translation; "" when the rule does not name one. known is false when it names one in a way that is not
// understood.
func (w *nftWalk) target(arg any, mark uint32) (to string, known bool) {
	a, _ := arg.(map[string]any)
	known = true
	if a["addr"] != nil {
		v := eval(a["addr"], &w.q.Packet, mark)
		known = v.addr.IsValid()
		if known {
			to = v.addr.String()
		}
	}
	if a["port"] != nil {
		p := eval(a["port"], &w.q.Packet, mark)
		switch {
		case !p.isNum:
			return to, false
		case strings.Contains(to, ":"):
			to = "[" + to + "]"
		}
		to += ":" + p.text
	}
	return to, known
}

func (w *nftWalk) wanted(o *nftOutcome) bool {
	switch w.q.Verdict {
	case "drop":
		if w.q.Queue {
			return o.verdict == "queue"
		}
		return o.verdict == "reject" && w.q.Reject || o.verdict == "drop" && !w.q.Reject
	case "dnat":
		return o.verdict == "redirect" && redirectsTo(strings.TrimPrefix(o.to, ":"), w.q.To, w.q.Packet.Dport) || o.verdict == "dnat" && destinationFits(o.to, w.q.To, w.q.Packet.Dport)
	case "snat":
		return o.verdict == "snat" && leadsTo(o.to, w.q.To) || o.verdict == "masquerade"
	}
	return false
}

func (w *nftWalk) found(o *nftOutcome) Found {
	f := Found{Backend: "nft", Family: w.table.Family, Table: w.table.Name, Chain: o.chain, Verdict: strings.ToUpper(o.verdict), Path: o.path, Sure: o.certain(), Mark: o.mark, Number: o.number}
	if o.rule != nil {
		f.Handle, f.Text, f.Comment = o.rule.Handle, nftText(o.rule.Expr), o.rule.Comment
	}
	if f.Comment == "" {
		f.Comment = o.via.comment
	}
	f.Owner = ownerOfNFT(w.table.Name, o)
	return f
}
