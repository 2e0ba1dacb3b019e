// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// rulesOptions are the flags of 'nettrace rules'.
type rulesOptions struct {
	output
	nameOptions
	proto string
	sport uint16
	scope []string
	files []string
	local []string
	in    string
}

func newRules(s streams) *cobra.Command {
	var o rulesOptions
	c := &cobra.Command{
		Use:   "rules SRC DST[:PORT]",
		Short: "Which rules a new connection would meet on this node, and where it would end: no packet is sent",
		Long: `Walk a new connection's first packet through this node's rules without sending it: iptables of both kinds and nftables, in the kernel's
order of hooks and tables, through DNAT, the route decision and SNAT. Every rule that matches is listed, with its owner. Where kube-proxy
draws an endpoint, all of them are followed with their shares; where a match is not known to nettrace, both ways are, and it says so.

SRC and DST are named as for 'nettrace flow'. A SRC that is a pod of this node starts in the pod's own namespace; 'host' on the node
itself; any other comes in at the device that its address is routed to. Nothing is changed on the node. Only rules decide here: bridges,
IPVS, tc programs, eBPF data planes and sockets are not asked; 'nettrace flow --probe' shows what a real packet meets.

With --rules the rules come from files, and neither the node nor any privilege is needed: what iptables-save, ip6tables-save (of either
kind) or 'nft -j -a list ruleset' printed, and for rules that ask ipsets 'ipset save'. The node's own addresses are then those of --local.

Exit codes: 0 the flow would be accepted; 1 usage or runtime error; 2 it would be dropped or rejected; 3 the rules do not decide;
4 the rules may not be read.`,
		Example: `  # what do this node's rules make of the connection?
  nettrace rules shop/client svc/shop/web:http

  # the same from saved rules, on any machine
  iptables-save > rules.save
  nettrace rules 10.244.1.10 10.96.0.80:80 --rules rules.save

  # a NodePort, from outside; the node's address must be known
  nettrace rules 192.168.50.100 192.168.50.1:30080 --rules rules.save --local 192.168.50.1 --in eth0

  # legacy and nft rules of one node together, for scripts
  nettrace rules 10.244.1.10 10.96.0.80:80 --rules legacy=a.save --rules nft=b.json -o json`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(args); err != nil {
				return err
			}
			return runRules(c.Context(), s, o, args[0], args[1])
		},
	}
	o.output.flagsFor(c, render.RulesFormats())
	o.nameOptions.flags(c)
	f := c.Flags()
	f.StringVar(&o.proto, "proto", "", "tcp, udp, icmp or sctp (default tcp; udp for port 53)")
	f.Uint16Var(&o.sport, "sport", 0, "the sender's port (default 40000, which stands for any)")
	f.StringArrayVar(&o.scope, "scope", nil, "[NODE=]HOSTNETNS[+NETNS…]: what this kernel holds of a node (repeatable; default everything is this node)")
	f.StringArrayVar(&o.files, "rules", nil, "[legacy=|nft=]FILE: saved rules instead of this node's (repeatable)")
	f.StringSliceVar(&o.local, "local", nil, "with --rules: the node's own addresses")
	f.StringVar(&o.in, "in", "", "the device at which the packet comes in (default found by routes; unknown with --rules)")
	_ = c.RegisterFlagCompletionFunc("proto", cobra.FixedCompletions([]string{"tcp", "udp", "icmp", "sctp"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.MarkFlagFilename("rules")
	return c
}

// check finds mistakes in flags before any work.
func (o *rulesOptions) check(args []string) error {
	if _, err := render.NewRules(o.format, nil, render.Options{}); err != nil {
		return err
	}
	switch {
	case o.proto != "" && protos[o.proto] == 0:
		return fmt.Errorf("unknown protocol %q: use tcp, udp, icmp or sctp", o.proto)
	case o.nameOptions.check() != nil:
		return o.nameOptions.check()
	case args[0] == "any":
		return errors.New("a dry run needs a sender: name SRC instead of 'any'")
	case len(o.files) > 0 && len(o.scope) > 0:
		return errors.New("--rules takes the rules from files instead of a node: leave --scope out")
	case len(o.files) == 0 && len(o.local) > 0:
		return errors.New("--local is for --rules: this node's addresses are read from it")
	case strings.ContainsAny(o.in, "/ ") || len(o.in) >= unix.IFNAMSIZ:
		return fmt.Errorf("--in %q: no device has such a name", o.in)
	}
	for _, a := range o.local {
		if _, err := netip.ParseAddr(a); err != nil {
			return fmt.Errorf("--local %q: use addresses, such as 192.168.50.1", a)
		}
	}
	return nil
}

// runRules is the whole of 'nettrace rules': resolve, read, walk, tell.
func runRules(ctx context.Context, s streams, o rulesOptions, srcText, dstText string) error {
	warn := func(msg string) { fmt.Fprintf(s.err, "nettrace: %s\n", render.Escape(msg)) }
	var saved savedRules
	if len(o.files) > 0 {
		var err error
		if saved, err = readRules(o.files); err != nil {
			return err
		}
		if srcText == "host" {
			if len(o.local) == 0 {
				return errors.New("'host' with --rules is the node that the rules are of: give its address with --local")
			}
			srcText = o.local[0]
		}
	} else if err := mayReadRules(); err != nil {
		return err
	}
	p, err := makePlan(ctx, &flowOptions{nameOptions: o.nameOptions, proto: o.proto, sport: o.sport, scope: o.scope, offline: len(o.files) > 0, whole: true}, srcText, dstText, warn)
	if err != nil {
		return err
	}
	if p.dst.port == 0 && p.proto != "icmp" {
		return fmt.Errorf("rules ask for ports: write DST:PORT, or use --proto icmp")
	}
	d := &dryRun{plan: p, o: &o, saved: saved, unread: saved.warnings}
	for _, w := range saved.warnings {
		warn(w)
	}
	if len(o.files) == 0 {
		sayUnread(p.before, warn)
	}
	r, err := d.walk()
	if err != nil {
		return err
	}
	out, err := render.NewRules(o.format, s.out, o.options(s))
	if err != nil {
		return err
	}
	end, err := d.tell(out, r)
	if err != nil {
		return err
	}
	switch end {
	case ruleset.EndAccept:
		return nil
	case ruleset.EndUnknown:
		return &exitError{code: exitUnseen}
	}
	return &exitError{code: exitVerdict}
}

// mayReadRules: entering namespaces and reading their rules takes CAP_NET_ADMIN and CAP_SYS_ADMIN. Without them the tools print nothing, or
// half of it.
func mayReadRules() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return fmt.Errorf("read this process's capabilities: %w", err)
	}
	var missing []string
	for _, c := range []struct {
		bit  int
		name string
	}{{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}} {
		if data[0].Effective>>c.bit&1 == 0 {
			missing = append(missing, c.name)
		}
	}
	if len(missing) > 0 {
		return &tracer.PrivilegeError{Missing: missing}
	}
	return nil
}

