// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/nettrace-io/nettrace/pkg/diagnose"
	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

// How long the questions may take that are asked before the checks; they are asked side by side.
const (
	echoTimeout = 2500 * time.Millisecond
	dnsTimeout  = 2500 * time.Millisecond
)

// asked are the answers.
type asked struct {
	name       string
	resolver   *diagnose.Resolver
	noResolver string
	answer     *diagnose.Answer
	noAnswer   string
	echoes     []diagnose.Echo
	noEcho     string
}

func (a *asked) into(in *diagnose.Input) {
	in.Asked, in.Resolver, in.NoResolver = a.name, a.resolver, a.noResolver
	in.Answer, in.NoAnswer, in.Echoes, in.NoEcho = a.answer, a.noAnswer, a.echoes, a.noEcho
}

// ask asks what cannot be read: whether the other node answers, with which sizes, and for the destination's name. Then the state is read again:
// a neighbour that does not answer shows only when it was needed.
func (d *diagnosing) ask(ctx context.Context) {
	p := d.p
	conf, source := resolvConf(ctx, "/", p.src.netns)
	d.asked.noResolver = source
	if conf != nil {
		d.asked.resolver, d.asked.noResolver = &diagnose.Resolver{Servers: conf.Servers, Source: source}, ""
		d.whose(ctx, conf.Servers)
	}
	d.asked.name = p.clientName(conf)
	if d.o.noProbe {
		d.asked.noAnswer, d.asked.noEcho = "--no-probe was given", "--no-probe was given"
		return
	}
	questions := d.input().Questions()
	d.say.now("sending echoes to the other node and asking for the destination's name")
	var wg sync.WaitGroup
	wg.Go(func() { d.asked.answer, d.asked.noAnswer = p.lookUp(ctx, d.asked.name, conf, source) })
	wg.Go(func() {
		for _, q := range questions { // one after the other: raw sockets of one namespace see each other's echoes
			d.asked.echoes = append(d.asked.echoes, echo(ctx, p.namespaceOf(q.From), q))
		}
	})
	wg.Wait()
	d.asked.noEcho = "the sender's node is not on this kernel"
	d.say.now("reading this kernel's namespaces again")
	p.before = netstate.Read(ctx, p.refs)
}

// whose asks an API server for the Services of DNS servers and their endpoints; a file has them already.
func (d *diagnosing) whose(ctx context.Context, servers []netip.Addr) {
	n := d.p.names
	if n.api == nil || n.index == nil || len(servers) == 0 {
		return
	}
	more := k8smeta.GatherAddrs(ctx, n.api, servers)
	for i := range more.Services {
		if o, ok := n.api.Slices(ctx, more.Services[i].Namespace, more.Services[i].Name); ok {
			more = more.Merge(o)
		}
	}
	n.set(n.objects.Merge(more))
}

// clientName is the name by which clients ask for the destination: a Service's, with a dot at its end so that no search list is gone through, or
// the one that was given. The cluster's domain is that of the sender's search list.
func (p *plan) clientName(conf *probe.ResolvConf) string {
	if p.dst.port == 53 { // the probe asks that server itself
		return ""
	}
	if r := p.dst.ref; r != nil {
		if r.Kind != "Service" {
			return ""
		}
		return r.Name + "." + r.Namespace + ".svc." + clusterDomain(conf) + "."
	}
	if _, err := netip.ParseAddr(p.dst.text); err == nil || p.dst.netns != "" || !strings.Contains(p.dst.text, ".") || probe.CheckDNSName(p.dst.text) != nil {
		return ""
	}
	return p.dst.text
}

// clusterDomain is what follows "svc." in the search list that the kubelet writes.
func clusterDomain(conf *probe.ResolvConf) string {
	if conf != nil {
		for _, s := range conf.Search {
			if domain, ok := strings.CutPrefix(strings.TrimSuffix(s, "."), "svc."); ok {
				return domain
			}
		}
	}
	return "cluster.local"
}

// lookUp asks for a name from the sender's namespace, once.
func (p *plan) lookUp(ctx context.Context, name string, conf *probe.ResolvConf, source string) (*diagnose.Answer, string) {
	switch {
	case name == "":
		return nil, "the destination has no name"
	case p.src.netns == "":
		return nil, "the sender is not on this kernel"
	case conf == nil:
		return nil, "the sender's resolv.conf is not known: " + source
	case len(conf.Servers) == 0:
		return nil, "the sender's resolv.conf names no server"
	}
	once := *conf
	once.Timeout, once.Attempts = time.Second, 1
	res, err := probe.Send(ctx, probe.Request{NetNS: p.src.netns, Proto: "udp", Dst: netip.AddrPortFrom(conf.Servers[0], 53), Timeout: dnsTimeout,
		DNS: &probe.DNSRequest{Name: name, Resolv: &once, Source: source}})
	if err != nil {
		return nil, err.Error()
	}
	a := &diagnose.Answer{Name: name, Servers: conf.Servers, MS: res.MS}
	if q := res.DNS; q != nil {
		a.Rcode = q.Rcode
		for _, s := range q.Answers {
			if addr, err := netip.ParseAddr(s); err == nil {
				a.Addrs = append(a.Addrs, addr.Unmap())
			}
		}
		for i := range q.Queries {
			if q.Queries[i].Error != "" {
				a.Error = q.Queries[i].Error
			}
		}
	}
	return a, ""
}

// echo climbs sizes from one node to another.
func echo(ctx context.Context, netns string, q diagnose.Question) diagnose.Echo {
	e := diagnose.Echo{From: q.From.Node, To: q.To}
	if netns == "" {
		e.Error = "the node's namespace is not known"
		return e
	}
	res, err := probe.Send(ctx, probe.Request{NetNS: netns, Proto: "icmp", Dst: netip.AddrPortFrom(q.To, 0), MTU: true, Timeout: echoTimeout})
	switch {
	case err != nil:
		e.Error = err.Error()
	case res.MTU == nil:
		e.Told = res.Error
	default:
		e.Passed, e.Failed = res.MTU.Passed, res.MTU.Failed
		if res.ICMP != nil && e.Passed == 0 {
			e.Told = fmt.Sprintf("ICMP %s", res.ICMP.Type)
		}
	}
	return e
}
