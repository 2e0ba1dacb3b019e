// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/lab"
)

// pinger sends small UDP packets from a pod to one on the other node and takes them back: each round is two packets over the whole path,
// through bridges, netfilter and VXLAN.
type pinger struct {
	l    *lab.Lab
	conn net.Conn
}

func (p *pinger) open() error {
	return netns.Do(p.l.Path("client"), func() (err error) {
		p.conn, err = net.Dial("udp", "10.244.2.20:9000")
		return err
	})
}

func (p *pinger) close() { _ = p.conn.Close() }

// perPacket is the mean time of a packet over the path, in ns.
func (p *pinger) perPacket(rounds int) (float64, error) {
	buf := make([]byte, 64)
	begin := time.Now()
	for range rounds {
		if err := p.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			return 0, err
		}
		if _, err := p.conn.Write(buf); err != nil {
			return 0, fmt.Errorf("send to the echo server: %w", err)
		}
		if _, err := p.conn.Read(buf); err != nil {
			return 0, fmt.Errorf("wait for the echo: %w", err)
		}
	}
	return float64(time.Since(begin).Nanoseconds()) / float64(2*rounds), nil
}

const (
	pings = 2000
	turns = 5
)

// added measures what each tool adds to a packet of another flow: none, then each tool, in turns.
func added(p *pinger, tools []*tool) error {
	if _, err := p.perPacket(pings); err != nil { // neighbours, caches
		return err
	}
	var base []float64
	for turn := range turns {
		for _, t := range tools {
			if t.gaveUp != "" || (turn > 0 && t.name == "pwru --all-kmods") {
				continue
			}
			v, err := p.perPacket(pings)
			if err != nil {
				return err
			}
			base = append(base, v)
			if err := t.turn(p); err != nil {
				return err
			}
		}
	}
	say("none", "packet", median(base), "ns", "")
	for _, t := range tools {
		if len(t.ups) > 0 {
			say(t.name, "attach", median(t.ups), "ms", "from exec until it is ready; "+t.gaveUp)
		}
		if len(t.own) > 0 {
			say(t.name, "attach, by its own clock", median(t.own), "ms", "")
		}
		if len(t.starts) > 0 {
			say(t.name, "processor time of a start", median(t.starts), "ms", "until it was at rest")
		}
		if len(t.downs) > 0 {
			say(t.name, "detach", median(t.downs), "ms", t.gaveUp)
		}
		if len(t.costs) > 0 {
			say(t.name, "added to a packet of another flow", median(t.costs)-median(base), "ns", t.gaveUp+t.restless)
		}
		if len(t.ups) == 0 {
			say(t.name, "attach", startLimit.Seconds()*1000, "ms", t.gaveUp)
		}
	}
	return nil
}

func (t *tool) turn(p *pinger) error {
	ok, err := t.start()
	if err != nil {
		t.gaveUp = err.Error()
		return nil
	}
	if !ok {
		t.gaveUp = fmt.Sprintf("not attached after %v; ", startLimit)
		t.stop()
		return nil
	}
	err = t.settle()
	var v float64
	if err == nil {
		v, err = p.perPacket(pings)
	}
	t.stop()
	if err != nil {
		return err
	}
	t.costs = append(t.costs, v)
	return nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
