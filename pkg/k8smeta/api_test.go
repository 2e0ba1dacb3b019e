// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nettrace-io/nettrace/internal/apitest"
)

// server is an API server with the fixtures' objects, and a client of it.
func server(t *testing.T) (*apitest.Server, *API) {
	t.Helper()
	s := apitest.New(t, api(t)...)
	a, err := Open(Config{Kubeconfig: kubeconfig(t, s)})
	if err != nil {
		t.Fatal(err)
	}
	return s, a
}

func kubeconfig(t *testing.T, s *apitest.Server) string {
	t.Helper()
	name, err := s.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// question asks for a flow of two names.
func question(t *testing.T, src, dst string) Question {
	t.Helper()
	q := Question{Nodes: []string{"node1"}}
	for i, text := range []string{src, dst} {
		n, ok, err := ParseName(text, "shop")
		if !ok || err != nil {
			t.Fatalf("%s: %v %v", text, ok, err)
		}
		if i == 0 {
			q.Src = &n
		} else {
			q.Dst = &n
		}
	}
	return q
}

// A flow by names costs few requests, none of which lists all pods, and names everything on the way.
func TestAFlowNeedsFewRequests(t *testing.T) {
	for _, dst := range []string{"svc/shop/web:http", "shop/web:80", "web.shop.svc.cluster.local:80", "svc/kube-system/kube-dns:53", "shop/web-7d9c5b8f4-abcde", "node/node2"} {
		s, a := server(t)
		o := Gather(t.Context(), a, question(t, "shop/client", dst))
		if n := a.Requests(); n > 10 || n != len(s.Requests()) {
			t.Errorf("%s: %d requests, the server saw %d:\n%s", dst, n, len(s.Requests()), strings.Join(s.Requests(), "\n"))
		}
		for _, r := range s.Requests() {
			if strings.Contains(r, "/pods") && !strings.Contains(r, "/pods/") && !strings.Contains(r, "fieldSelector") {
				t.Errorf("%s: lists pods: %s", dst, r)
			}
		}
		if m := a.Missing(); len(m) > 0 {
			t.Errorf("%s: %v", dst, m)
		}
		x := NewIndex(&o, time.Now())
		q := question(t, "shop/client", dst)
		if _, err := x.Find(*q.Src, Want{Source: true}); err != nil {
			t.Errorf("%s: the sender: %v", dst, err)
		}
		target, err := x.Find(*q.Dst, Want{})
		if err != nil {
			t.Errorf("%s: %v", dst, err)
			continue
		}
		if strings.Contains(dst, "web:") && len(target.Endpoints) != 2 {
			t.Errorf("%s: %+v", dst, target)
		}
		if x.Node("node1") == nil || (strings.Contains(dst, "web") && x.Node("node2") == nil) {
			t.Errorf("%s: the nodes on the way are not known", dst)
		}
	}
}

// Policies that select by namespaces' labels bring these labels, and the number of requests still holds, whatever the ends are.
func TestNamespacesOfPolicies(t *testing.T) {
	s, a := server(t)
	for _, ns := range []string{"shop", "kube-system"} {
		s.Put(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "p"}, Spec: networkingv1.NetworkPolicySpec{
			Ingress: []networkingv1.NetworkPolicyIngressRule{{}, {From: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}}}}})
	}
	o := Gather(t.Context(), a, question(t, "shop/client", "kube-system/kube-dns:53"))
	if len(o.Policies) != 2 || len(o.Namespaces) != 2 || !NewIndex(&o, time.Now()).NeedsNamespaces() {
		t.Errorf("%s", counts(&o))
	}
	if n := a.Requests(); n > maxRequests {
		t.Errorf("%d requests:\n%s", n, strings.Join(s.Requests(), "\n"))
	}
}

