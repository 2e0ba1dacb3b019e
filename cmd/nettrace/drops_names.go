// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nettrace-io/nettrace/pkg/drops"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// dropNames puts drops into Kubernetes words, for as long as the command runs: namespaces and pods come and go.
type dropNames struct {
	node    string
	scoped  bool
	scope   []string
	refs    []netstate.Ref
	snap    *netstate.Snapshot
	places  map[uint32]journey.Place
	devices map[veth]string // names of devices, for counts without a sample
	label   labeller
	watch   *k8smeta.Watcher // nil with a file, or without names
	index   *k8smeta.Index
	read    time.Time    // when the namespaces were read
	unknown bool         // a namespace was met that is not known
	pod     string       // filter, "NAMESPACE/NAME", "/NAME" or "NAMESPACE/"
	wanted  []netip.Addr // of the filter's pods, in their order
	warn    func(string)
	cut     bool // it was said that the filter's pods are too many
}

// How old what is known of the namespaces may be: when a new one was met, and otherwise.
const (
	rereadSoon = 2 * time.Second
	rereadLate = time.Minute
)

// waitForNames bounds how long the first lists of an API server are waited for, and waitForPods that where only some pods' drops are wanted: without
// names nothing could be shown.
const (
	waitForNames = 5 * time.Second
	waitForPods  = 30 * time.Second
)

func openDropNames(ctx context.Context, o *dropsOptions, warn func(string)) (*dropNames, error) {
	d := &dropNames{scope: o.scope, scoped: len(o.scope) > 0, label: labeller{unknown: map[netip.Addr]bool{}}, warn: warn}
	known, err := o.nameOptions.open(warn)
	if err != nil {
		return nil, err
	}
	d.index = known.index
	if known.api != nil {
		d.watch, err = k8smeta.Watch(ctx, k8smeta.WatchOptions{Config: k8smeta.Config{Kubeconfig: o.kubeconfig, Context: o.context}, Say: warn})
		if err != nil {
			return nil, err
		}
		if err := d.await(ctx, o.wantsPods()); err != nil {
			return nil, err
		}
	}
	if err := d.refresh(ctx); err != nil {
		return nil, err
	}
	if !o.wantsPods() {
		return d, nil
	}
	if d.pod, err = o.podFilter(); err != nil {
		return nil, err
	}
	if d.index == nil {
		return nil, errors.New("--pod and --namespace need names: give --cluster or --kubeconfig, or use --netns")
	}
	if pods, _, hostOnly := d.podsWanted(); hostOnly {
		return nil, fmt.Errorf("%s shares its node's network, where drops are nobody's alone: use --netns pid:1", o.pod)
	} else if pods == 0 {
		return nil, d.noPods()
	}
	return d, nil
}

// noPods says why the filter has no pods. That there is none is said only where all were asked for: a file can have some of a cluster's.
func (d *dropNames) noPods() error {
	wanted := strings.Trim(d.pod, "/")
	switch why := d.denied(); {
	case why != "":
		return fmt.Errorf("whether there are pods %s is not known: %s; try again when they may be listed, or use --netns", wanted, why)
	case d.watch == nil:
		return fmt.Errorf("no pod %s that has an address is among the %d that were read; 'kubectl get pods -A' lists all", wanted, len(d.index.Objects().Pods))
	}
	return fmt.Errorf("there is no pod %s on this cluster that has an address; 'kubectl get pods -A' lists them", wanted)
}

// await waits for the first lists. They may come later, unless nothing can be shown without them.
func (d *dropNames) await(ctx context.Context, needed bool) error {
	patience := waitForNames
	if needed {
		patience = waitForPods
	}
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := d.watch.Wait(wait)
	switch {
	case err == nil || ctx.Err() != nil:
		return nil
	case needed:
		return fmt.Errorf("the API server has not given its pods within %v: try again, or use --netns", patience)
	}
	d.warn("the API server has not answered yet; names come when it does")
	return nil
}

// denied says why pods are not known, where they were asked for.
func (d *dropNames) denied() string {
	if d.watch == nil {
		return ""
	}
	return d.watch.Denied("pods")
}

// podFilter is the filter of --pod and --namespace as "NAMESPACE/NAME"; either may be empty.
func (o *dropsOptions) podFilter() (string, error) {
	if !strings.Contains(o.pod, "/") {
		return o.namespace + "/" + o.pod, nil
	}
	ns, name, _ := strings.Cut(o.pod, "/")
	if ns == "" || name == "" || strings.Contains(name, "/") {
		return "", fmt.Errorf("--pod %.253q: use NAMESPACE/NAME", o.pod)
	}
	if o.namespace != "" && o.namespace != ns {
		return "", fmt.Errorf("--pod %s is not in --namespace %s", o.pod, o.namespace)
	}
	return o.pod, nil
}

