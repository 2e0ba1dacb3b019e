// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// attachment is somebody who is attached to a program.
type attachment struct {
	out, err io.Writer
	cut      func()
}

// copy puts a stream of the program into its log and hands it to those who are attached.
func (p *process) copy(from io.Reader, stderr bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.mu.Lock()
			p.log = append(p.log, buf[:n]...)
			close(p.news)
			p.news = make(chan struct{})
			for a := range p.attached {
				w := a.out
				if stderr {
					w = a.err
				}
				if _, err := w.Write(buf[:n]); err != nil {
					delete(p.attached, a)
				}
			}
			p.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// AttachContainer implements remotecommand.Attacher; it is called for SPDY.
func (p *process) AttachContainer(_ context.Context, _, _, _ string, in io.Reader, out, errs io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	p.serve(in, &attachment{out: out, err: errs, cut: func() { _ = out.Close() }})
	return nil
}

// serve connects somebody until the program has ended or the connection is cut. With stdinOnce, the end of the first one's input is that of
// the program's.
func (p *process) serve(in io.Reader, a *attachment) {
	gone := make(chan struct{})
	once := sync.OnceFunc(func() { close(gone) })
	cut := a.cut
	a.cut = func() { cut(); once() }
	p.mu.Lock()
	p.attached[a] = true
	p.mu.Unlock()
	p.told()
	go func() {
		_, _ = io.Copy(p.stdin, in)
		_ = p.stdin.Close()
	}()
	select {
	case <-p.done:
	case <-gone:
	}
	p.mu.Lock()
	delete(p.attached, a)
	p.mu.Unlock()
}

// processOf is the program of a pod; nil, and the request is answered, when there is none.
func (s *Server) processOf(w http.ResponseWriter, r *http.Request, p path) (*Kubelet, *process) {
	s.mu.Lock()
	k := s.kubelet
	s.mu.Unlock()
	if k != nil {
		if proc := k.find(p.namespace, p.name); proc != nil {
			return k, proc
		}
	}
	s.fail(w, r, http.StatusBadRequest, metav1.StatusReasonBadRequest, fmt.Sprintf("container \"nettrace\" in pod %q is waiting to start", p.name))
	return nil, nil
}

func (s *Server) attach(w http.ResponseWriter, r *http.Request, p path) {
	k, proc := s.processOf(w, r, p)
	if proc == nil {
		return
	}
	k.mu.Lock()
	spdy := k.spdy
	k.mu.Unlock()
	o := &remotecommand.Options{Stdin: true, Stdout: true, Stderr: true}
	if !wsstream.IsWebSocketRequest(r) || spdy {
		// what containerd and CRI-O answer with; it knows SPDY, and WebSockets of older protocols
		remotecommand.ServeAttach(w, r, proc, p.name, "", "nettrace", o, 5*time.Minute, 10*time.Second, remotecommand.SupportedStreamingProtocols)
		return
	}
	conn := wsstream.NewConn(map[string]wsstream.ChannelProtocolConfig{remotecommand.StreamProtocolV5Name: {Binary: true,
		Channels: []wsstream.ChannelType{wsstream.ReadChannel, wsstream.WriteChannel, wsstream.WriteChannel, wsstream.WriteChannel, wsstream.ReadChannel}}})
	_, streams, err := conn.Open(w, r)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = streams[1].Write(nil) // tells the client that the connection is there
	was := false
	proc.serve(streams[0], &attachment{out: streams[1], err: streams[2], cut: func() { was = true; _ = conn.Close() }})
	if !was {
		b, _ := json.Marshal(metav1.Status{Status: metav1.StatusSuccess})
		_, _ = streams[3].Write(b)
	}
}

// readLog is the log of a pod; with follow until its program has ended.
func (s *Server) readLog(w http.ResponseWriter, r *http.Request, p path) {
	_, proc := s.processOf(w, r, p)
	if proc == nil {
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
	flush := w.(http.Flusher)
	for sent := 0; ; {
		proc.mu.Lock()
		part, news := proc.log[sent:], proc.news
		over := false
		select {
		case <-proc.done:
			over = true
		default:
		}
		proc.mu.Unlock()
		if _, err := w.Write(part); err != nil {
			return
		}
		flush.Flush()
		sent += len(part)
		if r.URL.Query().Get("follow") == "" || over {
			return
		}
		select {
		case <-news:
		case <-r.Context().Done():
			return
		}
	}
}
