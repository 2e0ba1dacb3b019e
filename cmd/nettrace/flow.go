// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/nettrace-io/nettrace/pkg/probe"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// flowOptions are the flags of 'nettrace flow'.
type flowOptions struct {
	output
	nameOptions
	probeOptions
	proto      string
	probe      bool
	sport      uint16
	count      int
	size       int
	timeout    time.Duration
	untilDrop  bool
	scope      []string
	record     string
	pcap       string
	clsact     bool   // capture as on kernels without tcx
	ring       uint32 // MiB
	ringBytes  uint32 // for tests: smaller than a MiB
	backend    string
	translated bool          // another node's NAT comes before this one
	clockSkew  time.Duration // for tests: how wrong this node's clock is
	offline    bool          // nothing of this node is read
	whole      bool          // every namespace of this node is read, on the flow's way or not
	traceRules bool
	// watch puts itself between the pipeline and the renderer; the lab compares what it sees.
	watch func(render.Renderer) render.Renderer
}

// output are the flags of every command that prints a run.
type output struct {
	format    string
	noColor   bool
	addresses bool
}

func (o *output) flags(c *cobra.Command) { o.flagsFor(c, render.Formats()) }

func (o *output) flagsFor(c *cobra.Command, formats []string) {
	c.Flags().StringVarP(&o.format, "output", "o", "story", "output format: "+strings.Join(formats, ", "))
	c.Flags().BoolVar(&o.noColor, "no-color", false, "no colours (also when NO_COLOR is set or the output is no terminal)")
	c.Flags().BoolVar(&o.addresses, "addresses", false, "show addresses beside Kubernetes names")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

// options are those of every renderer: colours and width are for terminals only.
func (o *output) options(s streams) render.Options {
	opt := render.Options{Addresses: o.addresses}
	if f, ok := s.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		opt.Color = !o.noColor && os.Getenv("NO_COLOR") == ""
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			opt.Width = max(w, 40)
		}
	}
	return opt
}

func (o *output) renderer(s streams) (render.Renderer, error) {
	return render.New(o.format, s.out, o.options(s))
}

