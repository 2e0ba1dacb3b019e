// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/flood"
	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/lab"
)

// watchDrops runs 'nettrace drops' with these options while act runs, and until ready says so; it returns the output.
func watchDrops(t *testing.T, o dropsOptions, act func(), ready func(out string) bool) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if o.rate == 0 {
		o.rate = 100
	}
	var out bytes.Buffer
	lines := &watched{w: &out, seen: func() {
		if ready(out.String()) {
			cancel()
		}
	}}
	o.started = func() { go act() }
	f, err := o.check()
	if err == nil {
		err = runDrops(ctx, streams{nil, lines, io.Discard}, &o, f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// watched calls seen after each write.
type watched struct {
	w    io.Writer
	seen func()
}

func (w *watched) Write(b []byte) (int, error) {
	n, err := w.w.Write(b)
	w.seen()
	return n, err
}

// clusterFile is the lab's Kubernetes objects in a file: the fixtures' Services have the same addresses.
func clusterFile(t *testing.T) string {
	t.Helper()
	b, err := lab.ClusterYAML(lab.Services())
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Topology: the lab. Action: a connection to a port where nobody listens, and a ping that is answered. Expectation: reason, function, pod and
// packet of the refused one; the ping's own leftovers are hidden and counted.
func TestDropsNamesReasonPlaceAndPod(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "drops")
	o := dropsOptions{format: "json", scope: l.Scopes(), nameOptions: nameOptions{cluster: clusterFile(t)}}
	act := func() {
		_ = netns.Do(l.Path("client"), func() error {
			_ = exec.Command("ping", "-c1", "-W2", "10.244.2.20").Run()
			return exec.Command("bash", "-c", "echo > /dev/tcp/10.244.2.20/8081").Run() // refused, as it should be
		})
	}
	out := watchDrops(t, o, act, func(out string) bool { return strings.Contains(out, `"location":"tcp_v4_rcv"`) })
	kinds := schematest.Lines(t, []byte(out))
	if len(kinds["start"]) != 1 || len(kinds["drops"]) != 1 {
		t.Fatalf("records: %s", out)
	}
	found := false
	for _, d := range kinds["drop"] {
		text := fmt.Sprint(d)
		hop := d["hop"].(map[string]any)
		if hop["location"] == "ping_rcv" {
			t.Errorf("a ping's answer is shown: %s", text)
		}
		if hop["location"] != "tcp_v4_rcv" {
			continue
		}
		found = true
		for _, want := range []string{"NO_SOCKET", "kind:pod", "name:web-7d9c5b8f4-abcde", "node:node2", "dev:eth0", "name:client", "dport:8081", "flags:SYN", "layer:application", "nobody listens"} {
			if !strings.Contains(text, want) {
				t.Errorf("the drop lacks %q: %s", want, text)
			}
		}
	}
	if !found {
		t.Errorf("the refused connection is missing: %s", out)
	}
	sum := kinds["drops"][0]
	if n, _ := sum["hidden"].(float64); n == 0 {
		t.Errorf("the ping's leftovers were not counted as hidden: %v", sum)
	}
}

// The same noise is shown with --all, with the reason why it is no fault.
func TestDropsAllShowsNoise(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	s, err := flood.New("drops-all")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	o := dropsOptions{format: "text", all: true, netns: []string{s.Name()}, nameOptions: nameOptions{none: true}}
	out := watchDrops(t, o, func() {
		_ = netns.Do(s.Path(), func() error { return exec.Command("ping", "-c1", "-W2", "127.0.0.1").Run() })
	}, func(out string) bool { return strings.Contains(out, "ping_rcv") })
	if !strings.Contains(out, "no fault: a ping's answer that arrived") {
		t.Errorf("output %q", out)
	}
}

// Each filter lets the drop through that it names, and no other; what it hides is not counted.
func TestDropsFilters(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "dropf")
	cluster := nameOptions{cluster: clusterFile(t)}
	act := func() { // first what must not be seen, then what must
		_ = netns.Do(l.Path("web-a"), func() error {
			return exec.Command("bash", "-c", "echo x > /dev/udp/127.0.0.1/7001; echo > /dev/tcp/127.0.0.1/7003").Run()
		})
		_ = netns.Do(l.Path("client"), func() error {
			return exec.Command("bash", "-c", "echo x > /dev/udp/10.244.2.20/7002").Run()
		})
	}
	for name, o := range map[string]dropsOptions{
		"pod that dropped":     {nameOptions: withNamespace(cluster, "shop"), pod: "web-7d9c5b8f4-abcde"},
		"pod that sent":        {nameOptions: cluster, pod: "shop/client"},
		"address":              {nameOptions: nameOptions{none: true}, address: []string{"10.244.2.20"}},
		"network, and reason":  {nameOptions: nameOptions{none: true}, address: []string{"10.244.2.0/24"}, reasons: []string{"no-socket"}},
		"port":                 {nameOptions: nameOptions{none: true}, port: 7002},
		"namespace, and proto": {nameOptions: nameOptions{none: true}, netns: []string{l.NetNS("web-b")}, proto: "udp"},
		"count":                {nameOptions: nameOptions{none: true}, port: 7002, count: 1},
	} {
		t.Run(name, func(t *testing.T) {
			o.format = "json"
			out := watchDrops(t, o, act, func(out string) bool { return o.count == 0 && strings.Contains(out, `"dport":7002`) })
			if strings.Contains(out, `"dport":7001`) || strings.Contains(out, `"dport":7003`) || !strings.Contains(out, `"dport":7002`) {
				t.Errorf("output %s", out)
			}
		})
	}
}

func withNamespace(o nameOptions, ns string) nameOptions {
	o.namespace = ns
	return o
}

// A flood of 200,000 drops a second: every one is counted, a few are shown, how many were not is said, and it takes little.
func TestDropsFlood(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	const rate, during = 200000, 3 * time.Second
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stats.Close() }()
	s, err := flood.New("drops-flood")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	cmd := nettrace(t, nil, "drops", "-o", "json", "--no-kubernetes", "--netns", s.Name())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	start, err := r.ReadString('\n') // it counts from now on
	if err != nil {
		t.Fatal(err, errs.String())
	}
	rest := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		rest <- string(b)
	}()
	before, err := s.Full()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	sent, err := s.Send(t.Context(), rate, during)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	cost, err := flood.Measure(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := netns.Do(s.Path(), func() error { return exec.Command("ping", "-c1", "-W2", "127.0.0.1").Run() }); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	text := <-rest
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v after Ctrl-C, want exit code 0: watching until then was its work; stderr %s", err, errs.String())
	}
	after, err := s.Full()
	if err != nil {
		t.Fatal(err)
	}
	kinds := schematest.Lines(t, []byte(start+text))
	if len(kinds["drops"]) != 1 {
		t.Fatalf("no summary: %s", errs.String())
	}
	sum := kinds["drops"][0]
	number := func(k string) uint64 { n, _ := sum[k].(float64); return uint64(n) }
	dropped := uint64(0)
	for _, r := range sum["reasons"].([]any) {
		if m := r.(map[string]any); strings.Contains(fmt.Sprint(m["reason"]), "SOCKET_RCVBUFF") {
			dropped += uint64(m["packets"].(float64))
		}
	}
	t.Logf("%d sent in %v (%.0f/s); %d dropped by the kernel's own count, %d by ours, %d missing; %d shown; process %.2f cores, program %.2f cores (%.0f ns a drop), peak %d MB",
		sent, took.Round(time.Millisecond), float64(sent)/took.Seconds(), after-before, dropped, number("missing"), number("shown"), cost.CPU.Seconds()/took.Seconds(),
		cost.Program.Seconds()/took.Seconds(), float64(cost.Program.Nanoseconds())/float64(sent), cost.PeakRSS>>20)
	if dropped+number("missing") < after-before || dropped > after-before {
		t.Errorf("%d drops were counted and %d missed; the kernel had %d", dropped, number("missing"), after-before)
	}
	if number("shown")+number("notShown")+number("hidden") != number("counted") {
		t.Errorf("the sums do not add up: %v", sum)
	}
	if number("hidden") == 0 {
		t.Error("what a ping leaves behind was not hidden")
	}
	if got := uint64(len(kinds["drop"])); got != number("shown") || got == 0 || got > 600 {
		t.Errorf("%d lines, %d said to be shown; want the same, and few", got, number("shown"))
	}
	if !strings.Contains(errs.String(), "were not shown") {
		t.Errorf("stderr does not say what was not shown: %q", errs.String())
	}
	reached := float64(after-before) / took.Seconds()
	if reached < rate/2 {
		t.Errorf("only %.0f drops a second: the machine is too busy to show what %d of them take", reached, rate)
	}
	// what the process takes does not depend on the rate, what the program takes does
	if cores := cost.CPU.Seconds()/took.Seconds() + cost.Program.Seconds()/took.Seconds()*max(1, rate/reached); cores > 1 {
		t.Errorf("%d drops a second take %.2f cores", rate, cores)
	}
	if cost.PeakRSS > 100<<20 {
		t.Errorf("it took %d MB", cost.PeakRSS>>20)
	}
}