// podsWanted counts the pods of the filter and lists their addresses. hostOnly is true when there are only such as share the node's network.
func (d *dropNames) podsWanted() (pods int, addrs []netip.Addr, hostOnly bool) {
	for i := range d.index.Objects().Pods {
		p := &d.index.Objects().Pods[i]
		if !d.wantsPod(p) || p.Over() {
			continue
		}
		if p.HostNetwork {
			hostOnly = pods == 0
			continue
		}
		pods, hostOnly = pods+1, false
		addrs = append(addrs, p.IPs...)
	}
	return pods, addrs, hostOnly
}

func (d *dropNames) wantsPod(p *k8smeta.Pod) bool {
	ns, name, _ := strings.Cut(d.pod, "/")
	return (ns == "" || p.Namespace == ns) && (name == "" || p.Name == name)
}

// filter is what of the pods' filter the kernel side compares.
func (d *dropNames) filter() (spaces []uint32, addrs []netip.Addr) {
	_, addrs, _ = d.podsWanted()
	for ino, p := range podsOf(d.snap, d.index) {
		if d.wantsPod(p) {
			spaces = append(spaces, ino)
		}
	}
	if n := max(len(addrs), len(spaces)); n > drops.MaxPods && !d.cut {
		d.cut = true
		d.warn(fmt.Sprintf("%d addresses are more than the %d that the kernel side compares: drops of the others are missing; name fewer pods with --pod", n, drops.MaxPods))
	}
	return spaces, addrs
}

// stale reports whether names should be taken again.
func (d *dropNames) stale(now time.Time) bool {
	return d.outdated(now) || d.watch != nil && d.watch.Index() != d.index
}

// outdated reports whether the namespaces should be read again: all processes of the node are looked at for that.
func (d *dropNames) outdated(now time.Time) bool {
	age := now.Sub(d.read)
	return d.snap == nil || age > rereadLate || age > rereadSoon && d.unknown
}

// refresh takes the newest names, and reads the namespaces when that is due.
func (d *dropNames) refresh(ctx context.Context) error {
	if d.outdated(time.Now()) {
		if err := d.reread(ctx); err != nil {
			return err
		}
		d.read, d.unknown = time.Now(), false
	}
	if d.watch != nil {
		d.index = d.watch.Index()
	}
	if d.pod != "" && d.index != nil { // a new pod of the filter may have come here, with a namespace of its own
		_, addrs, _ := d.podsWanted()
		slices.SortFunc(addrs, netip.Addr.Compare)
		d.unknown = d.unknown || !slices.Equal(addrs, d.wanted)
		d.wanted = addrs
	}
	d.name(time.Now())
	return nil
}

// reread reads the namespaces.
func (d *dropNames) reread(ctx context.Context) error {
	node, refs, err := scopes(d.scope)
	if err != nil && d.snap == nil {
		return err
	}
	if err == nil { // else a namespace of the scope is gone: what was known of it stays
		d.node, d.refs = node, refs
		d.snap = netstate.ReadLinks(ctx, refs)
	}
	return nil
}

// name puts what was read of the namespaces into the newest names.
func (d *dropNames) name(now time.Time) {
	d.places = places(d.snap, d.index)
	d.label.index, d.label.now = d.index, now
	clear(d.label.unknown)
	d.label.see(d.snap)
	d.devices = map[veth]string{}
	for i := range d.snap.Namespaces {
		n := &d.snap.Namespaces[i]
		for k := range n.Links {
			d.devices[veth{n.Inode, uint32(n.Links[k].Index)}] = n.Links[k].Name
		}
	}
}

// place says where a namespace is; an unknown one is looked for soon.
func (d *dropNames) place(inode uint32) journey.Place {
	if p, ok := d.places[inode]; ok {
		return p
	}
	if inode != 0 {
		d.unknown = true
	}
	p := journey.Place{}
	if !d.scoped {
		p.Node = d.node
	}
	return p
}

// text is a place in words: "shop/web", "node1", "netns blue", "netns 4026532000".
func (d *dropNames) text(inode uint32) string {
	p := d.place(inode)
	switch {
	case inode == 0:
		return "unknown namespace"
	case p.Where == nil:
		return fmt.Sprintf("netns %d", inode)
	case p.Where.Kind == "host":
		return "node " + p.Node
	case p.Where.Kind == "pod":
		return p.Where.Namespace + "/" + p.Where.Name
	}
	return "netns " + p.Where.Name
}
