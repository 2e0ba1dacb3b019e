// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// Options are the settings of a lab.
type Options struct {
	Prefix   string    // of namespace names: [a-z0-9]{1,8}; default "nettrace"
	Backend  string    // iptables-legacy (default), iptables-nft or nftables
	Services []Service // default: Services()
	Objects  string    // further Kubernetes objects, as YAML documents
	Log      io.Writer // progress; nil for none
	// OnStep is called before each step of Up; tests use it to interrupt.
	OnStep func(step string)
}

// DefaultPrefix is the prefix of 'nettrace lab up'.
const DefaultPrefix = "nettrace"

var prefixForm = regexp.MustCompile(`^[a-z0-9]{1,8}$`)

// Lab is a running lab.
type Lab struct {
	prefix   string
	backend  string
	services []Service
	objects  string
	mu       sync.Mutex
	closers  []io.Closer // servers
}

// Up builds a lab. On an error, a cancelled context included, nothing of it is left.
func Up(ctx context.Context, o Options) (*Lab, error) {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if !prefixForm.MatchString(o.Prefix) {
		return nil, fmt.Errorf("lab prefix %q: use one to eight of a-z and 0-9", o.Prefix)
	}
	if o.Backend == "" {
		o.Backend = "iptables-legacy"
	}
	if o.Services == nil {
		o.Services = Services()
	}
	l := &Lab{prefix: o.Prefix, backend: o.Backend, services: o.Services, objects: o.Objects}
	for _, s := range ShortNames() {
		if _, err := netns.Inode(l.Path(s)); err == nil {
			return nil, fmt.Errorf("a lab with prefix %q is there already: run 'nettrace lab down --prefix %s' first", o.Prefix, o.Prefix)
		}
	}
	if err := l.build(ctx, &o); err != nil {
		if down := l.Down(); down != nil {
			err = fmt.Errorf("%w; and clean up: %w", err, down)
		}
		return nil, err
	}
	return l, nil
}

func (l *Lab) build(ctx context.Context, o *Options) error {
	b := &builder{spaces: map[string]*ns{}}
	defer b.close()
	for _, step := range l.steps(b, o) {
		if o.OnStep != nil {
			o.OnStep(step.name)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("build the lab: %w", context.Cause(ctx))
		}
		if o.Log != nil {
			fmt.Fprintf(o.Log, "lab: %s\n", step.name)
		}
		step.run()
		if b.err != nil {
			return fmt.Errorf("build the lab: %w", b.err)
		}
	}
	return nil
}

type step struct {
	name string
	run  func()
}

func (l *Lab) steps(b *builder, o *Options) []step {
	steps := []step{{"namespaces", func() { l.namespaces(b) }}, {"fabric and external host", func() { fabric(b) }}}
	nodes := Nodes()
	for i := range nodes {
		n, other := nodes[i], nodes[1-i]
		steps = append(steps, step{n.Name, func() { node(b, n) }}, step{n.Name + " tunnel", func() { tunnel(b, n, other) }})
	}
	for _, p := range Pods() {
		steps = append(steps, step{"pod " + p.Namespace + "/" + p.Name, func() { pod(b, p, nodes) }})
	}
	steps = append(steps, step{"the pods' resolv.conf", func() { b.do("write the pods' resolv.conf", l.resolvers) }})
	for _, n := range nodes {
		steps = append(steps, step{n.Name + " rules", func() {
			b.do("write rules on "+n.Name, func() error {
				flannel := FlannelRules(n.PodCIDR.String(), ClusterCIDR.String())
				if l.backend != NFTables {
					return l.restore(n.Name, l.backend, KubeProxyRules(n.Name, ClusterCIDR.String(), o.Services)+flannel)
				}
				if err := l.restore(n.Name, "iptables-legacy", flannel); err != nil {
					return err
				}
				return l.feed(n.Name, KubeProxyNFT(n, ClusterCIDR.String(), o.Services), "nft", "-f", "-")
			})
		}})
	}
	return steps
}

func (l *Lab) namespaces(b *builder) {
	for _, s := range ShortNames() {
		b.do("namespace "+s, func() error {
			if err := netns.Create(l.NetNS(s)); err != nil {
				return err
			}
			n, err := openNS(l.Path(s))
			if err != nil {
				return err
			}
			b.spaces[s] = n
			return nil
		})
		// as CNI plugins do: duplicate address detection would keep addresses unusable for a second or two
		b.sysctl(s, "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0")
		b.up(s, "lo")
	}
}

func fabric(b *builder) {
	b.add(Fabric, &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}})
	b.up(Fabric, "br0")
	b.sysctl(Fabric, "?net.bridge.bridge-nf-call-iptables=0", "?net.bridge.bridge-nf-call-ip6tables=0")
	for _, s := range []string{"node1", "node2", External} {
		b.veth(Fabric, "port-"+s, s, "eth0")
		b.master(Fabric, "port-"+s, "br0", false)
		b.up(Fabric, "port-"+s)
		b.up(s, "eth0")
	}
	b.address(External, "eth0", externalIP, underlay)
}

