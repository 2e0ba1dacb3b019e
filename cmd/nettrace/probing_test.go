// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/probe"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

func TestProbeFlags(t *testing.T) {
	for _, tc := range []struct {
		name  string
		o     probeOptions
		size  int
		proto string
		want  string // in the error; "" for none
	}{
		{"nothing", probeOptions{}, 100, "udp", ""},
		{"http", probeOptions{http: "/healthz?x=1"}, 0, "", ""},
		{"dns over tcp", probeOptions{dns: "example.com"}, 0, "tcp", ""},
		{"ladder of echoes, compared", probeOptions{mtu: true, compare: true}, 0, "icmp", ""},
		{"http and dns", probeOptions{http: "/", dns: "a"}, 0, "", "--http and --dns exclude"},
		{"mtu and size", probeOptions{mtu: true}, 10, "", "--mtu and --size exclude"},
		{"both http", probeOptions{http: "/", https: "/"}, 0, "", "exclude"},
		{"no path", probeOptions{http: "healthz"}, 0, "", "is no path"},
		{"a second line", probeOptions{https: "/x\r\nHost: y"}, 0, "", "is no path"},
		{"http over udp", probeOptions{http: "/"}, 0, "udp", "needs tcp"},
		{"mtu of udp", probeOptions{mtu: true}, 0, "udp", "--proto tcp or icmp"},
		{"dns over icmp", probeOptions{dns: "a"}, 0, "icmp", "needs udp or tcp"},
		{"no name", probeOptions{dns: "a..b"}, 0, "", "is no DNS name"},
		{"sctp", probeOptions{compare: true}, 0, "sctp", "sctp"},
	} {
		err := tc.o.check(tc.size, tc.proto)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
	o := flowOptions{output: output{format: "json"}, probeOptions: probeOptions{mtu: true}, ring: 8, backend: "auto"}
	if err := o.check([]string{"any", "10.0.0.1:80"}); err == nil || !strings.Contains(err.Error(), "sender") {
		t.Errorf("--mtu from any: %v", err)
	}
}

// fakeRoot is a root directory with processes in a namespace, the one of this test.
func fakeRoot(t *testing.T) (root, link string) {
	t.Helper()
	root = t.TempDir()
	link, err := os.Readlink(netns.Self)
	if err != nil {
		t.Fatal(err)
	}
	return root, link
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestResolvConfOfANamespace(t *testing.T) {
	root, link := fakeRoot(t)
	process := func(pid, net, conf string) {
		dir := filepath.Join(root, "proc", pid)
		if err := os.MkdirAll(filepath.Join(dir, "ns"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(net, filepath.Join(dir, "ns/net")); err != nil {
			t.Fatal(err)
		}
		if conf != "" {
			put(t, filepath.Join(dir, "root/etc/resolv.conf"), conf)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "proc/self"), 0o755); err != nil {
		t.Fatal(err)
	}
	if c, why := resolvConf(context.Background(), root, netns.Self); c != nil || !strings.Contains(why, "no process") {
		t.Errorf("an empty namespace: %+v, %s", c, why)
	}
	process("9", "net:[1]", "nameserver 192.0.2.9\n")
	process("20", link, "") // the pause container
	process("100", link, "nameserver 10.96.0.10\nsearch shop.svc.cluster.local\n")
	c, where := resolvConf(context.Background(), root, netns.Self)
	if c == nil || c.Servers[0].String() != "10.96.0.10" || !strings.HasSuffix(where, "proc/100/root/etc/resolv.conf") {
		t.Errorf("%+v from %s", c, where)
	}
	put(t, filepath.Join(root, "etc/netns/web/resolv.conf"), "nameserver 10.96.0.77\n")
	if c, where := resolvConf(context.Background(), root, netns.Dir+"/web"); c == nil || c.Servers[0].String() != "10.96.0.77" || where != "/etc/netns/web/resolv.conf" {
		t.Errorf("%+v from %s", c, where)
	}
	if c, why := resolvConf(context.Background(), root, netns.Dir+"/there-is-none"); c != nil || why == "" {
		t.Errorf("%+v, %q", c, why)
	}
}

// probeInLab traces one probe from the lab's client and returns the verdict; every line is checked against the schema.
func probeInLab(t *testing.T, l *lab.Lab, o flowOptions, dst string) *verdict.Verdict {
	t.Helper()
	objects, err := l.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	o.output, o.nameOptions, o.scope, o.ring, o.backend = output{format: "json"}, nameOptions{objects: objects}, l.Scopes(), 8, "auto"
	o.probe, o.timeout = true, cmp.Or(o.timeout, 10*time.Second)
	var out, errs bytes.Buffer
	v, err := runFlow(context.Background(), streams{nil, &out, &errs}, o, "netns:"+l.NetNS("client"), dst)
	if err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	schematest.Lines(t, out.Bytes())
	return v
}

// A healthy Service, a HEAD request and a comparison; then the same Service behind a rule that drops what goes to its address.
func TestProbesInTheLab(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "probes")
	v := probeInLab(t, l, flowOptions{probeOptions: probeOptions{http: "/healthz", compare: true}}, "svc/shop/web:http")
	if v.Outcome != verdict.Delivered || v.Probe.HTTP == nil || v.Probe.HTTP.Status != 200 {
		t.Errorf("healthy: %+v, %+v", v, v.Probe)
	}
	kinds := map[probe.VariantKind]probe.Outcome{}
	for _, c := range v.Probe.Compare {
		kinds[c.Kind] = c.Result
	}
	if kinds[probe.SameNode] != probe.Connected || kinds[probe.OtherNode] != probe.Connected {
		t.Errorf("variants %+v", v.Probe.Compare)
	}
	if err := netns.Do(l.Path("node1"), func() error {
		return exec.Command("iptables-legacy", "-t", "raw", "-I", "PREROUTING", "-d", "10.96.0.80", "-j", "DROP").Run()
	}); err != nil {
		t.Fatal(err)
	}
	v = probeInLab(t, l, flowOptions{timeout: 2 * time.Second, probeOptions: probeOptions{compare: true}}, "10.96.0.80:80")
	if text := strings.Join(v.Evidence, "\n"); v.Outcome != verdict.Dropped || !strings.Contains(text, "the Service layer is at fault") || !strings.Contains(text, "10.244.2.20:8080) was answered") {
		t.Errorf("broken: %s\n%s", v.Outcome, text)
	}
	v = probeInLab(t, l, flowOptions{probeOptions: probeOptions{dns: "example.com"}}, "10.244.2.20")
	if v.Outcome != verdict.Delivered || v.Probe.DNS == nil || v.Probe.DNS.Source == "" {
		t.Errorf("dns: %+v, %+v", v, v.Probe)
	}
	v = probeInLab(t, l, flowOptions{probeOptions: probeOptions{mtu: true}}, "10.244.2.20:8080")
	if v.Outcome != verdict.Delivered || v.Probe.MTU == nil || v.Probe.MTU.Passed != 1450 {
		t.Errorf("mtu: %+v, %+v", v, v.Probe)
	}
}
