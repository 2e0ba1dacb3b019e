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

// The evaluator and the kernel are given the same random rules and packets. The kernel tells what it did twice: a datagram that OUTPUT drops
// comes back as EPERM, and each rule counts. Only datagrams between the namespace's own addresses cross the rules: there is no neighbour
// discovery on lo.

const (
	rounds         = 9 // of each kind of rules, for each seed
	packetsEach    = 50
	localAddresses = 4
	propertyNetns  = "ntproperty"
	propertyChains = 3
	rulesOfAChain  = 6
	propertySeed   = 1 // the seed of the run is told; this one is run always
	firstPort      = 1000
	answeredPort   = 1006 // connections to it are established
	untrackedPort  = 1007
)

// family is IPv4 or IPv6: the same addresses in both.
type family struct {
	six                     bool
	name, word, cidr, local string // "ip", nft's "ip" or "ip6", the prefix of the first four addresses, all of them before the number
}

var propertyFamilies = []family{
	{false, "ip", "ip", "10.77.0.0/30", "10.77.0."},
	{true, "ip6", "ip6", "fd77::/126", "fd77::"},
}

func (f family) addr(n int) netip.Addr { return netip.MustParseAddr(fmt.Sprint(f.local, n)) }

// host is the prefix of one address.
func (f family) host(a string) string { return a + map[bool]string{false: "/32", true: "/128"}[f.six] }

// roll is a source of rules and packets.
type roll struct {
	*rand.Rand
	family
}

func (r roll) of(words ...string) string { return words[r.IntN(len(words))] }
func (r roll) addr() string              { return r.family.addr(1 + r.IntN(localAddresses)).String() }
func (r roll) port() int                 { return firstPort + r.IntN(8) }

// sport is of another range, so that no packet looks like the answer to another one.
func (r roll) sport() int { return 2000 + r.IntN(8) }

func (r roll) packet() Packet {
	yes := true
	p := Packet{Proto: "udp", Src: netip.MustParseAddr(r.addr()), Dst: netip.MustParseAddr(r.addr()), Sport: uint16(r.sport()), Dport: uint16(r.port()), Out: "lo", Mark: uint32(r.IntN(4)),
		CTState: "NEW", LocalSrc: &yes, LocalDst: &yes}
	switch p.Dport {
	case answeredPort:
		p.CTState = "ESTABLISHED"
	case untrackedPort:
		p.CTState = "UNTRACKED"
	}
	return p
}

// failure ends a run in the namespace.
type failure string

func fail(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

// inKernel runs in the namespace.
func inKernel(stdin, tool string, args ...string) []byte {
	cmd := exec.Command(tool, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		fail("%s: %v: %s\n%s", tool, err, errs.String(), stdin)
	}
	return out.Bytes()
}

func sockaddr(a netip.Addr, port uint16) unix.Sockaddr {
	if a.Is6() {
		return &unix.SockaddrInet6{Port: int(port), Addr: a.As16()}
	}
	return &unix.SockaddrInet4{Port: int(port), Addr: a.As4()}
}

func bound(a netip.Addr, port uint16) int {
	domain := unix.AF_INET
	if a.Is6() {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		fail("%v", err)
	}
	if err := errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, sockaddr(a, port))); err != nil {
		fail("bind %v %d: %v", a, port, err)
	}
	return fd
}

// send sends one datagram; dropped is what the kernel says.
func send(p Packet) (dropped bool) {
	fd := bound(p.Src, p.Sport)
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(p.Mark)); err != nil {
		fail("%v", err)
	}
	err := unix.Sendto(fd, []byte("x"), 0, sockaddr(p.Dst, p.Dport))
	if err != nil && !errors.Is(err, unix.EPERM) {
		fail("%v", err)
	}
	return err != nil
}

// tally counts drops by rule.
type tally map[string]uint64

// report is what a round was worth.
type report struct{ pairs, unsure int }