func node(b *builder, n Node) {
	b.address(n.Name, "eth0", n.IP, underlay)
	b.route(n.Name, "eth0", netip.Prefix{}, externalIP, false)
	b.sysctl(n.Name, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")
	b.add(n.Name, &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "cni0", MTU: podMTU}})
	b.up(n.Name, "cni0")
	b.address(n.Name, "cni0", n.Gateway, n.PodCIDR.Bits())
	b.address(n.Name, "cni0", n.Gateway6, n.PodCIDR6.Bits())
	b.sysctl(n.Name, "net.bridge.bridge-nf-call-iptables=1", "net.bridge.bridge-nf-call-ip6tables=1")
}

// tunnel is flannel's VXLAN device with its route, neighbour and forwarding entry for the other node. Real flannel carries IPv6 in a
// device of its own, flannel-v6.1; here both go through flannel.1.
func tunnel(b *builder, n, other Node) {
	uplink := b.link(n.Name, "eth0")
	if b.err != nil {
		return
	}
	const dev = "flannel.1"
	b.add(n.Name, &netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: dev, HardwareAddr: n.VTEPMAC, MTU: podMTU}, VxlanId: 1, VtepDevIndex: uplink.Attrs().Index,
		SrcAddr: n.IP.AsSlice(), Port: vxlanPort, Learning: false})
	b.up(n.Name, dev)
	b.address(n.Name, dev, n.VTEP, 32)
	b.address(n.Name, dev, n.VTEP6, 128)
	b.route(n.Name, dev, other.PodCIDR, other.VTEP, true)
	b.route(n.Name, dev, other.PodCIDR6, other.VTEP6, true)
	b.neighbour(n.Name, dev, other.VTEP, other.VTEPMAC, netip.Addr{})
	b.neighbour(n.Name, dev, other.VTEP6, other.VTEPMAC, netip.Addr{})
	b.neighbour(n.Name, dev, netip.Addr{}, other.VTEPMAC, other.IP)
}

func pod(b *builder, p Pod, nodes []Node) {
	for _, n := range nodes {
		if n.Name != p.Node {
			continue
		}
		b.veth(n.Name, p.hostVeth(), p.Short, "eth0")
		b.mtu(n.Name, p.hostVeth(), podMTU)
		b.mtu(p.Short, "eth0", podMTU)
		b.master(n.Name, p.hostVeth(), "cni0", true)
		b.up(n.Name, p.hostVeth())
		b.up(p.Short, "eth0")
		b.address(p.Short, "eth0", p.IP, n.PodCIDR.Bits())
		b.address(p.Short, "eth0", p.IP6, n.PodCIDR6.Bits())
		b.route(p.Short, "eth0", netip.Prefix{}, n.Gateway, false)
		b.route(p.Short, "eth0", netip.Prefix{}, n.Gateway6, false)
	}
}

// NFTables is the backend of a kube-proxy in nftables mode; the CNI plugin's rules are iptables-legacy's then.
const NFTables = "nftables"

// restore loads rules in the form of iptables-save.
func (l *Lab) restore(space, backend, rules string) error {
	return l.feed(space, rules, backend+"-restore", "--noflush", "-w", "5")
}

// feed runs a tool in a namespace with rules on its stdin.
func (l *Lab) feed(space, rules, tool string, args ...string) error {
	return netns.Do(l.Path(space), func() error {
		cmd := exec.Command(tool, args...)
		cmd.Stdin = strings.NewReader(rules)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", tool, err, strings.TrimSpace(string(out)))
		}
		return nil
	})
}

// NetNS is the full name of a namespace.
func (l *Lab) NetNS(short string) string { return l.prefix + "-" + short }

// Path is the path of a namespace.
func (l *Lab) Path(short string) string { return netns.Dir + "/" + l.NetNS(short) }

// Prefix is the lab's prefix.
func (l *Lab) Prefix() string { return l.prefix }

// Scopes are the values of --scope for the lab: each node with its pods; the fabric belongs to neither.
func (l *Lab) Scopes() []string {
	var out []string
	for _, n := range Nodes() {
		s := n.Name + "=" + l.NetNS(n.Name)
		for _, p := range Pods() {
			if p.Node == n.Name {
				s += "+" + l.NetNS(p.Short)
			}
		}
		out = append(out, s)
	}
	return out
}

// Down removes the lab. What is not there is no error.
func (l *Lab) Down() error {
	l.mu.Lock()
	for _, c := range l.closers {
		_ = c.Close()
	}
	l.closers = nil
	l.mu.Unlock()
	return removeNamespaces(l.prefix)
}
