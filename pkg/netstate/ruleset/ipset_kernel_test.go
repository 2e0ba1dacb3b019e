// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// The evaluator and the kernel are given the same random ipsets, rules that ask for them, and packets, as in kernel_test.go.

const (
	setNetns   = "ntipset"
	setRounds  = 48
	setPackets = 50
	setRules   = 8
)

// setRoll makes sets, rules and packets of one family.
type setRoll struct {
	roll
	bits int // of an address, less the 32 that a network may leave out
}

func setFamilies(r *rand.Rand) []setRoll {
	return []setRoll{{roll{r, propertyFamilies[0]}, 0}, {roll{r, propertyFamilies[1]}, 96}}
}

// setTypes are those that are compared, in how many directions a rule asks for them, and how an element of each is made.
var setTypes = []struct {
	kind, options string
	dims          int
	element       func(setRoll) string
}{
	{"hash:ip", "", 1, func(r setRoll) string { return r.addr() }},
	{"hash:ip", "netmask", 1, func(r setRoll) string { return r.addr() }},
	{"hash:ip", "of the other family", 1, func(r setRoll) string { return setFamilies(r.Rand)[map[bool]int{true: 0, false: 1}[r.six]].addr() }},
	{"hash:net", "", 1, setRoll.exception},
	{"hash:ip,port", "", 2, func(r setRoll) string { return r.addr() + "," + r.protoPort() }},
	{"hash:ip,port,ip", "", 3, func(r setRoll) string { return r.addr() + "," + r.protoPort() + "," + r.addr() }},
	{"hash:ip,port,net", "", 3, func(r setRoll) string { return r.addr() + "," + r.protoPort() + "," + r.exception() }},
	{"hash:net,port", "", 2, func(r setRoll) string { return r.net() + "," + r.protoPort() + r.of("", "", " nomatch") }},
	{"hash:net,iface", "", 2, func(r setRoll) string { return r.net() + "," + r.of("lo", "lo", "eth0") + r.of("", "", " nomatch") }},
	{"bitmap:port", "range 0-65535", 1, func(r setRoll) string { return fmt.Sprint(r.anyPort()) }},
	{"bitmap:ip", "range 10.77.0.0/24", 1, func(r setRoll) string { return setFamilies(r.Rand)[0].addr() }},
}

func (r setRoll) net() string {
	return fmt.Sprintf("%s%d/%d", r.local, r.IntN(8), r.bits+28+r.IntN(5))
}
func (r setRoll) exception() string { return r.net() + r.of("", "", " nomatch") }
func (r setRoll) anyPort() int {
	if r.IntN(2) == 0 {
		return r.port()
	}
	return r.sport()
}
func (r setRoll) protoPort() string {
	return fmt.Sprintf("%s:%d", r.of("udp", "udp", "tcp", "sctp"), r.anyPort())
}

// setsOf makes a set of each type and lists of some.
func (r setRoll) setsOf() string {
	var b strings.Builder
	for i, t := range setTypes {
		options, six := t.options, r.six
		switch options {
		case "netmask":
			options = fmt.Sprint("netmask ", r.bits+30)
		case "of the other family":
			options, six = "", !six
		}
		if strings.HasPrefix(t.kind, "hash:") && six {
			options += " family inet6"
		}
		fmt.Fprintf(&b, "create s%d %s %s counters comment\n", i, t.kind, options)
		for range 1 + r.IntN(12) {
			fmt.Fprintf(&b, "add s%d %s\n", i, t.element(r))
		}
	}
	for i := range 2 {
		fmt.Fprintf(&b, "create l%d list:set\n", i)
		for range 1 + r.IntN(3) {
			fmt.Fprintf(&b, "add l%d s%d\n", i, r.IntN(len(setTypes)))
		}
	}
	return b.String()
}

func (r setRoll) setRules() string {
	var b strings.Builder
	b.WriteString("*filter\n:OUTPUT ACCEPT [0:0]\n:c0 - [0:0]\n")
	for _, chain := range []string{"c0", "OUTPUT"} {
		for range setRules {
			fmt.Fprintf(&b, "-A %s -p udp %s", chain, r.setMatch())
			if r.IntN(4) == 0 {
				b.WriteString(" " + r.setMatch())
			}
			fmt.Fprintf(&b, " -j %s\n", r.of("DROP", "DROP", "ACCEPT", "RETURN", map[string]string{"c0": "DROP", "OUTPUT": "c0"}[chain]))
		}
	}
	return b.String() + "COMMIT\n"
}

// setMatch asks with too few directions now and then, and with too many.
func (r setRoll) setMatch() string {
	n, name := 2, fmt.Sprint("l", r.IntN(2))
	if i := r.IntN(len(setTypes) + 2); i < len(setTypes) && !r.elsewhere(i) { // iptables asks such a set only within a list
		name, n = fmt.Sprint("s", i), setTypes[i].dims
	}
	if r.IntN(8) == 0 {
		n = 1 + r.IntN(3)
	}
	var dirs []string
	for range n {
		dirs = append(dirs, r.of("src", "dst"))
	}
	return fmt.Sprintf("-m set %s--match-set %s %s%s", r.of("", "", "! "), name, strings.Join(dirs, ","), r.of("", "", "", " --return-nomatch"))
}

func (r setRoll) elsewhere(i int) bool {
	return strings.HasPrefix(setTypes[i].options, "of the other") || r.six && setTypes[i].kind == "bitmap:ip"
}

func (r setRoll) setPacket(sets *IPSets) Packet {
	return Packet{Proto: "udp", Src: netip.MustParseAddr(r.addr()), Dst: netip.MustParseAddr(r.addr()), Sport: uint16(r.sport()), Dport: uint16(r.port()), Out: "lo", CTState: "NEW", Sets: sets}
}