// settle makes addresses, takers of every datagram, and connections in three states.
func settle() (close func()) {
	inKernel("", "ip", "link", "set", "lo", "up")
	inKernel("", "sysctl", "-qw", "net.netfilter.nf_conntrack_udp_timeout=600", "net.netfilter.nf_conntrack_udp_timeout_stream=600")
	inKernel(fmt.Sprintf("table inet base {\nchain out { type filter hook output priority -300; udp dport %d notrack; }\nchain keep { type filter hook output priority -290; ct state established counter; }\n}\n", untrackedPort), "nft", "-f", "-")
	var fds []int
	for _, f := range propertyFamilies {
		for i := 1; i <= localAddresses; i++ {
			args := []string{"addr", "add", f.host(f.addr(i).String()), "dev", "lo"}
			if f.six {
				args = append(args, "nodad") // it is there at once
			}
			inKernel("", "ip", args...)
			for port := firstPort; port < firstPort+8; port++ { // somebody takes them: an ICMP error would pass the rules too
				fds = append(fds, bound(f.addr(i), uint16(port)))
			}
		}
		for src := 1; src <= localAddresses; src++ {
			for dst := 1; dst <= localAddresses; dst++ {
				for sport := uint16(2000); sport < 2008; sport++ {
					p := Packet{Src: f.addr(src), Dst: f.addr(dst), Sport: sport, Dport: answeredPort}
					if send(p) || send(Packet{Src: p.Dst, Dst: p.Src, Sport: p.Dport, Dport: p.Sport}) {
						fail("a datagram is dropped without rules")
					}
				}
			}
		}
	}
	return func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
}

// inNamespace runs in a namespace of its own; FailNow must be called on the test's own goroutine, so that failures come as errors.
func inNamespace(t *testing.T, run func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces and tracing")
	}
	if err := netns.Create(propertyNetns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netns.Delete(propertyNetns); err != nil {
			t.Error(err)
		}
	})
	if err := netns.Do(netns.Dir+"/"+propertyNetns, func() (err error) {
		defer func() {
			switch f := recover().(type) {
			case nil:
			case failure:
				err = errors.New(string(f))
			default:
				panic(f)
			}
		}()
		run()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestTheEvaluatorAgreesWithTheKernel(t *testing.T) {
	var sum report
	kinds := map[string]int{}
	inNamespace(t, func() {
		defer settle()()
		for _, seed := range []uint64{propertySeed, rand.Uint64()} {
			t.Logf("seed %d", seed)
			source := rand.New(rand.NewPCG(seed, 0))
			for range rounds {
				for _, f := range propertyFamilies {
					r := roll{source, f}
					for _, kind := range []string{"nft", "iptables-legacy", "iptables-nft"} {
						one := r.round(kind)
						sum.pairs, sum.unsure = sum.pairs+one.pairs, sum.unsure+one.unsure
						kinds[kind+" "+f.name] += one.pairs
					}
				}
			}
		}
	})
	t.Logf("%d pairs, %d with a maybe; %v", sum.pairs, sum.unsure, kinds)
	if want := 2 * rounds * len(propertyFamilies) * 3 * packetsEach; sum.pairs != want || want < 2000 || len(kinds) != 6 {
		t.Errorf("%d pairs of rules and packets were compared, want %d", sum.pairs, want)
	}
	if sum.unsure == 0 || sum.unsure*100 > sum.pairs*20 {
		t.Errorf("%d of %d answers are 'maybe': a few are expected, more than a fifth say too little", sum.unsure, sum.pairs)
	}
}

func (r roll) round(kind string) report {
	if kind == "nft" {
		return r.nftRound()
	}
	return r.saveRound(strings.TrimPrefix(kind, "iptables-"))
}

// play sends packets, asks the evaluator about each, and compares the verdicts. It returns what rules dropped for sure, and what they may have.
func (r roll) play(set Ruleset, text string) (sure, possible tally, sum report) {
	sure, possible = tally{}, tally{}
	for range packetsEach {
		p := r.packet()
		dropped := send(p)
		found := Find([]Ruleset{set}, Question{Hook: "OUTPUT", Verdict: "drop", Packet: p})
		certain := len(found) > 0 && found[0].Sure
		sum.pairs++
		switch {
		case certain && (len(found) > 1 || !dropped), !certain && dropped && len(found) == 0:
			fail("the kernel dropped: %v; the evaluator found %+v\npacket %+v local %v\n%s", dropped, found, p, *p.LocalDst, text)
		case len(found) > 0 && !certain:
			sum.unsure++
		}
		for _, f := range found {
			k := fmt.Sprintf("%s/%s %d", f.Table, f.Chain, f.Number)
			possible[k]++
			if certain {
				sure[k]++
			}
		}
	}
	return sure, possible, sum
}

// agree: each rule has dropped at least what the evaluator is sure of, and at most what it thinks possible.
func agree(sure, possible, counted tally, countless func(rule string) bool, text string) {
	for rule := range possible {
		if !countless(rule) && counted[rule] < sure[rule] {
			fail("the evaluator says that %s dropped %d, the kernel counted %d\n%s", rule, sure[rule], counted[rule], text)
		}
	}
	for rule, n := range counted {
		if n > possible[rule] {
			fail("the kernel counted %d drops of %s, the evaluator says that %d are possible\n%s", n, rule, possible[rule], text)
		}
	}
}
