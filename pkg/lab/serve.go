// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// Serve opens the pods' ports: HTTP on TCP 8080, echo on UDP 9000, IPv4 and IPv6, StuckPort, DeafPort and
// LocalPort; in one of them DNS on port 53. The sockets belong to the pods' namespaces, the
// goroutines that answer to this process. Down closes them.
func (l *Lab) Serve() error {
	for _, p := range Pods() {
		err := netns.Do(l.Path(p.Short), func() error {
			ln, err := net.Listen("tcp", fmt.Sprintf(":%d", p.TCP))
			if err != nil {
				return err
			}
			srv := &http.Server{Handler: answer(p), ReadTimeout: time.Minute, WriteTimeout: time.Minute}
			l.keep(srv)
			go func() { _ = srv.Serve(ln) }()
			pc, err := net.ListenPacket("udp", fmt.Sprintf(":%d", p.UDP))
			if err != nil {
				return err
			}
			l.keep(pc)
			go echo(pc)
			for _, open := range []func() (*os.File, error){stuckListener, deafSocket} {
				f, err := open()
				if err != nil {
					return err
				}
				l.keep(f)
			}
			local, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", LocalPort))
			if err != nil {
				return err
			}
			l.keep(local)
			if p.Short == DNSServer {
				return l.serveDNS()
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("serve in pod %s: %w", p.Short, err)
		}
	}
	return nil
}

func (l *Lab) keep(c io.Closer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closers = append(l.closers, c)
}

// answer replies once the whole request has arrived, so that a client's bytes are all on the way before the answer.
func answer(p Pod) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, io.LimitReader(r.Body, 64<<20))
		if err != nil {
			return
		}
		fmt.Fprintf(w, "%s/%s took %d bytes\n", p.Namespace, p.Name, n)
	})
}

func echo(pc net.PacketConn) {
	buf := make([]byte, 65535)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = pc.WriteTo(buf[:n], from)
	}
}
