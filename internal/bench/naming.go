// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/internal/apitest"
	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/lab"
)

// The cluster that names are measured on.
const (
	manyPods, manyServices, manyNodes = 100000, 10000, 5000
	endpointsEach                     = 10
)

// naming prints what Kubernetes names cost: the index of a big cluster, a lookup in it, and the requests of one flow.
func naming(ctx context.Context) error {
	n, err := measureNaming()
	if err != nil {
		return err
	}
	fmt.Printf("index of %d pods, %d Services with %d endpoints, %d nodes: built in %.0f ms; objects and index are %.0f MB, %.0f bytes an object; a lookup takes %.0f ns and %.0f allocations\n",
		manyPods, manyServices, manyServices*endpointsEach, manyNodes, n.build.Seconds()*1e3, n.bytes/1e6, n.bytes/float64(n.objects), n.lookup, n.allocs)
	requests, err := requestsOfAFlow(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("a flow from a pod to a Service by name: %d API requests\n", requests)
	return nil
}

// cost is what measureNaming found.
type cost struct {
	build          time.Duration
	bytes          float64 // of objects and index
	objects        int
	lookup, allocs float64 // ns and allocations of one lookup
}

func measureNaming() (cost, error) {
	before := heap()
	o := manyObjects()
	begin := time.Now()
	x := k8smeta.NewIndex(o, begin)
	c := cost{build: time.Since(begin), objects: len(o.Pods) + len(o.Services) + len(o.Slices) + len(o.Nodes)}
	c.bytes = heap() - before
	i, missed := 0, 0
	r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			i = (i + 7919) % manyPods
			if x.Addr(podIP(i)).Pod == nil {
				missed++
			}
			if s, _ := x.ServicePort("tcp", serviceIP(i%manyServices), 80); s == nil {
				missed++
			}
		}
	})
	if missed > 0 || r.N == 0 {
		return c, errors.New("the index does not find what is in it")
	}
	c.lookup, c.allocs = float64(r.T.Nanoseconds())/float64(r.N)/2, float64(r.AllocsPerOp()) // a whole number: others allocate too
	runtime.KeepAlive(x)
	return c, nil
}

// heap is the number of bytes in use after two collections.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func podIP(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}
func serviceIP(i int) netip.Addr { return netip.AddrFrom4([4]byte{100, 64, byte(i >> 8), byte(i)}) }

func podIP6(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfd, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)})
}

// manyObjects is a dual-stack cluster; every string is of its own, as those from an API server are.
func manyObjects() *k8smeta.Objects {
	o := &k8smeta.Objects{}
	for i := range manyNodes {
		o.Nodes = append(o.Nodes, k8smeta.Node{Name: fmt.Sprintf("ip-172-16-%d-%d.example.internal", i>>8, i&255), Addrs: []netip.Addr{netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)})}, Ready: true})
	}
	for i := range manyPods {
		app := fmt.Sprintf("application-%d", i%manyServices)
		o.Pods = append(o.Pods, k8smeta.Pod{Namespace: fmt.Sprintf("namespace-%d", i%500), Name: fmt.Sprintf("%s-7d9c5b8f4-%05x", app, i), UID: fmt.Sprintf("0a1b2c3d-1111-4222-8333-%012x", i), Node: fmt.Sprintf("ip-172-16-%d-%d.example.internal", i%manyNodes>>8, i&255),
			IPs: []netip.Addr{podIP(i), podIP6(i)}, Phase: "Running", Ready: true, OwnerKind: "ReplicaSet", OwnerName: app + "-7d9c5b8f4",
			Labels: map[string]string{"app": app, "pod-template-hash": fmt.Sprint("7d9c5b8f4", i), "team": fmt.Sprint("team-", i%50)}, Ports: []k8smeta.PodPort{{Name: "http", Proto: "tcp", Port: 8080}}})
	}
	for i := range manyServices {
		ns, name := fmt.Sprintf("namespace-%d", i%500), fmt.Sprintf("application-%d", i)
		o.Services = append(o.Services, k8smeta.Service{Namespace: ns, Name: name, Type: "ClusterIP", ClusterIPs: []netip.Addr{serviceIP(i)}, Selector: map[string]string{"app": name}, Ports: []k8smeta.ServicePort{{Name: "http", Proto: "tcp", Port: 80, Target: "http"}}})
		sl := k8smeta.EndpointSlice{Namespace: ns, Name: name + "-abcde", Service: name, Ports: []k8smeta.EndpointPort{{Name: "http", Proto: "tcp", Port: 8080}}}
		for e := range endpointsEach {
			k := i + e*manyServices
			sl.Endpoints = append(sl.Endpoints, k8smeta.Endpoint{Addrs: []netip.Addr{podIP(k)}, Ready: true, Serving: true, Node: o.Pods[k].Node, Pod: o.Pods[k].Name})
		}
		o.Slices = append(o.Slices, sl)
	}
	return o
}

// requestsOfAFlow asks an API server with the lab's objects what 'flow shop/client shop/web:80' asks.
func requestsOfAFlow(ctx context.Context) (n int, err error) {
	t := &outside{}
	defer func() {
		for _, f := range t.cleanup {
			f()
		}
		if p := recover(); p != nil {
			err = fmt.Errorf("the API server for the measurement: %v", p)
		}
	}()
	s := apitest.New(t, lab.Objects(lab.Services())...)
	config, err := s.Kubeconfig()
	if err != nil {
		return 0, err
	}
	a, err := k8smeta.Open(k8smeta.Config{Kubeconfig: config})
	if err != nil {
		return 0, err
	}
	src, _, err := k8smeta.ParseName("shop/client", "")
	if err != nil {
		return 0, err
	}
	dst, _, err := k8smeta.ParseName("shop/web:80", "")
	if err != nil {
		return 0, err
	}
	k8smeta.Gather(ctx, a, k8smeta.Question{Src: &src, Dst: &dst, Nodes: []string{"node1"}})
	if m := a.Missing(); len(m) > 0 {
		return 0, errors.New(m[0])
	}
	return a.Requests(), nil
}

// outside stands in for a test.
type outside struct{ cleanup []func() }

func (*outside) Helper()            {}
func (*outside) Fatal(args ...any)  { panic(fmt.Sprint(args...)) }
func (o *outside) Cleanup(f func()) { o.cleanup = append(o.cleanup, f) }

func (o *outside) TempDir() string {
	d, err := os.MkdirTemp("", "nettrace-bench")
	if err != nil {
		panic(err)
	}
	o.Cleanup(func() { _ = os.RemoveAll(d) })
	return d
}
