// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"context"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// mergeLive reads node2's start first and its verdict last, as nodes are read whose nettrace is started and ended in that order.
func mergeLive(t *testing.T, a, b []byte) *told {
	t.Helper()
	ar, aw := io.Pipe()
	br, bw := io.Pipe()
	c := &told{}
	done := make(chan error, 1)
	go func() {
		_, err := Run(context.Background(), []Source{{"a.jsonl", ar}, {"b.jsonl", br}}, c, Options{Live: true, Hold: time.Minute})
		done <- err
	}()
	put := func(w io.Writer, lines ...string) {
		for _, l := range slices.Concat(lines, []string{"\n"}) { // an empty line is read when the record before it was taken
			if _, err := io.WriteString(w, l); err != nil {
				t.Error(err)
			}
		}
	}
	one, two := strings.SplitAfter(strings.TrimSpace(string(a))+"\n", "\n"), strings.SplitAfter(strings.TrimSpace(string(b))+"\n", "\n")
	last := len(two) - 2 // behind the last line is nothing
	put(bw, two[0])
	put(aw, one[0])
	put(bw, two[1:last]...)
	put(aw, one[1:]...)
	_ = aw.Close()
	put(bw, two[last])
	_ = bw.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return c
}

// Topology: node1 sends the same SYN four times, node2 gets none; its clock, which nothing compares, says that it began half a second before the
// first. Action: merge the files, and the streams as they are written. Expectation: both tell of the first SYN, although only who reads live
// knows that node2 was watching by then; and both are sure, each for its own reason.
func TestEvidenceIsOfTheFirstPacket(t *testing.T) {
	for seed := range uint64(10) { // the order of the lines is another each time
		w := newWorld(seed)
		w.alone()
		w.b.since = -500 * ms
		for i := range 4 {
			p := w.tcp(journey.Request, "SYN", 1000, 60)
			p.p.IPID, p.lost = 0, true
			left, _ := w.send(p)
			left.Hops[len(left.Hops)-1].Outer.Sport = uint16(50000 + i)
			w.now += 1000 * ms
		}
		a, b := w.lines(t, w.a), w.lines(t, w.b)
		files, live := mergeBytes(t, a, b).verdict, mergeLive(t, a, b).verdict
		missed := "node2 may have missed 1 of them: it may have begun to watch later, at 11:59:59.500; the other 3 it cannot have missed"
		want := append([]string{"node1: sent SYN 10.244.1.10:40000 → 10.244.2.20:8080 out of eth0 inside VXLAN 192.168.50.1:50000 → 192.168.50.2:8472 at 12:00:00.000, and 3 more packets"}, live.Evidence[1:]...)
		if !slices.Equal(live.Evidence, want) || slices.Contains(live.Evidence, missed) {
			t.Errorf("seed %d: live: %q", seed, live.Evidence)
		}
		if want = slices.Insert(want, 2, missed); !slices.Equal(files.Evidence, want) {
			t.Errorf("seed %d: files: %q\nwant %q", seed, files.Evidence, want)
		}
		files.Evidence = live.Evidence
		if !reflect.DeepEqual(files, live) || files.Confidence != verdict.Confirmed || files.Hop.Outer.Sport != 50000 {
			t.Errorf("seed %d: files %+v\nlive %+v", seed, files, live)
		}
	}
}

// Of packets that left at one time, the first is the one with the lowest id, whichever was written first.
func TestEvidenceOfPacketsAtOneTime(t *testing.T) {
	for seed := range uint64(10) {
		w := newWorld(seed)
		w.alone()
		w.b.since = -500 * ms
		w.lose()
		for i, j := range w.a.out {
			hops := slices.Clone(w.a.out[0].Hops)
			outer := *hops[len(hops)-1].Outer
			outer.Sport = uint16(50000 + 2 - i)
			hops[len(hops)-1].Outer = &outer
			j.ID, j.At, j.Packet, j.Hops = 3-i, w.a.out[0].At, w.a.out[0].Packet, hops
		}
		a, b := w.lines(t, w.a), w.lines(t, w.b)
		for how, v := range map[string]*verdict.Verdict{"files": mergeBytes(t, a, b).verdict, "live": mergeLive(t, a, b).verdict} {
			if v.Hop == nil || v.Hop.Outer.Sport != 50000 {
				t.Errorf("seed %d, %s: %+v", seed, how, v.Hop)
			}
		}
	}
}
