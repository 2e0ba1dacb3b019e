// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/nettrace-io/nettrace/internal/apitest"
)

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// watching is a Watcher of a server, after its first lists.
func watching(t *testing.T, s *apitest.Server, o WatchOptions) (*Watcher, *clock) {
	t.Helper()
	c := &clock{now: noon}
	o.Now, o.Kubeconfig = c.Now, kubeconfig(t, s)
	w, err := Watch(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	return w, c
}

// until waits for changes, and asks the index a second of its time after each, until something is so.
func until(t *testing.T, w *Watcher, c *clock, what string, so func(*Index) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		changed := w.Changed()
		c.add(time.Second)
		if so(w.Index()) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%s: never", what)
		}
	}
}

func newPod(name, uid, ip string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(uid)}, Spec: corev1.PodSpec{NodeName: "node1"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip}}
}

func TestWatchFollowsChanges(t *testing.T) {
	s := apitest.New(t, api(t)...)
	w, c := watching(t, s, WatchOptions{})
	x := w.Index()
	if counts(x.Objects()) != "4 7 7 2 4 0" || x.Addr(addr("10.244.1.10")).Pod == nil {
		t.Fatalf("the first lists: %s", counts(x.Objects()))
	}
	if w.Index() != x {
		t.Error("nothing changed, and it is built again")
	}
	s.Put(newPod("new", "1", "10.244.1.50"))
	until(t, w, c, "a new pod", func(x *Index) bool { return x.Addr(addr("10.244.1.50")).Pod != nil })
	s.Put(newPod("new", "1", "10.244.1.51"))
	until(t, w, c, "its new address", func(x *Index) bool { return x.Addr(addr("10.244.1.51")).Pod != nil })
	if x := w.Index(); x.Addr(addr("10.244.1.50")).Pod != nil {
		t.Error("it has its old address")
	}
	if x.Addr(addr("10.244.1.50")).Pod != nil {
		t.Error("an index changed after it was built")
	}
}

// A deleted pod is named for five minutes, with the time since; then it is forgotten.
func TestDeletedPodsAreRemembered(t *testing.T) {
	s := apitest.New(t, api(t)...)
	p := newPod("doomed", "1", "10.244.1.60")
	s.Put(p)
	w, c := watching(t, s, WatchOptions{})
	s.Delete(p)
	until(t, w, c, "the pod's end", func(x *Index) bool { return x.Addr(addr("10.244.1.60")).Pod == nil })
	former := w.Index().Addr(addr("10.244.1.60")).Former
	if former == nil || former.Name != "doomed" || former.Deleted.IsZero() {
		t.Fatalf("%+v", former)
	}
	gone := former.Deleted
	// its address is another pod's soon
	s.Put(newPod("heir", "2", "10.244.1.60"))
	until(t, w, c, "the heir", func(x *Index) bool { return x.Addr(addr("10.244.1.60")).Pod != nil })
	if h := w.Index().Addr(addr("10.244.1.60")); h.Pod.Name != "heir" || h.Former == nil || h.Former.Name != "doomed" {
		t.Errorf("%+v", h)
	}
	c.add(gone.Add(KeepDeleted - time.Second).Sub(c.Now()))
	if w.Index().Addr(addr("10.244.1.60")).Former == nil {
		t.Error("forgotten before five minutes")
	}
	c.add(KeepDeleted)
	if h := w.Index().Addr(addr("10.244.1.60")); h.Former != nil || h.Pod == nil {
		t.Errorf("after five minutes: %+v", h)
	}
}

