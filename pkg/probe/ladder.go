// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// MTUResult is what a ladder of sizes found. Sizes are those of whole IP packets.
type MTUResult struct {
	Proto     string    `json:"proto"` // tcp, icmp
	Device    string    `json:"device,omitempty"`
	DeviceMTU int       `json:"deviceMtu,omitempty"` // of the sender's device
	Passed    int       `json:"passed,omitempty"`    // the largest size that got through
	Failed    int       `json:"failed,omitempty"`    // the smallest that did not; absent when all passed
	Kind      MTUKind   `json:"kind"`
	ICMP      *ICMP     `json:"icmp,omitempty"` // the word that came about a packet that was too large
	Steps     []MTUStep `json:"steps"`
	Cut       string    `json:"cut,omitempty"` // why it stopped early
}

// MTUKind says how a path treats what is too large for it.
type MTUKind string

// The kinds of paths.
const (
	MTUClear  MTUKind = "clear"      // the largest packet of the sender's device passes
	MTUPeer   MTUKind = "peer"       // the receiver takes no larger ones (its MSS), and those pass
	MTULocal  MTUKind = "local"      // the sender's own kernel refuses larger ones
	MTUTold   MTUKind = "told"       // somebody on the way says "fragmentation needed"
	MTUSilent MTUKind = "silent"     // larger ones vanish: a hole
	MTUNone   MTUKind = "unanswered" // not even the smallest was answered
)

// MTUStep is one size that was tried.
type MTUStep struct {
	Size   int   `json:"size"`
	Passed bool  `json:"passed"`
	MS     int64 `json:"ms"`
}

// rung tries one size. It may be able to send only a smaller packet, whose size it returns.
type rung func(size int) (tried int, passed bool, word *ICMP, err error)

// errStop ends a ladder with what it has found so far.
var errStop = errors.New("no further connection could be made")

// maxSteps bounds a ladder: halving 65535 takes 16.
const maxSteps = 24

// climb finds the largest size between low and high that passes. The largest is tried second, because on a healthy path it passes; a router's
// word about its MTU is tried next, because it is nearly always right.
func (m *MTUResult) climb(ctx context.Context, low, high int, try rung) error {
	next := low
	for len(m.Steps) < maxSteps {
		if ctx.Err() != nil {
			m.Cut = "the probe's time was over"
			break
		}
		begin := now()
		size, ok, word, err := try(next)
		if errors.Is(err, errStop) {
			m.Cut = err.Error()
			break
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil && !ok && word == nil { // it had no time to be answered: that says nothing about its size
			m.Cut = "the probe's time was over"
			break
		}
		m.Steps = append(m.Steps, MTUStep{Size: size, Passed: ok, MS: now().Sub(begin).Milliseconds()})
		switch {
		case ok && size < next: // the receiver's limit, or what the kernel was told of the path before
			m.Passed, m.Kind = max(m.Passed, size), MTUPeer
			if word != nil {
				m.Kind = MTUTold
			}
			high = min(high, m.Passed)
		case ok:
			m.Passed = max(m.Passed, size)
		case m.Failed == 0 || size < m.Failed:
			m.Failed = size
		}
		if word != nil && m.ICMP == nil {
			m.ICMP = word
		}
		if m.Failed == low || m.Passed >= high || (m.Failed > 0 && m.Failed-m.Passed <= 1) {
			break
		}
		next = m.next(high, word)
	}
	m.judge()
	return nil
}

func (m *MTUResult) next(high int, word *ICMP) int {
	if m.Failed == 0 {
		return high
	}
	if word != nil && word.MTU > m.Passed && word.MTU < m.Failed {
		return word.MTU
	}
	if m.ICMP != nil && m.Passed == m.ICMP.MTU && m.Failed > m.Passed+1 { // it passed: the next byte shows whether the word was exact
		return m.Passed + 1
	}
	return m.Passed + (m.Failed-m.Passed)/2
}

func (m *MTUResult) judge() {
	switch {
	case m.Passed == 0:
		m.Kind = MTUNone
	case m.Failed == 0 && m.Kind == "":
		m.Kind = MTUClear
	case m.Failed == 0:
	case m.ICMP == nil:
		m.Kind = MTUSilent
	case m.ICMP.Type == localMTU:
		m.Kind = MTULocal
	default:
		m.Kind = MTUTold
	}
}

// Hole reports whether packets that the sender's device takes do not get through.
func (m *MTUResult) Hole() bool { return m.Passed > 0 && m.Failed > 0 }

// smallest is what every path must carry: RFC 791 for IPv4, RFC 8200 for IPv6.
func smallest(a netip.Addr) int {
	if a.Is6() {
		return 1280
	}
	return 68
}

// deviceOf is the sender's device and its MTU, by the address that the kernel chooses for the destination. Nothing is sent: connecting a UDP
// socket only looks up a route.
func deviceOf(ctx context.Context, r *Request) (name string, mtu int, err error) {
	sub := *r
	sub.Proto, sub.Sport, sub.Dst = "udp", 0, netip.AddrPortFrom(r.Dst.Addr(), 9)
	conn, err := dial(ctx, &sub)
	if err != nil {
		return "", 0, err
	}
	defer conn.Close()
	local := conn.LocalAddr().(*net.UDPAddr).IP
	err = netns.Do(r.NetNS, func() error {
		all, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, i := range all {
			addrs, err := i.Addrs()
			if err != nil {
				return err
			}
			for _, a := range addrs {
				if p, ok := a.(*net.IPNet); ok && p.IP.Equal(local) {
					name, mtu = i.Name, min(i.MTU, 65535)
					return nil
				}
			}
		}
		return errors.New("no device has the address " + local.String())
	})
	if err != nil {
		err = &setupError{err}
	}
	return name, mtu, err
}

// begin makes the result of a ladder, or the probe's result when there is no way to the destination.
func (r *Request) begin(ctx context.Context) (*MTUResult, *Result, error) {
	name, mtu, err := deviceOf(ctx, r)
	var se *setupError
	if errors.As(err, &se) {
		return nil, nil, se
	}
	if err != nil {
		return nil, &Result{Result: outcome(err, false), Error: words(err)}, nil
	}
	return &MTUResult{Proto: r.Proto, Device: name, DeviceMTU: mtu, Steps: []MTUStep{}}, nil, nil
}

// end is what the client saw of a ladder.
func (m *MTUResult) end(silence Outcome) *Result {
	res := &Result{Result: Connected, MTU: m}
	if m.Kind == MTUNone {
		res.Result, res.Error = silence, "not even the smallest packet was answered"
	}
	if m.Hole() {
		res.Result, res.Error = silence, "large packets do not get through"
		res.ICMP = m.ICMP
	}
	return res
}
