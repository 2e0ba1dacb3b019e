// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"fmt"
	"net/netip"
	"sync"
)

// IPVS is what IPVS of one network namespace balances.
type IPVS struct {
	Servers []VirtualServer `json:"servers"`

	once   sync.Once
	byAddr map[virtual]int
	byMark map[uint32][]int
}

type virtual struct {
	proto string
	addr  netip.AddrPort
}

// VirtualServer is an address and port, or a firewall mark, that is balanced over real servers.
type VirtualServer struct {
	Proto  string     `json:"proto,omitempty"` // tcp, udp, sctp; "" with a mark
	Addr   netip.Addr `json:"addr,omitzero"`
	Port   uint16     `json:"port,omitempty"` // 0 stands for every port
	FWMark uint32     `json:"fwmark,omitempty"`
	// Scheduler is its name in the kernel: rr, lc, sh, ...
	Scheduler string `json:"scheduler"`
	// Persistent says that a client stays with its real server, for Timeout seconds; 0 when they are not known.
	Persistent bool         `json:"persistent,omitempty"`
	Timeout    uint32       `json:"timeout,omitempty"`
	Real       []RealServer `json:"real,omitempty"`
}

// RealServer is one that connections are sent to.
type RealServer struct {
	Addr   netip.Addr `json:"addr"`
	Port   uint16     `json:"port"`
	Method string     `json:"method"` // the words of ipvsadm(8): masquerading, tunneling, direct routing; or local, bypass
	// Weight 0 means that it gets no new connections: it is drained.
	Weight   int `json:"weight"`
	Active   int `json:"active,omitempty"`   // connections that are established
	Inactive int `json:"inactive,omitempty"` // and others that are not forgotten yet
}

// Virtual is the virtual server to which a packet belongs; nil when IPVS leaves it alone. The kernel takes one for every port when none is for
// the packet's (net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_service_find). It works on nil.
func (v *IPVS) Virtual(proto string, dst netip.Addr, dport uint16) *VirtualServer {
	if v == nil {
		return nil
	}
	v.prepare()
	for _, port := range []uint16{dport, 0} {
		if i, ok := v.byAddr[virtual{proto, netip.AddrPortFrom(dst.Unmap(), port)}]; ok {
			return &v.Servers[i]
		}
	}
	return nil
}

// Marked is the virtual server of a firewall mark for a family; nil when there is none. The kernel asks for it first. /proc does not say of which
// family it is: its real servers do. It works on nil.
func (v *IPVS) Marked(mark uint32, six bool) *VirtualServer {
	if v == nil || mark == 0 {
		return nil
	}
	v.prepare()
	for _, i := range v.byMark[mark] {
		if s := &v.Servers[i]; len(s.Real) == 0 || s.Real[0].Addr.Is6() == six {
			return s
		}
	}
	return nil
}

func (v *IPVS) prepare() {
	v.once.Do(func() {
		v.byAddr, v.byMark = make(map[virtual]int, len(v.Servers)), map[uint32][]int{}
		for i := range v.Servers {
			s := &v.Servers[i]
			if s.FWMark != 0 {
				v.byMark[s.FWMark] = append(v.byMark[s.FWMark], i)
				continue
			}
			v.byAddr[virtual{s.Proto, netip.AddrPortFrom(s.Addr, s.Port)}] = i
		}
	})
}

// Server finds a real server by its address and port.
func (s *VirtualServer) Server(at netip.AddrPort) *RealServer {
	for i := range s.Real {
		if r := &s.Real[i]; r.Addr == at.Addr() && (r.Port == at.Port() || r.Port == 0) {
			return r
		}
	}
	return nil
}

// Available are the real servers that get new connections.
func (s *VirtualServer) Available() []RealServer {
	var out []RealServer
	for _, r := range s.Real {
		if r.Weight > 0 {
			out = append(out, r)
		}
	}
	return out
}

// String is the virtual server as ipvsadm -Sn writes it.
func (s *VirtualServer) String() string {
	text := fmt.Sprintf("-A %s -s %s", s.flag(), s.Scheduler)
	switch {
	case s.Persistent && s.Timeout > 0:
		text += fmt.Sprintf(" -p %d", s.Timeout)
	case s.Persistent:
		text += " -p"
	}
	return text
}

// Line is one of its real servers as ipvsadm -Sn writes it.
func (s *VirtualServer) Line(r *RealServer) string {
	text := fmt.Sprintf("-a %s -r %s", s.flag(), netip.AddrPortFrom(r.Addr, r.Port))
	for flag, method := range methods {
		if r.Method == method {
			text += " " + flag
		}
	}
	return fmt.Sprintf("%s -w %d", text, r.Weight)
}

func (s *VirtualServer) flag() string {
	if s.FWMark != 0 {
		return fmt.Sprintf("-f %d", s.FWMark)
	}
	at := netip.AddrPortFrom(s.Addr, s.Port)
	for flag, proto := range protoFlags {
		if s.Proto == proto {
			return fmt.Sprintf("%s %s", flag, at)
		}
	}
	return at.String()
}

// protoFlags and methods are the options of ipvsadm(8).
var (
	protoFlags = map[string]string{"-t": "tcp", "-u": "udp", "--sctp-service": "sctp"}
	methods    = map[string]string{"-m": "masquerading", "-i": "tunneling", "-g": "direct routing"}
)
