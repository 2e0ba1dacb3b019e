// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/nettrace-io/nettrace/internal/guardian"
	"github.com/nettrace-io/nettrace/pkg/debugpod"
)

// podGuardName is the hidden command of the guardian that deletes the pods when the plugin was killed and could not.
const podGuardName = "pod-guard"

// guardedPod is a pod that is about to be made, and the flags that say how its API server is reached.
type guardedPod struct {
	Flags     []string `json:"flags"`
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
}

// podGuard is the plugin's end of the pipe; a nil one tells nobody.
type podGuard struct {
	mu    sync.Mutex
	g     *guardian.Guardian
	flags []string
}

// startGuard starts a guardian. Without one the pods end with their stdin all the same, and are deleted by 'cleanup'.
func startGuard(c *cobra.Command, say func(string)) *podGuard {
	cmd, err := guardianOf(podGuardName)()
	if err == nil {
		cmd.Args[0] = "kubectl-nettrace" // it is the plugin's command
		var g *guardian.Guardian
		if g, err = guardian.Start(cmd); err == nil {
			return &podGuard{g: g, flags: serverFlags(c)}
		}
	}
	say(fmt.Sprintf("%v: should this program be killed, 'kubectl nettrace cleanup' removes its pods", err))
	return nil
}

// serverFlags are the flags that the user gave to say how the API server is reached.
func serverFlags(c *cobra.Command) []string {
	out, own := []string{}, c.PersistentFlags()
	c.Flags().Visit(func(f *pflag.Flag) {
		if own.Lookup(f.Name) != nil {
			out = append(out, flagArgs(f)...)
		}
	})
	return out
}

// tell names a pod that is about to be made. A guardian that is gone guards nothing.
func (g *podGuard) tell(namespace, name string) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.g.Tell(guardedPod{g.flags, namespace, name})
}

// done ends the guardian. When not all pods could be deleted, it tries again, and nobody waits for that: what is left is said now.
func (g *podGuard) done(clean bool) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !clean {
		_ = g.g.Leave()
		return
	}
	_ = g.g.End(true)
}

func newPodGuard(s streams) *cobra.Command {
	return &cobra.Command{Use: podGuardName, Hidden: true, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return guardPods(c.Context(), s.in) }}
}

// guardPods is the guardian's work.
func guardPods(ctx context.Context, r io.Reader) error {
	return guardian.Watch(r, func(pods []guardedPod) error { return deletePods(ctx, pods) })
}

func deletePods(ctx context.Context, pods []guardedPod) error {
	if len(pods) == 0 {
		return nil
	}
	o, c := &kubeOptions{}, &cobra.Command{}
	o.flags(c)
	if err := c.ParseFlags(pods[0].Flags); err != nil {
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
		errs := make([]error, len(pods))
		var wg sync.WaitGroup
		for i, p := range pods {
			wg.Go(func() {
				errs[i] = k.pods.Remove(ctx, debugpod.Leftover{Namespace: p.Namespace, Name: p.Name}, patientGrace)
			})
		}
		wg.Wait()
		err = errors.Join(errs...)
	}
	return err
}
