// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/diagnose"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

func TestDiagnoseMistakes(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"one end", []string{"10.0.0.1"}, "accepts 2 arg"},
		{"any", []string{"any", "10.0.0.1:80"}, "a diagnosis needs a sender"},
		{"format", []string{"10.0.0.1", "10.0.0.2:80", "-o", "yaml"}, "use one of json, story, table"},
		{"sctp", []string{"10.0.0.1", "10.0.0.2:80", "--proto", "sctp"}, "nettrace flow"},
		{"protocol", []string{"10.0.0.1", "10.0.0.2:80", "--proto", "tls"}, "unknown protocol"},
		{"no time", []string{"10.0.0.1", "10.0.0.2:80", "--timeout", "0"}, "--timeout"},
		{"too much", []string{"10.0.0.1", "10.0.0.2:80", "--timeout", "2m"}, "up to 1m"},
		{"record of nothing", []string{"10.0.0.1", "10.0.0.2:80", "--no-probe", "--record", "x"}, "--no-probe"},
		{"two sources of names", []string{"10.0.0.1", "10.0.0.2:80", "--no-kubernetes", "--cluster", "x"}, "excludes"},
		{"ring", []string{"10.0.0.1", "10.0.0.2:80", "--ring", "3"}, "power of two"},
		{"backend", []string{"10.0.0.1", "10.0.0.2:80", "--backend", "magic"}, "--backend"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"diagnose"}, tc.args...), streams{strings.NewReader(""), &out, &errs})
		if code != exitUsage || !strings.Contains(errs.String(), tc.want) || strings.Count(errs.String(), "\n") != 1 || out.Len() > 0 {
			t.Errorf("%s: exit code %d, %q; want 1 and one sentence with %q", tc.name, code, errs.String(), tc.want)
		}
	}
}

func TestClientName(t *testing.T) {
	conf := func(search ...string) *probe.ResolvConf { return &probe.ResolvConf{Search: search} }
	service := &endpoint{text: "svc/shop/web", port: 80, ref: &journey.Ref{Kind: "Service", Namespace: "shop", Name: "web"}}
	for _, tc := range []struct {
		name string
		dst  *endpoint
		conf *probe.ResolvConf
		want string
	}{
		{"Service", service, conf("shop.svc.cluster.local", "svc.cluster.local", "cluster.local"), "web.shop.svc.cluster.local."},
		{"another cluster domain", service, conf("shop.svc.k8s.example.", "svc.k8s.example.", "k8s.example"), "web.shop.svc.k8s.example."},
		{"no resolv.conf", service, nil, "web.shop.svc.cluster.local."},
		{"no such line in it", service, conf("example.com"), "web.shop.svc.cluster.local."},
		{"pod", &endpoint{text: "shop/web-a", port: 80, ref: &journey.Ref{Kind: "Pod", Namespace: "shop", Name: "web-a"}}, nil, ""},
		{"address", &endpoint{text: "10.0.0.1", port: 80}, nil, ""},
		{"name outside", &endpoint{text: "example.com", port: 443}, nil, "example.com"},
		{"namespace", &endpoint{text: "netns:a.b", port: 80, netns: "/run/netns/a.b"}, nil, ""},
		{"a server of names", &endpoint{text: "svc/kube-system/kube-dns", port: 53, ref: &journey.Ref{Kind: "Service", Namespace: "kube-system", Name: "kube-dns"}}, nil, ""},
	} {
		if got := (&plan{dst: tc.dst}).clientName(tc.conf); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// What cannot be asked is said, and nothing is sent.
func TestNotAsked(t *testing.T) {
	here := &plan{src: &endpoint{netns: "/run/netns/x"}}
	for _, tc := range []struct {
		name, asked string
		p           *plan
		conf        *probe.ResolvConf
		want        string
	}{
		{"no name", "", here, &probe.ResolvConf{}, "no name"},
		{"the sender is elsewhere", "a.b", &plan{src: &endpoint{}}, &probe.ResolvConf{}, "not on this kernel"},
		{"no resolv.conf", "a.b", here, nil, "nobody is there"},
		{"no servers", "a.b", here, &probe.ResolvConf{}, "names no server"},
		{"the namespace has gone", "a.b", &plan{src: &endpoint{netns: "/run/netns/not-there"}}, &probe.ResolvConf{Servers: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}, "not-there"},
	} {
		a, why := tc.p.lookUp(context.Background(), tc.asked, tc.conf, "nobody is there")
		if a != nil || !strings.Contains(why, tc.want) {
			t.Errorf("%s: %+v, %q; want %q", tc.name, a, why, tc.want)
		}
	}
	q := diagnose.Question{From: &netstate.Namespace{Node: "node1"}, To: netip.MustParseAddr("127.0.0.1")}
	for _, path := range []string{"", "/run/netns/not-there"} {
		if e := echo(context.Background(), path, q); e.Error == "" || e.Passed != 0 || e.From != "node1" {
			t.Errorf("echo in %q: %+v", path, e)
		}
	}
}

// Progress is for terminals only; a warning stays.
func TestProgressLine(t *testing.T) {
	var errs bytes.Buffer
	p := newProgressLine(streams{err: &errs})
	p.now("working")
	p.clear()
	if errs.Len() > 0 {
		t.Errorf("written to no terminal: %q", errs.String())
	}
	p.on = true
	p.now("look\x1b[2J")
	p.warn("beware")
	if got := errs.String(); got != "\r\x1b[K… look\\x1b[2J\r\x1b[Knettrace: beware\n" {
		t.Errorf("%q", got)
	}
}
