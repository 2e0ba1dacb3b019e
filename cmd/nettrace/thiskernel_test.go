// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// These run in the guests of the kernel matrix too: the programs of 'drops' and of --pcap are objects of their own.

// Topology: this process's own namespace, in a guest the first one of its kernel, whose number is the lowest. Action: a datagram to a port where
// nobody listens. Expectation: its drop, at the loopback device of that namespace.
func TestDropsInOwnNamespace(t *testing.T) {
	needRoot(t)
	const port = 7109
	o := dropsOptions{format: "json", all: true, netns: []string{"/proc/self/ns/net"}, proto: "udp", port: port, nameOptions: nameOptions{none: true}}
	act := func() {
		if c, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_, _ = c.Write([]byte("x"))
			_ = c.Close()
		}
	}
	seen := fmt.Sprintf(`"dport":%d`, port)
	out := watchDrops(t, o, act, func(out string) bool { return strings.Contains(out, seen) })
	for _, want := range []string{seen, `"dev":"lo"`, `"kind":"host"`} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is not in %s", want, out)
		}
	}
}

// counted is how many packets tcpdump reads from a capture file.
func counted(t *testing.T, file string) int {
	t.Helper()
	out, err := exec.Command("tcpdump", "-Z", "root", "--count", "-nr", file).CombinedOutput() // a guest does not have the user that it changes to
	if err != nil {
		t.Errorf("tcpdump: %v: %s", err, out)
		return 0
	}
	_, last, _ := strings.Cut(string(out), "\n")
	n := 0
	_, _ = fmt.Sscanf(last, "%d packets", &n)
	return n
}

// Topology: the lab. Action: a probe to a Service on the other node, captured as this kernel does it, and as those without tcx. Expectation: as many
// packets as device hops.
func TestCaptureOnThisKernel(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "pcapk")
	for name, clsact := range map[string]bool{"as it has it": false, "through clsact": true} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.pcapng")
			var out, errs bytes.Buffer
			o := flowOptions{output: output{format: "json"}, proto: "tcp", probe: true, timeout: 20 * time.Second, scope: l.Scopes(), ring: 8, backend: tracer.BackendAuto, pcap: file, clsact: clsact}
			v, err := runFlow(t.Context(), streams{nil, &out, &errs}, o, "netns:"+l.NetNS("client"), "10.96.0.81:80")
			if err != nil || v.Outcome != "delivered" {
				t.Fatalf("%v, %+v\n%s", err, v, errs.String())
			}
			if got, want := counted(t, file), total(deviceHops(t, out.Bytes())); got != want || want == 0 {
				t.Errorf("tcpdump reads %d packets; %d device hops", got, want)
			}
			if n := clsacts(t, l); n != 0 {
				t.Errorf("%d clsact queueing disciplines are left", n)
			}
		})
	}
}