// packet is the first packet of the flow.
func (d *dryRun) packet() ruleset.Packet {
	p := d.plan
	return ruleset.Packet{Proto: p.proto, Src: p.src.addrs[0], Dst: p.dst.addrs[0], Sport: cmp.Or(p.filter.Sport, 40000), Dport: p.dst.port, SYN: p.proto == "tcp"}
}

// tell hands a finished dry run to the renderer and returns what it comes to.
func (d *dryRun) tell(out render.RulesRenderer, r *ruleset.DryRun) (string, error) {
	p := d.plan
	l := &labeller{index: p.names.index, unknown: map[netip.Addr]bool{}}
	l.see(p.before)
	flow := verdict.Flow{Proto: p.proto, Src: p.src.addrs[0].String(), Dst: p.dst.addrs[0].String(), Dport: p.dst.port, Sport: p.filter.Sport,
		SrcRef: p.refOf(p.src), DstRef: p.refOf(p.dst), Endpoints: p.dst.endpoints}
	err := out.Start(render.RulesStart{Kind: "start", Schema: render.Schema, Node: p.node, DryRun: true, Flow: flow, Rules: d.sources(), Assume: d.assumed})
	for i := range r.Steps {
		err = errors.Join(err, out.Rule(d.ruleStep(i+1, &r.Steps[i])))
	}
	ruling := d.ruling(r, l)
	return ruling.End, errors.Join(err, out.Ruling(ruling))
}

// sources are the rulesets that were read.
func (d *dryRun) sources() []string {
	if len(d.saved.sources) > 0 {
		return d.saved.sources
	}
	out := []string{}
	for i := range d.plan.before.Namespaces {
		n := &d.plan.before.Namespaces[i]
		for _, rs := range n.Rulesets {
			if s := strings.TrimSpace(rs.Backend+" "+rs.Family) + " of " + n.Name; d.used[n.Name] && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// sayRulesUnread keeps what of a namespace's rules could not be read: then they do not decide.
func (d *dryRun) sayRulesUnread(n *netstate.Namespace) {
	for _, u := range n.Unread {
		if strings.Contains(u, "rules") || strings.Contains(u, "the namespace") {
			d.unread = append(d.unread, "in namespace "+n.Name+": "+u)
		}
	}
}
