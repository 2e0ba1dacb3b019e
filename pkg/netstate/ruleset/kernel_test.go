// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"bytes"
	"encoding/json"
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
// comes back as EPERM, and each rule counts.

const (
	rounds          = 45 // of each kind of rules
	packetsEach     = 50
	localAddresses  = 4
	propertyNetns   = "ntproperty"
	propertyChains  = 3
	rulesOfAChain   = 6
	propertySeed    = 1 // the seed of the run is told; this one is run always
	propertyNetwork = "10.77.0."
)

// roll is a source of rules and packets.
type roll struct{ *rand.Rand }

func (r roll) of(words ...string) string { return words[r.IntN(len(words))] }

func (r roll) addr() string { return fmt.Sprint(propertyNetwork, 1+r.IntN(localAddresses)) }
func (r roll) port() int    { return 1000 + r.IntN(8) }

// sport is of another range, so that no packet looks like the answer to another one.
func (r roll) sport() int { return 2000 + r.IntN(8) }

func (r roll) packet() Packet {
	yes := true
	return Packet{Proto: "udp", Src: netip.MustParseAddr(r.addr()), Dst: netip.MustParseAddr(r.addr()), Sport: uint16(r.sport()), Dport: uint16(r.port()), Out: "lo", Mark: uint32(r.IntN(4)), CTState: "NEW", LocalSrc: &yes, LocalDst: &yes}
}

// nftRules are a table with sets, chains that are jumped to, and a base chain on output.
func (r roll) nftRules() string {
	var b strings.Builder
	b.WriteString("table inet prop {\n")
	fmt.Fprintf(&b, "set addrs { type ipv4_addr; flags interval; elements = { %s, %s3/32 } }\n", propertyNetwork+"1", propertyNetwork)
	fmt.Fprintf(&b, "set pairs { type ipv4_addr . inet_service; elements = { %s . %d, %s . %d } }\n", propertyNetwork+"1", r.port(), propertyNetwork+"2", r.port())
	fmt.Fprintf(&b, "map ways { type inet_service : verdict; elements = { 1000 : drop, 1001 : accept, 1002 : jump c0, 1003 : goto c1 } }\n")
	for i := propertyChains - 1; i >= 0; i-- { // a chain leads only to those behind it
		fmt.Fprintf(&b, "chain c%d {\n", i)
		for range rulesOfAChain {
			b.WriteString(r.nftRule(i+1) + "\n")
		}
		b.WriteString("}\n")
	}
	fmt.Fprintf(&b, "chain out { type filter hook output priority 0; policy %s;\n", r.of("accept", "accept", "drop"))
	for range rulesOfAChain {
		b.WriteString(r.nftRule(0) + "\n")
	}
	b.WriteString("}\n}\n")
	return b.String()
}

func (r roll) nftRule(from int) string {
	var parts []string
	for range 1 + r.IntN(3) {
		parts = append(parts, r.nftMatch())
	}
	if r.IntN(10) == 0 { // nft refuses to write these beside those for IPv4 and UDP
		parts = []string{r.of("tcp dport 1000", "tcp dport != 1000", "ip6 daddr ::1", "ip6 daddr != ::1", "meta nfproto ipv4")}
	}
	action := r.of("counter drop", "counter drop", "counter accept", "counter return", fmt.Sprintf("meta mark set meta mark %s 0x%x counter", r.of("|", "^", "&"), r.IntN(4)))
	if from < propertyChains && r.IntN(3) == 0 {
		action = fmt.Sprintf("%s c%d", r.of("jump", "goto"), from+r.IntN(propertyChains-from))
	}
	if from == 0 && r.IntN(6) == 0 {
		action = "th dport vmap @ways"
	}
	return strings.Join(append(parts, action), " ")
}

func (r roll) nftMatch() string {
	not := r.of("", "", "!= ")
	switch r.IntN(13) {
	case 0:
		return "ip daddr " + not + r.addr()
	case 1:
		return "ip saddr " + not + propertyNetwork + "0/30"
	case 2:
		return fmt.Sprintf("udp dport %s%d", not, r.port())
	case 3:
		return fmt.Sprintf("udp dport %s%d-%d", not, 1000+r.IntN(4), 1004+r.IntN(4))
	case 4:
		return fmt.Sprintf("udp sport %s{ %d, %d }", not, r.sport(), r.sport())
	case 5:
		return fmt.Sprintf("meta mark %s%d", not, r.IntN(4))
	case 6:
		return fmt.Sprintf("meta mark & 0x%x == 0x%x", 1+r.IntN(3), r.IntN(2))
	case 7:
		return "ip daddr " + not + "@addrs"
	case 8:
		return "ip daddr . udp dport " + not + "@pairs"
	case 9:
		return "meta l4proto " + not + "udp"
	case 10:
		return fmt.Sprintf("oifname %s\"lo\"", not)
	case 11:
		return "ct state new"
	}
	return r.of("fib daddr type local", "th dport >= 1004", "udp sport < 2003")
}

