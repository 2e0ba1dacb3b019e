// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	for text, want := range map[string]string{
		"shop/client":                        "any shop client ",
		"shop/web:80":                        "any shop web 80",
		"shop/web:http":                      "any shop web http",
		"pod/client":                         "pod home client ",
		"pod/shop/client:8080":               "pod shop client 8080",
		"po/shop/client":                     "pod shop client ",
		"svc/shop/web:http":                  "svc shop web http",
		"svc/web:http":                       "svc home web http",
		"service/shop/web":                   "svc shop web ",
		"deploy/shop/web":                    "deploy shop web ",
		"Deployment/shop/web:8080":           "deploy shop web 8080",
		"sts/db":                             "sts home db ",
		"ds/kube-system/proxy":               "ds kube-system proxy ",
		"node/node1":                         "node  node1 ",
		"node/node1.example.com:30080":       "node  node1.example.com 30080",
		"web.shop.svc":                       "svc shop web ",
		"web.shop.svc:80":                    "svc shop web 80",
		"web.shop.svc.cluster.local:80":      "svc shop web 80",
		"WEB.shop.svc.cluster.local.:80":     "svc shop web 80",
		"db-0.db.shop.svc.cluster.local:53":  "pod shop db-0 53",
		"10-244-1-10.shop.pod.cluster.local": "addr   10.244.1.10",
		"fd00--10.shop.pod:80":               "addr   80fd00::10",
	} {
		n, ok, err := ParseName(text, "home")
		got := fmt.Sprintf("%s %s %s %s", n.Kind, n.Namespace, n.Name, n.Port)
		if n.Addr.IsValid() {
			got += n.Addr.String()
		}
		if !ok || err != nil || got != want {
			t.Errorf("%s: %q, %v, %v; want %q", text, got, ok, err, want)
		}
	}
	for _, text := range []string{"", "10.0.0.1", "10.0.0.1:80", "host", "any", "client", "web.shop", "example.com:443", "[::1]:80", "::1"} {
		if n, ok, err := ParseName(text, "home"); ok || err != nil {
			t.Errorf("%q is read as %+v, %v", text, n, err)
		}
	}
}

func TestParseNameErrors(t *testing.T) {
	for text, want := range map[string]string{
		"shop/":                     "is no name of a Kubernetes object",
		"/client":                   "is no namespace",
		"a/b/c":                     "use NAMESPACE/POD",
		"svc/a/b/c":                 "use NAMESPACE/POD",
		"shop/Client":               "lower-case",
		"Shop/client":               "is no namespace",
		"shop/client:":              "ends with ':'",
		"shop/client:0":             "use 1 to 65535",
		"shop/client:70000":         "use 1 to 65535",
		"shop/client:HTTP!":         "is no port",
		"shop/\x1b[2J":              `\x1b[2J`,
		"nonsense.shop.pod":         "begins with its address",
		strings.Repeat("a/b", 1000): "characters is no endpoint",
	} {
		if n, ok, err := ParseName(text, "home"); !ok || err == nil || !strings.Contains(err.Error(), want) || strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%.40q: %+v, %v; want %q", text, n, err, want)
		}
	}
	if _, _, err := ParseName("svc/web", ""); err == nil || !strings.Contains(err.Error(), "write svc/NAMESPACE/web, or add -n NAMESPACE") {
		t.Errorf("%v", err)
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"shop/client", "svc/shop/web:http", "web.shop.svc:80", "10-1-1-1.a.pod", "node/x", ":", "/", "a/b:c:d"} {
		f.Add(s)
	}
	x := shopIndex()
	f.Fuzz(func(t *testing.T, s string) {
		n, ok, err := ParseName(s, "shop")
		if !ok || err != nil {
			return
		}
		if target, err := x.Find(n, Want{}); err == nil && len(target.Addrs) == 0 {
			t.Errorf("%q is found without an address", s)
		}
	})
}

// find resolves a name to "ref addresses port proto node backends".
func find(t *testing.T, text string, w Want) (string, error) {
	t.Helper()
	n, ok, err := ParseName(text, "shop")
	if !ok || err != nil {
		t.Fatalf("%s: %v %v", text, ok, err)
	}
	target, err := shopIndex().Find(n, w)
	if err != nil {
		return "", err
	}
	s := fmt.Sprintf("%s %v %d %s %s", target.Ref, target.Addrs, target.Port, target.Proto, target.Node)
	for _, b := range target.Endpoints {
		s += fmt.Sprintf(" [%s %s %s %v]", b.Addr, b.Pod, b.Node, b.Ready)
	}
	return strings.TrimSpace(s), nil
}

