// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

func dropLine() *DropLine {
	return &DropLine{Time: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), Place: "shop/web", Layer: "application", Means: "nobody listens",
		Hop:    journey.Hop{Stage: journey.StageDrop, What: "dropped", Reason: "NO_SOCKET", Location: "tcp_v4_rcv", Dev: "eth0"},
		Packet: &DropPacket{Packet: journey.Packet{Proto: "tcp", Flags: "SYN", Tuple: journey.Tuple{Src: netip.MustParseAddr("10.0.0.1"), Sport: 40000, Dst: netip.MustParseAddr("2001:db8::1"), Dport: 81}}, SrcName: "shop/client:40000"}}
}

func TestDropLine(t *testing.T) {
	got := dropLine().Text(Options{})
	want := "03:04:05.006 NO_SOCKET in tcp_v4_rcv, shop/web at eth0: tcp SYN shop/client:40000 → [2001:db8::1]:81 [application & policy] nobody listens"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	l := dropLine()
	l.Noise, l.Packet, l.Hop.Reason = "it arrived", nil, ""
	if got := l.Text(Options{}); !strings.Contains(got, "no reason given") || !strings.HasSuffix(got, "no fault: it arrived") {
		t.Errorf("got %s", got)
	}
}

func TestDropRecord(t *testing.T) {
	b, err := json.Marshal(dropLine().Record())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"kind":"drop"`, `"time":"2026-01-02T03:04:05.006Z"`, `"hop":{`, `"packet":{"proto":"tcp"`, `"layer":"application"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s lacks %s", b, want)
		}
	}
}

func dropScreen(reasons, places int) *DropScreen {
	d := &DropScreen{Node: "node1", Kernel: "6.12", Elapsed: 61 * time.Second, Total: 1234, Rate: 5.5, Hidden: 7, Notes: []string{"a note"}}
	for range reasons {
		d.Reasons = append(d.Reasons, DropRow{Rate: 3, Packets: 10, Name: "NO_SOCKET", Location: "tcp_v4_rcv", Layer: "application", Means: "nobody listens", Last: "shop/web at eth0"})
	}
	for range places {
		d.Places = append(d.Places, DropRow{Rate: 2, Packets: 9, Name: "shop/web", Main: "NO_SOCKET"})
	}
	return d
}

// The table never exceeds the terminal, and says what it leaves out.
func TestDropScreenFits(t *testing.T) {
	for _, n := range []struct{ reasons, places int }{{0, 0}, {1, 1}, {3, 2}, {40, 40}, {200, 1}, {1, 200}} {
		for _, height := range []int{4, 8, 10, 24, 50} {
			for _, width := range []int{40, 80, 132} {
				got := dropScreen(n.reasons, n.places).Text(Options{Width: width}, height)
				lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
				if len(lines) > height {
					t.Errorf("%d reasons, %d places: %d lines on %d:\n%s", n.reasons, n.places, len(lines), height, got)
				}
				for _, l := range lines {
					if utf8.RuneCountInString(l) > width {
						t.Errorf("%d columns on %d: %s", utf8.RuneCountInString(l), width, l)
					}
				}
			}
		}
	}
	got := dropScreen(40, 40).Text(Options{Width: 100}, 30)
	if !strings.Contains(got, "more reasons") || !strings.Contains(got, "more places") {
		t.Errorf("what was left out is not told:\n%s", got)
	}
}

func TestDropScreenSays(t *testing.T) {
	got := dropScreen(2, 1).Text(Options{Width: 100}, 0)
	for _, want := range []string{"drops on node1, kernel 6.12, 1m1s: 1234 packets, 5.5/s", "7 more were no fault", "a note", "NO_SOCKET", "tcp_v4_rcv", "application & policy", "nobody listens", "last: shop/web at eth0", "WHERE"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing:\n%s", want, got)
		}
	}
	if got := (&DropScreen{Node: "n"}).Text(Options{}, 24); !strings.Contains(got, "nothing was dropped so far") {
		t.Errorf("an empty table: %s", got)
	}
}

// Names from outside cannot reach the terminal as control sequences.
func FuzzDropScreen(f *testing.F) {
	f.Add("NO_SOCKET", "shop/web", 24)
	f.Add("\x1b[2J", "\u202e\xff", 3)
	f.Fuzz(func(t *testing.T, a, b string, height int) {
		d := dropScreen(1, 1)
		d.Node, d.Reasons[0].Name, d.Reasons[0].Last, d.Reasons[0].Means, d.Places[0].Name, d.Places[0].Main = b, a, b, a, a, b
		l := dropLine()
		l.Place, l.Means, l.Hop.Reason, l.Hop.Dev, l.Packet.SrcName = a, b, a, b, a
		for _, text := range []string{d.Text(Options{Width: 80}, height%100), l.Text(Options{})} {
			if strings.ContainsAny(text, "\x1b\x07\u009b\u202e") || !utf8.ValidString(text) {
				t.Errorf("%q", text)
			}
		}
	})
}
