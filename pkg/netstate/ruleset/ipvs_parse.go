// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Bounds of what is kept.
const (
	maxVirtualServers = 1 << 17
	maxRealServers    = 1 << 19 // of all virtual servers
	maxIPVSLine       = 4096
)

// ParseIPVSADM reads the output of 'ipvsadm -Sn'. What is not understood is told in sentences; only a read error is an error.
func ParseIPVSADM(r io.Reader) (*IPVS, []string, error) { return parseIPVS(r, (*ipvsParser).rule) }

// ParseIPVSProc reads /proc/net/ip_vs (net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_info_seq_show), which follows the reader's network namespace. The
// kernel prints times there in its ticks, of which tick is the length; 0 leaves times out.
func ParseIPVSProc(r io.Reader, tick time.Duration) (*IPVS, []string, error) {
	return parseIPVS(r, func(p *ipvsParser, words []string) bool { return p.proc(words, tick) })
}

func parseIPVS(r io.Reader, take func(*ipvsParser, []string) bool) (*IPVS, []string, error) {
	p := &ipvsParser{out: &IPVS{}, current: -1, index: map[string]int{}}
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, maxIPVSLine), maxIPVSLine)
	for s.Scan() {
		p.line++
		words := strings.Fields(clean(s.Text()))
		if len(words) > 0 && !take(p, words) {
			p.warn("line %d is neither a virtual nor a real server", p.line)
		}
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		p.warn("line %d is longer than a server can be; what follows was not read", p.line+1)
		return p.out, p.warnings, nil
	}
	if s.Err() != nil {
		return p.out, p.warnings, fmt.Errorf("read the servers of IPVS: %w", s.Err())
	}
	return p.out, p.warnings, nil
}

type ipvsParser struct {
	out      *IPVS
	index    map[string]int // by what ipvsadm names a virtual server with
	current  int            // to which the next real server belongs; -1 for none
	real     int
	full     bool
	line     int
	warnings []string
}

func (p *ipvsParser) warn(format string, args ...any) {
	if len(p.warnings) < maxWarnings {
		p.warnings = append(p.warnings, "IPVS: "+fmt.Sprintf(format, args...))
	}
}

func (p *ipvsParser) service(s VirtualServer) {
	if len(p.out.Servers) >= maxVirtualServers {
		p.tooMany()
		p.current = -1
		return
	}
	p.current = len(p.out.Servers)
	p.out.Servers = append(p.out.Servers, s)
}

func (p *ipvsParser) server(r RealServer) {
	if p.current < 0 && p.full {
		return
	}
	if p.current < 0 {
		p.warn("line %d is a real server without its virtual server", p.line)
		return
	}
	if p.real++; p.real > maxRealServers {
		p.tooMany()
		return
	}
	s := &p.out.Servers[p.current]
	s.Real = append(s.Real, r)
}

func (p *ipvsParser) tooMany() {
	if !p.full {
		p.warn("only %d virtual and %d real servers were read", len(p.out.Servers), min(p.real, maxRealServers))
	}
	p.full = true
}

// rule reads "-A -t 10.96.0.80:80 -s rr -p 10800" and "-a -t 10.96.0.80:80 -r 10.244.1.20:8080 -m -w 1".
func (p *ipvsParser) rule(words []string) bool {
	if len(words) < 3 || (words[0] != "-A" && words[0] != "-a") {
		return false
	}
	s, name := VirtualServer{Scheduler: "wlc"}, words[1]+" "+words[2] // ipvsadm's default
	r := RealServer{Method: "direct routing", Weight: 1}
	var ok bool
	if s.Proto, ok = protoFlags[words[1]]; ok {
		s.Addr, s.Port, ok = addrPort(words[2])
	} else if words[1] == "-f" {
		var mark uint64
		mark, ok = number(words[2], 32)
		s.FWMark, ok = uint32(mark), ok && mark != 0
	}
	if !ok {
		return false
	}
	for i := 3; i < len(words); i++ {
		option, value := words[i], ""
		if i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
			i++
			value = words[i]
		}
		if !p.option(option, value, &s, &r) {
			return false
		}
	}
	if words[0] == "-A" {
		p.service(s)
		p.index[name] = p.current
		return true
	}
	if !r.Addr.IsValid() {
		return false
	}
	if p.current, ok = p.index[name]; !ok {
		p.current = -1
	}
	p.server(r)
	return true
}

