// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nettrace-io/nettrace/pkg/diagnose"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// diagnoseOptions are the flags of 'nettrace diagnose'.
type diagnoseOptions struct {
	output
	nameOptions
	proto   string
	timeout time.Duration
	noProbe bool
	scope   []string
	record  string
	backend string
	ring    uint32
	fed     bool // by the kubectl plugin: what it sends of the cluster is what the flow needs, not the whole
}

func newDiagnose(s streams) *cobra.Command {
	var o diagnoseOptions
	c := &cobra.Command{
		Use:   "diagnose SRC DST:PORT",
		Short: "Which of the five layers is at fault: static checks bottom-up, a traced probe, one verdict",
		Long: `Find out why SRC cannot reach DST, layer by layer: nodes and tunnels between them, pods' devices and routes, the Service and kube-proxy's
rules, DNS, listeners and NetworkPolicies. What these checks find is a hypothesis; then a real test connection is sent from inside SRC's network
namespace and followed through the kernel, which confirms or refutes it. At the end stands one verdict: the layer, the cause, how sure that is,
and what to do. What could not be checked is said, with the reason; for what lies on another node, run nettrace there.

SRC and DST are named as for 'nettrace flow'. Besides the probe, an echo is sent to the other node's address, and the sender's DNS servers are
asked for DST's name. With --no-probe none of these is sent. nettrace changes nothing on the node.

Exit codes: 0 delivered, whatever warnings there are (with --no-probe: every check that applies is fine); 1 usage or runtime error;
2 a fault was found; 3 undecided; 4 privileges or kernel features are missing; 130 interrupted.`,
		Example: `  # why can the pod not reach the Service?
  nettrace diagnose shop/client svc/shop/web:http

  # every check by itself, in a table; or for programs
  nettrace diagnose shop/client svc/shop/web:http -o table
  nettrace diagnose shop/client svc/shop/web:http -o json | jq 'select(.kind == "diagnosis")'

  # look only, send nothing
  nettrace diagnose shop/client 10.244.2.20:8080 --no-probe

  # is it DNS? ask the cluster's DNS as the pod does
  nettrace diagnose shop/client svc/kube-system/kube-dns:dns

  # without an API server
  nettrace diagnose shop/client web.shop.svc.cluster.local:80 --cluster cluster.yaml`,
		Args:    cobra.ExactArgs(2),
		PreRunE: func(_ *cobra.Command, args []string) error { return o.check(args) },
		RunE: func(c *cobra.Command, args []string) error {
			o.fed = given(c, untilStdinCloses)
			return runDiagnose(c.Context(), s, o, args[0], args[1])
		},
	}
	o.output.flagsFor(c, render.DiagnosisFormats())
	o.nameOptions.flags(c)
	f := c.Flags()
	f.StringVar(&o.proto, "proto", "", "tcp, udp or icmp (default tcp; udp for port 53)")
	f.DurationVar(&o.timeout, "timeout", 4*time.Second, "how long the probe waits; a failing neighbour takes the kernel 3 s to tell")
	f.BoolVar(&o.noProbe, "no-probe", false, "make only the static checks and send neither a probe, nor an echo, nor a DNS query")
	f.StringArrayVar(&o.scope, "scope", nil, "[NODE=]HOSTNETNS[+NETNS…]: what this kernel holds of a node (repeatable; default everything is this node)")
	f.StringVar(&o.record, "record", "", "also write a recording of the traced probe for 'nettrace replay'")
	f.StringVar(&o.backend, "backend", tracer.BackendAuto, "how to attach to kernel functions: "+strings.Join(tracer.Backends(), ", "))
	f.Uint32Var(&o.ring, "ring", 8, "size of the event buffer in MiB, a power of two")
	_ = c.RegisterFlagCompletionFunc("backend", cobra.FixedCompletions(tracer.Backends(), cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("proto", cobra.FixedCompletions([]string{"tcp", "udp", "icmp"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// check finds mistakes in flags before any work.
func (o *diagnoseOptions) check(args []string) error {
	if _, err := render.NewDiagnosis(o.format, nil, render.Options{}); err != nil {
		return err
	}
	switch {
	case o.proto == "sctp":
		return errors.New("--proto sctp: no probe can be sent; use 'nettrace flow' to follow what is there")
	case args[0] == "any":
		return errors.New("a diagnosis needs a sender: name SRC instead of 'any'")
	case o.timeout <= 0 || o.timeout > time.Minute:
		return fmt.Errorf("--timeout %v: use a duration of up to 1m, such as 4s", o.timeout)
	case o.noProbe && o.record != "":
		return errors.New("--record writes what the probe's trace saw: leave --no-probe out")
	}
	fo := o.flow()
	fo.format = "json"
	return fo.check(args)
}

// flow are the flags of the traced probe.
func (o *diagnoseOptions) flow() flowOptions {
	return flowOptions{output: o.output, nameOptions: o.nameOptions, proto: o.proto, timeout: o.timeout, scope: o.scope, record: o.record, backend: o.backend, ring: o.ring, whole: true, ringBytes: o.ring << 20}
}

// diagnosing is one run.
type diagnosing struct {
	o       *diagnoseOptions
	p       *plan
	out     render.DiagnosisRenderer
	say     *progressLine
	asked   asked
	results []diagnose.Result
	started bool
}

// runDiagnose is the whole of 'nettrace diagnose': resolve, ask, check, trace, join.
func runDiagnose(ctx context.Context, s streams, o diagnoseOptions, srcText, dstText string) error {
	out, err := render.NewDiagnosis(o.format, s.out, o.options(s))
	if err != nil {
		return err
	}
	if err := mayReadRules(); err != nil {
		return err
	}
	say := newProgressLine(s)
	defer say.clear()
	say.now("reading this kernel's namespaces and the cluster's objects")
	fo := o.flow()
	p, err := makePlan(ctx, &fo, srcText, dstText, say.warn)
	if err != nil {
		return err
	}
	if p.dst.port == 0 && p.proto != "icmp" {
		return errors.New("a diagnosis asks for rules and listeners of a port: write DST:PORT, or use --proto icmp")
	}
	d := &diagnosing{o: &o, p: p, out: out, say: say}
	d.ask(ctx)
	if ctx.Err() != nil {
		return &exitError{code: exitInterrupted}
	}
	in := d.input()
	d.results = diagnose.Run(in, func(r diagnose.Result) { say.now("checking " + string(r.Layer) + ": " + r.Check) })
	v, why, terr := d.trace(ctx)
	if v == nil && ctx.Err() != nil {
		return &exitError{code: exitInterrupted, err: terr}
	}
	return d.end(ctx, v, why, terr)
}

// trace sends the probe and follows it. What keeps it from being made is no error of the whole: the static checks have something to say.
func (d *diagnosing) trace(ctx context.Context) (v *verdict.Verdict, why string, err error) {
	if d.o.noProbe {
		return nil, "--no-probe was given", nil
	}
	if err := d.p.canProbe(); err != nil {
		if d.o.record != "" {
			d.say.warn("no recording is written: there is no probe to trace")
		}
		return nil, strings.ReplaceAll(err.Error(), ", or leave --probe out", ""), nil
	}
	d.say.now(fmt.Sprintf("sending a probe and following it, for up to %v", d.o.timeout))
	fo := d.o.flow()
	fo.probe = true
	restore := hurry()
	defer restore()
	v, err = d.p.trace(ctx, &fo, d, d.say.warn, restore)
	if err != nil && v == nil {
		why = err.Error()
	}
	return v, why, err
}

// end joins everything and writes it.
func (d *diagnosing) end(ctx context.Context, v *verdict.Verdict, why string, terr error) error {
	d.say.clear()
	if err := d.begin(d.p.startRecord()); err != nil {
		return err
	}
	x := join(d.results, v, why)
	if err := d.out.Diagnosis(x); err != nil {
		return err
	}
	code := diagnosisCode(x, d.results)
	var pe *tracer.PrivilegeError
	var fe *tracer.FeatureError
	switch {
	case errors.As(terr, &pe) || errors.As(terr, &fe):
		code = exitPrivileges
	case terr != nil && v == nil:
		code = exitUsage
	case ctx.Err() != nil && code == exitUnseen:
		code = exitInterrupted
	}
	switch {
	case terr != nil:
		return &exitError{code: failing(code), err: terr}
	case code == exitOK:
		return nil
	}
	return &exitError{code: code}
}

// begin writes the first record and the checks, once.
func (d *diagnosing) begin(st render.Start) error {
	if d.started {
		return nil
	}
	d.started = true
	d.say.clear()
	if err := d.out.Start(st); err != nil {
		return err
	}
	for _, r := range d.results {
		if err := d.out.Check(r); err != nil {
			return err
		}
	}
	return nil
}

// startRecord is the first record of a run without a trace.
func (p *plan) startRecord() render.Start {
	return render.Start{Kind: "start", Schema: render.Schema, Node: p.node, Kernel: tracer.Kernel(), Lockdown: tracer.Lockdown(), Flow: p.flow(), Points: []tracer.PointStatus{}}
}

// input is what the checks look at.
func (d *diagnosing) input() *diagnose.Input {
	p := d.p
	in := &diagnose.Input{Proto: p.proto, Src: p.src.addrs[0], Dst: p.dst.addrs[0], Dport: p.dst.port, Node: p.node, Snapshot: p.before, Index: p.names.index,
		Whole: (d.o.cluster != "" || d.o.objects != nil) && !d.o.fed}
	for i, r := range p.refs {
		if r.Path == p.src.netns && r.Path != "" && i < len(p.before.Namespaces) {
			in.Sender = &p.before.Namespaces[i]
		}
	}
	if in.Index == nil {
		in.NoIndex = "nobody could be asked"
		if p.names.why != nil {
			in.NoIndex = p.names.why.Error()
		}
	} else {
		l := &labeller{addresses: d.o.addresses, unknown: map[netip.Addr]bool{}}
		l.learn(&clusterNote{Now: p.names.now, Objects: p.names.objects})
		l.see(p.before)
		in.Name, in.Policies, in.NoPolicies = l.name, l.policies, p.policiesUnread()
	}
	d.asked.into(in)
	return in
}

// policiesUnread says of which pods at the flow's ends the NetworkPolicies could not be read; "" for none.
func (p *plan) policiesUnread() string {
	ends := slices.Concat(p.src.addrs, p.dst.addrs)
	for _, e := range p.dst.endpoints {
		if a, err := netip.ParseAddrPort(e.Addr); err == nil {
			ends = append(ends, a.Addr())
		}
	}
	var unread []string
	for _, a := range ends {
		if h := p.names.index.Addr(a); h.Pod != nil && p.names.index.PoliciesUnread(h.Pod.Namespace) && !slices.Contains(unread, h.Pod.Namespace) {
			unread = append(unread, h.Pod.Namespace)
		}
	}
	if len(unread) == 0 {
		return ""
	}
	return "those of namespace " + strings.Join(unread, ", ") + " could not be read"
}

// namespaceOf is the path of a namespace of the snapshot.
func (p *plan) namespaceOf(n *netstate.Namespace) string {
	i := slices.IndexFunc(p.before.Namespaces, func(x netstate.Namespace) bool { return x.Inode == n.Inode && n.Inode != 0 })
	if i < 0 || i >= len(p.refs) {
		return ""
	}
	return p.refs[i].Path
}