func TestFind(t *testing.T) {
	const webEnds = " [10.244.2.20:8080 shop/web-7d9c5b8f4-abcde node2 true] [192.0.2.9:8080   true] [10.244.1.20:8080 shop/web-7d9c5b8f4-fghij node1 false]"
	for _, tc := range []struct {
		text string
		want Want
		is   string
	}{
		{"shop/client", Want{Source: true}, "pod/shop/client [10.244.1.10 fd00::10] 0  node1"},
		{"pod/client", Want{}, "pod/shop/client [10.244.1.10 fd00::10] 0  node1"},
		{"shop/web-7d9c5b8f4-abcde:8080", Want{}, "pod/shop/web-7d9c5b8f4-abcde [10.244.2.20] 8080  node2"},
		{"shop/web-7d9c5b8f4-abcde:http", Want{}, "pod/shop/web-7d9c5b8f4-abcde:http [10.244.2.20] 8080 tcp node2"},
		{"shop/web-7d9c5b8f4-abcde:dns", Want{Proto: "udp"}, "pod/shop/web-7d9c5b8f4-abcde:dns [10.244.2.20] 5353 udp node2"},
		{"shop/web:80", Want{}, "svc/shop/web:http [10.96.0.80 fd00:96::80] 80 tcp " + webEnds},
		{"svc/shop/web:http", Want{}, "svc/shop/web:http [10.96.0.80 fd00:96::80] 80 tcp " + webEnds},
		{"web.shop.svc.cluster.local:80", Want{}, "svc/shop/web:http [10.96.0.80 fd00:96::80] 80 tcp " + webEnds},
		{"svc/web", Want{}, "svc/shop/web:http [10.96.0.80 fd00:96::80] 80 tcp " + webEnds},
		{"svc/shop/empty", Want{}, "svc/shop/empty:80 [10.96.0.82] 80 tcp"},
		{"svc/kube-system/kube-dns:53", Want{}, "svc/kube-system/kube-dns:dns [10.96.0.10] 53 udp"},
		{"svc/kube-system/kube-dns:53", Want{Proto: "tcp"}, "svc/kube-system/kube-dns:dns-tcp [10.96.0.10] 53 tcp"},
		{"svc/kube-system/kube-dns:metrics", Want{}, "svc/kube-system/kube-dns:metrics [10.96.0.10] 9153 tcp"},
		{"svc/kube-system/kube-dns", Want{Proto: "icmp"}, "svc/kube-system/kube-dns [10.96.0.10] 0"},
		{"svc/shop/headless:http", Want{}, "svc/shop/headless:http [10.244.2.20] 8080 tcp  [10.244.2.20:8080 shop/web-7d9c5b8f4-abcde  true] [10.244.1.20:8080 shop/web-7d9c5b8f4-fghij  false]"},
		{"svc/shop/headless", Want{Proto: "icmp"}, "svc/shop/headless [10.244.2.20] 0"},
		{"node/node1", Want{}, "node/node1 [192.168.50.1 2001:db8:50::1] 0  node1"},
		{"node/node2:30080", Want{}, "node/node2 [192.168.50.2] 30080 tcp node2"},
		{"node/node2:22", Want{}, "node/node2 [192.168.50.2] 22  node2"},
		{"deploy/shop/web:8080", Want{}, "pod/shop/web-7d9c5b8f4-abcde [10.244.2.20] 8080  node2"},
		{"deploy/shop/web", Want{Node: "node1"}, "pod/shop/web-7d9c5b8f4-fghij [10.244.1.20] 0  node1"},
		{"sts/db", Want{}, "pod/shop/db-0 [10.244.2.30] 0  node2"},
		{"ds/kube-system/proxy", Want{}, "pod/kube-system/proxy [192.168.50.1] 0  node1"},
		{"db-0.db.shop.svc:5432", Want{}, "pod/shop/db-0 [10.244.2.30] 5432  node2"},
		{"10-244-1-10.shop.pod.cluster.local:1", Want{}, "pod/shop/client [10.244.1.10 fd00::10] 1  node1"},
	} {
		if got, err := find(t, tc.text, tc.want); err != nil || got != tc.is {
			t.Errorf("%s: %q, %v\nwant %q", tc.text, got, err, tc.is)
		}
	}
}

