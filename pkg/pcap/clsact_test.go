// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// nothing is a program that lets every packet pass.
func nothing(t *testing.T) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// devices makes a namespace with a pair of devices that tc commands have prepared, and returns its path.
func devices(t *testing.T, commands ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces and tracing")
	}
	name := fmt.Sprintf("pcap%d", os.Getpid())
	if err := netns.Create(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	for _, c := range append([]string{"ip link add va type veth peer name vb"}, commands...) {
		if out, err := exec.Command("ip", append([]string{"netns", "exec", name}, strings.Fields(c)...)...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", c, err, out)
		}
	}
	return netns.Dir + "/" + name
}

// state lists queueing disciplines with a place for filters, and how many filters they have.
func state(t *testing.T, path string) []string {
	t.Helper()
	var out []string
	err := netns.Do(path, func() error {
		for _, dev := range []string{"va", "vb", "lo"} {
			link, err := netlink.LinkByName(dev)
			if err != nil {
				return err
			}
			qdiscs, err := netlink.QdiscList(link)
			if err != nil {
				return err
			}
			for _, q := range qdiscs {
				if q.Type() != "clsact" && q.Type() != "ingress" {
					continue
				}
				n := 0
				for _, parent := range sides {
					filters, _ := netlink.FilterList(link, parent)
					n += len(filters)
				}
				out = append(out, fmt.Sprintf("%s %s %d", dev, q.Type(), n))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What others have at a device stays: their clsact and filters, an ingress discipline. All that is ours goes, by ourselves or by the guardian.
func TestClsactLeavesOthersAlone(t *testing.T) {
	for _, tc := range []struct {
		name          string
		commands      []string
		before, while []string
	}{
		{"alone", nil, nil, []string{"va clsact 2", "vb clsact 2", "lo clsact 2"}},
		{"va clsact of others", []string{"tc qdisc add dev va clsact"}, []string{"va clsact 0"}, []string{"va clsact 2", "vb clsact 2", "lo clsact 2"}},
		{"an ingress discipline", []string{"tc qdisc add dev va ingress"}, []string{"va ingress 0"}, []string{"va ingress 0", "vb clsact 2", "lo clsact 2"}},
	} {
		for _, killed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/killed %v", tc.name, killed), func(t *testing.T) {
				path := devices(t, tc.commands...)
				p := nothing(t)
				c, err := newClsact(p, p, func() (*exec.Cmd, error) { return exec.Command("cat"), nil })
				if err != nil {
					t.Fatal(err)
				}
				if got := state(t, path); !slices.Equal(got, tc.before) {
					t.Fatalf("before: %q", got)
				}
				if _, err := attachAll(c, &Options{Namespaces: []Namespace{{Path: path, Label: "test"}}}); err != nil {
					t.Fatal(err)
				}
				if got := state(t, path); !slices.Equal(got, tc.while) {
					t.Errorf("while it runs: %q, want %q", got, tc.while)
				}
				if killed {
					var told strings.Builder
					for _, x := range c.traces {
						line, _ := json.Marshal(x)
						told.Write(append(line, '\n'))
					}
					err = Guard(strings.NewReader(told.String() + `{"path":"/run/ne`))
				}
				if err != nil {
					t.Error(err)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				if got := state(t, path); !slices.Equal(got, tc.before) {
					t.Errorf("afterwards: %q, want %q", got, tc.before)
				}
			})
		}
	}
}

// A guardian that hears goodbye has nothing to do, and garbage is no reason to do anything.
func TestGuardDoesNothing(t *testing.T) {
	for _, said := range []string{"", "done\n", "garbage\n{}\n", `{"path":"/proc/self/ns/net","inode":1,"index":1,"qdisc":true}` + "\n"} {
		if err := Guard(strings.NewReader(said)); err != nil {
			t.Errorf("%q: %v", said, err)
		}
	}
}

// Two captures at once, and somebody's own queueing discipline at one device: whoever ends last takes what captures made, and nothing else.
func TestClsactOfTwoCaptures(t *testing.T) {
	for _, first := range []int{0, 1} {
		t.Run(fmt.Sprintf("capture %d ends first", first), func(t *testing.T) {
			path := devices(t, "tc qdisc add dev va clsact")
			p := nothing(t)
			var both []*clsact
			for i := range 2 {
				c, err := newClsact(p, p, func() (*exec.Cmd, error) { return exec.Command("cat"), nil })
				if err != nil {
					t.Fatal(err)
				}
				c.handle += uint32(i) << 8 // as that of another process
				if _, err := attachAll(c, &Options{Namespaces: []Namespace{{Path: path, Label: "test"}}}); err != nil {
					t.Fatal(err)
				}
				both = append(both, c)
			}
			if got, want := state(t, path), []string{"va clsact 4", "vb clsact 4", "lo clsact 4"}; !slices.Equal(got, want) {
				t.Errorf("both: %q, want %q", got, want)
			}
			for i, want := range [][]string{{"va clsact 2", "vb clsact 2", "lo clsact 2"}, {"va clsact 0"}} {
				if err := both[(first+i)%2].Close(); err != nil {
					t.Error(err)
				}
				if got := state(t, path); !slices.Equal(got, want) {
					t.Errorf("%d ended: %q, want %q", i+1, got, want)
				}
			}
		})
	}
}
