// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/nettrace-io/nettrace/pkg/render"
)

func newCleanup(s streams, k *kubeOptions) *cobra.Command {
	var everywhere, alive, dry bool
	c := &cobra.Command{
		Use:   "cleanup",
		Short: "Delete debug pods that are left over",
		Long: `Delete debug pods of nettrace that are left over: of runs that could not delete them, and those that --keep has left there. Pods whose program
still runs belong to somebody's run, since programs end with whoever started them: they are named, and left alone without --running.`,
		Example: `  kubectl nettrace cleanup
  kubectl nettrace cleanup --all-namespaces --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runCleanup(c, s, k, everywhere, alive, dry) },
	}
	c.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "in all namespaces")
	c.Flags().BoolVar(&alive, "running", false, "also those whose program still runs")
	c.Flags().BoolVar(&dry, "dry-run", false, "show what would be deleted, and delete nothing")
	return c
}

func runCleanup(c *cobra.Command, s streams, o *kubeOptions, everywhere, alive, dry bool) error {
	k, err := o.connect()
	if err != nil {
		return err
	}
	namespace, where := k.podNamespace, "in namespace "+k.podNamespace
	if everywhere {
		namespace, where = "", "in any namespace"
	}
	all, err := k.pods.Leftovers(c.Context(), namespace)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		fmt.Fprintf(s.err, "nettrace: no debug pods %s\n", where)
	}
	var failed []error
	for _, l := range all {
		name := fmt.Sprintf("pod %s/%s on node %s, %s old", l.Namespace, l.Name, l.Node, l.Age.Round(time.Second))
		if l.Kept {
			name += ", kept by its user"
		}
		did := "deleted"
		switch {
		case l.Running && !alive:
			did = "left, it is running (--running deletes it too)"
		case dry:
			did = "would be deleted"
		default:
			if err := k.pods.Remove(c.Context(), l, patientGrace); err != nil {
				failed = append(failed, err)
				continue
			}
		}
		fmt.Fprintf(s.out, "%s: %s\n", render.Escape(name), did)
	}
	return errors.Join(failed...)
}