// Policies are read where ends that are addresses turn out to be, too; where they could not be read is known, and goes with the objects.
func TestPoliciesOfAddresses(t *testing.T) {
	for _, deny := range []bool{false, true} {
		s, a := server(t)
		s.Put(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "p"}})
		if deny {
			s.Deny("networkpolicies", http.StatusForbidden)
		}
		o := Gather(t.Context(), a, Question{Nodes: []string{"node1"}, Addrs: addrs("10.244.1.10", "10.96.0.80")})
		asked := 0
		for _, r := range s.Requests() {
			if strings.Contains(r, "/networkpolicies") {
				asked++
			}
		}
		if n := a.Requests(); n > maxRequests || asked != 1 {
			t.Errorf("%d requests, %d for policies:\n%s", n, asked, strings.Join(s.Requests(), "\n"))
		}
		b, err := o.List()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Read(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		x := NewIndex(back, time.Now())
		if x.PoliciesUnread("shop") != deny || x.PoliciesUnread("other") || (len(back.Policies) == 1) == deny {
			t.Errorf("denied %v: %s, unread %v", deny, counts(back), back.PoliciesUnread)
		}
	}
}

// A list comes in pages; one without an end is cut, which is said.
func TestListsComeInPages(t *testing.T) {
	for _, tc := range []struct {
		name               string
		pages, pods, asked int
		said               string
	}{
		{"one", 1, 500, 1, ""},
		{"three", 3, 1500, 3, ""},
		{"endless", 1 << 20, 5000, 10, "there are more than 5000 pods in namespace shop: names of the others are missing"},
	} {
		s, a := server(t)
		s.Before(func(w http.ResponseWriter, r *http.Request) bool {
			page, _ := strconv.Atoi(r.URL.Query().Get("continue"))
			l := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}
			for i := range 500 {
				l.Items = append(l.Items, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("p%d-%d", page, i)}})
			}
			if page+1 < tc.pages {
				l.Continue = strconv.Itoa(page + 1)
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(&l)
			return true
		})
		o, ok := a.PodsIn(t.Context(), "shop")
		if said := strings.Join(a.Missing(), "\n"); !ok || len(o.Pods) != tc.pods || a.Requests() != tc.asked || said != tc.said {
			t.Errorf("%s: %v, %d pods, %d requests, %q", tc.name, ok, len(o.Pods), a.Requests(), said)
		}
	}
}

func TestAnswersAreKept(t *testing.T) {
	s, a := server(t)
	for range 3 {
		if o, ok := a.Pod(t.Context(), "shop", "client"); !ok || len(o.Pods) != 1 || o.Pods[0].Node != "node1" {
			t.Fatalf("%v %v", o, ok)
		}
		if _, ok := a.Pod(t.Context(), "shop", "nobody"); ok {
			t.Fatal("found nobody")
		}
	}
	if n := len(s.Requests()); n != 2 {
		t.Errorf("%d requests:\n%s", n, strings.Join(s.Requests(), "\n"))
	}
}

func TestAddressesAreLookedUp(t *testing.T) {
	s, a := server(t)
	o := GatherAddrs(t.Context(), a, addrs("10.244.2.20", "10.96.0.80", "203.0.113.1"))
	x := NewIndex(&o, time.Now())
	if p := x.Addr(addr("10.244.2.20")).Pod; p == nil || p.Name != "web-7d9c5b8f4-abcde" {
		t.Errorf("%v", p)
	}
	sv, p := x.ServicePort("tcp", addr("10.96.0.80"), 80)
	if sv == nil || sv.Name != "web" || len(x.Endpoints(sv, p)) != 2 {
		t.Errorf("%v", sv)
	}
	for _, r := range s.Requests() {
		if !strings.Contains(r, "fieldSelector=status.podIP") && !strings.Contains(r, "fieldSelector=spec.clusterIP") && !strings.Contains(r, "labelSelector=kubernetes.io%2Fservice-name%3Dweb") {
			t.Errorf("asked %s", r)
		}
	}
}

// What is not found brings the names that are near, with a list of that namespace only.
func TestNearNamesOfAServer(t *testing.T) {
	s, a := server(t)
	q := question(t, "shop/clinet", "shop/wep:80")
	o := Gather(t.Context(), a, q)
	x := NewIndex(&o, time.Now())
	if _, err := x.Find(*q.Src, Want{Source: true}); err == nil || err.Error() != "no pod or Service shop/clinet; did you mean shop/client?" {
		t.Errorf("%v", err)
	}
	if _, err := x.Find(*q.Dst, Want{}); err == nil || !strings.Contains(err.Error(), "did you mean svc/shop/web") {
		t.Errorf("%v", err)
	}
	if n := len(s.Requests()); n > 10 {
		t.Errorf("%d requests", n)
	}
	if a.Unasked(*q.Src) != nil {
		t.Error("it was asked")
	}
}

