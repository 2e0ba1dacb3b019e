// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nettrace-io/nettrace/pkg/debugpod"
	"github.com/nettrace-io/nettrace/pkg/k8smeta"
)

// lines gives the command lines of the pods that a command would make, by node; they are refused.
func (c *cluster) lines(t *testing.T, args ...string) (lines []string, errs string) {
	t.Helper()
	var mu sync.Mutex
	c.Admit(func(p *corev1.Pod) *metav1.Status {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, p.Spec.NodeName+": "+strings.Join(p.Spec.Containers[0].Args, " "))
		return &metav1.Status{Code: 403, Reason: metav1.StatusReasonForbidden, Message: "enough was seen"}
	})
	_, _, errs = c.kubectl(t, args...)
	slices.Sort(lines)
	return lines, errs
}

// The program in a pod gets what the user gave; only the sender's node probes, and the others watch until they are told to end. Every node but the
// sender's follows what another one's NAT makes of the flow, the one that leads too.
func TestPodCommandLines(t *testing.T) {
	c := newCluster(t, nil)
	for _, tc := range []struct {
		args []string
		want []string
	}{
		{[]string{"flow", "shop/client", "svc/shop/web:http", "--probe", "--size", "100", "--timeout", "7s", "--backend=tracepoint", "--no-color", "-o", "table"}, []string{
			"node1: flow --output=json --until-stdin-closes --cluster=- --namespace=shop --backend=tracepoint --probe=true --size=100 --timeout=7s -- shop/client svc/shop/web:http",
			"node2: flow --output=json --until-stdin-closes --cluster=- --namespace=shop --backend=tracepoint --timeout=0 --translated -- shop/client svc/shop/web:http"}},
		{[]string{"flow", "client", "10.244.1.20:8080", "--node", "node2"}, []string{
			"node2: flow --output=json --until-stdin-closes --cluster=- --namespace=shop --translated -- client 10.244.1.20:8080"}},
		{[]string{"flow", "any", "shop/web-7d9c5b8f4-abcde:8080", "--until-drop"}, []string{
			"node2: flow --output=json --until-stdin-closes --cluster=- --namespace=shop --until-drop=true --translated -- any shop/web-7d9c5b8f4-abcde:8080"}},
		{[]string{"flow", "any", "svc/shop/web:http", "--timeout", "1m"}, []string{
			"node1: flow --output=json --until-stdin-closes --cluster=- --namespace=shop --timeout=1m0s --translated -- any svc/shop/web:http",
			"node2: flow --output=json --until-stdin-closes --cluster=- --namespace=shop --timeout=0 --translated -- any svc/shop/web:http"}},
		{[]string{"flow", "203.0.113.9", "svc/shop/web-node:http"}, []string{
			"node2: flow --output=json --until-stdin-closes --cluster=- --namespace=shop --translated -- 203.0.113.9 svc/shop/web-node:http"}},
		{[]string{"flow", "shop/client", "svc/shop/web:http", "--node", "node2"}, []string{
			"node2: flow --output=json --until-stdin-closes --cluster=- --namespace=shop --translated -- shop/client svc/shop/web:http"}},
		{[]string{"flow", "203.0.113.9", "svc/shop/web:http", "--http=/", "--node", "node2"}, []string{
			"node2: flow --output=json --until-stdin-closes --cluster=- --namespace=shop --http=/ -- 203.0.113.9 svc/shop/web:http"}},
		{[]string{"flow", "host", "svc/shop/web:http", "--node", "node2", "--node", "node1"}, []string{
			"node1: flow --output=json --until-stdin-closes --cluster=- --namespace=shop --timeout=0 --translated -- host svc/shop/web:http",
			"node2: flow --output=json --until-stdin-closes --cluster=- --namespace=shop -- host svc/shop/web:http"}},
		{[]string{"flow", "10.244.2.20", "10.96.0.80:80", "--dns", "web.shop"}, []string{
			"node1: flow --output=json --until-stdin-closes --cluster=- --namespace=shop --timeout=0 --translated --proto=udp -- 10.244.2.20 10.96.0.80:80",
			"node2: flow --output=json --until-stdin-closes --cluster=- --namespace=shop --dns=web.shop -- 10.244.2.20 10.96.0.80:80"}},
		{[]string{"flow", "shop/client", "10.244.2.20:8080", "--node", "node2", "--node", "node1"}, []string{
			"node1: flow --output=json --until-stdin-closes --cluster=- --namespace=shop -- shop/client 10.244.2.20:8080",
			"node2: flow --output=json --until-stdin-closes --cluster=- --namespace=shop --timeout=0 --translated -- shop/client 10.244.2.20:8080"}},
		{[]string{"flow", "shop/client", "deploy/web:8080"}, []string{
			"node1: flow --output=json --until-stdin-closes --cluster=- --namespace=shop -- shop/client pod/shop/web-7d9c5b8f4-abcde:8080",
			"node2: flow --output=json --until-stdin-closes --cluster=- --namespace=shop --timeout=0 --translated -- shop/client pod/shop/web-7d9c5b8f4-abcde:8080"}},
		{[]string{"drops", "--all-nodes", "--reason", "NO_SOCKET,NETFILTER_DROP", "-n", "shop"}, []string{
			"node1: drops --output=text --until-stdin-closes --cluster=- --namespace=shop --reason=NO_SOCKET --reason=NETFILTER_DROP --",
			"node2: drops --output=text --until-stdin-closes --cluster=- --namespace=shop --reason=NO_SOCKET --reason=NETFILTER_DROP --"}},
		{[]string{"doctor", "--node", "node1", "-o", "json", "--as", "root", "--token", "secret"}, []string{"node1: doctor --output=json --until-stdin-closes --"}},
	} {
		got, errs := c.lines(t, tc.args...)
		if fmt.Sprint(got) != fmt.Sprint(tc.want) {
			t.Errorf("%v: %s\n%s\nwant\n%s", tc.args, errs, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
		}
	}
}

// unlisted makes a list of all pods of the cluster end before any of the lab's, after so many whose names come first.
func (c *cluster) unlisted(n int) {
	var items []string
	for i := range n {
		items = append(items, fmt.Sprintf(`{"metadata":{"namespace":"aa","name":"first%d"}}`, i))
	}
	list := `{"kind":"PodList","apiVersion":"v1","metadata":{"continue":""},"items":[` + strings.Join(items, ",") + `]}`
	if n >= k8smeta.MaxAll {
		list = strings.Replace(list, `"continue":""`, `"continue":"more"`, 1)
	}
	c.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v1/pods" || r.URL.Query().Get("fieldSelector") != "" {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, list)
		return true
	})
}

