// SPDX-License-Identifier: Apache-2.0

package drops

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// Options are the settings of a Session.
type Options struct {
	// Rate bounds the samples of one kind on one CPU, a second; Burst how many may come at once. Defaults 20 and 20.
	Rate, Burst uint32
	// Pods restricts to what SetPods names: drops in these namespaces, or of packets from or to these addresses.
	Pods bool
	// Addresses restricts to packets from or to one of them, inside a tunnel or outside.
	Addresses []netip.Prefix
	// Port restricts to packets from or to this port; 0 for any.
	Port uint16
}

// Bounds of bpf/drops.bpf.c.
const (
	MaxAddresses = 1024
	MaxPods      = 4096
)

// Session counts drops from Start until Close.
type Session struct {
	kernel *tracer.RunningKernel
	coll   *ebpf.Collection
	link   link.Link
	reader *ringbuf.Reader
	dec    *tracer.Decoder
	rec    ringbuf.Record
	args   int
	pods   map[bpfPrefix]bool // in the map now
	spaces map[uint32]bool
	misses func() (uint64, error)
}

// Start loads the program and attaches it. Errors of type *tracer.PrivilegeError and *tracer.FeatureError say what is missing.
func Start(o Options) (*Session, error) {
	k, err := tracer.OpenKernel()
	if err != nil {
		return nil, err
	}
	args, ok := k.TracepointArgs("kfree_skb")
	if !ok {
		return nil, &tracer.FeatureError{What: "the tracepoint skb:kfree_skb", Next: "use a kernel built with CONFIG_TRACEPOINTS and CONFIG_NET"}
	}
	spec, err := loadBpf()
	if err != nil {
		return nil, fmt.Errorf("read the embedded program: %w", err)
	}
	if err := o.configure(spec, args); err != nil {
		return nil, err
	}
	s := &Session{kernel: k, args: args, dec: tracer.NewDecoder(k.Names()), pods: map[bpfPrefix]bool{}, spaces: map[uint32]bool{}}
	s.coll, err = ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{KernelTypes: k.Types()}})
	if err != nil {
		return nil, tracer.ExplainLoad(err)
	}
	if err := s.open(&o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (o *Options) configure(spec *ebpf.CollectionSpec, args int) error {
	if o.Rate == 0 {
		o.Rate = 20
	}
	if o.Burst == 0 {
		o.Burst = 20
	}
	var filter bpfDropFilter
	if o.Pods {
		filter |= bpfDropFilterFILTER_PODS
	}
	if len(o.Addresses) > 0 {
		filter |= bpfDropFilterFILTER_ADDRESSES
	}
	if o.Port != 0 {
		filter |= bpfDropFilterFILTER_PORT
	}
	for name, value := range map[string]any{"kfree_skb_args": uint32(args), "cfg_filter": uint32(filter), "cfg_port": o.Port,
		"cfg_interval": uint64(time.Second) / uint64(o.Rate), "cfg_burst": o.Burst} {
		v := spec.Variables[name]
		if v == nil {
			return fmt.Errorf("set %s: the embedded program has no such variable; rebuild with 'make generate build'", name)
		}
		if err := v.Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// open fills the filter, opens the ring and attaches, in this order.
func (s *Session) open(o *Options) error {
	for _, a := range o.Addresses {
		if err := s.coll.Maps["addresses"].Put(prefixKey(a), uint8(1)); err != nil {
			return fmt.Errorf("set the address %s: %w", a, err)
		}
	}
	var err error
	if s.reader, err = ringbuf.NewReader(s.coll.Maps["samples"]); err != nil {
		return fmt.Errorf("open the ring buffer: %w", err)
	}
	prog := s.coll.Programs["count_drop"]
	s.misses = func() (uint64, error) {
		st, err := prog.Stats()
		if err != nil {
			return 0, err
		}
		return st.RecursionMisses, nil
	}
	if s.link, err = link.AttachTracing(link.TracingOptions{Program: prog}); err != nil {
		return tracer.ExplainLoad(fmt.Errorf("attach to kfree_skb: %w", err))
	}
	return nil
}

// Reasons reports whether the kernel gives drops a reason (since Linux 5.17).
func (s *Session) Reasons() bool { return s.args >= 3 }

// Function is the name of the function at a code address.
func (s *Session) Function(addr uint64) string { return s.kernel.Function(addr) }

// Read waits until deadline for the next sample and decodes it into e. ok is false when none came.
func (s *Session) Read(deadline time.Time, e *tracer.Event) (ok bool, err error) {
	s.reader.SetDeadline(deadline)
	switch err := s.reader.ReadInto(&s.rec); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the ring buffer: %w", err)
	}
	return true, s.dec.Decode(s.rec.RawSample, e)
}

// Counts are the drops of each kind since Start, and what could not be counted so.
func (s *Session) Counts() ([]Count, Lost, error) {
	var (
		k     bpfDropKey
		each  []bpfDropCount
		out   []Count
		lost  Lost
		names = s.kernel.Names()
	)
	it := s.coll.Maps["counts"].Iterate()
	for it.Next(&k, &each) {
		c := Count{Kind: Kind{Location: s.kernel.Function(k.Location), Reason: names.DropReason(k.Reason), NetNS: k.Netns, Ifindex: k.Ifindex,
			Ethertype: k.Ethertype, Proto: k.Proto, Type: k.Kind}}
		for i := range each {
			c.Packets += each[i].Packets
			c.Bytes += each[i].Bytes
		}
		out = append(out, c)
	}
	err := it.Err()
	if errors.Is(err, ebpf.ErrIterationAborted) { // kinds were added while it was read: the next time will tell
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("read the counts: %w", err)
	}
	for name, to := range map[string]*uint64{"uncounted": &lost.Uncounted, "unsampled": &lost.Unsampled, "unparsed": &lost.Unparsed} {
		if e := s.coll.Variables[name].Get(to); e != nil {
			err = errors.Join(err, fmt.Errorf("read %s: %w", name, e))
		}
	}
	if n, e := s.misses(); e == nil { // kernels before 5.12 do not count them
		lost.Unparsed += n
	}
	return out, lost, err
}

// SetPods says which namespaces and addresses Options.Pods lets through: MaxPods of each, the lowest ones.
func (s *Session) SetPods(spaces []uint32, addrs []netip.Addr) error {
	want, in := map[bpfPrefix]bool{}, map[uint32]bool{}
	for _, a := range lowest(addrs, netip.Addr.Compare) {
		want[prefixKey(netip.PrefixFrom(a, a.BitLen()))] = true
	}
	for _, n := range lowest(spaces, cmp.Compare[uint32]) {
		in[n] = true
	}
	err := errors.Join(replace(s.coll.Maps["pods"], s.pods, want), replace(s.coll.Maps["spaces"], s.spaces, in))
	s.pods, s.spaces = want, in
	if err != nil {
		return fmt.Errorf("set the pods: %w", err)
	}
	return nil
}

// lowest cuts a list to what a map holds, each time to the same ones.
func lowest[T comparable](all []T, compare func(a, b T) int) []T {
	all = slices.Clone(all)
	slices.SortFunc(all, compare)
	all = slices.Compact(all)
	return all[:min(len(all), MaxPods)]
}

// kernelMap is what replace needs of an ebpf.Map.
type kernelMap interface {
	Put(key, value any) error
	Delete(key any) error
}

// replace makes a map hold what is wanted. What is not wanted any more goes first: the map may be full.
func replace[K comparable](m kernelMap, old, want map[K]bool) error {
	var err error
	for k := range old {
		if want[k] {
			continue
		}
		if e := m.Delete(k); !errors.Is(e, ebpf.ErrKeyNotExist) {
			err = errors.Join(err, e)
		}
	}
	for k := range want {
		if !old[k] {
			err = errors.Join(err, m.Put(k, uint8(1)))
		}
	}
	return err
}

// prefixKey is a prefix as the kernel side compares it: IPv4 in the first four bytes.
func prefixKey(p netip.Prefix) bpfPrefix {
	k := bpfPrefix{Bits: 32 + uint32(p.Bits()), Family: 6}
	a := p.Addr().Unmap()
	if a.Is4() {
		k.Family = 4
		if p.Addr().Is4In6() {
			k.Bits -= 96
		}
	}
	copy(k.Addr[:], p.Masked().Addr().Unmap().AsSlice())
	return k
}

// Stop ends the counting: what Read and Counts give after it is all there is.
func (s *Session) Stop() error {
	l := s.link
	if s.link = nil; l == nil {
		return nil
	}
	if err := l.Close(); err != nil {
		return fmt.Errorf("detach: %w", err)
	}
	return nil
}

// Close detaches. It is safe on a half-started session.
func (s *Session) Close() error {
	var err error
	if s.link != nil {
		err = s.link.Close()
	}
	if s.reader != nil {
		err = errors.Join(err, s.reader.Close())
	}
	if s.coll != nil {
		s.coll.Close()
	}
	return err
}
