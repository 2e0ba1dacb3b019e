// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// path is a network that carries packets up to a size and may tell it.
type path struct {
	mtu   int
	told  int // what is told, 0 for silence
	peer  int // the receiver takes no more, 0 for no bound
	local bool
}

func (p path) try(size int) (int, bool, *ICMP, error) {
	if p.peer > 0 {
		size = min(size, p.peer)
	}
	switch {
	case size <= p.mtu:
		return size, true, nil, nil
	case p.local:
		return size, false, &ICMP{Type: localMTU}, nil
	case p.told > 0:
		return size, false, &ICMP{From: "192.0.2.1", Type: fragNeeded, MTU: p.told}, nil
	}
	return size, false, nil, nil
}

func TestClimb(t *testing.T) {
	for _, tc := range []struct {
		name           string
		path           path
		low, high      int
		passed, failed int
		kind           MTUKind
		most           int // steps
	}{
		{"healthy", path{mtu: 9000}, 68, 1450, 1450, 0, MTUClear, 2},
		{"silent hole", path{mtu: 1350}, 68, 1450, 1350, 1351, MTUSilent, 14},
		{"hole at the bottom", path{mtu: 68}, 68, 1450, 68, 69, MTUSilent, 14},
		{"hole at the top", path{mtu: 1449}, 68, 1450, 1449, 1450, MTUSilent, 14},
		{"told", path{mtu: 1400, told: 1400}, 68, 1500, 1400, 1401, MTUTold, 4},
		{"told too much", path{mtu: 1300, told: 1400}, 68, 1500, 1300, 1301, MTUTold, 16},
		{"told nonsense", path{mtu: 1300, told: 20}, 68, 1500, 1300, 1301, MTUTold, 16},
		{"own device", path{mtu: 1280, local: true}, 68, 1500, 1280, 1281, MTULocal, 16},
		{"receiver's bound", path{mtu: 9000, peer: 1200}, 256, 1500, 1200, 0, MTUPeer, 2},
		{"receiver's bound and a hole below it", path{mtu: 700, peer: 1200}, 256, 1500, 700, 701, MTUSilent, 14},
		{"nothing answers", path{}, 68, 1500, 0, 68, MTUNone, 1},
		{"one size only", path{mtu: 1500}, 68, 68, 68, 0, MTUClear, 1},
		{"largest there is", path{mtu: 40000}, 68, 65535, 40000, 40001, MTUSilent, 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := &MTUResult{}
			if err := m.climb(context.Background(), tc.low, tc.high, tc.path.try); err != nil {
				t.Fatal(err)
			}
			if m.Passed != tc.passed || m.Failed != tc.failed || m.Kind != tc.kind || len(m.Steps) > tc.most {
				t.Errorf("passed %d failed %d %s in %d steps, want %d %d %s in up to %d: %+v", m.Passed, m.Failed, m.Kind, len(m.Steps), tc.passed, tc.failed, tc.kind, tc.most, m.Steps)
			}
		})
	}
}

func TestClimbStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	m := &MTUResult{}
	err := m.climb(ctx, 68, 1500, func(size int) (int, bool, *ICMP, error) {
		if size == 1500 {
			cancel()
			return size, false, nil, nil
		}
		return path{mtu: 1000}.try(size)
	})
	if err != nil || m.Cut == "" || m.Failed != 0 || m.Passed != 68 {
		t.Errorf("%+v, %v: a size that was interrupted did not fail", m, err)
	}
	broken := errors.New("broken")
	if err := (&MTUResult{}).climb(context.Background(), 1, 2, func(int) (int, bool, *ICMP, error) { return 0, false, nil, broken }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestLaddersOnLoopback(t *testing.T) {
	for _, dst := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(dst, "0"))
		if err != nil {
			t.Skipf("no %s here: %v", dst, err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(io.Discard, c); c.Close() }()
			}
		}()
		port := l.Addr().(*net.TCPAddr).AddrPort()
		res, err := Send(context.Background(), Request{Proto: "tcp", Dst: port, MTU: true, Timeout: 10 * time.Second})
		if err != nil || res.Result != Connected || res.MTU == nil || res.MTU.Passed < 30000 || res.MTU.Failed != 0 || res.MTU.Device != "lo" {
			t.Errorf("tcp %s: %+v, %+v, %v", dst, res, res.MTU, err)
		}
		if os.Geteuid() != 0 {
			continue
		}
		res, err = Send(context.Background(), Request{Proto: "icmp", Dst: netip.AddrPortFrom(port.Addr(), 0), MTU: true, Timeout: 10 * time.Second})
		if err != nil || res.Result != Connected || res.MTU == nil || res.MTU.Kind != MTUClear || res.MTU.Passed < 60000 {
			t.Errorf("icmp %s: %+v, %+v, %v", dst, res, res.MTU, err)
		}
	}
}

func TestLadderToAClosedPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dst := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	res, err := Send(context.Background(), Request{Proto: "tcp", Dst: dst, MTU: true, Timeout: 5 * time.Second})
	if err != nil || res.Result != Refused || res.MTU != nil {
		t.Errorf("%+v, %v", res, err)
	}
}

func FuzzTooBig(f *testing.F) {
	f.Add([]byte{3, 4, 0, 0, 0, 0, 5, 0x78, 0x45, 0, 0, 84, 0, 0, 0x40, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 8, 0, 0, 0, 1, 2, 0, 3})
	f.Add([]byte{2, 0, 0, 0, 0, 0, 5, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, fam := range []*icmpFamily{&icmp4, &icmp6} {
			if mtu, about := tooBig(fam, b); mtu < 0 || mtu > 65535 || len(about.body) > len(b) {
				t.Errorf("mtu %d of %x", mtu, b)
			}
		}
	})
}

func FuzzParseExtendedError(f *testing.F) {
	f.Add([]byte{111, 0, 0, 0, 2, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 127, 0, 0, 1})
	f.Add([]byte{90, 0, 0, 0, 1, 0, 0, 0, 0x78, 5, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if e := parseExtendedError(b); e != nil && (e.Type == "" || e.MTU < 0 || e.MTU > 65535) {
			t.Errorf("%+v", e)
		}
	})
}

func TestICMPNames(t *testing.T) {
	for _, tc := range []struct {
		v6         bool
		kind, code byte
		want       string
	}{
		{false, 3, 0, "net-unreachable"}, {false, 3, 1, "host-unreachable"}, {false, 3, 3, "port-unreachable"}, {false, 3, 4, fragNeeded}, {false, 3, 13, "admin-prohibited"},
		{false, 11, 0, "time-exceeded"}, {false, 3, 77, "3/77"}, {true, 1, 0, "net-unreachable"}, {true, 1, 4, "port-unreachable"}, {true, 2, 0, fragNeeded}, {true, 3, 0, "time-exceeded"}, {true, 9, 9, "9/9"},
	} {
		got := icmp4Name(tc.kind, tc.code)
		if tc.v6 {
			got = icmp6Name(tc.kind, tc.code)
		}
		if got != tc.want {
			t.Errorf("%d/%d is %q, want %q", tc.kind, tc.code, got, tc.want)
		}
	}
}