// The server restarts: watches are made again, what changed meanwhile is seen, and what went meanwhile is remembered as deleted.
func TestWatchesReconnect(t *testing.T) {
	s := apitest.New(t, api(t)...)
	p := newPod("doomed", "1", "10.244.1.60")
	s.Put(p)
	w, c := watching(t, s, WatchOptions{})
	if err := s.WaitForWatches(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	s.Delete(p)
	s.Put(newPod("meanwhile", "2", "10.244.1.61"))
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	until(t, w, c, "what changed meanwhile", func(x *Index) bool { return x.Addr(addr("10.244.1.61")).Pod != nil })
	until(t, w, c, "what went meanwhile", func(x *Index) bool { return x.Addr(addr("10.244.1.60")).Pod == nil })
	if h := w.Index().Addr(addr("10.244.1.60")); h.Former == nil || h.Former.Name != "doomed" {
		t.Errorf("%+v", h)
	}
	s.Put(newPod("later", "3", "10.244.1.62"))
	until(t, w, c, "what comes after it", func(x *Index) bool { return x.Addr(addr("10.244.1.62")).Pod != nil })
}

// A StatefulSet's pod is made again under its name while nobody looked.
func TestAPodIsReplacedUnderItsName(t *testing.T) {
	s := apitest.New(t, api(t)...)
	s.Put(newPod("db-0", "1", "10.244.1.70"))
	w, c := watching(t, s, WatchOptions{})
	s.Put(newPod("db-0", "2", "10.244.1.71"))
	until(t, w, c, "the new one", func(x *Index) bool { return x.Addr(addr("10.244.1.71")).Pod != nil })
	if h := w.Index().Addr(addr("10.244.1.70")); h.Pod != nil || h.Former == nil || h.Former.UID != "1" {
		t.Errorf("%+v", h)
	}
	if p := w.Index().Pod("shop", "db-0"); p == nil || p.UID != "2" {
		t.Errorf("%+v", p)
	}
}

func TestWatchOneNode(t *testing.T) {
	s := apitest.New(t, api(t)...)
	w, _ := watching(t, s, WatchOptions{Node: "node1"})
	if got := len(w.Index().Objects().Pods); got != 2 {
		t.Errorf("%d pods of node1", got)
	}
	for _, r := range s.Requests() {
		if strings.Contains(r, "/pods?") && !strings.Contains(r, "fieldSelector=spec.nodeName%3Dnode1") {
			t.Errorf("%s", r)
		}
	}
}

func TestWatchWithoutPermission(t *testing.T) {
	s := apitest.New(t, api(t)...)
	s.Deny("networkpolicies", http.StatusForbidden)
	said := make(chan string, 100)
	w, c := watching(t, s, WatchOptions{Say: func(m string) { said <- m }})
	if got := <-said; got != "RBAC does not allow to list and watch networkpolicies.networking.k8s.io: names from them are missing" {
		t.Error(got)
	}
	if w.Index().Service("shop", "web") == nil {
		t.Error("what is allowed is missing")
	}
	s.Put(newPod("new", "1", "10.244.1.50"))
	until(t, w, c, "a new pod", func(x *Index) bool { return x.Addr(addr("10.244.1.50")).Pod != nil })
	select {
	case again := <-said:
		t.Errorf("said again: %s", again)
	default:
	}
}

// A server that does not stream its lists is asked for pages, also after the first time; static pods keep what names their control groups.
func TestWatchesListInPages(t *testing.T) {
	s := apitest.New(t, api(t)...)
	static := newPod("etcd", "1", "10.244.1.80")
	static.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x", "kubernetes.io/config.hash": "0123abcd"}
	static.Spec.Containers = []corev1.Container{{Image: "img", Ports: []corev1.ContainerPort{{Name: "peer", ContainerPort: 2380}}}}
	s.Put(static)
	s.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("sendInitialEvents") == "" {
			return false
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
		return true
	})
	w, c := watching(t, s, WatchOptions{})
	if p := w.Index().Pod("shop", "etcd"); p == nil || p.StaticUID != "0123abcd" || len(p.Ports) != 1 {
		t.Errorf("%+v", p)
	}
	s.Stop()
	s.Put(newPod("meanwhile", "2", "10.244.1.61"))
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	until(t, w, c, "what changed meanwhile", func(x *Index) bool { return x.Addr(addr("10.244.1.61")).Pod != nil })
	for _, r := range s.Requests() {
		if !strings.Contains(r, "watch=true") && (!strings.Contains(r, "limit=500") || strings.Contains(r, "resourceVersion")) {
			t.Errorf("a list without pages: %s", r)
		}
	}
}

// What is refused is known as long as it is refused.
func TestDenied(t *testing.T) {
	s := apitest.New(t, api(t)...)
	s.Deny("pods", http.StatusForbidden)
	w, c := watching(t, s, WatchOptions{})
	if got := w.Denied("pods"); got != "RBAC does not allow to list and watch pods: names from them are missing" || w.Denied("services") != "" {
		t.Errorf("%q", got)
	}
	s.Deny("pods", 0)
	until(t, w, c, "the pods", func(x *Index) bool { return x.Pod("shop", "client") != nil })
	if got := w.Denied("pods"); got != "" {
		t.Errorf("still %q", got)
	}
}

func TestWatchAServerThatIsNotThere(t *testing.T) {
	s := apitest.New(t, api(t)...)
	name := kubeconfig(t, s)
	s.Stop()
	said := make(chan string, 100)
	w, err := Watch(t.Context(), WatchOptions{Config: Config{Kubeconfig: name}, Say: func(m string) { said <- m }})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-said; !strings.Contains(got, "the API server cannot be asked for") {
		t.Error(got)
	}
	if x := w.Index(); x == nil || x.Addr(addr("10.244.1.10")).Pod != nil {
		t.Error("something is known")
	}
	if _, err := Watch(t.Context(), WatchOptions{Config: Config{Kubeconfig: "/nothing"}}); err == nil {
		t.Error("a kubeconfig that is not there")
	}
}

