// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"

	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

func init() {
	register(check{name: "forwarding", layer: PodNetwork, run: forwarding})
	register(check{name: "rp-filter", layer: PodNetwork, run: rpFilter})
}

// forwarding: the nodes forward packets at all.
func forwarding(in *Input) Result {
	var p parts
	here, elsewhere := in.hosts()
	name := "net.ipv4.ip_forward"
	if in.Dst.Is6() {
		name = "net.ipv6.conf.all.forwarding"
	}
	for _, h := range here {
		switch v, ok := h.Sysctls[name]; {
		case !in.forwards(h):
		case !ok:
			p.unsure(fmt.Sprintf("%s of %s could not be read%s", name, h.Node, because(unread(h, "sysctl", "namespace"))))
		case v == "0":
			p.bad(Result{Cause: "ip-forward-off", Node: h.Node, Stops: true, Summary: fmt.Sprintf("%s does not forward packets: %s is 0", h.Node, name),
				Evidence: []string{fmt.Sprintf("state: %s = 0 on %s", name, h.Node)},
				Fix:      []string{fmt.Sprintf("on %s: sysctl -w %s=1", h.Node, name), "find what set it back: files in /etc/sysctl.d, a network service, a hardening script"}})
		default:
			p.good(fmt.Sprintf("%s = %s on %s", name, v, h.Node))
		}
	}
	for _, n := range elsewhere {
		p.unsure(away(n))
	}
	return p.result("no node of the cluster forwards the flow")
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// forwards reports whether a node forwards packets of the flow: not what begins or ends in its own host namespace, nor what stays on a bridge.
func (in *Input) forwards(h *netstate.Namespace) bool {
	w := in.path()
	sends := w.src.host == h && w.src.inPod()
	if w.src.ns == h && w.entry == h {
		return false
	}
	for i := range w.targets {
		t := &w.targets[i]
		if t.ns != h && (sends || t.host == h || w.entry == h) && !in.bridged(t) {
			return true
		}
	}
	return sends && len(w.targets) == 0
}

// bridged reports a target that the sender calls by its own address and that is on its bridge: the frames stay there.
func (in *Input) bridged(t *side) bool {
	src := &in.path().src
	r, ok := src.ns.RouteFor(t.addr)
	return ok && !r.Gateway.IsValid() && t.addr == in.Dst && t.host == src.host && in.bridgeOf(src) != "" && in.bridgeOf(src) == in.bridgeOf(t)
}

// rpFilter: the way back to the sender leads over the device at which its packets come in, where a node insists on that.
func rpFilter(in *Input) Result {
	w := in.path()
	var p parts
	for i := range w.targets {
		t := &w.targets[i]
		if w.entry == nil || !in.keepsSource(w) {
			continue
		}
		if t.host == nil || t.host == w.entry {
			continue
		}
		in.reversed(&p, t.host, w.entry, w.src, t)
		in.reversed(&p, w.entry, t.host, *t, &w.src)
	}
	return p.result("the flow comes out of no tunnel of a node on this kernel with the sender's address")
}

// reversed asks a node about packets of src that another node sends to dst.
func (in *Input) reversed(p *parts, at, from *netstate.Namespace, src side, dst *side) {
	l, _ := tunnel(from, dst.addr)
	if l == nil {
		return
	}
	var dev *netstate.Link
	for i := range at.Links {
		if v := at.Links[i].VXLAN; v != nil && v.VNI == l.VXLAN.VNI && v.Port == l.VXLAN.Port && sameFamily(v, l.VXLAN) {
			dev = &at.Links[i]
		}
	}
	if dev == nil {
		return
	}
	// the kernel takes the larger of the two (include/linux/inetdevice.h, IN_DEV_MAXCONF)
	mode := max(at.Sysctls["net.ipv4.conf.all.rp_filter"], at.Sysctls["net.ipv4.conf."+dev.Name+".rp_filter"], "0")
	r, ok := at.RouteFor(src.addr)
	if mode == "1" && ok && r.Dev != dev.Name && !src.addr.Is6() {
		p.bad(Result{Cause: "rp-filter", Node: at.Node, Stops: true, Summary: fmt.Sprintf("%s drops packets from %s at %s: its route back leads to %s, and rp_filter is strict", at.Node, in.who(src.addr, 0), dev.Name, r.Dev),
			Evidence: []string{fmt.Sprintf("state: rp_filter of %s is 1; the way back to %s leads to %s", dev.Name, src.addr, r.Dev)},
			Fix:      []string{fmt.Sprintf("on %s: sysctl -w %s=0 net.ipv4.conf.all.rp_filter=0, or correct the route", at.Node, verdict.Setting("net.ipv4.conf", dev.Name, "rp_filter"))}})
		return
	}
	p.good(fmt.Sprintf("%s takes packets of %s at %s", at.Node, src.addr, dev.Name))
}
