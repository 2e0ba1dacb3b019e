// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
	"github.com/nettrace-io/nettrace/pkg/ruletrace"
)

// What follows runs on a thread inside the namespace: /proc/sys/net and /proc/thread-self/net follow the thread.

// sysctlNames are the settings that verdicts look at; "*" stands for all, default and each device.
var sysctlNames = []string{
	"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.*.rp_filter", "net.ipv4.conf.*.forwarding",
	"net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables", "net.netfilter.nf_conntrack_count", "net.netfilter.nf_conntrack_max",
	"net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_max_syn_backlog", "net.ipv4.vs.conn_reuse_mode", "net.ipv4.vs.conntrack",
	"net.ipv4.conf.*.arp_ignore", "net.ipv4.neigh.default.gc_thresh3", "net.ipv6.neigh.default.gc_thresh3",
}

func (r *reader) sysctls() {
	r.n.Sysctls = map[string]string{}
	devices := []string{"all", "default"}
	for _, l := range r.n.Links {
		devices = append(devices, l.Name)
	}
	for _, name := range sysctlNames {
		if !strings.Contains(name, "*") {
			r.sysctl(name, strings.ReplaceAll(name, ".", "/"))
			continue
		}
		for _, d := range devices {
			if d == "" || strings.Contains(d, "/") || d == ".." || d == "." {
				continue
			}
			// a device's name may hold dots: only those of the setting become slashes
			before, after, _ := strings.Cut(name, "*")
			r.sysctl(before+d+after, strings.ReplaceAll(before, ".", "/")+d+strings.ReplaceAll(after, ".", "/"))
		}
	}
}

func (r *reader) sysctl(name, path string) {
	b, err := os.ReadFile("/proc/sys/" + path)
	if err == nil {
		r.n.Sysctls[name] = strings.TrimSpace(string(b))
	} else if !errors.Is(err, os.ErrNotExist) {
		r.unread("sysctl "+name, err)
	}
}

// diagRequest is struct inet_diag_req_v2 (include/uapi/linux/inet_diag.h): the kernel sends only sockets in the states asked for.
type diagRequest struct {
	family, proto uint8
	states        uint32
}

func (d *diagRequest) Len() int { return 56 }

func (d *diagRequest) Serialize() []byte {
	b := make([]byte, d.Len())
	b[0], b[1] = d.family, d.proto
	binary.NativeEndian.PutUint32(b[4:], d.states)
	return b
}

// Socket states (include/net/tcp_states.h); a bound UDP socket without a peer is in TCP_CLOSE.
const (
	stateListen = 10
	stateClose  = 7
)

func (r *reader) sockets() {
	for _, q := range []struct {
		name          string
		family, proto uint8
		state         int
	}{
		{"tcp", unix.AF_INET, unix.IPPROTO_TCP, stateListen}, {"tcp", unix.AF_INET6, unix.IPPROTO_TCP, stateListen},
		{"udp", unix.AF_INET, unix.IPPROTO_UDP, stateClose}, {"udp", unix.AF_INET6, unix.IPPROTO_UDP, stateClose},
	} {
		msgs, err := socketsIn(q.family, q.proto, q.state)
		if err != nil {
			r.unread("sockets", err)
			continue
		}
		for _, m := range msgs[:bound(r, "sockets", len(msgs))] {
			if s, ok := parseSocket(q.name, m); ok {
				r.n.Sockets = append(r.n.Sockets, s)
			}
		}
	}
}

// socketsIn are the sockets in one state, of the namespace of the calling thread: others the kernel does not send.
func socketsIn(family, proto uint8, state int) ([][]byte, error) {
	req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	req.AddData(&diagRequest{family, proto, 1 << state})
	return req.Execute(unix.NETLINK_INET_DIAG, 0)
}

// parseSocket reads struct inet_diag_msg: family, state, timer, retrans, then inet_diag_sockid with big-endian ports and addresses.
func parseSocket(proto string, m []byte) (Socket, bool) {
	const size = 4 + 48 + 20
	if len(m) < size {
		return Socket{}, false
	}
	port := binary.BigEndian.Uint16(m[4:])
	var a netip.Addr
	switch m[0] {
	case unix.AF_INET:
		a = netip.AddrFrom4([4]byte(m[8:12]))
	case unix.AF_INET6:
		a = netip.AddrFrom16([16]byte(m[8:24]))
	default:
		return Socket{}, false
	}
	return Socket{Proto: proto, Local: netip.AddrPortFrom(a, port), RecvQ: binary.NativeEndian.Uint32(m[56:]), SendQ: binary.NativeEndian.Uint32(m[60:]),
		inode: binary.NativeEndian.Uint32(m[68:])}, true
}

