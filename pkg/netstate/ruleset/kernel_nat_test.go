// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Destinations are translated on output, sources after routing. Each datagram is of a connection of its own, because the rules are asked once
// for each. Who gets it, and from whom, is the kernel's answer.

const natPairs = 25 // of each round

// inbox are the sockets that take datagrams, by address and port.
type inbox map[netip.AddrPort]int

func (b inbox) open(f family) {
	addrs := []netip.Addr{netip.MustParseAddr(map[bool]string{false: "127.0.0.1", true: "::1"}[f.six])} // where REDIRECT leads on output
	for i := 1; i <= localAddresses; i++ {
		addrs = append(addrs, f.addr(i))
	}
	for _, a := range addrs {
		for port := uint16(firstPort); port < firstPort+8; port++ {
			b[netip.AddrPortFrom(a, port)] = bound(a, port)
		}
	}
}

// take waits for the datagram.
func (b inbox) take() (to, from netip.AddrPort) {
	var polled []unix.PollFd
	var at []netip.AddrPort
	for a, fd := range b {
		polled, at = append(polled, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}), append(at, a)
	}
	n, err := unix.Poll(polled, int((5 * time.Second).Milliseconds()))
	if err != nil || n != 1 {
		fail("%d sockets have a datagram: %v", n, err)
	}
	for i := range polled {
		if polled[i].Revents == 0 {
			continue
		}
		_, src, err := unix.Recvfrom(int(polled[i].Fd), make([]byte, 9), 0)
		if err != nil {
			fail("%v", err)
		}
		switch s := src.(type) {
		case *unix.SockaddrInet4:
			from = netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port))
		case *unix.SockaddrInet6:
			from = netip.AddrPortFrom(netip.AddrFrom16(s.Addr), uint16(s.Port))
		}
		return at[i], from
	}
	return to, from
}

// natSave are rules for iptables-restore.
func (r roll) natSave() string {
	var b strings.Builder
	b.WriteString("*nat\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:n0 - [0:0]\n:n1 - [0:0]\n")
	withPort := func(a string) string {
		if r.six {
			a = "[" + a + "]"
		}
		return fmt.Sprint(a, ":", r.port())
	}
	for _, chain := range []string{"n1", "n0", "OUTPUT"} {
		for range 3 {
			action := r.of("-j DNAT --to-destination "+r.addr(), "-j DNAT --to-destination "+withPort(r.addr()), "-j REDIRECT", fmt.Sprint("-j REDIRECT --to-ports ", r.port()), "-j RETURN", "-j ACCEPT",
				"-j MARK --set-xmark 0x4/0x4")
			if chain != "n1" && r.IntN(3) == 0 {
				action = r.of("-j", "-g") + map[string]string{"OUTPUT": " n0", "n0": " n1"}[chain]
			}
			fmt.Fprintf(&b, "-A %s %s %s\n", chain, r.natMatches(), action)
		}
	}
	for range 3 {
		fmt.Fprintf(&b, "-A POSTROUTING %s %s\n", r.natMatches(), r.of("-j SNAT --to-source "+r.addr(), "-j SNAT --to-source "+r.family.addr(1).String()+"-"+r.family.addr(2).String(),
			"-j MASQUERADE", "-j MASQUERADE --to-ports 3000-3999 --random", "-m mark --mark 0x4/0x4 -j MASQUERADE", "-j ACCEPT"))
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// natMatches: the unknown one is rare.
func (r roll) natMatches() string {
	parts := []string{"-p udp"}
	for _, k := range r.Perm(6)[:1+r.IntN(2)] {
		parts = append(parts, r.saveMatch(k))
	}
	if r.IntN(60) == 0 {
		parts = append(parts, "-m statistic --mode random --probability 0.5")
	}
	return strings.Join(parts, " ")
}

// natNFT are rules for nft.
func (r roll) natNFT() string {
	var b strings.Builder
	colon := func(a string) string {
		if r.six {
			a = "[" + a + "]"
		}
		return fmt.Sprint(a, ":", r.port())
	}
	fmt.Fprintf(&b, "table %s prop {\n", r.word)
	match := func() string {
		parts := []string{r.nftMatchOf(r.IntN(7)), r.nftMatchOf(r.IntN(7))}
		if r.IntN(60) == 0 {
			parts = append(parts, "meta skuid 0")
		}
		return "meta l4proto udp " + strings.Join(parts, " ")
	}
	for i := propertyChains - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "chain c%d {\n", i)
		for range 3 {
			action := r.of("counter dnat to "+r.addr(), "counter dnat to "+colon(r.addr()), "counter redirect", fmt.Sprint("counter redirect to :", r.port()), "counter return", "meta mark set meta mark | 0x4")
			if i+1 < propertyChains && r.IntN(3) == 0 {
				action = fmt.Sprintf("%s c%d", r.of("jump", "goto"), i+1)
			}
			fmt.Fprintf(&b, "%s %s\n", match(), action)
		}
		b.WriteString("}\n")
	}
	fmt.Fprintf(&b, "chain out { type nat hook output priority -100; policy accept;\n%s %s\n%s jump c1\nudp dport vmap { 1000 : jump c0, 1001 : goto c1, 1002 : accept }\n%s counter dnat to %s\n}\n", match(), r.of("jump c0", "goto c0"), match(), match(), colon(r.addr()))
	b.WriteString("chain post { type nat hook postrouting priority 100; policy accept;\n")
	for range 3 {
		fmt.Fprintf(&b, "%s %s\n", match(), r.of("counter snat to "+r.addr(), "counter masquerade", "meta mark & 0x4 == 0x4 counter masquerade", "counter accept"))
	}
	b.WriteString("}\n}\n")
	return b.String()
}