func TestHostileObjectsOfAWatch(t *testing.T) {
	s := apitest.New(t, api(t)...)
	w, c := watching(t, s, WatchOptions{})
	s.Put(newPod("evil\x1b[2J", "9", "10.244.1.90"))
	s.Put(newPod("good", "10", "10.244.1.91"))
	until(t, w, c, "the good one behind it", func(x *Index) bool { return x.Addr(addr("10.244.1.91")).Pod != nil })
	if w.Index().Addr(addr("10.244.1.90")).Pod != nil {
		t.Error("the evil one is known")
	}
}

// wholePod has everything that a pod of a cluster has, as far as it is large.
func wholePod() *corev1.Pod {
	yes, no, long := true, false, strings.Repeat("x", 200)
	container := func(ports ...corev1.ContainerPort) corev1.Container {
		return corev1.Container{Name: long, Image: long, Command: []string{long}, Args: []string{long}, Env: []corev1.EnvVar{{Name: long, Value: long}}, Ports: ports,
			VolumeMounts: []corev1.VolumeMount{{Name: long, MountPath: long}}, Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}},
			LivenessProbe: &corev1.Probe{}, SecurityContext: &corev1.SecurityContext{RunAsNonRoot: &yes}, TerminationMessagePath: long}
	}
	status := corev1.ContainerStatus{Name: long, Image: long, ImageID: long, ContainerID: long}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", GenerateName: long, UID: "uid-1", ResourceVersion: "77", Labels: map[string]string{"app": "web"}, Finalizers: []string{long},
			Annotations:     map[string]string{corev1.MirrorPodAnnotationKey: "m", configHash: "0123abcd", "kubectl.kubernetes.io/last-applied-configuration": long},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Other", Name: long, Controller: &no}, {APIVersion: long, Kind: "ReplicaSet", Name: "web", UID: types.UID(long), Controller: &yes}},
			ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: long, FieldsV1: metav1.NewFieldsV1(long)}}},
		Spec: corev1.PodSpec{NodeName: "node1", HostNetwork: true, Hostname: long, Volumes: []corev1.Volume{{Name: long}}, Tolerations: []corev1.Toleration{{Key: long}, {Key: long}},
			InitContainers:            []corev1.Container{container(corev1.ContainerPort{Name: "sidecar", ContainerPort: 15001, Protocol: corev1.ProtocolTCP}), container()},
			Containers:                []corev1.Container{container(corev1.ContainerPort{Name: "http", ContainerPort: 8080, HostIP: "10.0.0.1"}, corev1.ContainerPort{Name: "dns", ContainerPort: 5353, Protocol: corev1.ProtocolUDP}), container()},
			Affinity:                  &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 1}}}},
			TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{TopologyKey: long}}, ServiceAccountName: long, SchedulerName: long, NodeSelector: map[string]string{long: long}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.244.1.10", PodIPs: []corev1.PodIP{{IP: "10.244.1.10"}, {IP: "fd00::10"}}, Message: long, HostIP: long,
			Conditions:            []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, Message: long}, {Type: corev1.PodReady, Status: corev1.ConditionTrue, Message: long}},
			InitContainerStatuses: []corev1.ContainerStatus{status}, ContainerStatuses: []corev1.ContainerStatus{status, status}},
	}
}

// What a reflector collects is as small as it can be, and what is read of it is the same.
func TestListedPodsAreLight(t *testing.T) {
	p := wholePod()
	want := slimPod(p)
	if want.StaticUID == "" || !want.Ready || want.OwnerName == "" || len(want.Ports) != 3 || len(want.IPs) != 2 {
		t.Fatalf("%+v", want)
	}
	lighten(p)
	if got := slimPod(p); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if p.ResourceVersion != "77" {
		t.Errorf("the reflector's resource version is %q", p.ResourceVersion)
	}
	if text := p.String(); strings.Contains(text, "xxx") || len(p.Spec.Containers) != 1 || len(p.Status.Conditions) != 1 || len(p.OwnerReferences) != 1 || p.Spec.Tolerations != nil || p.Spec.Affinity != nil {
		t.Errorf("it still has %s", text)
	}
	single := &corev1.Pod{Status: corev1.PodStatus{PodIP: "10.244.1.11"}}
	lighten(single)
	if got := slimPod(single); len(got.IPs) != 1 || single.Spec.Containers != nil {
		t.Errorf("%+v, %v", got, single.Spec.Containers)
	}
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node1", Annotations: map[string]string{"a": "b"}}, Status: corev1.NodeStatus{Images: []corev1.ContainerImage{{Names: []string{"x"}}},
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.50.1"}}}}
	lighten(n)
	if n.Status.Images != nil || n.Annotations != nil || len(slimNode(n).Addrs) != 1 {
		t.Errorf("%+v", n)
	}
}