const (
	maxRuleBytes = 64 << 20
	rulesTimeout = 10 * time.Second
)

// rulesets runs the save tools of the backends that are in use here. A tool is not run for a backend that is not: that could load modules.
func (r *reader) rulesets(ctx context.Context) {
	for _, q := range []struct{ family, suffix, names string }{{"ip", "", "ip_tables_names"}, {"ip6", "6", "ip6_tables_names"}} {
		if b, err := os.ReadFile("/proc/thread-self/net/" + q.names); err == nil && len(bytes.TrimSpace(b)) > 0 {
			r.ruleset(ctx, "ip"+q.suffix+"tables-legacy-save", "iptables-legacy", q.family)
		}
		if nftPresent() {
			r.ruleset(ctx, "ip"+q.suffix+"tables-nft-save", "iptables-nft", q.family)
		}
	}
	if nftPresent() {
		r.nftables(ctx)
	}
}

// nftables reads the tables that no iptables made.
func (r *reader) nftables(ctx context.Context) {
	out, ok := r.run(ctx, "nftables rules", "nft", "-j", "-a", "list", "ruleset")
	if !ok || out.Len() == 0 {
		return
	}
	n, warnings, err := ruleset.ParseNFT(&out.Buffer, func(family, table string) bool {
		if strings.HasPrefix(table, ruletrace.TablePrefix) { // nettrace's own, which decides nothing
			return true
		}
		for _, s := range r.n.Rulesets {
			if s.Backend == "iptables-nft" && s.Family == family && slices.ContainsFunc(s.Tables, func(t ruleset.Table) bool { return t.Name == table }) {
				return true
			}
		}
		return false
	})
	if err != nil {
		r.unread("nftables rules", err)
		return
	}
	r.n.Unread = append(r.n.Unread, warnings...)
	for i := range r.n.Rulesets {
		if s := &r.n.Rulesets[i]; s.Backend == "iptables-nft" {
			ruleset.GiveHandles(s, n.Skipped)
		}
	}
	n.Skipped = nil
	if len(n.Tables) > 0 {
		r.n.Rulesets = append(r.n.Rulesets, ruleset.Ruleset{Backend: "nft", NFT: n})
	}
}

func nftPresent() bool { return loaded("nf_tables") }

// loaded: the module is there, or the kernel has no modules and so has what it has.
func loaded(module string) bool {
	if _, err := os.Stat("/sys/module/" + module); err == nil {
		return true
	}
	_, err := os.Stat("/proc/modules")
	return errors.Is(err, os.ErrNotExist)
}

// run runs a tool that prints what is said; what it printed before it failed is an answer too.
func (r *reader) run(ctx context.Context, what, tool string, args ...string) (*limited, bool) {
	ctx, cancel := context.WithTimeout(ctx, rulesTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool, args...)
	out, stderr := &limited{max: maxRuleBytes}, limited{max: 4096}
	cmd.Stdout, cmd.Stderr = out, &stderr
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		r.n.Unread = append(r.n.Unread, fmt.Sprintf("%s could not be read: %s is not installed", what, tool))
		return out, false
	}
	if err != nil {
		r.unread(what, fmt.Errorf("%s: %w %s", tool, err, firstLine(stderr.String())))
	}
	return out, true
}

func (r *reader) ruleset(ctx context.Context, tool, backend, family string) {
	out, ok := r.run(ctx, backend+" rules", tool, "-c")
	if !ok {
		return
	}
	rs, warnings, err := ruleset.Parse(&out.Buffer, backend, family)
	if err != nil {
		r.unread(backend+" rules", err)
		return
	}
	r.n.Unread = append(r.n.Unread, warnings...)
	if len(rs.Tables) == 0 {
		return
	}
	if backend == "iptables-legacy" {
		r.places(&rs)
	}
	r.n.Rulesets = append(r.n.Rulesets, rs)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// limited keeps the first max bytes that are written to it.
type limited struct {
	bytes.Buffer
	max int
}

func (l *limited) Write(b []byte) (int, error) {
	if room := l.max - l.Len(); room < len(b) {
		l.Buffer.Write(b[:max(room, 0)])
		return len(b), nil
	}
	return l.Buffer.Write(b)
}