// saveRules are the same for iptables-restore.
func (r roll) saveRules() string {
	var b strings.Builder
	fmt.Fprintf(&b, "*filter\n:OUTPUT %s [0:0]\n", r.of("ACCEPT", "ACCEPT", "DROP"))
	for i := range propertyChains {
		fmt.Fprintf(&b, ":c%d - [0:0]\n", i)
	}
	for i := range propertyChains {
		for range rulesOfAChain {
			fmt.Fprintf(&b, "-A c%d %s\n", i, r.saveRule(i+1))
		}
	}
	for range rulesOfAChain {
		fmt.Fprintf(&b, "-A OUTPUT %s\n", r.saveRule(0))
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

func (r roll) saveRule(from int) string {
	parts := []string{"-p udp"}
	used := map[int]bool{}
	for range 1 + r.IntN(3) {
		if k := r.IntN(9); !used[k] { // an option may stand once
			used[k] = true
			parts = append(parts, r.saveMatch(k))
		}
	}
	action := "-j " + r.of("DROP", "DROP", "ACCEPT", "RETURN")
	if from < propertyChains && r.IntN(3) == 0 {
		action = fmt.Sprintf("%s c%d", r.of("-j", "-g"), from+r.IntN(propertyChains-from))
	}
	return strings.Join(append(parts, action), " ")
}

func (r roll) saveMatch(kind int) string {
	not := r.of("", "", "! ")
	switch kind {
	case 0:
		return not + "-d " + r.addr() + "/32"
	case 1:
		return not + "-s " + propertyNetwork + "0/30"
	case 2:
		return fmt.Sprintf("-m udp %s--dport %d", not, r.port())
	case 3:
		return fmt.Sprintf("-m udp %s--sport %d:%d", not, 2000+r.IntN(4), 2004+r.IntN(4))
	case 4:
		return fmt.Sprintf("-m multiport %s--dports %d,%d", not, r.port(), r.port())
	case 5:
		return fmt.Sprintf("-m mark %s--mark 0x%x/0x%x", not, r.IntN(2), 1+r.IntN(3))
	case 6:
		return "-m addrtype " + not + "--dst-type LOCAL"
	case 7:
		return not + "-o " + r.of("lo", "l+", "eth+")
	}
	return "-m conntrack --ctstate " + r.of("NEW", "NEW,ESTABLISHED", "INVALID")
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

// send sends one datagram; dropped is what the kernel says.
func send(p Packet) (dropped bool) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		fail("%v", err)
	}
	defer unix.Close(fd)
	for _, err := range []error{
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(p.Mark)),
		unix.Bind(fd, &unix.SockaddrInet4{Port: int(p.Sport), Addr: p.Src.As4()}),
	} {
		if err != nil {
			fail("%v", err)
		}
	}
	err = unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Port: int(p.Dport), Addr: p.Dst.As4()})
	if err != nil && !errors.Is(err, unix.EPERM) {
		fail("%v", err)
	}
	return err != nil
}

// outcome of a run: drops by rule, as the evaluator says them and as the kernel counted them.
type tally map[string]uint64

