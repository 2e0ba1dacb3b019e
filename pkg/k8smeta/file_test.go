// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// api are the objects of the cluster from which the kube-proxy fixtures come, as an API server gave them.
func api(t testing.TB) []runtime.Object {
	t.Helper()
	var out []runtime.Object
	for _, name := range []string{"namespaces", "nodes", "pods", "services", "endpointslices"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "api", name+".json"))
		var list struct{ Items []json.RawMessage }
		if err == nil {
			err = json.Unmarshal(b, &list)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range list.Items {
			var k head
			if err := json.Unmarshal(raw, &k); err != nil {
				t.Fatal(err)
			}
			obj := kindsOf[k.Kind]()
			if err := json.Unmarshal(raw, obj); err != nil {
				t.Fatal(err)
			}
			out = append(out, obj)
		}
	}
	return out
}

// counts is "pods services slices nodes namespaces policies".
func counts(o *Objects) string {
	return fmt.Sprint(len(o.Pods), len(o.Services), len(o.Slices), len(o.Nodes), len(o.Namespaces), len(o.Policies))
}

func TestReadWhatKubectlPrints(t *testing.T) {
	var all struct {
		APIVersion string           `json:"apiVersion"`
		Kind       string           `json:"kind"`
		Items      []runtime.Object `json:"items"`
	}
	all.APIVersion, all.Kind, all.Items = "v1", "List", api(t)
	asJSON, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	indented, err := json.MarshalIndent(all, "", "    ")
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.JSONToYAML(asJSON)
	if err != nil {
		t.Fatal(err)
	}
	var docs, lines strings.Builder
	for _, o := range all.Items {
		b, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&docs, "---\n%s", b)
		j, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%s\n", j)
	}
	var first *Objects
	for name, text := range map[string]string{"a JSON List": string(asJSON), "an indented one": "\n  " + string(indented), "a YAML List": string(asYAML), "YAML documents": docs.String(), "JSON lines": lines.String(),
		"two Lists": string(asYAML) + "---\napiVersion: v1\nkind: List\nitems: []\n"} {
		o, err := Read(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if first == nil {
			first = o
		}
		a, _ := json.Marshal(first)
		b, _ := json.Marshal(o)
		if string(a) != string(b) {
			t.Errorf("%s gives other objects", name)
		}
		if got := counts(o); got != "4 7 7 2 4 0" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestReadOtherForms(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"a typed list without kinds":        {`{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"a","namespace":"b"}}]}`, "1 0 0 0 0 0"},
		"a typed list in YAML":              {"kind: ServiceList\nitems:\n- metadata: {name: a, namespace: b}\n", "0 1 0 0 0 0"},
		"kinds that a trace does not need":  {"kind: ConfigMap\nmetadata: {name: A_B}\n---\nkind: Node\nmetadata: {name: n}\n", "0 0 0 1 0 0"},
		"empty documents":                   {"---\n---\nkind: Node\nmetadata: {name: n}\n---\n", "0 0 0 1 0 0"},
		"a policy":                          {"kind: NetworkPolicy\nmetadata: {name: p, namespace: x}\nspec: {podSelector: {}}\n", "0 0 0 0 0 1"},
		"comments and a byte order mark":    {"\ufeff# a comment\nkind: Node\nmetadata: {name: n}\n", "0 0 0 1 0 0"},
		"anchors":                           {"kind: List\nitems:\n- &n\n  kind: Node\n  metadata: {name: n}\n- *n\n", "0 0 0 2 0 0"},
		"a quoted kind and Windows' lines":  {"kind: \"Node\"\r\nmetadata:\r\n  name: n\r\n", "0 0 0 1 0 0"},
		"a List of objects that do not fit": {"kind: List\nitems:\n- kind: Secret\n  metadata: {name: s}\n", "0 0 0 0 0 0"},
	} {
		o, err := Read(strings.NewReader(tc.text))
		if err != nil || counts(o) != tc.want {
			t.Errorf("%s: %v, %v; want %s", name, o, err, tc.want)
		}
	}
}

// Errors name the document and the line.
func TestReadErrors(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"nothing":                     {"", "holds no Kubernetes object"},
		"only empty documents":        {"---\n---\n", "holds no Kubernetes object"},
		"no mapping":                  {"kind: Node\nmetadata: {name: n}\n---\n- a\n- b\n", "document 2, line 4: no Kubernetes object"},
		"text":                        {"hello", "document 1, line 1: no Kubernetes object"},
		"broken YAML":                 {"kind: Node\nmetadata: {name: n}\n---\nkind: Node\nmetadata:\n  name: [a\n", "document 2: yaml: line"},
		"a wrong type in YAML":        {"kind: Node\nmetadata: {name: n}\n---\nkind: Pod\nmetadata: {name: 5}\n", "document 2, line 4: Pod: json: cannot unmarshal number"},
		"a wrong item in a YAML List": {"kind: List\nitems:\n- kind: Node\n  metadata: {name: n}\n- kind: Pod\n  spec: 3\n", "document 1, line 5: item 2: Pod: json:"},
		"no kind":                     {"metadata: {name: n}\n", "document 1, line 1: an object without a kind"},
		"broken JSON":                 {"{\"kind\":\"Node\",\n\"metadata\":{\"name\":\"n\"}}\n{\"kind\":\n!}", "document 2, line 4: invalid character"},
		"JSON that ends early":        {"{\"kind\":\"Node\",\n\"metadata\":", "document 1, line 2: unexpected EOF"},
		"a wrong item in a JSON List": {"{\"kind\":\"List\",\"items\":[\n{\"kind\":\"Node\",\"metadata\":{\"name\":\"n\"}},\n{\"kind\":\"Pod\",\"spec\":3}]}", "document 1, line 3: item 2: Pod: json:"},
		"a control character":         {"kind: Pod\nmetadata: {name: \"a\\x1b[2J\", namespace: x}\n", `document 1, line 1: Pod: "a\x1b[2J" is no name of a Kubernetes object`},
		"a namespace that is none":    {"kind: Pod\nmetadata: {name: a, namespace: \"a b\"}\n", `"a b" is no namespace`},
		"too many aliases":            {"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nkind: Pod\n", "excessive aliasing"},
	} {
		o, err := Read(strings.NewReader(tc.text))
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%s: %v, %v; want %q", name, o, err, tc.want)
		}
	}
	if _, err := ReadFile(filepath.Join(t.TempDir(), "nothing.yaml")); err == nil || !strings.Contains(err.Error(), "open the cluster file") {
		t.Errorf("%v", err)
	}
	name := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(name); err == nil || !strings.Contains(err.Error(), "cluster file "+name+": document 1, line 1") {
		t.Errorf("%v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("kind: List\nitems:\n- kind: Pod\n  metadata: {name: a, namespace: b}\n  status: {podIP: 10.0.0.1}\n")
	f.Add(`{"kind":"Service","metadata":{"name":"a"},"spec":{"clusterIPs":["10.0.0.1"],"ports":[{"port":70000}]}}`)
	f.Add("kind: EndpointSlice\nmetadata: {name: a, labels: {kubernetes.io/service-name: b}}\nendpoints: [{addresses: [x]}]\n")
	f.Fuzz(func(t *testing.T, s string) {
		o, err := Read(strings.NewReader(s))
		if err != nil {
			return
		}
		x := NewIndex(o, noon)
		for i := range o.Services {
			x.Addr(addr("10.0.0.1"))
			x.Endpoints(&o.Services[i], &ServicePort{Proto: "tcp"})
		}
	})
}

// What comes in is cut down to what is used, and hostile parts of it are left out.
func TestSlim(t *testing.T) {
	yes, name, port80 := true, "http", int32(80)
	o := &Objects{}
	for _, obj := range []runtime.Object{
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "b", UID: "u", Annotations: map[string]string{"big": strings.Repeat("x", 10<<20)}, Labels: map[string]string{"k": "v"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Node", Name: "n"}, {Kind: "ReplicaSet", Name: "rs", Controller: &yes}}},
			Spec: corev1.PodSpec{NodeName: "n\x1b", Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}, {ContainerPort: 99999, Protocol: corev1.ProtocolUDP}}}},
				InitContainers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "mesh", ContainerPort: 15001}}}}},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.9", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "nonsense"}, {IP: "fe80::1%eth0"}, {IP: "::ffff:10.0.0.2"}}}},
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "old-server", Namespace: "b", Annotations: map[string]string{corev1.MirrorPodAnnotationKey: "h", "kubernetes.io/config.hash": "0123"}}, Status: corev1.PodStatus{PodIP: "10.0.0.3"}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "s", Namespace: "b"}, Spec: corev1.ServiceSpec{ClusterIP: "None", SessionAffinity: corev1.ServiceAffinityClientIP, ExternalIPs: []string{"192.0.2.1"},
			Ports: []corev1.ServicePort{{Port: 53, Protocol: corev1.ProtocolUDP, NodePort: -1}, {Port: 80, Protocol: corev1.ProtocolSCTP}}},
			Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{Hostname: "lb.example.com"}, {IP: "192.0.2.2"}}}}},
		&discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "e", Namespace: "b", Labels: map[string]string{discoveryv1.LabelServiceName: "s"}}, Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port80}, {}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Hints: &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: "z1"}}}},
				{Addresses: []string{"10.0.0.2"}, Conditions: discoveryv1.EndpointConditions{Ready: new(bool), Serving: &yes, Terminating: &yes}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "a"}}}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{corev1.LabelTopologyZone: "z1"}}, Spec: corev1.NodeSpec{PodCIDR: "10.244.1.7/24"},
			Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeExternalIP, Address: "192.0.2.3"}, {Type: corev1.NodeHostName, Address: "n"}, {Type: corev1.NodeInternalIP, Address: "10.1.1.1"}},
				Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}},
		&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "b"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "no", Namespace: "b"}},
	} {
		if err := o.Add(obj); err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 4000 {
		t.Errorf("%d bytes are kept", len(b))
	}
	for _, want := range []string{
		`"ips":["10.0.0.1","10.0.0.2"]`, `"staticUid":"0123","ips":["10.0.0.3"]`, `"ownerKind":"ReplicaSet","ownerName":"rs"`, `{"name":"mesh","proto":"tcp","port":15001},{"name":"http","proto":"tcp","port":8080},{"proto":"udp","port":0}`,
		`"externalIPs":["192.0.2.1"],"loadBalancers":["192.0.2.2"]`, `"sessionAffinity":true`, `{"proto":"udp","port":53,"target":"0"},{"proto":"sctp","port":80,"target":"0"}`,
		`{"addrs":["10.0.0.1"],"ready":true,"serving":true,"hints":["z1"]}`, `{"addrs":["10.0.0.2"],"serving":true,"terminating":true,"pod":"a"}`, `"ports":[{"name":"http","proto":"tcp","port":80},{"proto":"tcp","port":0}]`,
		`{"name":"n","addrs":["10.1.1.1","192.0.2.3"],"podCIDRs":["10.244.1.0/24"],"zone":"z1","ready":true}`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is missing in %s", want, b)
		}
	}
	if o.Pods[0].Node != "" || !o.Services[0].Headless() {
		t.Error("a node's name with a control character, or a headless Service with an address")
	}
	var back Objects
	if err := json.Unmarshal(b, &back); err != nil || counts(&back) != counts(o) {
		t.Errorf("not the same after JSON: %v", err)
	}
}