// sendTo sends one datagram; dropped is what the kernel says.
func sendTo(p Packet) (dropped bool) {
	family := unix.AF_INET
	var from, to unix.Sockaddr
	if p.Dst.Is6() {
		family = unix.AF_INET6
		from, to = &unix.SockaddrInet6{Port: int(p.Sport), Addr: p.Src.As16()}, &unix.SockaddrInet6{Port: int(p.Dport), Addr: p.Dst.As16()}
	} else {
		from, to = &unix.SockaddrInet4{Port: int(p.Sport), Addr: p.Src.As4()}, &unix.SockaddrInet4{Port: int(p.Dport), Addr: p.Dst.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		fail("%v", err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, from)); err != nil {
		fail("%v", err)
	}
	err = unix.Sendto(fd, []byte("x"), 0, to)
	if err != nil && !errors.Is(err, unix.EPERM) {
		fail("%v", err)
	}
	return err != nil
}

// Topology: a namespace with four addresses of each family, random sets of every type, and rules on output that ask for them. Action: datagrams. Expectation: the
// kernel drops what the evaluator says, by the rule that it says, and nothing is "maybe".
func TestTheEvaluatorAgreesWithTheKernelAboutSets(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces and tracing")
	}
	if err := netns.Create(setNetns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netns.Delete(setNetns); err != nil {
			t.Error(err)
		}
	})
	if err := netns.Do(netns.Dir+"/"+setNetns, func() error {
		out, err := exec.Command("ipset", "create", "probe", "hash:ip").CombinedOutput()
		if err != nil && !errors.Is(err, exec.ErrNotFound) {
			return fmt.Errorf("%w: %s", err, out)
		}
		return exec.Command("ipset", "destroy", "probe").Run()
	}); err != nil && !errors.Is(err, exec.ErrNotFound) {
		t.Skipf("needs the kernel module ip_set_hash_ip, which this kernel does not have: %v", err)
	}
	drops, pairs := 0, 0
	err := netns.Do(netns.Dir+"/"+setNetns, func() (err error) {
		defer func() { // FailNow must be called on the test's own goroutine
			if f, ok := recover().(failure); ok {
				err = errors.New(string(f))
			}
		}()
		inKernel("", "ip", "link", "set", "lo", "up")
		for i := 1; i <= localAddresses; i++ {
			inKernel("", "ip", "addr", "add", fmt.Sprint(propertyFamilies[0].local, i, "/32"), "dev", "lo")
			inKernel("", "ip", "addr", "add", fmt.Sprint(propertyFamilies[1].local, i, "/128"), "dev", "lo", "nodad")
		}
		for port := 1000; port < 1008; port++ { // somebody takes them: an ICMP error would pass the rules too
			fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if err := errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0), unix.Bind(fd, &unix.SockaddrInet6{Port: port})); err != nil {
				return err
			}
		}
		for _, seed := range []uint64{propertySeed, rand.Uint64()} {
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 0))
			for range setRounds / 4 {
				for _, family := range setFamilies(r) {
					drops += setRound(family)
					pairs += setPackets
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if drops < pairs/10 || drops > pairs*9/10 {
		t.Errorf("%d of %d packets were dropped: that compares little", drops, pairs)
	}
	t.Logf("%d pairs, %d dropped", pairs, drops)
}

// setRound compares one ruleset. Elements may be there twice, which 'restore -exist' allows.
func setRound(r setRoll) (drops int) {
	text, rules, tables, family := r.setsOf(), r.setRules(), "iptables-legacy", "ip"
	if r.six {
		tables, family = "ip6tables-legacy", "ip6"
	}
	inKernel(text, "ipset", "restore", "-exist")
	inKernel(rules, tables+"-restore")
	sets, warnings, err := ParseIPSets(bytes.NewReader(inKernel("", "ipset", "save")))
	if err != nil || len(warnings) > 0 {
		fail("%v %v", warnings, err)
	}
	saved := func() *Ruleset {
		s, warnings, err := Parse(bytes.NewReader(inKernel("", tables+"-save", "-c", "-t", "filter")), "iptables-legacy", family)
		if err != nil || len(warnings) > 0 {
			fail("%v %v", warnings, err)
		}
		return &s
	}
	set, said := saved(), map[string]uint64{}
	for range setPackets {
		p := r.setPacket(sets)
		out := ways(set, "filter", "OUTPUT", p)
		dropped := sendTo(p)
		if len(out) != 1 || !out[0].sure || dropped != (out[0].verdict == "DROP") {
			fail("the kernel dropped: %v; the evaluator says %+v\npacket %+v\n%s\n%s", dropped, out, p, text, rules)
		}
		if dropped {
			drops++
			said[fmt.Sprintf("%s %d", out[0].chain, out[0].rule.Number)]++
		}
	}
	counted := map[string]uint64{}
	for _, c := range saved().Tables[0].Chains {
		for _, rule := range c.Rules {
			if rule.Target == "DROP" && rule.Packets > 0 {
				counted[fmt.Sprintf("%s %d", c.Name, rule.Number)] = rule.Packets
			}
		}
	}
	if fmt.Sprint(said) != fmt.Sprint(counted) {
		fail("the evaluator says that rules dropped %v, the kernel counted %v\n%s\n%s", said, counted, text, rules)
	}
	inKernel("*filter\n:OUTPUT ACCEPT\nCOMMIT\n", tables+"-restore")
	inKernel("", "ipset", "flush") // sets in a list are in use
	inKernel("", "ipset", "destroy")
	return drops
}
