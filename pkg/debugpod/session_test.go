// SPDX-License-Identifier: Apache-2.0

package debugpod

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/nettrace-io/nettrace/internal/apitest"
)

// script is a program that reads its first line, says so on both streams, and ends when its stdin does.
const script = `read line; echo "got $line"; echo "nettrace: hello" >&2; cat >/dev/null; echo last; echo "nettrace: end of output" >&2; exit 3`

// setup is an API server with a node whose pods run a shell script.
func setup(t *testing.T, script string) (*apitest.Server, *apitest.Kubelet, *Cluster) {
	t.Helper()
	s := apitest.New(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ops"}}, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}})
	name, err := s.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Connect(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, s.RunKubelet(t, func(*corev1.Pod) *exec.Cmd { return exec.Command("sh", "-c", script) }), c
}

// heard collects what a program writes.
type heard struct {
	mu  sync.Mutex
	all []string
	got chan struct{} // closed at the first line
}

func (h *heard) take(line []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all = append(h.all, string(line)); len(h.all) == 1 {
		close(h.got)
	}
	return nil
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.all, "|")
}

func newHeard() *heard { return &heard{got: make(chan struct{})} }

func options() Options {
	return Options{Namespace: "ops", Grace: time.Second, Gone: 10 * time.Second}
}

func begin(t *testing.T, s *Session, d time.Duration) string {
	t.Helper()
	name, err := s.Create(t.Context(), Spec{Node: "n1", Image: "img", Deadline: d})
	if err == nil {
		err = s.WaitStarted(t.Context(), name, "n1", 30*time.Second)
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func mustBeEmpty(t *testing.T, s *apitest.Server, k *apitest.Kubelet) {
	t.Helper()
	if n := len(s.Pods("ops", LabelName, "nettrace")); n > 0 || len(k.PIDs()) > 0 {
		t.Errorf("%d pods and the programs %v are left", n, k.PIDs())
	}
}

// What a program writes comes line by line, its exit code at the end, over both protocols and after cuts.
func TestRun(t *testing.T) {
	const lost = "the connection to the pod on node n1 was cut: its run ended there; what it wrote was read from its log"
	for _, tc := range []struct {
		name   string
		script string
		before func(*apitest.Server, *apitest.Kubelet)
		cut    bool
		out    string
		code   int
		note   string
	}{
		{"WebSocket", script, func(*apitest.Server, *apitest.Kubelet) {}, false, "got input|last", 3, ""},
		{"SPDY", script, func(_ *apitest.Server, k *apitest.Kubelet) { k.OnlySPDY() }, false, "got input|last", 3, ""},
		{"cut", script, func(*apitest.Server, *apitest.Kubelet) {}, true, "got input|last", 3, lost},
		{"cut over SPDY", script, func(_ *apitest.Server, k *apitest.Kubelet) { k.OnlySPDY() }, true, "got input|last", 3, lost},
		{"cut, no log", script, func(s *apitest.Server, _ *apitest.Kubelet) { s.Deny("pods/log", http.StatusForbidden) }, true, "got input", 3,
			`the connection to the pod on node n1 was cut, and its log cannot be read (RBAC does not allow you to get pods/log in namespace ops: ask for that right, or use another --context or --pod-namespace (User "tester" cannot get resource "pods/log" in API group "" in the namespace "ops")): what it wrote after the cut is missing`},
		{"killed", `read line; echo "got $line"; kill -9 $$`, func(*apitest.Server, *apitest.Kubelet) {}, false, "got input", 137, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server, k, c := setup(t, tc.script)
			tc.before(server, k)
			s := c.NewSession(options())
			name := begin(t, s, time.Minute)
			in, feed := io.Pipe()
			out, errs := newHeard(), newHeard()
			go func() {
				_, _ = io.WriteString(feed, "input\n")
				<-out.got
				if tc.cut {
					k.Cut()
					return
				}
				_ = feed.Close()
			}()
			res, err := s.Run(t.Context(), name, "n1", in, Output{Out: out.take, Err: errs.take})
			if err != nil || out.String() != tc.out || res.Code != tc.code || strings.Join(res.Notes, "|") != tc.note {
				t.Errorf("%q, %+v, %v; stderr %q\nwant %q, %d, %s", out, res, err, errs, tc.out, tc.code, tc.note)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			mustBeEmpty(t, server, k)
		})
	}
}

// Close deletes pods in every state, also when the run's context is over.
func TestClose(t *testing.T) {
	server, k, c := setup(t, `trap "" TERM; sleep 600 & wait; wait`)
	s := c.NewSession(options())
	begin(t, s, time.Minute)
	k.Refuse(func(*corev1.Pod) *corev1.PodStatus { return &corev1.PodStatus{Phase: corev1.PodPending} })
	if _, err := s.Create(t.Context(), Spec{Node: "n1", Image: "img", Deadline: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if n := len(server.Pods("ops", LabelRun, s.run)); n != 2 {
		t.Errorf("%d pods", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	mustBeEmpty(t, server, k)
}

// A pod that cannot be deleted is named, with what removes it.
func TestCloseForbidden(t *testing.T) {
	server, _, c := setup(t, script)
	s := c.NewSession(options())
	name := begin(t, s, time.Minute)
	server.Deny("delete pods", http.StatusForbidden)
	err := s.Close()
	if err == nil || !strings.HasPrefix(err.Error(), "pod "+name+" is left behind: RBAC does not allow you to delete pods in namespace ops: ") || !strings.HasSuffix(err.Error(), "; it ends by itself, and 'kubectl delete pod -n ops "+name+"' removes it") {
		t.Error(err)
	}
}

// A creation whose answer is lost leaves no pod.
func TestCreationWithoutAnAnswer(t *testing.T) {
	server, k, c := setup(t, script)
	s := c.NewSession(options())
	if err := s.listening(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Admit(func(p *corev1.Pod) *metav1.Status {
		server.Put(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ops", Name: p.Name, Labels: p.Labels}}) // it was made
		return &metav1.Status{Code: 500, Reason: metav1.StatusReasonInternalError, Message: "etcd leader changed"}
	})
	if _, err := s.Create(t.Context(), Spec{Node: "n1", Image: "img", Deadline: time.Minute}); err == nil {
		t.Error("no error")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	mustBeEmpty(t, server, k)
}

// An API server that goes away and comes back while a pod runs is no end of the run.
func TestServerComesBack(t *testing.T) {
	server, k, c := setup(t, `read line; echo got; cat >/dev/null; exit 0`)
	s := c.NewSession(options())
	name := begin(t, s, time.Minute)
	server.Stop()
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	out := newHeard()
	res, err := s.Run(t.Context(), name, "n1", strings.NewReader("input\n"), Output{Out: out.take, Err: out.take})
	if err != nil || res.Code != 0 || out.String() != "got" {
		t.Errorf("%q %+v %v", out, res, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	mustBeEmpty(t, server, k)
}

// Somebody else's deletion ends the run with a sentence.
func TestDeletedInTheMiddle(t *testing.T) {
	server, k, c := setup(t, script)
	s := c.NewSession(options())
	name := begin(t, s, time.Minute)
	out := newHeard()
	go func() {
		<-out.got
		_ = c.Remove(context.Background(), Leftover{Namespace: "ops", Name: name}, time.Second)
	}()
	in, feed := io.Pipe()
	go func() { _, _ = io.WriteString(feed, "input\n") }()
	_, err := s.Run(t.Context(), name, "n1", in, Output{Out: out.take, Err: func([]byte) error { return nil }})
	if err == nil || !strings.Contains(err.Error(), "deleted") {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	mustBeEmpty(t, server, k)
}

func TestLeftovers(t *testing.T) {
	yes := true
	ours := map[string]string{LabelName: "nettrace", LabelBy: ManagedBy}
	at := func(name, ns string, labels map[string]string, phase corev1.PodPhase) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: labels}, Spec: corev1.PodSpec{NodeName: "n1"}, Status: corev1.PodStatus{Phase: phase}}
	}
	daemon := at("daemon", "ops", ours, corev1.PodRunning)
	daemon.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Name: "nettrace-drops", Controller: &yes}}
	kept := at("kept", "ops", ours, corev1.PodSucceeded)
	kept.Annotations = map[string]string{AnnotationKeep: "true"}
	server, _, c := setup(t, script)
	for _, p := range []*corev1.Pod{at("failed", "ops", ours, corev1.PodFailed), kept, at("running", "ops", ours, corev1.PodRunning), daemon, at("foreign", "ops", map[string]string{LabelName: "nettrace"}, corev1.PodFailed), at("far", "shop", ours, corev1.PodFailed)} {
		server.Put(p)
	}
	text := func(namespace string) string {
		all, err := c.Leftovers(t.Context(), namespace)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, l := range all {
			s := l.Namespace + "/" + l.Name
			if l.Running {
				s += " running"
			}
			if l.Kept {
				s += " kept"
			}
			out = append(out, s)
		}
		return strings.Join(out, ", ")
	}
	if got := text("ops"); got != "ops/failed, ops/kept kept, ops/running running" {
		t.Error(got)
	}
	if got := text(""); got != "ops/failed, ops/kept kept, ops/running running, shop/far" {
		t.Error(got)
	}
	server.Deny("list pods", http.StatusForbidden)
	if _, err := c.Leftovers(t.Context(), ""); err == nil || !strings.HasPrefix(err.Error(), "RBAC does not allow you to list pods in all namespaces") {
		t.Error(err)
	}
}
