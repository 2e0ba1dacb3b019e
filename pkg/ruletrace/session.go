// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/guardian"
	"github.com/nettrace-io/nettrace/internal/netns"
)

// TablePrefix begins the names of nettrace's own tables. They decide nothing, and are no part of a node's rules.
const TablePrefix = "nettrace_trace_"

// Namespace is a network namespace in which rules are traced.
type Namespace struct {
	Path string
	Name string // for messages
	// NFT says that it has rules of nftables or iptables-nft, Legacy which families, 4 or 6, have rules of iptables-legacy.
	NFT    bool
	Legacy []uint8
	// Conntrack says that it translates addresses, and so has connection tracking.
	Conntrack bool
}

// Options are the settings of a trace.
type Options struct {
	Flow       Flow
	Namespaces []Namespace
	// Guard returns the command of the guardian that runs Guard; needed where iptables-legacy is traced.
	Guard func() (*exec.Cmd, error)
	// Warn takes one sentence for the user.
	Warn func(string)
}

// Session is a running trace. Stop ends it.
type Session struct {
	table    string
	places   []*place
	settings []logSetting
	guard    *guardian.Guardian
	epoll    int
	buf      []byte
	lost     uint64
	err      error
}

// place is a namespace with what is open in it.
type place struct {
	ns       Namespace
	inode    uint32
	tables   []*ownedTable
	nft, log *socket
	follow   follower
}

// Start adds a table to each namespace and listens for the records. It says before what it is going to change, and what it cannot trace. It
// takes CAP_NET_ADMIN, entering other namespaces CAP_SYS_ADMIN.
func Start(o Options) (*Session, error) {
	if err := o.Flow.check(); err != nil {
		return nil, err
	}
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("name the table of --trace-rules: %w", err)
	}
	s := &Session{table: fmt.Sprintf("%s%d_%s", TablePrefix, os.Getpid(), hex.EncodeToString(id[:])), epoll: -1, buf: make([]byte, 1<<16)}
	var err error
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("wait for trace records: %w", err)
	}
	o.Warn(announcement(s.table, o.Namespaces))
	for _, n := range o.Namespaces {
		p := &place{ns: n}
		if p.inode, err = netns.Inode(n.Path); err != nil {
			o.Warn("--trace-rules: " + err.Error()) // a pod that ended meanwhile
			continue
		}
		s.places = append(s.places, p)
		if err := netns.Do(n.Path, func() error { return s.open(p, &o) }); err != nil {
			return nil, errors.Join(explain(err), s.Stop())
		}
	}
	return s, nil
}

// open works in the namespace: first it listens, then it lets the kernel speak.
func (s *Session) open(p *place, o *Options) (err error) {
	quiet, why := s.openLog(p, o)
	if why != nil {
		o.Warn(fmt.Sprintf("--trace-rules: in namespace %s %s not traced: %v", p.ns.Name, lacking(quiet, p.ns.NFT), why))
	}
	if !quiet {
		return nil
	}
	if p.nft, err = listenNFT(); err != nil {
		return fmt.Errorf("listen for trace events in namespace %s: %w", p.ns.Name, err)
	}
	if err := s.poll(p.nft, len(s.places)-1, false); err != nil {
		return err
	}
	for _, family := range o.Flow.families() {
		t, err := addTable(s.table, family, &o.Flow, p.ns.Conntrack)
		if err != nil {
			return fmt.Errorf("add the table %s in namespace %s: %w", s.table, p.ns.Name, err)
		}
		p.tables = append(p.tables, t)
	}
	return nil
}

