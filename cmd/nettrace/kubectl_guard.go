// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/pkg/debugpod"
)

// The guardian is a process of its own that deletes the pods when the plugin was killed and could not. It gets over a pipe how the API server is
// reached and each pod before it is made, and acts when the pipe ends without a goodbye.
const podGuardName = "pod-guard"

// guardHello is the first thing that a guardian reads: the flags that say how the API server is reached.
type guardHello struct {
	Flags []string `json:"flags"`
}

type guardedPod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

const guardGoodbye = `"done"`

// podGuard is the plugin's end of the pipe; a nil one tells nobody.
type podGuard struct {
	mu  sync.Mutex
	in  io.WriteCloser
	cmd *exec.Cmd
}

// startGuard starts a guardian. Without one the pods end with their stdin all the same, and are deleted by 'cleanup'.
func startGuard(c *cobra.Command, say func(string)) *podGuard {
	g, err := newGuardian(c)
	if err != nil {
		say(fmt.Sprintf("no guardian could be started (%v): should this program be killed, 'kubectl nettrace cleanup' removes its pods", err))
		return nil
	}
	return g
}

func newGuardian(c *cobra.Command) (*podGuard, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	hello := guardHello{Flags: []string{}}
	own := c.PersistentFlags()
	c.Flags().Visit(func(f *pflag.Flag) {
		if own.Lookup(f.Name) == nil {
			return
		}
		if v, ok := f.Value.(pflag.SliceValue); ok {
			for _, one := range v.GetSlice() {
				hello.Flags = append(hello.Flags, "--"+f.Name+"="+one)
			}
			return
		}
		hello.Flags = append(hello.Flags, "--"+f.Name+"="+f.Value.String())
	})
	g := &podGuard{cmd: exec.Command(self, podGuardName)}
	g.cmd.Args[0] = "kubectl-nettrace"
	g.cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true} // Ctrl-C is for the plugin
	if g.in, err = g.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	g.send(hello)
	return g, nil
}

func (g *podGuard) send(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	_, _ = g.in.Write(append(b, '\n')) // a guardian that is gone guards nothing
}

// tell names a pod that is about to be made.
func (g *podGuard) tell(namespace, name string) {
	if g != nil {
		g.send(guardedPod{namespace, name})
	}
}

// done ends the guardian, once the pods are gone; what could not be deleted is left to it.
func (g *podGuard) done(clean bool) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if clean {
		_, _ = io.WriteString(g.in, guardGoodbye+"\n")
	}
	_ = g.in.Close()
	if clean {
		_ = g.cmd.Wait()
	}
}

func newPodGuard(s streams) *cobra.Command {
	return &cobra.Command{Use: podGuardName, Hidden: true, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return guardPods(c.Context(), s.in) }}
}

// guardPods is the guardian's work.
func guardPods(ctx context.Context, r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	var hello guardHello
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &hello) != nil {
		return nil // killed before there was anything to guard
	}
	var pods []guardedPod
	for lines.Scan() {
		if lines.Text() == guardGoodbye {
			return nil
		}
		var p guardedPod
		if json.Unmarshal(lines.Bytes(), &p) == nil && p.Name != "" {
			pods = append(pods, p)
		}
	}
	if len(pods) == 0 {
		return nil
	}
	o, c := &kubeOptions{}, &cobra.Command{}
	o.flags(c)
	if err := c.ParseFlags(hello.Flags); err != nil {
		return err
	}
	k, err := o.connect()
	if err != nil {
		return err
	}
	// A creation that was under way when the plugin was killed may come after the deletion: once more, later.
	for _, wait := range []time.Duration{0, 2 * time.Second, 5 * time.Second} {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		for _, p := range pods {
			err = k.pods.Remove(ctx, debugpod.Leftover{Namespace: p.Namespace, Name: p.Name}, podGrace)
		}
	}
	return err
}
