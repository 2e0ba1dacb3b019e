// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func query(t *testing.T, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true}, Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}}}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestResolveOfTheLab(t *testing.T) {
	names := zone(Services())
	for _, tc := range []struct {
		name    string
		kind    dnsmessage.Type
		rcode   dnsmessage.RCode
		answers int
	}{
		{"web.shop.svc.cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, 1},
		{"WEB.shop.svc.cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, 1},
		{"web.shop.svc.cluster.local.", dnsmessage.TypeAAAA, dnsmessage.RCodeSuccess, 0},
		{"example.com.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, 1},
		{"example.com.shop.svc.cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeNameError, 0},
	} {
		var m dnsmessage.Message
		if err := m.Unpack(resolve(names, query(t, tc.name, tc.kind))); err != nil {
			t.Fatal(err)
		}
		if m.ID != 7 || !m.Response || m.RCode != tc.rcode || len(m.Answers) != tc.answers {
			t.Errorf("%s %s: %+v", tc.name, tc.kind, m)
		}
	}
}

func TestPodsResolvConf(t *testing.T) {
	p := Pods()[0]
	if c := p.resolvConf(); !strings.Contains(c, "nameserver 10.96.0.10\n") || !strings.Contains(c, "search shop.svc.cluster.local ") || !strings.Contains(c, "ndots:5") {
		t.Errorf("resolv.conf of %s:\n%s", p.Name, c)
	}
	l := &Lab{prefix: "x"}
	if got := l.expand("cat {resolv:client} {veth:client}"); !strings.HasPrefix(got, "cat /etc/netns/x-client/resolv.conf veth") {
		t.Errorf("expand gave %q", got)
	}
}

func FuzzResolve(f *testing.F) {
	f.Add([]byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1})
	f.Add([]byte{0, 7, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	names := zone(Services())
	f.Fuzz(func(t *testing.T, b []byte) {
		if a := resolve(names, b); a != nil && (len(a) < 12 || a[2]&0x80 == 0) {
			t.Errorf("%x gave %x", b, a)
		}
	})
}
