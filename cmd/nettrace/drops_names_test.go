// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nettrace-io/nettrace/pkg/drops"
	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// dropNamesOf are those of 'drops --pod' on a node that is this process's namespace.
func dropNamesOf(t *testing.T, c *cluster, pod string) (*dropNames, error) {
	t.Helper()
	o := &dropsOptions{pod: pod, scope: []string{"node1=/proc/self/ns/net"}}
	o.kubeconfig = c.config
	return openDropNames(t.Context(), o, func(string) {})
}

// That a pod is not there is said only where pods may be listed.
func TestDropsOfPodsThatAreNotKnown(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		before     func(*cluster)
	}{
		{"no such pod", "there is no pod shop/nobody on this cluster that has an address; ", func(*cluster) {}},
		{"forbidden", "whether there are pods shop/nobody is not known: RBAC does not allow to list and watch pods", func(c *cluster) { c.Deny("pods", http.StatusForbidden) }},
		{"no server", "whether there are pods shop/nobody is not known: the API server cannot be asked for pods: ", func(c *cluster) { c.Stop() }},
	} {
		c := newCluster(t, nil)
		tc.before(c)
		if _, err := dropNamesOf(t, c, "shop/nobody"); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// A file, as the plugin gives one, need not have all pods of the cluster.
func TestDropsOfPodsThatAFileLacks(t *testing.T) {
	o := &dropsOptions{pod: "zz/web", scope: []string{"node1=/proc/self/ns/net"}}
	o.cluster = shopFile(t)
	objs, err := k8smeta.ReadFile(o.cluster)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("no pod zz/web that has an address is among the %d that were read; 'kubectl get pods -A' lists all", len(objs.Pods))
	if _, err := openDropNames(t.Context(), o, func(string) {}); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// Names that change are taken without reading the namespaces again, which looks at all processes of the node; where a pod of the filter is new,
// they are read soon.
func TestNamesChangeWithoutAScan(t *testing.T) {
	c := newCluster(t, nil)
	d, err := dropNamesOf(t, c, "shop/client")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.unknown = false
	for _, tc := range []struct {
		pod, ip string
		soon    bool
	}{{"other", "10.244.1.77", false}, {"client", "10.244.1.78", true}} {
		snap, index := d.snap, d.index
		d.read = time.Now()
		c.Put(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: tc.pod}, Status: corev1.PodStatus{PodIP: tc.ip}})
		for late := time.After(time.Minute); d.index.Addr(netip.MustParseAddr(tc.ip)).Pod == nil; {
			select {
			case <-d.watch.Changed():
			case <-time.After(100 * time.Millisecond): // an index is built once a second
			case <-late:
				t.Fatal("the new pod did not come")
			}
			if !d.stale(time.Now()) {
				continue
			}
			d.read = time.Now() // the reading is not due
			if err := d.refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if d.snap != snap || d.index == index || d.label.index != d.index || d.unknown != tc.soon {
			t.Errorf("%s: read again %v, new names %v, soon %v", tc.pod, d.snap != snap, d.index != index, d.unknown)
		}
	}
}

// More pods than the kernel side compares are said, once.
func TestTooManyPods(t *testing.T) {
	o := k8smeta.Objects{}
	a := netip.MustParseAddr("10.0.0.1")
	for range drops.MaxPods + 1 {
		o.Pods = append(o.Pods, k8smeta.Pod{Namespace: "shop", Name: "p", IPs: []netip.Addr{a}})
		a = a.Next()
	}
	var said []string
	d := &dropNames{pod: "shop/", index: k8smeta.NewIndex(&o, time.Now()), snap: &netstate.Snapshot{}, warn: func(s string) { said = append(said, s) }}
	d.filter()
	d.filter()
	if len(said) != 1 || !strings.HasPrefix(said[0], "4097 addresses are more than the 4096 that the kernel side compares") {
		t.Errorf("%q", said)
	}
}