func TestRBACDenial(t *testing.T) {
	s, a := server(t)
	for _, r := range []string{"pods", "endpointslices", "networkpolicies"} {
		s.Deny(r, http.StatusForbidden)
	}
	q := question(t, "shop/client", "svc/shop/web:80")
	o := Gather(t.Context(), a, q)
	m := strings.Join(a.Missing(), "\n")
	for _, want := range []string{
		"RBAC does not allow to get pods in namespace shop", "RBAC does not allow to list pods in all namespaces", "RBAC does not allow to list endpointslices.discovery.k8s.io in namespace shop",
		"RBAC does not allow to list networkpolicies.networking.k8s.io in namespace shop",
	} {
		if strings.Count(m, want) != 1 {
			t.Errorf("%q is not said once:\n%s", want, m)
		}
	}
	Gather(t.Context(), a, q)
	if m := a.Missing(); len(m) != 0 {
		t.Errorf("said twice: %q", m)
	}
	if len(o.Services) != 1 || len(o.Nodes) != 1 {
		t.Errorf("what is allowed is missing: %s", counts(&o))
	}
	if why := a.Unasked(*q.Src); why == nil || !strings.Contains(why.Error(), "RBAC does not allow to") {
		t.Errorf("%v", why)
	}
	if a.Unasked(*q.Dst) != nil {
		t.Error("Services may be read")
	}
}

func TestWrongCredentials(t *testing.T) {
	s := apitest.New(t, api(t)...)
	name := kubeconfig(t, s)
	b, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, []byte(strings.Replace(string(b), "token: secret", "token: stale", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err := Open(Config{Kubeconfig: name})
	if err != nil {
		t.Fatal(err)
	}
	o := Gather(t.Context(), a, question(t, "shop/client", "svc/shop/web:80"))
	m := a.Missing()
	if !o.Empty() || len(m) != 1 || !strings.Contains(m[0], "does not accept the credentials (401)") {
		t.Errorf("%v, %v", counts(&o), m)
	}
}

// A server that is not there costs one sentence, and not a wait for each request.
func TestAServerThatIsGone(t *testing.T) {
	s, a := server(t)
	s.Stop()
	q := question(t, "shop/client", "svc/shop/web:80")
	o := Gather(t.Context(), a, q)
	m := a.Missing()
	if !o.Empty() || len(m) != 1 || !strings.Contains(m[0], "cannot be asked") {
		t.Errorf("%v, %v", counts(&o), m)
	}
	n := a.Requests()
	if _, ok := a.Node(t.Context(), "node2"); ok || a.Requests() != n {
		t.Error("it is asked again")
	}
	if a.Unasked(*q.Src) == nil {
		t.Error("nobody knows why")
	}
}

// A server that takes connections and says nothing is waited for once, as long as one request may take.
func TestAServerThatIsSilent(t *testing.T) {
	s, a := server(t)
	release := make(chan struct{})
	s.Before(func(http.ResponseWriter, *http.Request) bool {
		<-release
		return true
	})
	t.Cleanup(func() { close(release) })
	begin := time.Now()
	o := Gather(t.Context(), a, question(t, "shop/client", "svc/shop/web:80"))
	m := a.Missing()
	if !o.Empty() || len(m) != 1 || !strings.Contains(m[0], "no answer within 3s") {
		t.Errorf("%v, %v", counts(&o), m)
	}
	if took := time.Since(begin); took > 3*requestTimeout {
		t.Errorf("%v", took)
	}
}

func TestHugeAnswers(t *testing.T) {
	s, a := server(t)
	s.Put(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "big", Annotations: map[string]string{"a": strings.Repeat("x", 10<<20)}}, Status: corev1.PodStatus{PodIP: "10.0.0.1"}})
	if o, ok := a.Pod(t.Context(), "shop", "big"); !ok || len(o.Pods) != 1 || len(o.Pods[0].IPs) != 1 {
		t.Errorf("an object of 10 MB: %v %v", o, a.Missing())
	}
	s.Before(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		chunk := []byte(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"` + strings.Repeat("y", 1<<20))
		for range 2 * maxAnswer >> 20 {
			if _, err := w.Write(chunk); err != nil {
				return true
			}
		}
		return true
	})
	if _, ok := a.Pod(t.Context(), "shop", "endless"); ok {
		t.Error("an endless answer is an answer")
	}
	if m := strings.Join(a.Missing(), "\n"); !strings.Contains(m, "the answer is larger than 64 MiB") {
		t.Errorf("%s", m)
	}
}

