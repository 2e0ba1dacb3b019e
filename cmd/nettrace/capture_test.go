// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/lab"
)

// captured counts the packets of a capture file, by "device in|out", as tshark reads them; the comments are of all packets.
func captured(t *testing.T, file string) (map[string]int, []string) {
	t.Helper()
	cmd := exec.Command("tshark", "-r", file, "-T", "fields", "-e", "frame.interface_name", "-e", "frame.packet_flags_direction", "-e", "frame.comment")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	counts, comments := map[string]int{}, []string{}
	for _, line := range strings.Split(strings.TrimRight(string(out), "\n"), "\n") {
		f := strings.Split(line, "\t")
		if len(f) != 3 {
			continue
		}
		side := "out"
		if strings.HasSuffix(f[1], "1") {
			side = "in"
		}
		counts[f[0]+" "+side]++
		comments = append(comments, f[2])
	}
	return counts, comments
}

// deviceHops counts the device hops of a run's JSON likewise.
func deviceHops(t *testing.T, out []byte) map[string]int {
	t.Helper()
	side := map[string]string{"netif_receive_skb": "in", "net_dev_start_xmit": "out"}
	counts := map[string]int{}
	for _, line := range bytes.Split(bytes.TrimSpace(out), []byte("\n")) {
		var j struct {
			Kind string
			Hops []struct {
				Node, Func, Dev string
				Where           struct{ Kind, Namespace, Name string }
			}
		}
		if err := json.Unmarshal(line, &j); err != nil {
			t.Fatal(err)
		}
		for _, h := range j.Hops {
			if j.Kind != "journey" || side[h.Func] == "" {
				continue
			}
			place := h.Node
			if h.Where.Kind != "host" {
				place += "/" + h.Where.Kind + " " + strings.TrimPrefix(h.Where.Namespace+"/"+h.Where.Name, "/")
			}
			counts[place+" "+h.Dev+" "+side[h.Func]]++
		}
	}
	return counts
}

func total(counts map[string]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

// The file has a packet for each device hop of the JSON, at the same device and side, translated and encapsulated ones included, and
// nothing else; tcpdump and capinfos read it too. Both ways to attach leave nothing behind.
func TestCaptureEqualsHops(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "pcap")
	for _, tc := range []struct {
		name   string
		clsact bool
		proto  string
		dst    string
	}{
		{"Service over tcx", false, "tcp", "10.96.0.81:80"},
		{"Service over clsact", true, "tcp", "10.96.0.81:80"},
		{"ICMP", false, "icmp", "10.244.2.20"},
		{"IPv6", false, "tcp", "[fd00:10:244:2::20]:8080"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.pcapng")
			var out, errs bytes.Buffer
			o := flowOptions{output: output{format: "json"}, proto: tc.proto, probe: true, timeout: 5 * time.Second, scope: l.Scopes(), ring: 8, backend: "auto", pcap: file, clsact: tc.clsact}
			src := "netns:" + l.NetNS("client")
			if tc.name == "IPv6" {
				src = "fd00:10:244:1::10"
			}
			v, err := runFlow(t.Context(), streams{nil, &out, &errs}, o, src, tc.dst)
			if err != nil {
				t.Fatal(err)
			}
			if v.Outcome != "delivered" {
				t.Fatalf("the flow was %s", v.Outcome)
			}
			schematest.Lines(t, out.Bytes())
			want := deviceHops(t, out.Bytes())
			got, comments := captured(t, file)
			if total(want) == 0 || !maps.Equal(got, want) {
				t.Errorf("captured %v, device hops %v", got, want)
			}
			for _, c := range comments {
				if !strings.HasPrefix(c, "journey ") {
					t.Errorf("a packet says %q", c)
				}
			}
			if tc.clsact != strings.Contains(errs.String(), "through clsact") {
				t.Errorf("stderr: %q", errs.String())
			}
			if n := clsacts(t, l); n != 0 {
				t.Errorf("%d clsact queueing disciplines are left", n)
			}
			read, err := exec.Command("tcpdump", "-nr", file).Output()
			if err != nil {
				t.Errorf("tcpdump: %v", err)
			}
			if n := bytes.Count(read, []byte(" IP")); n < total(want) && tc.name != "IPv6" {
				t.Errorf("tcpdump reads %d packets of %d", n, total(want))
			}
			info, err := exec.Command("capinfos", "-c", "-M", file).Output()
			if err != nil || !strings.Contains(string(info), fmt.Sprint(total(want))) {
				t.Errorf("capinfos: %v, %s", err, info)
			}
		})
	}
}

// A dropped packet's last copy says where and why it ended.
func TestCaptureOfDrops(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	file := filepath.Join(t.TempDir(), "x.pcapng")
	if code, _, errs := call(t, "lab", "run", "network-policy-drop", "--pcap", file); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	got, comments := captured(t, file)
	if n := counted(t, file); n != total(got) {
		t.Errorf("tcpdump reads %d packets, tshark %d", n, total(got))
	}
	for _, c := range comments {
		if strings.Contains(c, "journey 1 dropped here: dropped by netfilter in FORWARD") && total(got) > 0 {
			return
		}
	}
	t.Errorf("no packet says that it was dropped: %q", comments)
}

// clsacts counts the clsact queueing disciplines in a lab.
func clsacts(t *testing.T, l *lab.Lab) int {
	t.Helper()
	n := 0
	for _, s := range []string{"node1", "node2", "client", "web-b"} {
		err := netns.Do(l.Path(s), func() error {
			list, err := netlink.QdiscList(nil)
			for _, q := range list {
				if q.Type() == "clsact" {
					n++
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// said runs a command in the background and returns once its stderr or stdout has a word.
func said(t *testing.T, cmd *exec.Cmd, word string) {
	t.Helper()
	pr, pw := io.Pipe()
	cmd.Stdout, cmd.Stderr = pw, pw
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seen := make(chan bool, 1)
	go func() {
		s := bufio.NewScanner(pr)
		for s.Scan() {
			if strings.Contains(s.Text(), word) {
				select {
				case seen <- true:
				default:
				}
			}
		}
	}()
	select {
	case <-seen:
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		t.Fatalf("nothing said %q", word)
	}
}

// Ctrl-C gives a whole file; a kill leaves no filter, because the guardian cleans up.
func TestCaptureEnds(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "pcape")
	file := filepath.Join(t.TempDir(), "x.pcapng")
	args := []string{"flow", "10.244.1.10", "10.244.2.20:8080", "--timeout", "0", "--pcap", file}
	for _, s := range l.Scopes() {
		args = append(args, "--scope", s)
	}
	cmd := nettrace(t, nil, args...)
	said(t, cmd, "points attached")
	_ = cmd.Process.Signal(unix.SIGINT)
	_ = cmd.Wait()
	if out, err := exec.Command("tcpdump", "-nr", file).CombinedOutput(); err != nil {
		t.Errorf("the file after Ctrl-C: %v, %s", err, out)
	}

	cmd = nettrace(t, nil, append(args, "--pcap-clsact")...)
	said(t, cmd, "through clsact")
	if clsacts(t, l) == 0 {
		t.Error("no clsact while it runs: the test does not test")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for end := time.Now().Add(20 * time.Second); clsacts(t, l) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d clsact queueing disciplines are left after a kill", clsacts(t, l))
		}
	}
}
