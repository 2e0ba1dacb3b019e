// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/drops"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/verdict/reasons"
)

// dropsOptions are the flags of 'nettrace drops'.
type dropsOptions struct {
	nameOptions
	format   string
	noColor  bool
	all      bool
	reasons  []string
	pod      string
	netns    []string
	scope    []string
	proto    string
	address  []string
	port     uint16
	duration time.Duration
	count    int
	rate     int
	// started is called when the first drop can be counted; for tests.
	started func()
}

func newDrops(s streams) *cobra.Command {
	var o dropsOptions
	c := &cobra.Command{
		Use:   "drops",
		Short: "Every drop on this node, live: reason, place, pod, and what it means",
		Long: `Count every packet that this kernel drops, and say why, where and whose it was. On a terminal a table is kept up to date: by reason, and by
pod or node. Through a pipe, and with -o json, each drop is a line; of many of one kind a few a second, and how many were not shown is told.

Drops that are no fault (a socket's leftovers, segments that came twice, pings' answers) are hidden and counted; --all shows them.`,
		Example: `  nettrace drops
  nettrace drops --pod shop/web --duration 30s
  nettrace drops --reason NETFILTER_DROP,NEIGH_FAILED -o json | jq .hop
  nettrace explain NEIGH_FAILED`,
		Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			_, err := o.check()
			return err
		},
		RunE: func(c *cobra.Command, _ []string) error {
			f, err := o.check()
			if err != nil {
				return err
			}
			return runDrops(c.Context(), s, &o, f)
		},
	}
	f := c.Flags()
	f.StringVarP(&o.format, "output", "o", "auto", "output format: auto, table, text (a line for each drop) or json")
	f.BoolVar(&o.noColor, "no-color", false, "no colours (also when NO_COLOR is set or the output is no terminal)")
	f.BoolVar(&o.all, "all", false, "also show drops that are no fault")
	f.StringSliceVar(&o.reasons, "reason", nil, "only these drop reasons")
	f.StringVar(&o.pod, "pod", "", "only drops in the pod [NAMESPACE/]NAME, and of packets from or to it")
	f.StringVarP(&o.namespace, "namespace", "n", "", "only pods of this namespace; with --pod: its namespace")
	f.StringArrayVar(&o.netns, "netns", nil, "only drops in this network namespace: a name in /run/netns, a path or pid:N (repeatable)")
	f.StringArrayVar(&o.scope, "scope", nil, "[NODE=]HOSTNETNS[+NETNS…]: only drops in these namespaces, which are a node (repeatable; default everything is this node); with --netns: those of them")
	f.StringVar(&o.proto, "proto", "", "only tcp, udp, icmp or sctp, as the outermost header says")
	f.StringSliceVar(&o.address, "address", nil, "only packets from or to this address or network, also inside a tunnel")
	f.Uint16Var(&o.port, "port", 0, "only packets from or to this port, also inside a tunnel")
	f.DurationVar(&o.duration, "duration", 0, "stop after this time (default until interrupted)")
	f.IntVar(&o.count, "count", 0, "stop after this number of drops was shown")
	f.IntVar(&o.rate, "rate", 100, "lines a second at most")
	o.sourceFlags(c)
	fixed := func(flag string, words []string) {
		_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
	fixed("output", dropFormats)
	fixed("proto", []string{"tcp", "udp", "icmp", "sctp"})
	fixed("reason", reasons.Names())
	return c
}

var dropFormats = []string{"auto", "table", "text", "json"}

// dropFilter is what of the drops is wanted, as far as user space decides.
type dropFilter struct {
	pages     []*reasons.Page
	proto     uint8
	spaces    map[uint32]bool // nil: all
	addresses []netip.Prefix
}

// wants reports whether a kind is asked for.
func (f *dropFilter) wants(k *drops.Kind) bool {
	if f.spaces != nil && !f.spaces[k.NetNS] {
		return false
	}
	if f.proto != 0 && k.Proto != f.proto && (f.proto != protos["icmp"] || k.Proto != 58) {
		return false
	}
	if len(f.pages) == 0 {
		return true
	}
	reason := k.Reason
	if reason == "" {
		reason = "NOT_SPECIFIED"
	}
	return slices.Contains(f.pages, reasons.Find(reason))
}

// check finds mistakes in flags before any work.
func (o *dropsOptions) check() (*dropFilter, error) {
	f := &dropFilter{proto: protos[o.proto]}
	switch {
	case o.proto != "" && f.proto == 0:
		return nil, fmt.Errorf("unknown protocol %q: use tcp, udp, icmp or sctp", o.proto)
	case !slices.Contains(dropFormats, o.format):
		return nil, fmt.Errorf("unknown output format %q: use one of %s", o.format, strings.Join(dropFormats, ", "))
	case o.duration < 0:
		return nil, fmt.Errorf("--duration %v: use a positive duration such as 30s", o.duration)
	case o.count < 0:
		return nil, fmt.Errorf("--count %d: use a positive number", o.count)
	case o.rate < 1 || o.rate > 100000:
		return nil, fmt.Errorf("--rate %d: use 1 to 100000 lines a second", o.rate)
	case o.nameOptions.check() != nil:
		return nil, o.nameOptions.check()
	case o.none && (o.pod != "" || o.namespace != ""):
		return nil, errors.New("--pod and --namespace need names: leave --no-kubernetes out, or use --netns")
	}
	if err := f.readReasons(o.reasons); err != nil {
		return nil, err
	}
	if err := f.readAddresses(o.address); err != nil {
		return nil, err
	}
	return f, f.readSpaces(o.netns)
}

