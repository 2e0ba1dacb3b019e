// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"errors"
	"fmt"
	"io"
	"os/exec"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// Namespace is a network namespace whose devices are captured at.
type Namespace struct {
	Path  string // of the namespace file
	Label string // in the file, "node1/pod shop/client"
}

// Options are the settings of a capture.
type Options struct {
	Namespaces []Namespace
	// Snap is how many bytes of a packet are kept, at most and by default MaxSnap.
	Snap uint32
	// RingBytes is the size of the ring buffer; a power of two, at least a page. Default 16 MiB.
	RingBytes uint32
	// Clsact attaches through clsact queueing disciplines even where the kernel has tcx (since Linux 6.6).
	Clsact bool
	// Guard returns the command of the guardian that runs Guard; needed for clsact only.
	Guard func() (*exec.Cmd, error)
	// Warn takes one sentence for the user.
	Warn func(string)
}

// MaxSnap is SNAP_MAX of bpf/capture.bpf.c: a jumbo frame. Of a GSO packet, which is longer, the start is kept.
const MaxSnap = 9216

const defaultRing = 16 << 20

// Bounds on what a capture holds until it is written.
const (
	maxPackets = 1 << 20
	maxBytes   = 256 << 20
)

// Session is a running capture. Stop ends it.
type Session struct {
	coll    *ebpf.Collection
	reader  *ringbuf.Reader
	at      attacher
	devices []Device
	done    chan struct{}

	// the reader's until done is closed
	packets []Packet
	bytes   int
	over    uint64 // packets beyond the bounds
	err     error
}

// Capture is what a Session collected.
type Capture struct {
	Devices []Device
	Packets []Packet
	Lost    uint64 // packets of the flow that could not be kept
}

// Start loads the programs over the tracer's maps and attaches them to both sides of every device of the namespaces. A device that cannot be
// attached to is told through Warn; when there is no other, that is the error. Loading takes CAP_NET_ADMIN besides what a trace takes,
// entering other namespaces CAP_SYS_ADMIN.
func Start(tr *tracer.Tracer, o Options) (*Session, error) {
	spec, err := loadBpf()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programs of the capture: %w", err)
	}
	shared, err := tr.Share(spec)
	if err != nil {
		return nil, err
	}
	if o.Snap == 0 || o.Snap > MaxSnap {
		o.Snap = MaxSnap
	}
	if o.RingBytes == 0 {
		o.RingBytes = defaultRing
	}
	if err := spec.Variables["cfg_snap"].Set(o.Snap); err != nil {
		return nil, fmt.Errorf("set the snap length: %w", err)
	}
	spec.Maps[bpfMapCaptures].MaxEntries = o.RingBytes
	s := &Session{done: make(chan struct{})}
	if s.coll, err = ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: shared}); err != nil {
		return nil, lacking(fmt.Errorf("load the programs of --pcap: %w", err), "CAP_NET_ADMIN")
	}
	if s.reader, err = ringbuf.NewReader(s.coll.Maps[bpfMapCaptures]); err != nil {
		s.coll.Close()
		return nil, fmt.Errorf("open the ring buffer of the capture: %w", err)
	}
	go s.read()
	if err := s.attach(&o); err != nil {
		_, stop := s.Stop()
		return nil, errors.Join(err, stop)
	}
	return s, nil
}

// attach uses tcx, or clsact where the kernel does not have it.
func (s *Session) attach(o *Options) error {
	in, out := s.coll.Programs[bpfProgCaptureIngress], s.coll.Programs[bpfProgCaptureEgress]
	if !o.Clsact {
		s.at = &tcx{in: in, out: out}
		devices, err := attachAll(s.at, o)
		s.devices = devices
		if !errors.Is(err, ebpf.ErrNotSupported) {
			return lacking(err, "CAP_SYS_ADMIN") // to enter namespaces
		}
	}
	c, err := newClsact(in, out, o.Guard)
	if err != nil {
		return err
	}
	s.at = c
	s.devices, err = attachAll(s.at, o)
	if err == nil && o.Warn != nil {
		o.Warn(fmt.Sprintf("--pcap: without tcx, filters were added to %d devices through clsact; they are removed at the end", len(s.devices)))
	}
	return lacking(err, "CAP_NET_ADMIN")
}

// lacking names the capability that a refusal comes from.
func lacking(err error, capability string) error {
	if errors.Is(err, unix.EPERM) {
		return &tracer.PrivilegeError{Missing: []string{capability}}
	}
	return err
}

// read keeps what the ring holds until Stop flushes it.
func (s *Session) read() {
	defer close(s.done)
	var rec ringbuf.Record
	for {
		err := s.reader.ReadInto(&rec)
		if errors.Is(err, ringbuf.ErrFlushed) || errors.Is(err, ringbuf.ErrClosed) {
			return
		}
		var p Packet
		if err == nil {
			p, err = decode(rec.RawSample)
		}
		if err != nil {
			s.err = fmt.Errorf("read the capture: %w", err)
			return
		}
		s.keep(&p)
	}
}

func (s *Session) keep(p *Packet) {
	if len(s.packets) >= maxPackets || s.bytes >= maxBytes {
		s.over++
		return
	}
	s.bytes += len(p.Data)
	s.packets = append(s.packets, *p)
}

// Stop takes what the ring still holds, detaches, and returns what was captured; what there is, with an error too.
func (s *Session) Stop() (*Capture, error) {
	err := s.reader.Flush()
	if err == nil {
		<-s.done
		err = s.err
	}
	c := &Capture{Devices: s.devices, Packets: s.packets}
	if v := s.coll.Variables["captures_lost"]; v != nil {
		err = errors.Join(err, v.Get(&c.Lost))
	}
	c.Lost += s.over
	var closers []io.Closer
	if s.at != nil {
		closers = append(closers, s.at)
	}
	for _, x := range append(closers, s.reader) {
		err = errors.Join(err, x.Close())
	}
	s.coll.Close()
	return c, err
}