// translations asks the evaluator about each datagram, and compares with who got it from whom.
func (r roll) translations(set Ruleset, box inbox, next *uint16, text string) (counted tally, sum report) {
	counted = tally{}
	for range natPairs {
		p := r.packet()
		p.Dport = uint16(firstPort + r.IntN(6)) // neither answered nor untracked
		p.CTState = "NEW"
		*next++
		p.Sport = *next
		if send(p) {
			fail("a datagram was refused\n%s", text)
		}
		to, from := box.take()
		sum.pairs++
		before := p
		mark, unsure := p.Mark, false
		var all []Found
		// The evaluator is asked about every translation that there could be: it must find the one, and no other for sure.
		for chosen := range box {
			for _, f := range Find([]Ruleset{set}, Question{Hook: "OUTPUT", Verdict: "dnat", To: chosen.String(), Packet: p}) {
				if f.Sure && chosen != to && (f.Verdict != "REDIRECT" || chosen.Port() != to.Port()) { // which address REDIRECT takes depends on devices
					fail("sent to %s:%d and come to %v; the evaluator is sure of %v by %+v\n%s", p.Dst, p.Dport, to, chosen, f, text)
				}
				if chosen == to {
					all = append(all, f)
				}
				unsure = unsure || !f.Sure
			}
		}
		if moved := to != netip.AddrPortFrom(p.Dst, p.Dport); moved && len(all) == 0 {
			fail("%+v came to %v, the evaluator finds no rule\n%s", p, to, text)
		}
		if len(all) > 0 && all[0].Sure {
			mark = all[0].Mark
			counted[fmt.Sprintf("%s %d", all[0].Chain, all[0].Number)]++
		}
		p.Dst, p.Dport = to.Addr(), to.Port()
		p.Mark = mark
		found := Find([]Ruleset{set}, Question{Hook: "POSTROUTING", Verdict: "snat", To: from.String(), Packet: p})
		if from.Addr() != before.Src && len(found) == 0 && len(all) > 0 {
			fail("%+v came from %v, the evaluator finds no rule\n%s", p, from, text)
		}
		if len(found) > 0 && found[0].Sure && len(all) > 0 && !unsure { // marks that were set without a translation are not followed
			counted[fmt.Sprintf("%s %d", found[0].Chain, found[0].Number)]++
		}
		if unsure {
			sum.unsure++
		}
	}
	return counted, sum
}

func (r roll) natRound(machinery string, box inbox, next *uint16) report {
	if machinery == "nft-native" {
		text := r.natNFT()
		inKernel(text, "nft", "-f", "-")
		n := listed()
		_, sum := r.translations(Ruleset{Backend: "nft", NFT: n}, box, next, text)
		inKernel(fmt.Sprintf("delete table %s prop\n", r.word), "nft", "-f", "-")
		return sum
	}
	tool := map[bool]string{false: "iptables-", true: "ip6tables-"}[r.six] + machinery
	text := r.natSave()
	inKernel(text, tool+"-restore")
	parse := func() Ruleset {
		s, warnings, err := Parse(bytes.NewReader(inKernel("", tool+"-save", "-c", "-t", "nat")), "iptables-"+machinery, r.name)
		if err != nil || len(warnings) > 0 {
			fail("%v %v", warnings, err)
		}
		return s
	}
	sure, sum := r.translations(parse(), box, next, text)
	for _, c := range parse().Tables[0].Chains {
		for _, rule := range c.Rules {
			k := fmt.Sprintf("%s %d", c.Name, rule.Number)
			if sure[k] > rule.Packets || sum.unsure == 0 && (rule.Target == "DNAT" || rule.Target == "REDIRECT") && sure[k] != rule.Packets {
				fail("the evaluator says that %s translated %d, the kernel counted %d\n%s", k, sure[k], rule.Packets, text)
			}
		}
	}
	inKernel("*nat\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\nCOMMIT\n", tool+"-restore")
	return sum
}

func TestTranslationsAgreeWithTheKernel(t *testing.T) {
	var sum report
	kinds := []string{"legacy", "nft", "nft-native"}
	const natRounds = 5
	inNamespace(t, func() {
		settle()()
		box := inbox{}
		for _, f := range propertyFamilies {
			box.open(f)
		}
		defer func() {
			for _, fd := range box {
				_ = unix.Close(fd)
			}
		}()
		next := uint16(10000)
		for _, seed := range []uint64{propertySeed, rand.Uint64()} {
			t.Logf("seed %d", seed)
			source := rand.New(rand.NewPCG(seed, 0))
			for range natRounds {
				for _, f := range propertyFamilies {
					for _, kind := range kinds {
						one := roll{source, f}.natRound(kind, box, &next)
						sum.pairs, sum.unsure = sum.pairs+one.pairs, sum.unsure+one.unsure
					}
				}
			}
		}
	})
	t.Logf("%d pairs, %d with a maybe", sum.pairs, sum.unsure)
	if want := 2 * natRounds * len(propertyFamilies) * len(kinds) * natPairs; sum.pairs != want {
		t.Errorf("%d pairs of rules and packets were compared, want %d", sum.pairs, want)
	}
	if sum.unsure*100 > sum.pairs*20 {
		t.Errorf("%d of %d answers are 'maybe'", sum.unsure, sum.pairs)
	}
}
