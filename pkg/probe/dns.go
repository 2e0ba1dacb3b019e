// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// DNSRequest asks for a name. With Resolv the probe does what a program in the pod does: search list, A and AAAA, every server, attempts.
// Without it, one query for an address goes to the probe's destination.
type DNSRequest struct {
	Name   string
	Resolv *ResolvConf
	Source string       // where Resolv was read, for the result; or why it is not known
	Named  []netip.Addr // the servers of resolv.conf, where Resolv has been given another one
}

// DNSResult is what asking for a name took.
type DNSResult struct {
	Name     string     `json:"name"`
	Source   string     `json:"source,omitempty"` // the resolv.conf, or why none was read
	Servers  []string   `json:"servers,omitempty"`
	Named    []string   `json:"named,omitempty"` // the servers of resolv.conf, when others were asked
	Search   []string   `json:"search,omitempty"`
	Ndots    int        `json:"ndots,omitempty"`
	Names    int        `json:"names"` // how many names were tried for the one
	Queries  []DNSQuery `json:"queries"`
	Answers  []string   `json:"answers,omitempty"` // addresses of the name
	Rcode    string     `json:"rcode,omitempty"`   // of the last answer
	Wasted   int        `json:"wasted,omitempty"`  // answered queries that brought nothing before the name that was found, or of all names
	WastedMS int64      `json:"wastedMs,omitempty"`
	Cut      string     `json:"cut,omitempty"` // why it stopped early
}

// DNSQuery is one query as sent.
type DNSQuery struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"` // A, AAAA
	Suffix  string   `json:"suffix,omitempty"`
	Server  string   `json:"server"`
	Proto   string   `json:"proto"` // udp, tcp
	Attempt int      `json:"attempt"`
	Rcode   string   `json:"rcode,omitempty"`
	Answers []string `json:"answers,omitempty"`
	MS      int64    `json:"ms"`
	Error   string   `json:"error,omitempty"`
	ICMP    *ICMP    `json:"icmp,omitempty"`

	outcome Outcome
}

// maxQueries bounds a probe: 32 suffixes and the name itself for two types are 66 queries to a server that answers.
const maxQueries = 80

// maxAnswers is how many answers of a message are kept.
const maxAnswers = 16

// CheckDNSName says what is wrong with a name that shall be asked for.
func CheckDNSName(name string) error {
	if name == "" || len(name) > 253 {
		return fmt.Errorf("a DNS name has 1 to 253 bytes, this one %d", len(name))
	}
	_, err := newQuery(fqdn(name), dnsmessage.TypeA, 0)
	if err != nil || strings.ContainsAny(name, " \t\n") {
		return fmt.Errorf("%q is no DNS name: use labels of 1 to 63 bytes with dots between them", name)
	}
	return nil
}

func fqdn(name string) string {
	if name[len(name)-1] == '.' {
		return name
	}
	return name + "."
}

// sendDNS asks for the name.
func sendDNS(ctx context.Context, r *Request) (*Result, error) {
	d := &DNSResult{Name: r.DNS.Name, Source: r.DNS.Source, Queries: []DNSQuery{}}
	a := &asking{ctx: ctx, r: r, out: d, conf: ResolvConf{Timeout: 5 * time.Second, Attempts: 2, TCP: r.Proto == "tcp"}, port: 53}
	names, types := []expansion{{name: fqdn(r.DNS.Name)}}, []dnsmessage.Type{dnsmessage.TypeA}
	if r.DNS.Resolv == nil {
		a.conf.Servers, a.port = []netip.Addr{r.Dst.Addr()}, r.Dst.Port()
	} else {
		tcp := a.conf.TCP
		a.conf = *r.DNS.Resolv
		a.conf.TCP = a.conf.TCP || tcp
		names, types = a.conf.expand(r.DNS.Name), append(types, dnsmessage.TypeAAAA)
		d.Search, d.Ndots = a.conf.Search, a.conf.Ndots
	}
	for _, s := range r.DNS.Named {
		d.Named = append(d.Named, s.String())
	}
	for _, s := range a.conf.Servers {
		d.Servers = append(d.Servers, s.String())
	}
	if err := a.all(names, types); err != nil {
		return nil, err
	}
	res := &Result{Result: a.outcome, DNS: d}
	if res.Result == Timeout || res.Result == "" { // "": there was no time for a query
		res.Result = NoAnswer
	}
	if n := len(d.Queries); n > 0 && res.Result != Connected {
		res.Error, res.ICMP = d.Queries[n-1].Error, d.Queries[n-1].ICMP
	}
	return res, nil
}

// asking is one name on its way through the resolver's rules.
type asking struct {
	ctx     context.Context
	r       *Request
	conf    ResolvConf
	port    uint16
	out     *DNSResult
	outcome Outcome // Connected as soon as a server answered
	id      uint16
}