func TestTheEvaluatorAgreesWithTheKernel(t *testing.T) {
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
	pairs := 0
	err := netns.Do(netns.Dir+"/"+propertyNetns, func() (err error) {
		defer func() { // FailNow must be called on the test's own goroutine
			if f, ok := recover().(failure); ok {
				err = errors.New(string(f))
			}
		}()
		inKernel("", "ip", "link", "set", "lo", "up")
		for i := 1; i <= localAddresses; i++ {
			inKernel("", "ip", "addr", "add", fmt.Sprint(propertyNetwork, i, "/32"), "dev", "lo")
		}
		for port := 1000; port < 1008; port++ { // somebody takes them: an ICMP error would pass the rules too
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port}); err != nil {
				return err
			}
		}
		for _, seed := range []uint64{propertySeed, rand.Uint64()} {
			t.Logf("seed %d", seed)
			r := roll{rand.New(rand.NewPCG(seed, 0))}
			for range rounds / 2 {
				pairs += nftRound(r)
				pairs += saveRound(r)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if pairs < 2000 || rounds/2*4*packetsEach != pairs {
		t.Errorf("only %d pairs of rules and packets were compared", pairs)
	}
	t.Logf("%d pairs", pairs)
}

func nftRound(r roll) int {
	text := r.nftRules()
	inKernel("flush ruleset\n"+text, "nft", "-f", "-")
	n, warnings, err := ParseNFT(bytes.NewReader(inKernel("", "nft", "-j", "-a", "list", "ruleset")), nil)
	if err != nil || len(warnings) > 0 {
		fail("%v %v", warnings, err)
	}
	said := play(r, Ruleset{Backend: "nft", NFT: n}, text)
	counted := tally{}
	after, _, err := ParseNFT(bytes.NewReader(inKernel("", "nft", "-j", "-a", "list", "ruleset")), nil)
	if err != nil {
		fail("%v", err)
	}
	for _, c := range after.Tables[0].Chains {
		for _, rule := range c.Rules {
			if packets, drops := counter(rule.Expr); drops && packets > 0 {
				counted[fmt.Sprint(rule.Handle)] = packets
			}
		}
	}
	agree(said, counted, text)
	inKernel("flush ruleset\n", "nft", "-f", "-")
	return packetsEach
}

// counter reads a rule's counter, and whether the rule drops.
func counter(expr json.RawMessage) (packets uint64, drops bool) {
	var statements []map[string]json.RawMessage
	if err := json.Unmarshal(expr, &statements); err != nil {
		fail("%v", err)
	}
	for _, s := range statements {
		if c, ok := s["counter"]; ok {
			var v struct{ Packets uint64 }
			if err := json.Unmarshal(c, &v); err != nil {
				fail("%v", err)
			}
			packets = v.Packets
		}
		if _, ok := s["drop"]; ok {
			drops = true
		}
	}
	return packets, drops
}

func saveRound(r roll) int {
	text := r.saveRules()
	inKernel(text, "iptables-legacy-restore")
	parse := func() Ruleset {
		s, warnings, err := Parse(bytes.NewReader(inKernel("", "iptables-legacy-save", "-c", "-t", "filter")), "iptables-legacy", "ip")
		if err != nil || len(warnings) > 0 {
			fail("%v %v", warnings, err)
		}
		return s
	}
	said := play(r, parse(), text)
	counted := tally{}
	for _, c := range parse().Tables[0].Chains {
		for _, rule := range c.Rules {
			if rule.Target == "DROP" && rule.Packets > 0 {
				counted[fmt.Sprintf("%s %d", c.Name, rule.Number)] = rule.Packets
			}
		}
	}
	agree(said, counted, text)
	inKernel("*filter\n:OUTPUT ACCEPT\nCOMMIT\n", "iptables-legacy-restore")
	return packetsEach
}

// play sends packets, asks the evaluator about each, and compares the verdicts. It returns the drops by rule as the evaluator said them.
func play(r roll, set Ruleset, text string) tally {
	said := tally{}
	for range packetsEach {
		p := r.packet()
		dropped := send(p)
		found := Find([]Ruleset{set}, Question{Hook: "OUTPUT", Verdict: "drop", Packet: p})
		if len(found) > 1 || len(found) == 1 && !found[0].Sure || dropped != (len(found) == 1) {
			fail("the kernel dropped: %v; the evaluator found %+v\npacket %+v\n%s", dropped, found, p, text)
		}
		if len(found) == 0 || found[0].Number == 0 { // policies do not count
			continue
		}
		k := fmt.Sprintf("%s %d", found[0].Chain, found[0].Number)
		if set.NFT != nil {
			k = fmt.Sprint(found[0].Handle)
			if strings.Contains(found[0].Text, "vmap") { // counts nowhere
				continue
			}
		}
		said[k]++
	}
	return said
}

func agree(said, counted tally, text string) {
	if fmt.Sprint(said) != fmt.Sprint(counted) {
		fail("the evaluator says that rules dropped %v, the kernel counted %v\n%s", said, counted, text)
	}
}