// In a cluster of which not all pods are read, a node is told of its own pods, and of those that the command is about.
func TestDropsAreToldOfTheirPods(t *testing.T) {
	own := []string{`"name":"first0"`, `"name":"web-7d9c5b8f4-abcde"`}
	zz := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "zz", Name: "web"}, Spec: corev1.PodSpec{NodeName: "node1"}, Status: corev1.PodStatus{PodIP: "10.244.1.99"}}
	for _, tc := range []struct {
		args   []string
		has    []string
		hasNot []string
	}{
		{nil, own, []string{`"namespace":"zz"`, `"name":"client"`}},
		{[]string{"--pod", "zz/web"}, append(own, `"namespace":"zz"`), []string{`"name":"client"`}},
		{[]string{"--pod", "web", "-n", "zz", "--pod-namespace", "shop"}, append(own, `"namespace":"zz"`), nil},
		{[]string{"-n", "zz", "--pod-namespace", "shop"}, append(own, `"namespace":"zz"`), []string{`"name":"client"`}},
		{[]string{"--pod", "shop/client"}, append(own, `"name":"client"`), []string{`"namespace":"zz"`}},
	} {
		c := newCluster(t, nil)
		c.Put(zz)
		c.unlisted(1)
		c.kubelet = c.RunKubelet(t, func(*corev1.Pod) *exec.Cmd {
			return exec.Command("sh", "-c", `head -n1; echo "nettrace: end of output" >&2`)
		})
		code, out, errs := c.kubectl(t, append([]string{"drops", "--node", "node2"}, tc.args...)...)
		for _, s := range tc.has {
			if !strings.Contains(out, s) {
				t.Errorf("%v: exit %d: %s: %s is not in %s", tc.args, code, errs, s, out)
			}
		}
		for _, s := range tc.hasNot {
			if strings.Contains(out, s) {
				t.Errorf("%v: %s is in %s", tc.args, s, out)
			}
		}
	}
}

