// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/merge"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// story is what a run told, without what differs from run to run: times, the sender's port, and the order of different packets.
func story(t *testing.T, out string) (map[string]string, *verdict.Verdict) {
	t.Helper()
	schematest.Lines(t, []byte(out))
	vary := regexp.MustCompile(`:\d{5}\b|VNI \d+`) // of a tunnel that a packet comes out of, only the sender's node knows the VNI
	ways, v := map[string]string{}, (*verdict.Verdict)(nil)
	r := merge.NewReader(strings.NewReader(out), "out")
	for {
		rec, err := r.Next()
		if err != nil {
			if v == nil {
				t.Fatalf("no verdict in\n%s", out)
			}
			return ways, v
		}
		if rec.Verdict != nil {
			v = rec.Verdict
		}
		j := rec.Journey
		if j == nil || j.Packet.Flags != "SYN" && j.Packet.Flags != "SYN,ACK" {
			continue
		}
		way := ""
		for _, h := range j.Hops {
			if h.Stage == journey.StageNeighbour || strings.HasPrefix(h.What, "tunnel packet routed to ") {
				continue // not when a cache has the answer
			}
			way += fmt.Sprintf("%s %s/%s %s: %s\n", h.Node, h.Where.Namespace, h.Where.Name, h.Stage, vary.ReplaceAllString(h.What, "…"))
		}
		ways[fmt.Sprintf("%s %s", j.Direction, j.Packet.Flags)] = way + string(j.End)
	}
}

// The story of two pods on two nodes is that of one nettrace that sees both nodes.
func TestPluginTellsTheSameStory(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "plugin")
	c := newCluster(t, scopesOf(l))
	flow := []string{"flow", "shop/client", "shop/web-7d9c5b8f4-abcde:8080", "--probe", "-o", "json"}
	call(t, append(append(slices.Clone(flow), "--cluster", shopFile(t)), scopeArgs(l)...)...)
	_, direct, _ := call(t, append(append(slices.Clone(flow), "--cluster", shopFile(t)), scopeArgs(l)...)...) // now all neighbours are known
	code, out, errs := c.kubectl(t, flow...)
	if code != 0 || errs != "" {
		t.Fatalf("exit %d: %s\n%s", code, errs, out)
	}
	c.mustHaveNoPods(t)
	got, v := story(t, out)
	want, w := story(t, direct)
	for packet := range want {
		if got[packet] != want[packet] {
			t.Errorf("%s: through the plugin\n%s\nwithout\n%s", packet, got[packet], want[packet])
		}
	}
	if len(want) != 2 || len(got) != 2 {
		t.Errorf("%d and %d kinds of packets", len(got), len(want))
	}
	if v.Outcome != w.Outcome || v.Confidence != w.Confidence || v.Summary != w.Summary || v.Probe == nil || v.Probe.Result != w.Probe.Result {
		t.Errorf("through the plugin %+v, without %+v", v, w)
	}
}

// Topology: the lab, with a fabric that loses VXLAN. Action: follow a probe from pods on both nodes. Expectation: the verdict that neither node
// could be sure of alone, and its exit code.
func TestPluginFindsWhatIsLostBetweenNodes(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "plugin")
	cases, err := lab.Cases()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(cases, func(c lab.Case) bool { return c.Name == "tunnel-lost-in-fabric" })
	if err := l.Apply(t.Context(), cases[i]); err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, scopesOf(l))
	code, out, errs := c.kubectl(t, "flow", "shop/client", "shop/web-7d9c5b8f4-abcde:8080", "--probe", "--timeout", "3s")
	t.Logf("kubectl nettrace flow shop/client shop/web-7d9c5b8f4-abcde:8080 --probe --timeout 3s: exit %d\n%s%s", code, errs, out)
	if code != exitVerdict || errs != "" || !strings.Contains(out, "\nLOST: the request is lost between node1 and node2: node1 sent it inside VXLAN to 192.168.50.2:8472, and node2 never received it\nlayer: underlay · cause: tunnel-lost-in-fabric · confirmed · on node1\n") {
		t.Errorf("exit %d: %s\n%s", code, errs, out)
	}
	c.mustHaveNoPods(t)
}

// A flow inside of one node needs one pod; what it says is shown in every format, and its exit code is the plugin's.
func TestPluginOnOneNode(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "plugin")
	c := newCluster(t, scopesOf(l))
	made := 0
	c.Admit(func(p *corev1.Pod) *metav1.Status {
		made++
		if want := int64(8 + 60 + 60 + 30); *p.Spec.ActiveDeadlineSeconds != want || p.Spec.NodeName != "node1" || p.Spec.Containers[0].Image != "registry.example/nettrace:test" {
			t.Errorf("pod on %s with deadline %d and image %s", p.Spec.NodeName, *p.Spec.ActiveDeadlineSeconds, p.Spec.Containers[0].Image)
		}
		return nil
	})
	code, out, errs := c.kubectl(t, "flow", "shop/client", "shop/web-7d9c5b8f4-fghij:8080", "--probe", "--timeout", "8s", "--image", "registry.example/nettrace:test")
	if code != 0 || errs != "" || !strings.HasPrefix(out, "tcp shop/client (10.244.1.10) → shop/web-7d9c5b8f4-fghij:8080 (10.244.1.20:8080) on node1, kernel ") ||
		!strings.Contains(out, "\nDELIVERED: shop/client (10.244.1.10) reaches shop/web-7d9c5b8f4-fghij:8080 (10.244.1.20:8080) and the answer comes back\n") || made != 1 {
		t.Errorf("exit %d, %d pods: %s\n%s", code, made, errs, out)
	}
	// nobody listens there
	code, out, errs = c.kubectl(t, "flow", "shop/client", "shop/web-7d9c5b8f4-fghij:9", "--probe", "--timeout", "8s", "-o", "table", "--image", "registry.example/nettrace:test")
	if code != exitVerdict || errs != "" || !strings.Contains(out, "cause: not-listening") {
		t.Errorf("exit %d: %s\n%s", code, errs, out)
	}
	c.mustHaveNoPods(t)
}

