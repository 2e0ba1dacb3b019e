// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of a resolv.conf. Those of the options are glibc's (resolv.conf(5), resolv.h); glibc has no bound for the search list since 2.26,
// and the kubelet allows 32 names.
const (
	maxResolvConf  = 64 << 10
	maxNameservers = 3
	maxSearch      = 32
	maxNdots       = 15
	maxDNSTimeout  = 30 * time.Second
	maxDNSAttempts = 5
	maxDNSName     = 255
)

// ResolvConf is how a pod's programs ask for names.
type ResolvConf struct {
	Servers  []netip.Addr
	Search   []string
	Ndots    int           // names with fewer dots are tried with the search list first; default 1
	Timeout  time.Duration // of one query; default 5 s
	Attempts int           // rounds over all servers; default 2
	TCP      bool          // option use-vc
}

// ParseResolvConf reads a resolv.conf as resolv.conf(5) describes it. Like the resolver it skips what it does not understand: a file without
// a nameserver means the one on this host.
func ParseResolvConf(b []byte) ResolvConf {
	c := ResolvConf{Ndots: 1, Timeout: 5 * time.Second, Attempts: 2}
	for line := range bytes.Lines(b[:min(len(b), maxResolvConf)]) {
		f := strings.Fields(string(line))
		if len(f) < 2 || f[0][0] == '#' || f[0][0] == ';' {
			continue
		}
		switch f[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(f[1]); err == nil && len(c.Servers) < maxNameservers {
				c.Servers = append(c.Servers, a.Unmap())
			}
		case "domain":
			c.Search = searchList(f[1:2])
		case "search": // the last line counts
			c.Search = searchList(f[1:])
		case "options":
			for _, o := range f[1:] {
				c.option(o)
			}
		}
	}
	if c.Servers == nil {
		c.Servers = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	return c
}

func searchList(names []string) []string {
	var out []string
	for _, n := range names {
		if n = strings.Trim(n, "."); n != "" && len(n) <= maxDNSName && len(out) < maxSearch {
			out = append(out, n)
		}
	}
	return out
}

func (c *ResolvConf) option(o string) {
	name, value, _ := strings.Cut(o, ":")
	if name == "use-vc" {
		c.TCP = true
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return
	}
	switch name {
	case "ndots":
		c.Ndots = min(n, maxNdots)
	case "timeout":
		c.Timeout = min(time.Duration(max(n, 1))*time.Second, maxDNSTimeout)
		if n > int(maxDNSTimeout/time.Second) {
			c.Timeout = maxDNSTimeout
		}
	case "attempts":
		c.Attempts = min(max(n, 1), maxDNSAttempts)
	}
}

// ReadResolvConf reads a regular file below a root that is somebody else's, as /proc/PID/root: links are followed inside the root only, so
// that a container cannot have a file of the node read, and a FIFO is not waited for.
func ReadResolvConf(root, name string) (ResolvConf, error) {
	where := filepath.Join(root, name)
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ResolvConf{}, fmt.Errorf("read %s: %w", where, err)
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, strings.TrimPrefix(name, "/"), &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return ResolvConf{}, fmt.Errorf("read %s: %w", where, err)
	}
	f := os.NewFile(uintptr(fd), where)
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return ResolvConf{}, fmt.Errorf("read %s: it is no regular file", where)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxResolvConf))
	if err != nil {
		return ResolvConf{}, fmt.Errorf("read %s: %w", where, err)
	}
	return ParseResolvConf(b), nil
}

// expansion is one name that the resolver tries for what a program asked.
type expansion struct{ name, suffix string }

// expand lists the names in the order of glibc's res_search: with at least ndots dots the name itself comes first, else last. A name that
// ends in a dot is tried alone.
func (c *ResolvConf) expand(name string) []expansion {
	if strings.HasSuffix(name, ".") {
		return []expansion{{name: name}}
	}
	itself := expansion{name: name + "."}
	var out []expansion
	for _, s := range c.Search {
		if full := name + "." + s + "."; len(full) <= maxDNSName {
			out = append(out, expansion{name: full, suffix: s})
		}
	}
	if strings.Count(name, ".") >= c.Ndots {
		return append([]expansion{itself}, out...)
	}
	return append(out, itself)
}
