// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// What is written is read again as the same objects, on one line.
func TestListIsReadAgain(t *testing.T) {
	all := Objects{}
	files, err := filepath.Glob("../../testdata/api/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no objects: %v", err)
	}
	for _, f := range files {
		o, err := ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = all.Merge(*o)
	}
	all.Pods = append(all.Pods, Pod{Namespace: "kube-system", Name: "etcd-node1", UID: "u", StaticUID: "0123abcd", Node: "node1", HostNetwork: true, Phase: "Running", Ready: true,
		IPs: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")}, Ports: []PodPort{{Name: "dns", Proto: "udp", Port: 53}}, OwnerKind: "Node", OwnerName: "node1"})
	all.Services = append(all.Services, Service{Namespace: "shop", Name: "lb", Type: "LoadBalancer", InternalPolicy: "Local", ExternalPolicy: "Local", Affinity: true, NotReady: true,
		ClusterIPs: []netip.Addr{netip.MustParseAddr("10.96.0.9")}, ExternalIPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, LoadBalancers: []netip.Addr{netip.MustParseAddr("192.0.2.2")},
		Ports: []ServicePort{{Name: "s", Proto: "sctp", Port: 80, NodePort: 30080, Target: "http"}, {Proto: "tcp", Port: 81, Target: "8081"}}})
	all.Slices = append(all.Slices, EndpointSlice{Namespace: "shop", Name: "lb-1", Service: "lb", Ports: []EndpointPort{{Name: "s", Proto: "sctp", Port: 8080}},
		Endpoints: []Endpoint{{Addrs: []netip.Addr{netip.MustParseAddr("10.244.1.9")}, Serving: true, Terminating: true, Node: "node1", Zone: "a", Hints: []string{"a", "b"}, Pod: "lb-0"}}})
	b, err := all.List()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.IndexByte(b, '\n') != len(b)-1 {
		t.Error("not one line")
	}
	back, err := Read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := json.MarshalIndent(all, "", " ")
	got, _ := json.MarshalIndent(back, "", " ")
	if !bytes.Equal(want, got) {
		t.Errorf("read again as\n%s\nwant\n%s", got, want)
	}
	if len(all.Pods) < 2 || len(all.Nodes) < 1 || len(all.Namespaces) < 1 {
		t.Errorf("the objects are too few to show anything: %d pods", len(all.Pods))
	}
}

// Everything that a pod's manifest may hold in secret stays behind.
func TestListLeavesSecretsBehind(t *testing.T) {
	const pod = `{"kind":"Pod","metadata":{"namespace":"shop","name":"web","annotations":{"note":"hush"}},"spec":{"nodeName":"n","containers":[{"name":"app","image":"registry/app:hush","env":[{"name":"PASSWORD","value":"hush"}],"args":["hush"]}]}}`
	o, err := Read(strings.NewReader(pod))
	if err != nil {
		t.Fatal(err)
	}
	b, err := o.List()
	if err != nil || bytes.Contains(b, []byte("hush")) {
		t.Errorf("%v: %s", err, b)
	}
	again, err := Read(bytes.NewReader(b))
	if err != nil || !reflect.DeepEqual(o, again) {
		t.Errorf("%v: %+v", err, again)
	}
}

func TestListOfNothing(t *testing.T) {
	b, err := (&Objects{}).List()
	if err != nil || string(b) != `{"apiVersion":"v1","kind":"List","items":[]}`+"\n" {
		t.Errorf("%s %v", b, err)
	}
}