// Ctrl-C before what was asked for is there: exit code 130, with the summary.
func TestDropsInterrupted(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	cmd := nettrace(t, nil, "drops", "--no-kubernetes", "--duration", "1h")
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(errs)
	if l, err := r.ReadString('\n'); err != nil || !strings.Contains(l, "counting drops") {
		t.Fatalf("%q, %v", l, err)
	}
	if err := cmd.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(r)
	err = cmd.Wait()
	var ee *exec.ExitError
	if !errors.As(err, &ee) || ee.ExitCode() != exitInterrupted {
		t.Errorf("%v, want exit code 130", err)
	}
	if !strings.Contains(string(rest), "not shown") || !strings.Contains(string(rest), "hidden") {
		t.Errorf("no summary: %q", rest)
	}
}

// A duration that is over ends with 0; missing capabilities with 4.
func TestDropsEnds(t *testing.T) {
	needRoot(t)
	if code, _, errs := call(t, "drops", "--no-kubernetes", "--duration", "300ms"); code != exitOK || !strings.Contains(errs, "drops in") {
		t.Errorf("exit %d: %s", code, errs)
	}
	err := nettrace(t, []string{"setpriv", "--bounding-set=-all", "--inh-caps=-all"}, "drops", "--no-kubernetes", "--duration", "1s").Run()
	var ee *exec.ExitError
	if !errors.As(err, &ee) || ee.ExitCode() != exitPrivileges {
		t.Errorf("without capabilities: %v, want exit code 4", err)
	}
}