func newFlow(s streams) *cobra.Command {
	var o flowOptions
	c := &cobra.Command{
		Use:   "flow SRC DST[:PORT]",
		Short: "Follow one flow on this node, both directions, and judge it",
		Long: `Follow one flow on this node live: requests, replies, and ICMP errors about them, through NAT and VXLAN.

SRC and DST are one of: NAMESPACE/POD, svc/NAMESPACE/NAME:PORT, deploy/NAMESPACE/NAME, node/NAME, a DNS name, 10.0.0.1, 10.0.0.1:80,
[2001:db8::1]:80, netns:NAME, netns:/path, pid:N, host (this node); SRC can be 'any'. A bare NAMESPACE/NAME is tried as a pod, and for DST
then as a Service. Names come from the API server of the kubeconfig, asked for few single objects, or from --cluster FILE.
Data goes to stdout, everything else to stderr. nettrace changes nothing on the node, except with --trace-rules; --pcap attaches to its
devices while it runs.

Exit codes: 0 delivered; 1 usage or runtime error; 2 dropped, rejected or lost; 3 nothing matched or the evidence does not decide;
4 privileges or kernel features are missing; 130 interrupted before there was a verdict.`,
		Example: `  # can the pod reach the Service? send a test connection and follow it
  nettrace flow shop/client svc/shop/web:http --probe

  # the same without an API server
  kubectl get pods,services,endpointslices,nodes,networkpolicies -A -o yaml > cluster.yaml
  nettrace flow shop/client web.shop.svc.cluster.local:80 --probe --cluster cluster.yaml

  # send a test connection from the pod's namespace and follow it
  nettrace flow netns:client 10.96.0.80:80 --probe

  # follow what is there, until the first drop
  nettrace flow any 10.244.2.20:8080 --timeout 0 --until-drop

  # which rule was it, in the kernel's own words? adds an nftables table for this flow until nettrace ends
  nettrace flow shop/client svc/shop/web:http --probe --trace-rules

  # an MTU hole: a probe with a full packet, or the largest size that passes
  nettrace flow 10.244.1.10 10.244.2.20:8080 --probe --size 1400
  nettrace flow 10.244.1.10 10.244.2.20:8080 --mtu

  # does the application answer, and is it the Service or the pods?
  nettrace flow shop/client svc/shop/web:http --http=/healthz
  nettrace flow shop/client svc/shop/web:http --compare

  # what a name costs that the pod asks for
  nettrace flow shop/client svc/kube-system/kube-dns:dns --dns example.com`,
		Args:    cobra.ExactArgs(2),
		PreRunE: func(_ *cobra.Command, args []string) error { return o.check(args) },
		RunE: func(c *cobra.Command, args []string) error {
			v, err := runFlow(c.Context(), s, o, args[0], args[1])
			return conclude(c.Context(), v, err)
		},
	}
	o.output.flags(c)
	o.nameOptions.flags(c)
	o.probeOptions.flags(c)
	f := c.Flags()
	f.StringVar(&o.proto, "proto", "", "tcp, udp, icmp or sctp (default tcp; udp for port 53)")
	f.BoolVar(&o.probe, "probe", false, "send a real test connection from inside SRC's network namespace")
	f.Uint16Var(&o.sport, "sport", 0, "the sender's port (default any)")
	f.IntVar(&o.count, "count", 0, "connections to follow, or probes to send, then stop (default no limit; one probe)")
	f.IntVar(&o.size, "size", 0, "payload bytes of a probe")
	f.DurationVar(&o.timeout, "timeout", 10*time.Second, "how long to watch, and how long a probe waits; 0: until interrupted")
	f.BoolVar(&o.untilDrop, "until-drop", false, "stop at the first drop")
	f.StringArrayVar(&o.scope, "scope", nil, "[NODE=]HOSTNETNS[+NETNS…]: what this kernel holds of a node (repeatable; default everything is this node)")
	f.StringVar(&o.record, "record", "", "also write a recording for 'nettrace replay'")
	f.StringVar(&o.pcap, "pcap", "", "also capture the flow's packets at every device they cross, as pcapng")
	f.BoolVar(&o.clsact, "pcap-clsact", false, "attach --pcap as on kernels without tcx")
	_ = f.MarkHidden("pcap-clsact")
	f.BoolVar(&o.translated, "translated", false, "this is the receiver's node: follow what another node's NAT makes of the flow, to the endpoints of the Service and from other nodes")
	f.DurationVar(&o.clockSkew, "clock-skew", 0, "report the time as if this node's clock were ahead by this much")
	_ = f.MarkHidden("clock-skew")
	f.BoolVar(&o.traceRules, "trace-rules", false, "have the kernel tell which rules this flow's packets meet: adds an nftables table until nettrace ends")
	f.Uint32Var(&o.ring, "ring", 8, "size of the event buffer in MiB, a power of two")
	f.StringVar(&o.backend, "backend", tracer.BackendAuto, "how to attach to kernel functions: "+strings.Join(tracer.Backends(), ", "))
	_ = c.RegisterFlagCompletionFunc("backend", cobra.FixedCompletions(tracer.Backends(), cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("proto", cobra.FixedCompletions([]string{"tcp", "udp", "icmp", "sctp"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// check finds mistakes in flags before any work.
func (o *flowOptions) check(args []string) error {
	o.probe = o.probe || o.probeOptions.any()
	switch {
	case o.proto != "" && protos[o.proto] == 0:
		return fmt.Errorf("unknown protocol %q: use tcp, udp, icmp or sctp", o.proto)
	case !slices.Contains(render.Formats(), o.format):
		_, err := render.New(o.format, nil, render.Options{})
		return err
	case o.size < 0 || o.size > probe.MaxSize:
		return fmt.Errorf("--size %d: use 0 to %d bytes", o.size, probe.MaxSize)
	case o.count < 0 || o.probe && o.count > 100:
		return fmt.Errorf("--count %d: a probe is sent 1 to 100 times", o.count)
	case o.timeout < 0:
		return fmt.Errorf("--timeout %v: use 0 or a positive duration such as 10s", o.timeout)
	case o.nameOptions.check() != nil:
		return o.nameOptions.check()
	case o.probeOptions.check(o.size, o.proto) != nil:
		return o.probeOptions.check(o.size, o.proto)
	case o.translated && o.probe:
		return errors.New("--translated is for the node that the flow comes to, and a probe starts on the sender's: leave one of them out")
	case o.size > 0 && !o.probe:
		return errors.New("--size is the size of a probe: add --probe")
	case o.ring == 0 || o.ring&(o.ring-1) != 0 || o.ring > 1024:
		return fmt.Errorf("--ring %d: use a power of two from 1 to 1024", o.ring)
	case !slices.Contains(tracer.Backends(), o.backend):
		return fmt.Errorf("--backend %s: use one of %s", o.backend, strings.Join(tracer.Backends(), ", "))
	case o.probe && args[0] == "any":
		return errors.New("a probe needs a sender: name SRC instead of 'any'")
	}
	return nil
}

// runFlow is the whole of 'nettrace flow': resolve, attach, follow, judge.
func runFlow(ctx context.Context, s streams, o flowOptions, srcText, dstText string) (*verdict.Verdict, error) {
	out, err := o.renderer(s)
	if err != nil {
		return nil, err
	}
	if o.watch != nil {
		out = o.watch(out)
	}
	if o.traceRules {
		if err := mayReadRules(); err != nil { // takes the same privileges
			return nil, err
		}
	}
	restore := hurry()
	defer restore() // once more after an error does no harm

	prepared := tracer.Prepare(o.backend) // beside the reading of the node
	warn := func(msg string) { fmt.Fprintf(s.err, "nettrace: %s\n", render.Escape(msg)) }
	p, err := makePlan(ctx, &o, srcText, dstText, warn)
	if err != nil {
		return nil, err
	}
	p.prepared = prepared
	return p.trace(ctx, &o, out, warn, func() {
		restore()
		sayLacking(warn)
		sayUnread(p.before, warn)
	})
}

// trace attaches, follows and judges; ready is called once everything is attached.
func (p *plan) trace(ctx context.Context, o *flowOptions, out render.Renderer, warn func(string), ready func()) (v *verdict.Verdict, err error) {
	if err := p.repeatable(o); err != nil {
		return nil, err
	}
	request, err := p.probe(ctx, o, warn)
	if err != nil {
		return nil, err
	}
	capt, err := openCapture(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, capt.finish()) }()
	if o.ringBytes == 0 {
		o.ringBytes = o.ring << 20
	}
	tr, err := tracer.Start(tracer.Options{Filter: p.filter, RingBytes: o.ringBytes, Backend: o.backend, Prepared: p.prepared, Busy: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, tr.Close()) }()
	ready()
	defer p.names.missing(warn) // of what was looked up on the way
	if err := capt.start(tr, p, warn); err != nil {
		return nil, err
	}
	rules, err := p.traceRules(o, warn)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rules.stop()) }()
	src := &live{ctx: ctx, tr: tr, refs: p.refs, before: p.before, mayCross: p.mayCross, rules: rules, opt: liveOptions{timeout: o.timeout, count: o.count, untilDrop: o.untilDrop, probe: request, variants: p.compared(ctx, o), warn: warn, lookup: p.names.lookup()}}
	if o.record != "" {
		f, ferr := os.OpenFile(o.record, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if ferr != nil {
			return nil, fmt.Errorf("open the recording: %w", ferr)
		}
		src.rec = tracer.NewCapture(f, tr.Names())
		defer func() { err = errors.Join(err, src.rec.Close(), f.Close()) }()
	}
	if err := p.introduce(src, o, tr); err != nil {
		return nil, err
	}
	return runPipeline(capt.source(src), capt.watch(out), o.addresses, func(pr progress) {
		src.progress = pr
		src.unknown = append(src.unknown, pr.unknown...)
	})
}

// repeatable refuses TCP probes that follow each other from one port: until a connection has ended on both sides, connect() does not give its port
// to the next one, and a server that has not closed its own side yet drops the next SYN.
func (p *plan) repeatable(o *flowOptions) error {
	if o.probe && o.count > 1 && p.proto == "tcp" && p.filter.Sport != 0 {
		return fmt.Errorf("--count %d: TCP probes cannot follow each other from one port: leave the sender's port %d out, or send one probe", o.count, p.filter.Sport)
	}
	return nil
}

// flow is the flow as records have it.
func (p *plan) flow() verdict.Flow {
	src := p.src.text
	if len(p.src.addrs) > 0 {
		src = p.src.addrs[0].String()
	}
	return verdict.Flow{Proto: p.proto, Src: src, Dst: p.dst.addrs[0].String(), Dport: p.dst.port, Sport: p.filter.Sport,
		SrcRef: p.refOf(p.src), DstRef: p.refOf(p.dst), Endpoints: p.dst.endpoints}
}

// introduce queues what a run begins with: the header and the snapshot.
func (p *plan) introduce(src *live, o *flowOptions, tr *tracer.Tracer) error {
	now := time.Now().Add(o.clockSkew).UTC()
	h := header{Scoped: len(o.scope) > 0, WallNS: now.UnixNano() - int64(tracer.Now()), DropReasons: tr.DropReasons(), Start: render.Start{
		Kind: "start", Schema: render.Schema, Node: p.node, Kernel: tracer.Kernel(), Lockdown: tracer.Lockdown(),
		Flow:   p.flow(),
		Points: tr.Points(), AttachMS: tr.AttachTime().Milliseconds(), Time: now,
	}}
	if err := src.note(noteHeader, h); err != nil {
		return err
	}
	if p.names.index != nil {
		if err := src.note(noteCluster, p.names.relevant(p.addresses(), p.ends()...)); err != nil {
			return err
		}
	}
	return src.note(noteBefore, p.before)
}

// failing is the exit code of a run that has an error beside its verdict, a recording that could not be written perhaps.
func failing(code int) int {
	if code == exitOK {
		return exitUsage
	}
	return code
}

// conclude turns a verdict into the exit code.
func conclude(ctx context.Context, v *verdict.Verdict, err error) error {
	if err != nil && v == nil {
		return err
	}
	code := exitOK
	if v != nil {
		code = verdict.ExitCode(v)
	}
	if ctx.Err() != nil && code == exitUnseen {
		code = exitInterrupted
	}
	if err != nil {
		return &exitError{code: failing(code), err: err}
	}
	if code == exitOK {
		return nil
	}
	return &exitError{code: code}
}