func (f *dropFilter) readReasons(names []string) error {
	for _, n := range names {
		p := reasons.Find(n)
		if p == nil || p.Internal != "" {
			if near := reasons.Near(n, reasons.Names()); len(near) > 0 {
				return fmt.Errorf("--reason %.64q: there is no such drop reason; did you mean %s?", n, strings.Join(near, ", "))
			}
			return fmt.Errorf("--reason %.64q: there is no such drop reason; 'nettrace explain' lists them", n)
		}
		f.pages = append(f.pages, p)
	}
	return nil
}

func (f *dropFilter) readAddresses(texts []string) error {
	for _, t := range texts {
		p, err := netip.ParsePrefix(t)
		if a, e := netip.ParseAddr(t); e == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil || p.Addr().Zone() != "" {
			return fmt.Errorf("--address %.64q: use an address or a network such as 10.244.0.0/16", t)
		}
		f.addresses = append(f.addresses, p)
	}
	if len(f.addresses) > drops.MaxAddresses {
		return fmt.Errorf("--address: %d addresses are more than %d", len(f.addresses), drops.MaxAddresses)
	}
	return nil
}

func (f *dropFilter) readSpaces(names []string) error {
	for _, n := range names {
		path, err := netns.Path(n)
		if err != nil {
			return fmt.Errorf("--netns: %w", err)
		}
		if err := f.addSpace(path); err != nil {
			return fmt.Errorf("--netns: %w", err)
		}
	}
	return nil
}

func (f *dropFilter) addSpace(path string) error {
	ino, err := netns.Inode(path)
	if err != nil {
		return err
	}
	if f.spaces == nil {
		f.spaces = map[uint32]bool{}
	}
	f.spaces[ino] = true
	return nil
}

// narrow leaves of the namespaces that were named only those of the scope; all of the scope when none was named.
func (f *dropFilter) narrow(scope []netstate.Ref) error {
	var all dropFilter
	for _, r := range scope {
		if err := all.addSpace(r.Path); err != nil {
			return fmt.Errorf("--scope: %w", err)
		}
	}
	if f.spaces == nil {
		f.spaces = all.spaces
		return nil
	}
	maps.DeleteFunc(f.spaces, func(ino uint32, _ bool) bool { return !all.spaces[ino] })
	if len(f.spaces) == 0 {
		return errors.New("none of the namespaces of --netns is one of --scope: leave one of them out")
	}
	return nil
}

// display chooses how drops are shown, and on what.
func (o *dropsOptions) display(s streams) (dropDisplay, error) {
	f, isFile := s.out.(*os.File)
	terminal := isFile && term.IsTerminal(int(f.Fd()))
	opt := render.Options{Color: terminal && !o.noColor && os.Getenv("NO_COLOR") == "", Width: 100}
	size := func() (int, int) { return 100, 40 }
	if terminal {
		size = func() (int, int) {
			w, h, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return 100, 40
			}
			return max(w, 40), max(h, 8)
		}
	}
	switch {
	case o.format == "json":
		return &dropLines{out: s.out, json: true, err: s.err}, nil
	case o.format == "table" && !terminal:
		return nil, errors.New("-o table needs a terminal: use text or json")
	case o.format == "table" || o.format == "auto" && terminal:
		return &dropScreen{out: s.out, opt: opt, size: size}, nil
	}
	return &dropLines{out: s.out, err: s.err, opt: opt}, nil
}

// runDrops is the whole of 'nettrace drops': names, attach, count, show, sum up.
func runDrops(ctx context.Context, s streams, o *dropsOptions, f *dropFilter) (err error) {
	show, err := o.display(s)
	if err != nil {
		return err
	}
	begin := time.Now()
	warn := func(msg string) { fmt.Fprintf(s.err, "nettrace: %s\n", render.Escape(msg)) }
	names, err := openDropNames(ctx, o, warn)
	if err != nil {
		return err
	}
	if len(o.scope) > 0 {
		if err := f.narrow(names.refs); err != nil {
			return err
		}
	}
	each := uint32(max(o.rate/5, 1)) // so that one kind leaves room for others
	ses, err := drops.Start(drops.Options{Rate: each, Burst: each, Pods: o.wantsPods(), Addresses: f.addresses, Port: o.port})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ses.Close()) }()
	sayLacking(warn, "CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_SYSLOG")
	w := &dropWatch{ses: ses, names: names, filter: f, opt: o, show: show, warn: warn, attached: time.Since(begin)}
	return w.run(ctx)
}

func (o *dropsOptions) wantsPods() bool { return o.pod != "" || o.namespace != "" }
