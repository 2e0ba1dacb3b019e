// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// Request is one probe.
type Request struct {
	NetNS   string // path of the sender's namespace; "" for this process's own
	Proto   string // tcp, udp, icmp
	Src     netip.Addr
	Sport   uint16
	Dst     netip.AddrPort // port 0 for icmp
	Size    int            // payload bytes: tcp sends them after the handshake, udp and icmp in one datagram
	Timeout time.Duration  // of the whole probe
	// At most one of these: a HEAD request after the connect (tcp), asking for a name (udp, tcp), and the largest size that passes (tcp, icmp).
	HTTP *HTTPRequest
	DNS  *DNSRequest
	MTU  bool

	control func(network, address string, c syscall.RawConn) error // of a TCP socket before it connects
}

// MaxSize is the largest payload that a probe sends.
const MaxSize = 1 << 20

// Send makes one probe and returns what the client saw. An error means that nothing could be sent at all.
func Send(ctx context.Context, r Request) (*Result, error) {
	send, ok := map[string]func(context.Context, *Request) (*Result, error){"tcp": sendTCP, "udp": sendUDP, "icmp": sendICMP}[r.Proto]
	if !ok {
		return nil, fmt.Errorf("probe with %s: only tcp, udp and icmp probes can be sent; make the traffic yourself and leave --probe out", r.Proto)
	}
	if r.NetNS == "" {
		r.NetNS = netns.Self
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	begin := time.Now()
	switch {
	case r.DNS != nil && r.Proto != "icmp":
		send = sendDNS
	case r.HTTP != nil && r.Proto == "tcp":
		send = sendHTTP
	case r.MTU && r.Proto == "tcp":
		send = climbTCP
	case r.MTU && r.Proto == "icmp":
		send = climbICMP
	}
	res, err := send(ctx, &r)
	if err != nil {
		return nil, fmt.Errorf("send the probe: %w", err)
	}
	res.MS = time.Since(begin).Milliseconds()
	return res, nil
}

// outcome says what an error of a connection means to the client.
func outcome(err error, connected bool) Outcome {
	var ne net.Error
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return Refused
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.EINVAL):
		return Unreachable
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, unix.EPIPE):
		if connected {
			return Reset
		}
		return Refused
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		return Timeout
	}
	return Unreachable
}

// words are the system's own words for an error, without our addresses and calls.
func words(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return "timed out"
	}
	return err.Error()
}

// dial opens a socket inside the namespace. The address family must be right; the kernel chooses what is not given.
func dial(ctx context.Context, r *Request) (conn net.Conn, err error) {
	d := net.Dialer{Control: r.control}
	switch {
	case r.Proto == "udp": // without it an unconnected host's errors are not told (net/ipv4/udp.c, udp_err)
		d.Control = func(_, _ string, c syscall.RawConn) error {
			wantErrors(c, r.Dst.Addr().Is6())
			return nil
		}
	case r.control == nil && r.Sport != 0:
		d.Control = reusePort
	}
	switch {
	case r.Proto == "tcp" && (r.Src.IsValid() || r.Sport != 0):
		d.LocalAddr = &net.TCPAddr{IP: r.Src.AsSlice(), Port: int(r.Sport)}
	case r.Proto == "udp" && (r.Src.IsValid() || r.Sport != 0):
		d.LocalAddr = &net.UDPAddr{IP: r.Src.AsSlice(), Port: int(r.Sport)}
	}
	inside := netns.Do(r.NetNS, func() error {
		// a literal address makes the dialer open the socket on this thread, which is the one inside the namespace
		conn, err = d.DialContext(ctx, r.Proto, r.Dst.String())
		return nil
	})
	if inside != nil {
		return nil, &setupError{inside}
	}
	if r.taken(err) {
		return nil, &setupError{r.portInUse()}
	}
	return conn, err
}

// reusePort lets a TCP socket have a port on which an earlier probe's connection is in TIME-WAIT (socket(7), SO_REUSEADDR). To the same destination
// connect() then allows it when the two have sent timestamps to each other (tcp_twsk_unique in net/ipv4/tcp_ipv4.c), and refuses it otherwise.
func reusePort(_, _ string, c syscall.RawConn) (err error) {
	cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
	return errors.Join(err, cerr)
}

// taken reports whether an error of the dialer means that the port that was asked for cannot be had. That bind() returns EADDRNOTAVAIL is about the
// address.
func (r *Request) taken(err error) bool {
	var call *os.SyscallError
	return r.Sport != 0 && errors.As(err, &call) && (errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EADDRNOTAVAIL) && call.Syscall == "connect")
}

func (r *Request) portInUse() error {
	why := ""
	if r.Proto == "tcp" {
		why = ", or a connection with it ended less than a minute ago (TIME-WAIT)"
	}
	return fmt.Errorf("port %d of the sender is in use%s: choose another --sport, or leave it out", r.Sport, why)
}

// setupError means that the probe never left this process.
type setupError struct{ error }

func (e *setupError) Unwrap() error { return e.error }

func sendTCP(ctx context.Context, r *Request) (*Result, error) {
	var msg []byte
	if r.Size > 0 {
		msg = payload(r.Dst.String(), r.Size)
	}
	return exchange(ctx, r, msg)
}

func sendUDP(ctx context.Context, r *Request) (*Result, error) {
	msg := []byte("nettrace probe\n")
	if r.Size > 0 {
		msg = []byte(strings.Repeat("x", r.Size))
	}
	res, err := exchange(ctx, r, msg)
	if res != nil && res.Result == Timeout {
		res.Result = NoAnswer
	}
	return res, err
}

// exchange connects, sends the message if there is one, and waits for the first byte of an answer to it.
func exchange(ctx context.Context, r *Request, msg []byte) (*Result, error) {
	conn, err := dial(ctx, r)
	var se *setupError
	if errors.As(err, &se) {
		return nil, se
	}
	if err != nil {
		return &Result{Result: outcome(err, false), Error: words(err)}, nil
	}
	defer conn.Close()
	res := &Result{Result: Connected, Local: conn.LocalAddr().String()}
	if len(msg) == 0 {
		return res, nil
	}
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if res.Sent, err = conn.Write(msg); err == nil {
		_, err = conn.Read(make([]byte, 65535))
	}
	if err != nil {
		res.Result, res.Error = outcome(err, true), words(err)
		if r.Proto == "udp" {
			res.ICMP = icmpError(conn)
		}
		return res, nil
	}
	res.Acked = true
	return res, nil
}

// payload is an HTTP request of size bytes in all, so that a web server reads every byte before it answers. Sizes below the shortest
// request are padded up to it.
func payload(host string, size int) []byte {
	head := func(n int) string {
		return fmt.Sprintf("POST / HTTP/1.1\r\nHost: %s\r\nUser-Agent: nettrace-probe\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", host, n)
	}
	body := size - len(head(size))
	for body > 0 && len(head(body))+body < size {
		body++
	}
	body = max(body, 0)
	return []byte(head(body) + strings.Repeat("x", body))
}
