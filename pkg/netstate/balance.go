// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// ipsets reads the sets when a rule asks for one: then the kernel has its modules already, and nobody needs the others.
func (r *reader) ipsets(ctx context.Context) {
	if !asksForSets(r.n.Rulesets) {
		return
	}
	before := len(r.n.Unread)
	out, ok := r.run(ctx, "ipsets", "ipset", "save")
	if !ok {
		return
	}
	full := out.Len() >= maxRuleBytes
	sets, warnings, err := ruleset.ParseIPSets(&out.Buffer)
	if err != nil {
		r.unread("ipsets", err)
		return
	}
	if full || len(r.n.Unread) > before { // there was more, or the tool failed on its way
		sets.Cut()
	}
	r.n.Unread = append(r.n.Unread, warnings...)
	if len(sets.Sets) > 0 {
		r.n.IPSets = sets
	}
}

func asksForSets(rulesets []ruleset.Ruleset) bool {
	for i := range rulesets {
		for _, t := range rulesets[i].Tables {
			for _, c := range t.Chains {
				for k := range c.Rules {
					if strings.Contains(c.Rules[k].Text, "--match-set ") {
						return true
					}
				}
			}
		}
	}
	return false
}

// ipvs reads the virtual servers from /proc, which is there when the module is. The netlink libraries for IPVS load the module first, and
// ipvsadm is on few nodes.
func (r *reader) ipvs() {
	f, err := os.Open("/proc/thread-self/net/ip_vs")
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		r.unread("the servers of IPVS", err)
		return
	}
	defer f.Close()
	v, warnings, err := ruleset.ParseIPVSProc(io.LimitReader(f, maxRuleBytes), tick())
	r.unread("the servers of IPVS", err)
	r.n.Unread = append(r.n.Unread, warnings...)
	if len(v.Servers) > 0 {
		r.n.IPVS = v
	}
}

// tick is how long one of the kernel's ticks is, which is what its coarse clocks resolve (include/linux/hrtimer.h, KTIME_LOW_RES); 0 when it does
// not say.
func tick() time.Duration {
	var ts unix.Timespec
	if unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
