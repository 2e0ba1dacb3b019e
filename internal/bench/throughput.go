// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

const (
	rounds  = 41
	warmup  = 100 * time.Millisecond // slow start
	measure = 400 * time.Millisecond
	sink    = 5201
)

// throughput sends as much as one TCP connection carries from client to web-b, with no tracer, a tracer that follows another flow of the
// same protocol, and one that follows this flow, in turns.
func throughput(ctx context.Context) (err error) {
	l, err := lab.Up(ctx, lab.Options{Prefix: "bench"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Down()) }()
	stop, err := swallow(l)
	if err != nil {
		return err
	}
	defer stop()
	client, server := netip.MustParseAddr("10.244.1.10"), netip.MustParseAddr("10.244.2.20")
	settings := []struct {
		name   string
		filter *tracer.Filter
	}{
		{"no tracer", nil},
		{"no tracer, again", nil}, // what differs from 1 here is this machine's noise
		{"following another flow", &tracer.Filter{Proto: tracer.ProtoTCP, Src: []netip.Addr{netip.MustParseAddr("10.244.1.20")}, Dst: []netip.Addr{netip.MustParseAddr("10.96.0.81")}, Dport: 80}},
		{"following this flow", &tracer.Filter{Proto: tracer.ProtoTCP, Src: []netip.Addr{client}, Dst: []netip.Addr{server}, Dport: sink}},
	}
	gbps := make([][]float64, len(settings))
	for r := range rounds {
		for k := range settings {
			i := (k + r) % len(settings) // no setting always follows the same other one
			v, err := one(ctx, l, settings[i].filter)
			if err != nil {
				return err
			}
			gbps[i] = append(gbps[i], v)
		}
	}
	for i, s := range settings {
		var ratios []float64
		for k := range gbps[i] {
			ratios = append(ratios, gbps[i][k]/gbps[0][k])
		}
		slices.Sort(ratios)
		fmt.Printf("throughput, %-24s %6.2f Gbit/s, ratio of medians %.3f (paired ratios: median %.3f, middle half %.3f to %.3f, %d turns)\n", s.name+":",
			median(gbps[i]), median(gbps[i])/median(gbps[0]), median(ratios), ratios[rounds/4], ratios[rounds*3/4], rounds)
	}
	return nil
}

// swallow serves a port in web-b that reads and forgets.
func swallow(l *lab.Lab) (func(), error) {
	var ln net.Listener
	err := netns.Do(l.Path("web-b"), func() (err error) {
		ln, err = net.Listen("tcp", fmt.Sprintf(":%d", sink))
		return err
	})
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(io.Discard, c)
				c.Close()
			}()
		}
	}()
	return func() { ln.Close() }, nil
}

// one measures one setting.
func one(ctx context.Context, l *lab.Lab, f *tracer.Filter) (gbps float64, err error) {
	if f != nil {
		t, startErr := tracer.Start(tracer.Options{Filter: *f})
		if startErr != nil {
			return 0, startErr
		}
		t.Names().Symbol(1) // reading the kernel's symbols is part of the start, not of following
		var wg sync.WaitGroup
		wg.Go(func() { drain(t) })
		defer func() {
			err = errors.Join(err, t.Close())
			wg.Wait()
		}()
	}
	var c net.Conn
	if err := netns.Do(l.Path("client"), func() (err error) {
		c, err = net.Dial("tcp", fmt.Sprintf("10.244.2.20:%d", sink))
		return err
	}); err != nil {
		return 0, err
	}
	defer c.Close()
	buf := make([]byte, 256<<10)
	begin, sent, warm := time.Now(), 0, false
	for ctx.Err() == nil {
		if d := time.Since(begin); !warm && d > warmup {
			begin, sent, warm = time.Now(), 0, true
		} else if warm && d > measure {
			break
		}
		n, err := c.Write(buf)
		sent += n
		if err != nil {
			return 0, err
		}
	}
	return float64(sent) * 8 / time.Since(begin).Seconds() / 1e9, ctx.Err()
}

// drain reads and decodes what comes, as a trace does.
func drain(t *tracer.Tracer) {
	dec := tracer.NewDecoder(t.Names())
	var rec ringbuf.Record
	var e tracer.Event
	for {
		ok, err := t.Read(time.Now().Add(time.Second), &rec)
		if err != nil {
			return
		}
		if ok && dec.Decode(rec.RawSample, &e) != nil {
			return
		}
	}
}
