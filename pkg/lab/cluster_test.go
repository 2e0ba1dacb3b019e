// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
)

// The lab's objects say what the lab is: every namespace's address is its pod's, every Service's rules have its endpoints.
func TestClusterIsTheLab(t *testing.T) {
	l := &Lab{services: Services(), objects: "kind: NetworkPolicy\nmetadata: {namespace: shop, name: p}\nspec: {podSelector: {}}\n"}
	o, err := l.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	x := k8smeta.NewIndex(o, time.Now())
	for _, p := range Pods() {
		for _, a := range []netip.Addr{p.IP, p.IP6} {
			h := x.Addr(a)
			if h.Pod == nil || h.Pod.Namespace != p.Namespace || h.Pod.Name != p.Name || h.Pod.Node != p.Node || !h.Pod.Ready {
				t.Errorf("%s is of %+v", a, h.Pod)
			}
		}
		if x.PodByUID(string(p.uid())) == nil {
			t.Errorf("no pod has the UID of %s", p.Name)
		}
	}
	for _, n := range Nodes() {
		if h := x.Addr(n.IP); h.Node == nil || h.Node.Name != n.Name || len(h.Node.PodCIDRs) != 2 {
			t.Errorf("%s is of %+v", n.IP, h.Node)
		}
	}
	for _, s := range Services() {
		got, p := x.ServicePort(s.Proto, s.ClusterIP, s.Port)
		if got == nil || got.Namespace != s.Namespace || got.Name != s.Name || p.Name != s.PortName || p.NodePort != s.NodePort {
			t.Fatalf("%s:%d is of %+v", s.ClusterIP, s.Port, got)
		}
		ends := x.Endpoints(got, p)
		if len(ends) != len(s.Endpoints) {
			t.Errorf("%s has %v", s.Name, ends)
		}
		for _, e := range s.Endpoints {
			found := false
			for _, a := range ends {
				found = found || a == e.Addr
			}
			if !found {
				t.Errorf("%s lacks %v", s.Name, e.Addr)
			}
		}
	}
	if n, ok, err := k8smeta.ParseName("deploy/shop/web", ""); !ok || err != nil {
		t.Error(err)
	} else if target, err := x.Find(n, k8smeta.Want{Node: "node2"}); err != nil || target.Ref.Name != "web-7d9c5b8f4-abcde" {
		t.Errorf("%+v, %v", target, err)
	}
	if len(o.Policies) != 1 {
		t.Errorf("%d policies", len(o.Policies))
	}
}

// A Service with all that a case can give it.
func TestClusterOfACasesService(t *testing.T) {
	l := &Lab{services: []Service{{Namespace: "a", Name: "b", PortName: "p", Proto: "udp", ClusterIP: addr("fd00:96::1"), Port: 53, NodePort: 30053, Local: true, Sticky: true,
		Endpoints: []Endpoint{{Addr: netip.MustParseAddrPort("[fd00:10:244:2::20]:5353"), Node: "node2"}, {Addr: netip.MustParseAddrPort("[2001:db8::9]:5353")}}}}}
	o, err := l.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	s, sl := o.Services[0], o.Slices[0]
	if s.Type != "NodePort" || s.ExternalPolicy != "Local" || !s.Affinity || s.Ports[0].NodePort != 30053 || s.Ports[0].Proto != "udp" {
		t.Errorf("%+v", s)
	}
	if sl.Ports[0].Port != 5353 || len(sl.Endpoints) != 2 || sl.Endpoints[0].Pod != "web-7d9c5b8f4-abcde" || sl.Endpoints[1].Pod != "" || sl.Endpoints[1].Node != "" {
		t.Errorf("%+v", sl)
	}
}

func TestCasesObjectsAreChecked(t *testing.T) {
	_, err := ParseCase("x.yaml", []byte("name: x\ntitle: y\nobjects: |\n  kind: Pod\n  metadata: {name: 5}\nprobe: {from: client, to: \"10.0.0.1:80\"}\nexpect: {outcome: delivered, exit: 0}\n"))
	if err == nil || !strings.Contains(err.Error(), "x.yaml:3: objects: document 1, line 1: Pod") {
		t.Errorf("%v", err)
	}
}

func TestWriteCluster(t *testing.T) {
	if !strings.HasSuffix(ClusterFile("abc"), "/abc.yaml") {
		t.Error(ClusterFile("abc"))
	}
}