// option reads one of ipvsadm(8) that stands behind a server's name.
func (p *ipvsParser) option(option, value string, s *VirtualServer, r *RealServer) (ok bool) {
	var n uint64
	ok = true
	switch option {
	case "-s":
		s.Scheduler, ok = value, value != ""
	case "-p":
		s.Persistent = true
		if value != "" {
			n, ok = number(value, 32)
			s.Timeout = uint32(n)
		}
	case "-r":
		r.Addr, r.Port, ok = addrPort(value)
	case "-w":
		r.Weight, ok = count(value)
	case "-m", "-i", "-g":
		r.Method = methods[option]
	case "-6", "-o", "-M", "-b", "-x", "-y", "--pe", "--tun-type", "--tun-port", "--tun-nocsum", "--tun-csum", "--tun-remcsum":
	default:
		p.warn("line %d: the option %s is not understood", p.line, option)
	}
	return ok
}

// procMethods are the kernel's names (ip_vs_fwd_name).
var procMethods = map[string]string{"Masq": "masquerading", "Tunnel": "tunneling", "Route": "direct routing", "Local": "local", "Bypass": "bypass"}

// proc reads "TCP  0A600050:0050 rr persistent 10800 FFFFFFFF", "FWM  00000001 rr" and "  -> 0AF40114:1F90      Masq    1      0          0".
func (p *ipvsParser) proc(words []string, tick time.Duration) bool {
	var ok bool
	switch words[0] {
	case "IP", "Prot": // the heading
		return p.line <= 2
	case "->":
		if p.line == 3 && len(words) > 1 && words[1] == "RemoteAddress:Port" {
			return true
		}
		if len(words) != 6 {
			return false
		}
		var r RealServer
		var known, w, a, i bool
		r.Addr, r.Port, ok = hexAddrPort(words[1])
		r.Method, known = procMethods[words[2]]
		r.Weight, w = count(words[3])
		r.Active, a = count(words[4])
		r.Inactive, i = count(words[5])
		if !ok || !known || !w || !a || !i {
			return false
		}
		p.server(r)
		return true
	case "TCP", "UDP", "SCTP", "FWM":
	default:
		return false
	}
	p.current = -1 // of a line that is not understood the real servers are not another's
	if len(words) < 3 {
		return false
	}
	s := VirtualServer{Scheduler: words[2]}
	if words[0] == "FWM" {
		mark, err := strconv.ParseUint(words[1], 16, 32)
		s.FWMark, ok = uint32(mark), err == nil && mark != 0
	} else {
		s.Proto = strings.ToLower(words[0])
		s.Addr, s.Port, ok = hexAddrPort(words[1])
	}
	if !ok {
		return false
	}
	for i := 3; i < len(words); i++ {
		if words[i] != "persistent" {
			continue // ops: each packet by itself
		}
		s.Persistent = true
		if i+1 < len(words) {
			if n, ok := number(words[i+1], 31); ok {
				s.Timeout = uint32((time.Duration(n)*tick + time.Second/2) / time.Second) // a tick need not be whole nanoseconds
			}
		}
		break
	}
	p.service(s)
	return true
}

func addrPort(s string) (netip.Addr, uint16, bool) {
	a, err := netip.ParseAddrPort(s)
	return a.Addr().WithZone("").Unmap(), a.Port(), err == nil
}

// hexAddrPort reads "0A600050:0050" and "[2001:0db8:0000:0000:0000:0000:0000:0001]:0050".
func hexAddrPort(s string) (netip.Addr, uint16, bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return netip.Addr{}, 0, false
	}
	port, err := strconv.ParseUint(s[i+1:], 16, 16)
	if err != nil {
		return netip.Addr{}, 0, false
	}
	if in, ok := strings.CutPrefix(s[:i], "["); ok {
		a, err := netip.ParseAddr(strings.TrimSuffix(in, "]"))
		return a.WithZone("").Unmap(), uint16(port), err == nil
	}
	n, err := strconv.ParseUint(s[:i], 16, 32)
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), uint16(port), err == nil
}

func number(s string, bits int) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, bits)
	return n, err == nil
}

func count(s string) (int, bool) {
	n, ok := number(s, 31)
	return int(n), ok
}