// openLog listens for the records of iptables-legacy, where there are such rules. quiet is false when the kernel would write them to its own
// log instead.
func (s *Session) openLog(p *place, o *Options) (quiet bool, why error) {
	quiet = true
	var change []logSetting
	for _, family := range p.ns.Legacy {
		was, err := logger(family)
		if err != nil {
			return quiet, fmt.Errorf("read net.netfilter.nf_log: %w", err)
		}
		quiet = quiet && !kernelLogs(was)
		if was != ourLogger {
			change = append(change, logSetting{Path: p.ns.Path, Inode: p.inode, Family: family, Was: was})
		}
	}
	if len(p.ns.Legacy) == 0 {
		return true, nil
	}
	log, err := listenLog()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EBUSY) { // EPERM is what nfulnl_recv_config says of a group that another has
		return quiet, errors.New("another program, perhaps another nettrace, has log group 0")
	}
	if err != nil {
		return quiet, fmt.Errorf("bind log group 0: %w", err)
	}
	for _, c := range change {
		if err := s.change(c, o); err != nil {
			return quiet, errors.Join(err, log.close())
		}
	}
	p.log = log
	return true, s.poll(log, len(s.places)-1, true)
}

// change sets the logger of a family, after the guardian knows.
func (s *Session) change(c logSetting, o *Options) error {
	if s.guard == nil {
		cmd, err := o.Guard()
		if err != nil {
			return fmt.Errorf("start the guardian: %w", err)
		}
		if s.guard, err = guardian.Start(cmd); err != nil {
			return err
		}
	}
	if err := s.guard.Tell(c); err != nil {
		return err
	}
	if err := setLogger(c.Family, ourLogger); err != nil {
		return fmt.Errorf("set net.netfilter.nf_log: %w", err)
	}
	s.settings = append(s.settings, c)
	return nil
}

// poll watches a socket; what it is told back is the place and which of its sockets.
func (s *Session) poll(k *socket, at int, log bool) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLERR, Fd: int32(at)}
	if log {
		e.Pad = 1
	}
	if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, k.fd, &e); err != nil {
		return fmt.Errorf("wait for trace records: %w", err)
	}
	return nil
}

// Table is the name of the tables.
func (s *Session) Table() string { return s.table }

// Lost is how many times the kernel had to throw records away because they were not read in time.
func (s *Session) Lost() uint64 { return s.lost }

// Err is what ended the reading early; nil when nothing did.
func (s *Session) Err() error { return s.err }

// Drain returns the records that wait, oldest first within a namespace and backend. The kernel puts them there while the packet is in the
// rules, so those of a packet are there before what happened to it behind the rules is told.
func (s *Session) Drain() []Record {
	if s == nil || s.err != nil {
		return nil
	}
	var events [64]unix.EpollEvent
	n, err := unix.EpollWait(s.epoll, events[:], 0)
	if err != nil || n <= 0 {
		return nil
	}
	var out []Record
	for _, e := range events[:n] {
		out = s.take(out, s.places[e.Fd], e.Pad == 1)
	}
	return out
}

func (s *Session) take(out []Record, p *place, log bool) []Record {
	k, decode := p.nft, DecodeNFT
	want := uint16(unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_TRACE)
	if log {
		k, decode, want = p.log, DecodeLog, unix.NFNL_SUBSYS_ULOG<<8|nfulnlMsgPacket
	}
	lost, err := k.read(s.buf, func(kind uint16, payload []byte) {
		if kind != want {
			return
		}
		r, err := decode(payload)
		if err != nil || (!log && !p.follow.complete(&r)) || strings.HasPrefix(r.Table, TablePrefix) {
			return
		}
		r.NetNS = p.inode
		out = append(out, r)
	})
	if lost {
		s.lost++
		p.follow.forget()
	}
	s.err = err
	return out
}

// Stop takes everything away again.
func (s *Session) Stop() error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, p := range s.places {
		for _, t := range p.tables {
			errs = append(errs, t.close())
		}
	}
	undo := restore(s.settings)
	if s.guard != nil {
		errs = append(errs, s.guard.End(undo == nil))
	}
	for _, p := range s.places {
		errs = append(errs, p.nft.close(), p.log.close())
	}
	if s.epoll >= 0 {
		errs = append(errs, unix.Close(s.epoll))
	}
	*s = Session{table: s.table, epoll: -1, lost: s.lost, err: s.err}
	return errors.Join(append(errs, undo)...)
}