// Two users follow a flow on one node at once; neither is in the other's way.
func TestPluginTwice(t *testing.T) {
	needRoot(t)
	c := newCluster(t, nil)
	a, b := c.start(t, quietFlow...), c.start(t, quietFlow...)
	a.out.has(t, begun)
	b.out.has(t, begun)
	if len(c.debugPods()) != 2 {
		t.Errorf("%d pods", len(c.debugPods()))
	}
	_ = a.cmd.Process.Signal(syscall.SIGINT)
	if code := a.ends(t); code != exitInterrupted || len(c.debugPods()) != 1 || len(c.kubelet.PIDs()) != 1 {
		t.Errorf("exit %d, %d pods, programs %v: %s", code, len(c.debugPods()), c.kubelet.PIDs(), a.errs)
	}
	code, out, errs := c.kubectl(t, "cleanup")
	if code != 0 || errs != "" || !strings.HasSuffix(out, ": left, it is running (--running deletes it too)\n") || strings.Count(out, "\n") != 1 {
		t.Errorf("cleanup: exit %d: %s%s", code, errs, out)
	}
	_ = b.cmd.Process.Signal(syscall.SIGTERM)
	if code := b.ends(t); code != exitInterrupted {
		t.Errorf("exit %d: %s", code, b.errs)
	}
	c.mustHaveNoPods(t)
}

func TestPluginKeeps(t *testing.T) {
	needRoot(t)
	c := newCluster(t, nil)
	code, out, errs := c.kubectl(t, "flow", "192.0.2.1", "192.0.2.2:9", "--node", "node1", "--timeout", "10ms", "--keep", "-o", "json")
	if len(c.debugPods()) != 1 {
		t.Fatalf("exit %d, %d pods: %s%s", code, len(c.debugPods()), errs, out)
	}
	name := c.debugPods()[0].Name
	if want := fmt.Sprintf("nettrace: kept: pod %s; 'kubectl logs -n shop %[1]s' shows what it wrote, 'kubectl nettrace cleanup -n shop' removes it\n", name); code != exitUnseen || ownAffair.ReplaceAllString(errs, "") != want {
		t.Errorf("exit %d: %s", code, errs)
	}
	code, out, _ = c.kubectl(t, "cleanup", "--dry-run")
	if code != 0 || !strings.Contains(out, ", kept by its user: would be deleted") || len(c.debugPods()) != 1 {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, _, _ = c.kubectl(t, "cleanup", "-A"); code != 0 {
		t.Errorf("exit %d", code)
	}
	c.mustHaveNoPods(t)
	code, out, errs = c.kubectl(t, "cleanup")
	if code != 0 || out != "" || errs != "nettrace: no debug pods in namespace shop\n" {
		t.Errorf("exit %d: %s%s", code, errs, out)
	}
}

// The commands that show nodes as they are.
func TestPluginDoctor(t *testing.T) {
	needRoot(t)
	c := newCluster(t, nil)
	code, out, errs := c.kubectl(t, "doctor", "--all-nodes")
	if code != 0 || errs != "" || !strings.HasPrefix(out, "node node") || strings.Count(out, "\nlockdown ") != 2 {
		t.Errorf("exit %d: %s\n%s", code, errs, out)
	}
	code, out, errs = c.kubectl(t, "doctor", "--node", "node2", "-o", "json")
	if code != 0 || errs != "" || len(schematest.Lines(t, []byte(out))["doctor"]) != 1 {
		t.Errorf("exit %d: %s\n%s", code, errs, out)
	}
	c.mustHaveNoPods(t)
}

func TestPluginDrops(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "plugin")
	c := newCluster(t, scopesOf(l))
	p := c.start(t, "drops", "--node", "node1", "--node", "node2", "-o", "json")
	c.until(t, "two attached programs", func() bool { return c.kubelet.Attached() == 2 })
	p.out.times(t, begun, 2)
	_ = netns.Do(l.Path("client"), func() error {
		return exec.Command("bash", "-c", "echo > /dev/tcp/10.244.2.20/8081").Run() // refused, as it should be
	})
	p.out.has(t, `"location":"tcp_v4_rcv"`)
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	if code := p.ends(t); code != exitOK || p.errs.String() != "" {
		t.Errorf("exit %d: %s%s", code, p.errs, p.out)
	}
	lines := schematest.Lines(t, []byte(p.out.String()))
	if len(lines["start"]) != 2 || len(lines["drops"]) != 2 {
		t.Errorf("%d starts and %d ends", len(lines["start"]), len(lines["drops"]))
	}
	c.mustHaveNoPods(t)
}

func TestPluginHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"flow", "--help"}, {"drops", "--help"}, {"doctor", "--help"}, {"cleanup", "--help"}} {
		var b bytes.Buffer
		code := runPlugin(t.Context(), args, streams{strings.NewReader(""), &b, &b})
		out := b.String()
		if code != 0 || !strings.Contains(out, "Examples:\n") || !strings.Contains(out, "kubectl nettrace") || regexp.MustCompile(`(?m)^  (sudo )?nettrace `).MatchString(out) {
			t.Errorf("%v: exit %d\n%s", args, code, out)
		}
	}
}