// all tries the names in order until one has an address. As in glibc's res_search, a name that no server answers ends the search.
func (a *asking) all(names []expansion, types []dnsmessage.Type) error {
	for _, n := range names {
		a.out.Names++
		silent, found := false, false
		before, begin := len(a.out.Queries), time.Now()
		for _, t := range types {
			q, err := a.rounds(n, t)
			if err != nil {
				return err
			}
			if q == nil || q.outcome != Connected {
				silent = true
				break
			}
			a.out.Rcode = q.Rcode
			found = found || len(q.Answers) > 0
			a.out.Answers = append(a.out.Answers, q.Answers...)
		}
		if found || silent {
			return nil
		}
		if n.suffix != "" { // what the search list cost; the name itself had to be asked anyway
			a.out.Wasted += len(a.out.Queries) - before
			a.out.WastedMS += time.Since(begin).Milliseconds()
		}
	}
	return nil
}

// rounds asks every server, as often as resolv.conf says, until one answers; nil when there was no time or query left.
func (a *asking) rounds(n expansion, t dnsmessage.Type) (*DNSQuery, error) {
	var last *DNSQuery
	for attempt := 1; attempt <= a.conf.Attempts; attempt++ {
		for _, server := range a.conf.Servers {
			if a.ctx.Err() != nil || len(a.out.Queries) >= maxQueries {
				a.out.Cut = "the probe's time was over"
				if a.ctx.Err() == nil {
					a.out.Cut = fmt.Sprintf("%d queries were sent and no more", maxQueries)
				}
				return last, nil
			}
			q := DNSQuery{Name: n.name, Type: typeName(t), Suffix: n.suffix, Server: netip.AddrPortFrom(server, a.port).String(), Proto: "udp", Attempt: attempt}
			if a.conf.TCP {
				q.Proto = "tcp"
			}
			truncated, err := a.one(&q, t)
			if err != nil {
				return nil, err
			}
			a.out.Queries = append(a.out.Queries, q)
			if truncated && q.Proto == "udp" {
				q.Proto, q.Rcode, q.Answers = "tcp", "", nil
				if _, err := a.one(&q, t); err != nil {
					return nil, err
				}
				a.out.Queries = append(a.out.Queries, q)
			}
			last = &q
			if a.outcome != Connected {
				a.outcome = q.outcome
			}
			if q.outcome == Connected && q.Rcode != "SERVFAIL" && q.Rcode != "NOTIMP" && q.Rcode != "REFUSED" { // glibc asks the next server for these
				return last, nil
			}
		}
	}
	return last, nil
}

// one sends one query and waits for its answer.
func (a *asking) one(q *DNSQuery, t dnsmessage.Type) (truncated bool, err error) {
	a.id = newID()
	msg, err := newQuery(q.Name, t, a.id)
	if err != nil {
		return false, &setupError{fmt.Errorf("ask for %q: %w", q.Name, err)}
	}
	server := netip.MustParseAddrPort(q.Server)
	ctx, cancel := context.WithTimeout(a.ctx, a.conf.Timeout)
	defer cancel()
	begin := time.Now()
	defer func() { q.MS = time.Since(begin).Milliseconds() }()
	sub := *a.r
	sub.Proto, sub.Dst = q.Proto, server
	if sub.Src.IsValid() && sub.Src.Is6() != server.Addr().Is6() {
		sub.Src = netip.Addr{} // a resolver of the other family than the flow
	}
	if q.Proto == "tcp" && len(a.out.Queries) > 0 {
		sub.Sport = 0 // of another connection a moment ago
	}
	conn, err := dial(ctx, &sub)
	var se *setupError
	if errors.As(err, &se) {
		return false, se
	}
	if err == nil {
		defer conn.Close()
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // an interrupt ends the wait too
		defer stop()
		var m *dnsmessage.Message
		if m, err = ask(conn, q.Proto, msg, a.id, q.Name, t); err == nil {
			q.outcome, q.Rcode, q.Answers, q.Error = Connected, rcodeName(m.RCode), addresses(m), ""
			return m.Truncated, nil
		}
		if errors.Is(err, errNoMessage) { // somebody answered, if not with DNS
			q.outcome, q.Error = Connected, clip(err.Error())
			return false, nil
		}
		q.ICMP = icmpError(conn)
	}
	q.outcome, q.Error = outcome(err, false), words(err)
	return false, nil
}

var errNoMessage = errors.New("the answer is no DNS message")

// ask writes a query and reads until the message that answers it: others may be late or forged.
func ask(conn net.Conn, proto string, msg []byte, id uint16, name string, t dnsmessage.Type) (*dnsmessage.Message, error) {
	if proto == "tcp" {
		msg = append([]byte{byte(len(msg) >> 8), byte(len(msg))}, msg...)
	}
	if _, err := conn.Write(msg); err != nil {
		return nil, err
	}
	for {
		b, err := readMessage(conn, proto)
		if err != nil {
			return nil, err
		}
		var m dnsmessage.Message
		if err := m.Unpack(b); err != nil {
			if answers(b, id) || proto == "tcp" {
				return nil, fmt.Errorf("%w: %w", errNoMessage, err)
			}
			continue
		}
		if m.ID != id || !m.Response || len(m.Questions) != 1 || m.Questions[0].Type != t || !sameName(m.Questions[0].Name.String(), name) {
			continue
		}
		return &m, nil
	}
}
