// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// judged is one row of a family's table: what was seen, how the state differs from a healthy one, and what the verdict must be.
type judged struct {
	name   string
	in     Input
	change func(*netstate.Snapshot) // of the state after the run
	want   string                   // outcome layer cause confidence
	words  string                   // in summary, evidence or fix
}

// judgeAll judges each row with a healthy state before the run.
func judgeAll(t *testing.T, rows []judged) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			in := r.in
			if in.Flow.Dst == "" {
				in.Flow = Flow{Proto: "tcp", Src: client.String(), Dst: server.String(), Dport: 8081}
			}
			before, after := state(), state()
			for _, s := range []*netstate.Snapshot{before, after} {
				for i := range s.Namespaces {
					s.Namespaces[i].Counters = map[string]uint64{}
					for _, c := range []string{"TcpExt.ListenOverflows", "TcpExt.ListenDrops", "TcpExt.TCPReqQFullDrop", "TcpExt.TCPToZeroWindowAdv", "TcpExt.PAWSEstab", "Udp.RcvbufErrors", "Udp.InCsumErrors", "Tcp.InCsumErrors"} {
						s.Namespaces[i].Counters[c] = 1
					}
				}
			}
			if r.change != nil {
				r.change(after)
			}
			if in.Before == nil {
				in.Before, in.After = before, after
			}
			v := Judge(&in)
			mustBeListed(t, &v)
			if got := strings.Join([]string{string(v.Outcome), string(v.Layer), v.Cause, string(v.Confidence)}, " "); got != r.want {
				t.Errorf("%s, want %s", got, r.want)
			}
			text := strings.Join(append(append([]string{v.Summary}, v.Evidence...), v.Fix...), "\n")
			if !strings.Contains(text, r.words) {
				t.Errorf("%q is not in:\n%s", r.words, text)
			}
		})
	}
}
