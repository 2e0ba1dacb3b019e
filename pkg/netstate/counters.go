// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
)

// counterNames are the counters that checks look at, by the names that nstat has: they are those of the namespace
// (net/ipv4/proc.c). Older kernels lack some. No library reads them for a thread inside a namespace, only for processes.
var counterNames = map[string]bool{
	"Ip.ReasmFails": true, "Ip.ReasmTimeout": true, "Ip.FragCreates": true, "Ip.FragFails": true, "Ip.OutNoRoutes": true,
	"Udp.NoPorts": true, "Udp.RcvbufErrors": true, "Udp.InCsumErrors": true, "Tcp.InCsumErrors": true, "Tcp.RetransSegs": true,
	"TcpExt.ListenOverflows": true, "TcpExt.ListenDrops": true, "TcpExt.TCPReqQFullDrop": true, "TcpExt.TCPReqQFullDoCookies": true,
	"TcpExt.PAWSEstab": true, "TcpExt.PAWSActive": true, "TcpExt.TCPToZeroWindowAdv": true, "TcpExt.TCPWantZeroWindowAdv": true,
	"TcpExt.TCPZeroWindowDrop": true, "TcpExt.TCPRcvQDrop": true,
}

// maxCounterFile bounds what is read of one file below /proc/net: these files have a line per kind of counter, or per CPU.
const maxCounterFile = 4 << 20

// counters reads the counters of the namespace of the calling thread.
func (r *reader) counters() {
	r.n.Counters = map[string]uint64{}
	for name, parse := range map[string]func([]byte, map[string]uint64){
		"snmp": parsePairs, "netstat": parsePairs, "sockstat": parseSockstat, "stat/nf_conntrack": parseConntrack,
		"softnet_stat": parseSoftnet,
	} {
		b, err := readCounterFile("/proc/thread-self/net/" + name)
		switch {
		case err == nil:
			parse(b, r.n.Counters)
		case !errors.Is(err, os.ErrNotExist): // nf_conntrack is a module
			r.unread("counters in "+name, err)
		}
	}
}

func readCounterFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxCounterFile))
}

// parsePairs reads /proc/net/snmp and netstat: a line of names and one of values, each behind "Group:".
func parsePairs(b []byte, into map[string]uint64) {
	var names []string
	for line := range lines(b) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(names) != len(f) || names[0] != f[0] {
			names = f
			continue
		}
		group := strings.TrimSuffix(f[0], ":")
		for i := 1; i < len(f); i++ {
			name := group + "." + names[i]
			if v, err := strconv.ParseUint(f[i], 10, 64); err == nil && counterNames[name] {
				into[name] = v
			}
		}
		names = nil
	}
}

// parseSockstat reads how many TCP sockets the namespace has: "TCP: inuse 1 orphan 0 tw 2 ...".
func parseSockstat(b []byte, into map[string]uint64) {
	for line := range lines(b) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != "TCP:" {
			continue
		}
		for i := 1; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseUint(f[i+1], 10, 64); err == nil && (f[i] == "inuse" || f[i] == "tw" || f[i] == "orphan") {
				into["Sockets.TCP."+f[i]] = v
			}
		}
	}
}

// parseConntrack adds up /proc/net/stat/nf_conntrack: a line of names, then one of hexadecimal values per CPU.
func parseConntrack(b []byte, into map[string]uint64) {
	var names []string
	for line := range lines(b) {
		f := strings.Fields(line)
		if names == nil {
			names = f
			continue
		}
		for i := 0; i < min(len(f), len(names)); i++ {
			switch names[i] {
			case "drop", "insert_failed", "early_drop", "invalid":
				if v, err := strconv.ParseUint(f[i], 16, 64); err == nil {
					into["Conntrack."+names[i]] += v
				}
			}
		}
	}
}

// parseSoftnet adds up the second column of /proc/net/softnet_stat, hexadecimal, a line for each CPU: packets that its backlog had no room for
// (net/core/net-procfs.c). They are the whole kernel's, whatever the namespace.
func parseSoftnet(b []byte, into map[string]uint64) {
	for line := range lines(b) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		if v, err := strconv.ParseUint(f[1], 16, 64); err == nil {
			into["Softnet.dropped"] += v
		}
	}
}

func lines(b []byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		s := bufio.NewScanner(bytes.NewReader(b))
		s.Buffer(nil, 1<<20)
		for s.Scan() && yield(s.Text()) {
		}
	}
}

// qdiscs reads the root queueing discipline of each device and what it has dropped.
func (r *reader) qdiscs() {
	list, err := r.nl.QdiscList(nil)
	r.unread("queueing disciplines", err)
	for _, q := range list[:bound(r, "queueing disciplines", len(list))] {
		a := q.Attrs()
		for i := range r.n.Links {
			l := &r.n.Links[i]
			switch {
			case l.Index != a.LinkIndex:
			case q.Type() == "clsact" || q.Type() == "ingress":
				l.Ingress = true
			case a.Parent == netlink.HANDLE_ROOT:
				l.Qdisc = q.Type()
				if a.Statistics != nil && a.Statistics.Queue != nil {
					l.QdiscDrops = uint64(a.Statistics.Queue.Drops)
				}
			}
		}
	}
}

// Delta is by how much a counter of a namespace grew between two snapshots; false when either lacks it, or when it went back, as a counter
// of a namespace that was made anew does.
func Delta(before, after *Snapshot, inode uint32, name string) (uint64, bool) {
	b, a := before.ByInode(inode), after.ByInode(inode)
	if b == nil || a == nil {
		return 0, false
	}
	was, ok := b.Counters[name]
	is, ok2 := a.Counters[name]
	if !ok || !ok2 || is < was {
		return 0, false
	}
	return is - was, true
}
