// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func TestHTTPHead(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodHead:
			w.WriteHeader(http.StatusMethodNotAllowed)
		case r.URL.Path == "/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case r.URL.Path == "/healthz" && r.URL.RawQuery == "full=1":
			time.Sleep(30 * time.Millisecond)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	plain, secure := httptest.NewServer(h), httptest.NewTLSServer(h)
	defer plain.Close()
	defer secure.Close()
	for path, want := range map[string]int{"/healthz?full=1": 200, "/none": 404, "/moved": 302} {
		for _, s := range []*httptest.Server{plain, secure} {
			res, err := Send(context.Background(), Request{Proto: "tcp", Dst: s.Listener.Addr().(*net.TCPAddr).AddrPort(), Timeout: 5 * time.Second, HTTP: &HTTPRequest{Path: path, TLS: s == secure}})
			if err != nil || res.Result != Connected || res.HTTP.Status != want || res.HTTP.Error != "" {
				t.Fatalf("%s: %+v, %+v, %v", path, res, res.HTTP, err)
			}
			if strings.HasPrefix(path, "/healthz") && res.HTTP.FirstMS < 25 {
				t.Errorf("first byte after %d ms, the server waited 30", res.HTTP.FirstMS)
			}
			if s == secure && (res.HTTP.TLS == nil || res.HTTP.TLS.Issuer == "" || !strings.Contains(res.HTTP.TLS.Error, "unknown authority")) {
				t.Errorf("tls: %+v", res.HTTP.TLS)
			}
		}
	}
}

func TestHTTPOfWhatIsNoHTTP(t *testing.T) {
	for name, tc := range map[string]struct {
		say  string
		hold bool
		want Outcome
	}{
		"silent":         {"", true, Timeout},
		"other":          {"SSH-2.0-OpenSSH_9.6\r\n", false, Connected},
		"endless header": {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n", false, Connected},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			done := make(chan struct{})
			defer close(done)
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				_, _ = c.Read(make([]byte, 4096))
				fmt.Fprint(c, tc.say)
				if tc.hold {
					<-done
				}
			}()
			res, err := Send(context.Background(), Request{Proto: "tcp", Dst: l.Addr().(*net.TCPAddr).AddrPort(), Timeout: 400 * time.Millisecond, HTTP: &HTTPRequest{Path: "/"}})
			if err != nil || res.Result != tc.want || res.HTTP.Status != 0 || res.HTTP.Error == "" {
				t.Errorf("%+v, %+v, %v", res, res.HTTP, err)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := gone.Addr().(*net.TCPAddr).AddrPort()
	gone.Close()
	open := l.Addr().(*net.TCPAddr).AddrPort()
	got, err := Compare(context.Background(), Request{Proto: "tcp", Dst: closed, Timeout: time.Second}, []Variant{
		{What: "an endpoint", Kind: SameNode, Dst: open}, {What: "another", Kind: OtherNode, Dst: closed}, {What: "the name", Kind: ByName, Name: "web", Dst: open}})
	if err != nil || len(got) != 3 || got[0].Result != Connected || got[1].Result != Refused || got[2].Result != NoAnswer || got[2].Error == "" {
		t.Errorf("%+v, %v", got, err)
	}
	many := make([]Variant, 3*MaxVariants)
	for i := range many {
		many[i] = Variant{Dst: open}
	}
	if got, err := Compare(context.Background(), Request{Proto: "tcp", Timeout: time.Second}, many); err != nil || len(got) != MaxVariants {
		t.Errorf("%d variants were probed, %v", len(got), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got, err := Compare(ctx, Request{Proto: "tcp", Timeout: time.Second}, many); err != nil || len(got) != 0 {
		t.Errorf("cancelled: %d variants were probed, %v", len(got), err)
	}
}

func TestCompareKeepsTheQuestionOnly(t *testing.T) {
	server := responder(t, func(q *dnsmessage.Message, _ string) []byte { return answer(q, dnsmessage.RCodeNameError) })
	conf := ParseResolvConf([]byte("search a b c\noptions ndots:5"))
	conf.Servers = []netip.Addr{server.Addr()}
	got, err := Compare(context.Background(), Request{Proto: "udp", Dst: server, Timeout: time.Second, DNS: &DNSRequest{Name: "example.com", Resolv: &conf}}, []Variant{{Kind: Endpoint, Dst: server}})
	if err != nil || len(got) != 1 || got[0].Result != Connected {
		t.Errorf("%+v, %v", got, err)
	}
}