// Names from a server that lies are not believed.
func TestHostileNames(t *testing.T) {
	s, a := server(t)
	s.Put(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "evil\x1b[2J"}, Spec: corev1.PodSpec{NodeName: "node1"}})
	o, ok := a.PodsOn(t.Context(), "node1")
	if !ok || len(o.Pods) != 2 {
		t.Errorf("the others are missing: %s", counts(&o))
	}
	if m := a.Missing(); len(m) != 1 || !strings.Contains(m[0], `"evil\x1b[2J" is no name`) || strings.ContainsRune(m[0], 0x1b) {
		t.Errorf("%q", m)
	}
}

func TestServerErrors(t *testing.T) {
	s, a := server(t)
	s.Deny("services", http.StatusInternalServerError)
	if _, ok := a.Service(t.Context(), "shop", "web"); ok {
		t.Error("found")
	}
	if m := strings.Join(a.Missing(), "\n"); !strings.Contains(m, "did not give services") {
		t.Errorf("%s", m)
	}
	if _, ok := a.Pod(t.Context(), "shop", "client"); !ok {
		t.Error("one resource's error stops the others")
	}
}

func TestConfigurations(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		f := filepath.Join(dir, name)
		if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return f
	}
	for name, tc := range map[string]struct {
		c    Config
		want string
	}{
		"does not parse":   {Config{Kubeconfig: write("a", "clusters: [\n")}, "read the kubeconfig"},
		"is no kubeconfig": {Config{Kubeconfig: write("b", "\x00\x01")}, "read the kubeconfig"},
		"is not there":     {Config{Kubeconfig: filepath.Join(dir, "c")}, "no such file"},
		"no such context":  {Config{Kubeconfig: write("d", "apiVersion: v1\nkind: Config\n"), Context: "prod"}, `context "prod" does not exist`},
		"bad certificate":  {Config{Kubeconfig: write("e", "apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters: [{name: x, cluster: {server: 'https://127.0.0.1:1', certificate-authority: /nothing}}]\ncontexts: [{name: x, context: {cluster: x}}]\n")}, "unable to read certificate-authority"},
	} {
		a, err := Open(tc.c)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, %v; want %q", name, a, err, tc.want)
		}
	}
	t.Setenv("KUBECONFIG", filepath.Join(dir, "none"))
	t.Setenv("HOME", dir)
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if _, err := Open(Config{}); err != ErrNoCluster {
		t.Errorf("nothing configured: %v", err)
	}
	s := apitest.New(t, api(t)...)
	t.Setenv("KUBECONFIG", kubeconfig(t, s))
	a, err := Open(Config{})
	if err != nil || a.Namespace() != "shop" {
		t.Fatalf("$KUBECONFIG: %v", err)
	}
	if _, ok := a.Pod(t.Context(), "shop", "client"); !ok {
		t.Error("not found")
	}
	if a, err := Open(Config{Namespace: "other"}); err != nil || a.Namespace() != "other" {
		t.Errorf("-n: %v", err)
	}
	t.Setenv("NODE_NAME", "from-the-pod")
	if NodeName() != "from-the-pod" {
		t.Error(NodeName())
	}
	t.Setenv("NODE_NAME", "")
	if NodeName() == "" {
		t.Error("no name")
	}
}
