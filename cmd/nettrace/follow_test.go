// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/lab"
)

// follow runs nettrace in a lab and calls traffic once it is attached. It returns exit code, records and how long it took.
func follow(t *testing.T, prefix string, setup []string, traffic func(*lab.Lab), args ...string) (int, map[string][]map[string]any, time.Duration) {
	t.Helper()
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, prefix)
	if err := l.Apply(t.Context(), lab.Case{Name: t.Name(), Setup: setup}); err != nil {
		t.Fatal(err)
	}
	for _, s := range l.Scopes() {
		args = append(args, "--scope", s)
	}
	pr, pw := io.Pipe()
	done := make(chan []byte)
	go func() {
		r := bufio.NewReader(pr)
		first, err := r.ReadBytes('\n') // the start record: attached
		if err == nil {
			go traffic(l)
		}
		rest, _ := io.ReadAll(r)
		done <- append(first, rest...)
	}()
	var errs bytes.Buffer
	begin := time.Now()
	code := run(t.Context(), append([]string{"flow"}, append(args, "-o", "json")...), streams{nil, pw, &errs})
	took := time.Since(begin)
	_ = pw.Close()
	kinds := schematest.Lines(t, <-done)
	if len(kinds["verdict"]) != 1 {
		t.Fatalf("no verdict; stderr %q", errs.String())
	}
	return code, kinds, took
}

// connect opens one TCP connection from the client pod.
func connect(l *lab.Lab, to string) {
	_ = netns.Do(l.Path("client"), func() error { return dial(to) })
}

func dial(to string) error {
	c, err := net.DialTimeout("tcp", to, 2*time.Second)
	if err == nil {
		c.Close()
	}
	return err
}

// Topology: the lab. Action: two connections from anywhere to a pod, followed by --count 2. Expectation: it ends by itself after them.
func TestCountEndsTheRun(t *testing.T) {
	code, kinds, took := follow(t, "count", nil, func(l *lab.Lab) {
		for range 3 {
			connect(l, "10.244.2.20:8080")
		}
	}, "any", "10.244.2.20:8080", "--count", "2", "--timeout", "60s")
	if code != exitOK || took > 30*time.Second {
		t.Errorf("exit code %d after %v", code, took)
	}
	if v := kinds["verdict"][0]; v["outcome"] != "delivered" {
		t.Errorf("verdict %v", v)
	}
}

// Topology: the lab, with a FORWARD chain that drops. Action: a connection, watched without an end but --until-drop. Expectation: the drop is
// told as it happens, before its journey, and ends the run.
func TestUntilDrop(t *testing.T) {
	code, kinds, took := follow(t, "udrop", []string{"node1# iptables-legacy -I FORWARD 1 -p tcp --dport 8080 -j DROP"},
		func(l *lab.Lab) { connect(l, "10.244.2.20:8080") }, "10.244.1.10", "10.244.2.20:8080", "--until-drop", "--timeout", "60s")
	if code != exitVerdict || took > 30*time.Second {
		t.Errorf("exit code %d after %v", code, took)
	}
	if len(kinds["drop"]) == 0 || kinds["verdict"][0]["cause"] != "netfilter-drop" {
		t.Errorf("drops %v, verdict %v", kinds["drop"], kinds["verdict"])
	}
	hop, _ := kinds["drop"][0]["hop"].(map[string]any)
	rule, _ := hop["rule"].(map[string]any)
	if text, _ := rule["text"].(string); !strings.Contains(text, "--dport 8080 -j DROP") || rule["certainty"] != "inferred" {
		t.Errorf("the drop's rule is %v", rule)
	}
}

// Topology: the lab. Action: an SCTP INIT, made by hand. Expectation: it is followed by its ports through VXLAN to the pod.
func TestSCTP(t *testing.T) {
	_, kinds, _ := follow(t, "sctp", nil, func(l *lab.Lab) {
		_ = netns.Do(l.Path("client"), func() error {
			c, err := net.Dial("ip4:132", "10.244.2.20")
			if err != nil {
				return err
			}
			defer c.Close()
			init := append([]byte{0x9c, 0x40, 0x26, 0x0f, 0, 0, 0, 0, 0, 0, 0, 0}, 1, 0, 0, 20, 0, 0, 0, 1, 0, 0, 255, 255, 0, 1, 0, 1, 0, 0, 0, 1)
			// without its CRC32c (RFC 9260) conntrack would call it INVALID, and kube-proxy's rule drop it
			binary.LittleEndian.PutUint32(init[8:], crc32.Checksum(init, crc32.MakeTable(crc32.Castagnoli)))
			_, err = c.Write(init)
			return err
		})
	}, "10.244.1.10", "10.244.2.20:9743", "--proto", "sctp", "--timeout", "2s")
	if len(kinds["journey"]) == 0 {
		t.Fatal("no journey")
	}
	j := kinds["journey"][0]
	p, _ := j["packet"].(map[string]any)
	if p["proto"] != "sctp" || p["dport"] != 9743.0 || p["sport"] != 40000.0 {
		t.Errorf("packet %v", p)
	}
	hops, _ := j["hops"].([]any)
	tunnels, arrived := 0, false
	for _, x := range hops {
		h, _ := x.(map[string]any)
		w, _ := h["where"].(map[string]any)
		if h["stage"] == "tunnel" {
			tunnels++
		}
		arrived = arrived || (w["name"] == "sctp-web-b" && h["stage"] == "device-rx")
	}
	if tunnels != 2 || !arrived {
		t.Errorf("%d tunnel hops, arrived %v: %v", tunnels, arrived, kinds["journey"])
	}
}