func TestFindErrors(t *testing.T) {
	for _, tc := range []struct {
		text string
		want Want
		says string
	}{
		{"shop/clinet", Want{Source: true}, "no pod or Service shop/clinet; did you mean shop/client?"},
		{"pod/clinet", Want{}, "no pod shop/clinet; did you mean shop/client?"},
		{"other/client", Want{Source: true}, "did you mean shop/client?"},
		{"svc/shop/wep", Want{}, "no Service shop/wep; did you mean svc/shop/web"},
		{"shop/wep", Want{}, "did you mean svc/shop/web"},
		{"deploy/shop/wen", Want{}, "no pod of Deployment shop/wen; did you mean deploy/shop/web?"},
		{"sts/bd", Want{}, "no pod of StatefulSet shop/bd"},
		{"ds/kube-system/prox", Want{}, "did you mean ds/kube-system/proxy?"},
		{"node/node3", Want{}, "no node node3; did you mean node/node1, node/node2?"},
		{"node/bare", Want{}, "node bare has no address"},
		{"node/node1:ssh", Want{}, "a node's ports have no names"},
		{"10-9-9-9.shop.pod", Want{}, "no pod with address 10.9.9.9"},
		{"shop/web", Want{Source: true}, "is a Service: a sender is a pod"},
		{"svc/shop/web", Want{Source: true}, "is a Service: a sender is a pod"},
		{"svc/shop/web:https", Want{}, `Service shop/web has no port "https": it has http (80/tcp)`},
		{"svc/shop/web:81", Want{}, `has no port "81"`},
		{"svc/shop/web:80", Want{Proto: "udp"}, `has no port "80"`},
		{"svc/shop/web", Want{Proto: "udp"}, "has no udp port"},
		{"svc/kube-system/kube-dns", Want{}, "has 3 ports: name one of dns (53/udp), dns-tcp (53/tcp), metrics (9153/tcp)"},
		{"svc/shop/outside", Want{}, "another word for example.com"},
		{"shop/web-7d9c5b8f4-abcde:https", Want{}, `has no port "https": it has http, dns`},
		{"shop/client:https", Want{}, `has no port "https"; use a number`},
		{"shop/starting", Want{}, "has no address yet: it is Pending"},
		{"shop/job", Want{}, "has ended"},
		{"shop/old", Want{}, "has ended"},
		{"shop/nothing-like-it", Want{}, "no pod or Service shop/nothing-like-it"},
	} {
		got, err := find(t, tc.text, tc.want)
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %q, %v\nwant %q", tc.text, got, err, tc.says)
		}
	}
	_, err := find(t, "shop/nobody", Want{})
	var missing *NotFoundError
	if !errors.As(err, &missing) || missing.Name.Name != "nobody" || len(missing.Near) > maxNear {
		t.Errorf("%v", err)
	}
}

func TestHeadlessWithoutReadyEndpoints(t *testing.T) {
	o := shop()
	o.Slices[2].Endpoints[0].Ready = false
	n, _, _ := ParseName("svc/shop/headless", "")
	if _, err := NewIndex(o, noon).Find(n, Want{}); err == nil || !strings.Contains(err.Error(), "stands for no address") {
		t.Errorf("%v", err)
	}
	o.Services[3].NotReady = true
	if target, err := NewIndex(o, noon).Find(n, Want{}); err != nil || len(target.Addrs) != 2 {
		t.Errorf("publishNotReadyAddresses: %v, %v", target, err)
	}
}

// A headless Service may have no ports at all: its name stands for its pods all the same.
func TestHeadlessWithoutPorts(t *testing.T) {
	o := shop()
	o.Services[3].Ports, o.Slices[2].Ports = nil, nil
	n, _, _ := ParseName("svc/shop/headless", "")
	for _, w := range []Want{{}, {Proto: "tcp"}, {Proto: "icmp"}} {
		if target, err := NewIndex(o, noon).Find(n, w); err != nil || fmt.Sprint(target.Addrs, target.Port) != "[10.244.2.20] 0" {
			t.Errorf("%+v: %+v, %v", w, target, err)
		}
	}
}

func TestMerge(t *testing.T) {
	a, b := *shop(), Objects{Pods: []Pod{{Namespace: "shop", Name: "client", UID: "uid-client", Node: "node9"}, {Namespace: "shop", Name: "client", UID: "uid-2"}},
		Nodes: []Node{{Name: "node1", Zone: "z"}, {Name: "node9"}}, Services: []Service{{Namespace: "shop", Name: "web", Type: "X"}}}
	m := a.Merge(b)
	if len(m.Pods) != len(a.Pods)+1 || m.Pods[0].Node != "node9" || len(m.Nodes) != 4 || m.Nodes[0].Zone != "z" || m.Services[0].Type != "X" || len(m.Slices) != len(a.Slices) {
		t.Errorf("%+v", m)
	}
	if a.Pods[0].Node == "node9" {
		t.Error("the first was changed")
	}
	if !(&Objects{}).Empty() || m.Empty() {
		t.Error("empty")
	}
}
