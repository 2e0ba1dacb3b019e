// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"
)

// HTTPRequest is one HEAD request after the connect.
type HTTPRequest struct {
	Path string // "/healthz"
	TLS  bool
	Host string // of the Host header and of TLS; "" for the destination's address
}

// HTTPResult is what a HEAD request got.
type HTTPResult struct {
	Path    string     `json:"path"`
	Status  int        `json:"status,omitempty"`      // absent without an answer
	FirstMS int64      `json:"firstByteMs,omitempty"` // from the request to the first byte of the answer
	Error   string     `json:"error,omitempty"`
	TLS     *TLSResult `json:"tls,omitempty"`
}

// TLSResult tells whom the server says it is. The probe goes on whatever its certificate is worth.
type TLSResult struct {
	Version string `json:"version"`
	Subject string `json:"subject,omitempty"`
	Issuer  string `json:"issuer,omitempty"`
	Expires string `json:"expires,omitempty"` // RFC 3339
	Error   string `json:"error,omitempty"`   // what a client that trusts this host's authorities would say
}

// maxHeader bounds what a server may send before its answer counts as one.
const maxHeader = 64 << 10

// sendHTTP connects and sends a HEAD request. It follows no redirect.
func sendHTTP(ctx context.Context, r *Request) (*Result, error) {
	sub := *r
	sub.Size = 0
	conn, err := dial(ctx, &sub)
	var se *setupError
	if errors.As(err, &se) {
		return nil, se
	}
	if err != nil {
		return &Result{Result: outcome(err, false), Error: words(err)}, nil
	}
	defer conn.Close()
	res := &Result{Result: Connected, Local: conn.LocalAddr().String(), HTTP: &HTTPResult{Path: r.HTTP.Path}}
	if err := head(ctx, conn, r, res.HTTP); err != nil {
		res.HTTP.Error = words(err)
		if o := outcome(err, true); o == Timeout || o == Reset {
			res.Result, res.Error = o, words(err)
		}
	}
	return res, nil
}

func head(ctx context.Context, conn net.Conn, r *Request, out *HTTPResult) error {
	scheme, host := "http", r.HTTP.Host
	if host == "" {
		host = r.Dst.String()
	}
	if r.HTTP.TLS {
		scheme = "https"
	}
	used := false
	once := func(context.Context, string, string) (net.Conn, error) {
		if used {
			return nil, errors.New("the connection was closed before the answer")
		}
		used = true
		return conn, nil
	}
	tr := &http.Transport{DialContext: once, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, // the probe sends nothing secret and reports what a verification would have said
			VerifyConnection:   func(s tls.ConnectionState) error { out.TLS = describeTLS(s); return nil },
		}}
	defer tr.CloseIdleConnections()
	var asked time.Time
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest:         func(httptrace.WroteRequestInfo) { asked = time.Now() },
		GotFirstResponseByte: func() { out.FirstMS = time.Since(asked).Milliseconds() },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, scheme+"://"+host+r.HTTP.Path, nil)
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("User-Agent", "nettrace-probe")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	out.Status = resp.StatusCode
	return resp.Body.Close()
}

func describeTLS(s tls.ConnectionState) *TLSResult {
	t := &TLSResult{Version: tls.VersionName(s.Version)}
	if len(s.PeerCertificates) == 0 {
		return t
	}
	c := s.PeerCertificates[0]
	t.Subject, t.Issuer, t.Expires = clip(c.Subject.String()), clip(c.Issuer.String()), c.NotAfter.UTC().Format(time.RFC3339)
	between := x509.NewCertPool()
	for _, p := range s.PeerCertificates[1:min(len(s.PeerCertificates), 10)] {
		between.AddCert(p)
	}
	if _, err := c.Verify(x509.VerifyOptions{DNSName: s.ServerName, Intermediates: between}); err != nil {
		t.Error = clip(err.Error())
	}
	return t
}

// clip bounds a text that a server chose.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "�")
}