// The same with all nodes, of which a list that was cut does not have all pods.
func TestDropsOfAllNodesAreToldOfTheirPods(t *testing.T) {
	c := newCluster(t, nil)
	c.unlisted(k8smeta.MaxAll)
	k, err := (&kubeOptions{kubeconfig: c.config}).connect()
	if err != nil {
		t.Fatal(err)
	}
	n, err := k.names()
	if err != nil {
		t.Fatal(err)
	}
	p, err := n.planNodes(t.Context(), &podOptions{all: true}, true, "", func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range []string{"client", "web-7d9c5b8f4-abcde"} {
		if !slices.ContainsFunc(p.objects.Pods, func(o k8smeta.Pod) bool { return o.Name == pod }) {
			t.Errorf("%s is missing beside %d pods; %q", pod, len(p.objects.Pods), n.api.Missing())
		}
	}
}

// Of a controller's pods all nodes follow the same one, which is said; with --node one that is there.
func TestOnePodOfAController(t *testing.T) {
	for _, tc := range []struct{ node, pod string }{{"", "web-7d9c5b8f4-abcde"}, {"node1", "web-7d9c5b8f4-fghij"}, {"node2", "web-7d9c5b8f4-abcde"}} {
		c := newCluster(t, nil)
		args := []string{"flow", "shop/client", "deploy/shop/web:8080"}
		if tc.node != "" {
			args = append(args, "--node", tc.node)
		}
		got, errs := c.lines(t, args...)
		said := "nettrace: of the pods of deploy/shop/web:8080, pod/shop/" + tc.pod + ":8080 is followed\n"
		for _, line := range got {
			if !strings.HasSuffix(line, " -- shop/client pod/shop/"+tc.pod+":8080") {
				t.Errorf("--node %q: %s", tc.node, line)
			}
		}
		if !strings.Contains(errs, said) || len(got) == 0 {
			t.Errorf("--node %q: %s", tc.node, errs)
		}
	}
}

// The pods' deadline is a minute beyond what starting and the command may take.
func TestPodDeadlines(t *testing.T) {
	c := newCluster(t, nil)
	for _, tc := range []struct {
		args string
		want int64
	}{
		{"flow any 10.244.2.20:8080", 160},
		{"flow any 10.244.2.20:8080 --timeout 0", 3690},
		{"flow shop/client 10.244.1.20:8080 --probe --count 3 --timeout 20s", 210},
		{"flow shop/client 10.244.1.20:8080 --mtu --timeout 10s", 250},
		{"flow any 10.244.2.20:8080 --deadline 90s", 90},
		{"drops --node node1", 3660},
		{"drops --node node1 --duration 30s", 150},
		{"doctor --node node1", 120},
		{"doctor --node node1 --start-timeout 5m", 360},
	} {
		var got int64
		c.Admit(func(p *corev1.Pod) *metav1.Status {
			got = *p.Spec.ActiveDeadlineSeconds
			return &metav1.Status{Code: 403, Reason: metav1.StatusReasonForbidden, Message: "enough was seen"}
		})
		if _, _, errs := c.kubectl(t, strings.Fields(tc.args)...); got != tc.want {
			t.Errorf("%s: %d s, want %d: %s", tc.args, got, tc.want, errs)
		}
	}
}

// Of a Service with endpoints on many nodes, four are watched besides the sender's; the rest is said.
func TestManyNodesAreBounded(t *testing.T) {
	c := newCluster(t, nil)
	yes, proto, port, name := true, corev1.ProtocolTCP, int32(8080), "http"
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-lab00", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}}, AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{{Name: &name, Protocol: &proto, Port: &port}}}
	for i := range 7 {
		node := fmt.Sprintf("worker%d", i)
		c.Put(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}})
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.244.9.%d", i+1)}, NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &yes}})
	}
	c.Put(slice)
	got, errs := c.lines(t, "flow", "shop/client", "svc/shop/web:http")
	nodes := regexp.MustCompile(`(?m)^\w+`).FindAllString(strings.Join(got, "\n"), -1)
	if fmt.Sprint(nodes) != "[node1 worker0 worker1 worker2 worker3]" || !strings.Contains(errs, "nettrace: svc/shop/web:http has endpoints on 7 nodes; the flow is watched on node1, worker0, worker1, worker2, worker3, and not on 3 others: --node chooses\n") {
		t.Errorf("%v: %s", nodes, errs)
	}
}

// The guardian deletes what it was told of, unless its parent says goodbye.
func TestGuardian(t *testing.T) {
	c := newCluster(t, nil)
	mine := fmt.Sprintf(`{"flags":["--kubeconfig=%s","--context=lab"],"namespace":"shop","name":"mine"}`+"\n", c.config)
	put := func() {
		for _, n := range []string{"mine", "others"} {
			c.Put(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: n, Labels: map[string]string{debugpod.LabelName: "nettrace"}}})
		}
	}
	for _, tc := range []struct {
		name, in string
		want     int
	}{
		{"killed", mine, 1},
		{"killed in the middle of a line", mine + `{"namespace":"shop","na`, 1},
		{"goodbye", mine + "done\n", 2},
		{"killed before any pod", "", 2},
	} {
		put()
		if err := guardPods(t.Context(), strings.NewReader(tc.in)); err != nil || len(c.debugPods()) != tc.want {
			t.Errorf("%s: %v, %d pods are left", tc.name, err, len(c.debugPods()))
		}
	}
}
