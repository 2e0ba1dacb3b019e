// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// programs measures what each program takes a run, by the kernel's own count: for packets of another flow, and for packets of this one.
func programs(l *lab.Lab) error {
	stats, err := ebpf.EnableStats(uint32(0)) // BPF_STATS_RUN_TIME
	if err != nil {
		say("nettrace", "programs", 0, "ns", "this kernel does not count: "+err.Error())
		return nil
	}
	defer stats.Close()
	client := netip.MustParseAddr("10.244.1.10")
	for _, tc := range []struct {
		what   string
		filter tracer.Filter
	}{
		{"unmatched", tracer.Filter{Proto: tracer.ProtoUDP, AnySrc: true, Dst: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Dport: 1}},
		{"matched", tracer.Filter{Proto: tracer.ProtoUDP, Src: []netip.Addr{client}, Dst: []netip.Addr{netip.MustParseAddr("10.244.2.20")}, Dport: 9000}},
	} {
		if err := oneFilter(l, tc.what, tc.filter); err != nil {
			return err
		}
	}
	return nil
}

func oneFilter(l *lab.Lab, what string, f tracer.Filter) (err error) {
	p := &pinger{l: l}
	if err := p.open(); err != nil {
		return err
	}
	defer p.close()
	t, err := tracer.Start(tracer.Options{Filter: f, Busy: true})
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		var rec ringbuf.Record
		for {
			if _, err := t.Read(time.Now().Add(time.Second), &rec); err != nil {
				return
			}
		}
	})
	defer func() {
		err = errors.Join(err, t.Close())
		wg.Wait()
	}()
	if _, err := p.perPacket(500); err != nil {
		return err
	}
	all := t.ProgramStats()
	var runs, ns uint64
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		runs, ns = runs+s.Runs, ns+s.NS
		if s.Runs > 0 {
			say("nettrace", what+" "+name, float64(s.NS)/float64(s.Runs), "ns a run", fmt.Sprintf("%.1f runs a packet", float64(s.Runs)/1000))
		}
	}
	say("nettrace", what+" in all", float64(ns)/1000, "ns a packet", fmt.Sprintf("%.1f runs", float64(runs)/1000))
	return nil
}
