// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

func client() *journey.Ref { return &journey.Ref{Kind: "Pod", Namespace: "shop", Name: "client"} }
func web() *journey.Ref {
	return &journey.Ref{Kind: "Service", Namespace: "shop", Name: "web", Port: "http"}
}

// opening renders the first lines of a flow.
func opening(t *testing.T, f verdict.Flow) string {
	t.Helper()
	var b bytes.Buffer
	r, err := New("story", &b, Options{Width: 60})
	if err != nil {
		t.Fatal(err)
	}
	st := start()
	st.Flow, st.Points = f, nil
	if err := r.Start(st); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheHeaderTellsWhatAServiceStandsFor(t *testing.T) {
	f := verdict.Flow{Proto: "tcp", Src: "10.244.1.10", Dst: "10.96.0.80", Dport: 80, SrcRef: client(), DstRef: web()}
	if got := opening(t, f); !strings.HasPrefix(got, "tcp shop/client (10.244.1.10) → svc/shop/web:http (10.96.0.80:80) on node1") || strings.Contains(got, "endpoints") || strings.Contains(got, "stands for") {
		t.Errorf("endpoints that are not known: %q", got)
	}
	f.Endpoints = []verdict.Endpoint{}
	if got := opening(t, f); !strings.Contains(got, "\nsvc/shop/web:http has no endpoints\n") {
		t.Errorf("none: %q", got)
	}
	f.Endpoints = []verdict.Endpoint{{Addr: "10.244.1.20:8080", Node: "node1", Ready: true, Ref: &journey.Ref{Kind: "Pod", Namespace: "shop", Name: "web-a"}}, {Addr: "192.0.2.9:8080"}}
	got := strings.Join(strings.Fields(opening(t, f)), " ")
	if !strings.Contains(got, "svc/shop/web:http stands for shop/web-a (10.244.1.20:8080) on node1; 192.0.2.9:8080, not ready") {
		t.Errorf("two: %q", got)
	}
	for i := range 20 {
		f.Endpoints = append(f.Endpoints, verdict.Endpoint{Addr: fmt.Sprintf("10.0.0.%d:80", i), Ready: true})
	}
	if got := opening(t, f); !strings.Contains(got, "; 14 more") && !strings.Contains(got, "14 more") {
		t.Errorf("many: %q", got)
	}
	f = verdict.Flow{Proto: "tcp", Src: "any", Dst: "192.168.50.2", Dport: 30080, DstRef: &journey.Ref{Kind: "Node", Name: "node2"}, Endpoints: f.Endpoints[:1]}
	if got := opening(t, f); !strings.HasPrefix(got, "tcp any → node/node2:30080 (192.168.50.2:30080)") || !strings.Contains(got, "node/node2:30080 stands for shop/web-a") {
		t.Errorf("a NodePort: %q", got)
	}
}

func TestTitlesHaveNames(t *testing.T) {
	j := sample(1)
	j.Packet.SrcRef, j.Packet.DstRef = client(), web()
	if out := tell(t, "story", Options{}, j); !strings.Contains(out, "#1 request tcp SYN shop/client:40001 → svc/shop/web:http 60 bytes\n") {
		t.Error(out)
	}
	if out := tell(t, "story", Options{Addresses: true}, j); !strings.Contains(out, "SYN shop/client:40001 (10.0.0.1:40001) → svc/shop/web:http (10.0.0.2:80) 60 bytes\n") {
		t.Error(out)
	}
	j.Packet.DstRef = nil
	j.Packet.Dst = netip.MustParseAddr("2001:db8::1")
	if out := tell(t, "story", Options{}, j); !strings.Contains(out, "shop/client:40001 → [2001:db8::1]:80 ") {
		t.Error(out)
	}
}

func TestHostileRefsAreEscaped(t *testing.T) {
	j := sample(1)
	j.Packet.SrcRef = &journey.Ref{Kind: "Pod", Namespace: "a", Name: "\x1b[2J"}
	for _, format := range Formats() {
		if out := tell(t, format, Options{Addresses: true}, j); strings.ContainsRune(out, 0x1b) {
			t.Errorf("%s lets an escape through", format)
		}
	}
	f := verdict.Flow{Proto: "tcp", Src: "10.0.0.1", Dst: "10.0.0.2", SrcRef: j.Packet.SrcRef, DstRef: web(), Endpoints: []verdict.Endpoint{{Addr: "x", Node: "\x1b[2J", Ref: j.Packet.SrcRef}}}
	if out := opening(t, f); strings.ContainsRune(out, 0x1b) {
		t.Errorf("%q", out)
	}
}
