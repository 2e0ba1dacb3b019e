// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

func newLab(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "lab",
		Short: "A two-node cluster in network namespaces, with failures to switch on",
		Long: `A two-node cluster in network namespaces on this machine: pods, CNI bridges, a VXLAN tunnel and Services with the rules that kube-proxy
writes. Each case is a failure that really happens in clusters, with the verdict that nettrace must give.`,
		Example: `  nettrace lab list
  nettrace lab run no-endpoints
  nettrace lab up --case fdb-entry-missing
  nettrace lab exec client -- curl -m 3 10.96.0.81
  nettrace lab down`,
	}
	group(c)
	c.AddCommand(newLabList(s), newLabUp(s), newLabDown(s), newLabExec(s), newLabRun(s), newLabServe())
	return c
}

// completeCases completes the names of cases.
func completeCases(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	all, err := lab.Cases()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []string
	for _, c := range all {
		out = append(out, c.Name+"\t"+c.Title)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func newLabList(s streams) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the cases: name, layer, cause of the verdict, one line each", Args: cobra.NoArgs,
		Long: `List the cases: name, the layer and the cause that the verdict must name, one line each. 'nettrace explain CAUSE' says what a cause is.`,
		RunE: func(*cobra.Command, []string) error {
			all, err := lab.Cases()
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "CASE\tLAYER\tCAUSE\tWHAT")
			for _, c := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.Name, cmp.Or(c.Layer, "-"), cmp.Or(c.Expect.Cause, "-"), c.Title)
			}
			return w.Flush()
		},
	}
}

func newLabUp(s streams) *cobra.Command {
	var name, prefix string
	c := &cobra.Command{
		Use: "up", Short: "Build the lab and leave it up, with a case's failure if one is named", Args: cobra.NoArgs,
		Example: `  nettrace lab up
  nettrace lab up --case not-listening`,
		RunE: func(c *cobra.Command, _ []string) error { return labUp(c.Context(), s, name, prefix) },
	}
	c.Flags().StringVar(&name, "case", "", "case to switch on")
	c.Flags().StringVar(&prefix, "prefix", lab.DefaultPrefix, "prefix of the namespaces' names")
	_ = c.RegisterFlagCompletionFunc("case", completeCases)
	return c
}

func labUp(ctx context.Context, s streams, name, prefix string) (err error) {
	var c lab.Case
	if name != "" {
		if c, err = lab.FindCase(name); err != nil {
			return err
		}
	}
	if err := labNeeds(c); err != nil {
		return err
	}
	l, err := lab.Up(ctx, lab.Options{Prefix: prefix, Backend: c.Backend, Services: c.Services, Objects: c.Objects, Log: s.err})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lab.Down(prefix))
		}
	}()
	if err := spawnServer(prefix); err != nil {
		return err
	}
	if err := l.Apply(ctx, c); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("build the lab: %w", err)
	}
	cluster, err := l.WriteCluster()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "The lab is up. Namespaces: %s\nIts Kubernetes objects: %s\n", strings.Join(lab.ShortNames(), ", "), cluster)
	if c.Name != "" {
		fmt.Fprintf(s.out, "Broken: %s\nTry:    nettrace flow netns:%s %s --proto %s --probe --cluster %s %s\n", render.Escape(c.Title), l.NetNS(c.Probe.From), render.Escape(c.Probe.To), render.Escape(c.Probe.Proto), cluster, scopeFlags(l))
		if c.Probe.From == "client" && c.Probe.Proto != "icmp" {
			fmt.Fprintf(s.out, "Layer?  nettrace diagnose shop/client %s --proto %s --cluster %s %s\n", render.Escape(c.Probe.To), render.Escape(c.Probe.Proto), cluster, scopeFlags(l))
		}
	} else {
		fmt.Fprintf(s.out, "Try:    nettrace flow shop/client svc/shop/web:http --probe --cluster %s %s\n", cluster, scopeFlags(l))
	}
	fmt.Fprintf(s.out, "Remove it with: nettrace lab down --prefix %s\n", prefix)
	return nil
}

func scopeFlags(l *lab.Lab) string {
	var out []string
	for _, x := range l.Scopes() {
		out = append(out, "--scope "+x)
	}
	return strings.Join(out, " ")
}

// labNeeds says what is missing before anything is built.
func labNeeds(c lab.Case) error {
	if err := labNeedsRoot(); err != nil {
		return err
	}
	if m := lab.Missing(c); len(m) > 0 {
		return fmt.Errorf("the lab needs %s: install %s (Debian: iptables, nftables, iproute2, ipvsadm, conntrack)", strings.Join(m, ", "), strings.Join(m, ", "))
	}
	return labNeedsKernel(c)
}

func labNeedsRoot() error {
	if os.Geteuid() != 0 {
		return &exitError{code: exitPrivileges, err: errors.New("the lab makes network namespaces, which takes CAP_SYS_ADMIN and CAP_NET_ADMIN: run it as root")}
	}
	return nil
}

// labNeedsKernel says what only another kernel has.
func labNeedsKernel(c lab.Case) error {
	if m := lab.MissingModules(c); len(m) > 0 {
		return &exitError{code: exitPrivileges, err: fmt.Errorf("case %s needs the kernel module %s, which this kernel does not have: run it on another kernel", c.Name, strings.Join(m, ", "))}
	}
	if c.Points == lab.PointsFunctions && !tracer.CanTraceFunctions() {
		return &exitError{code: exitPrivileges, err: fmt.Errorf("case %s needs points at kernel functions, and this kernel has neither kprobes nor fentry: run it on another kernel", c.Name)}
	}
	return nil
}

// spawnServer starts the process that serves the pods' ports after 'lab up' has ended. It says on its stdout when it is ready.
func spawnServer(prefix string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(self, "lab", "serve", "--prefix", prefix)
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	ready, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start the lab's server: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the lab's server: %w", err)
	}
	if err := lab.Remember(prefix, cmd.Process.Pid); err != nil {
		_ = cmd.Process.Kill()
		return errors.Join(err, cmd.Wait())
	}
	if _, err := io.ReadFull(ready, make([]byte, 1)); err != nil {
		return errors.Join(errors.New("the lab's server did not start"), cmd.Wait())
	}
	return cmd.Process.Release()
}

func newLabServe() *cobra.Command {
	var prefix string
	c := &cobra.Command{
		Use: "serve", Short: "Serve the pods' ports until ended", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := lab.Attach(prefix)
			if err != nil {
				return err
			}
			if err := l.Serve(); err != nil {
				return err
			}
			if _, err := os.Stdout.WriteString("."); err != nil {
				return err
			}
			<-c.Context().Done()
			return nil
		},
	}
	c.Flags().StringVar(&prefix, "prefix", lab.DefaultPrefix, "prefix of the lab")
	return c
}

func newLabDown(s streams) *cobra.Command {
	var prefix string
	var all bool
	c := &cobra.Command{
		Use: "down", Short: "Remove the lab; what is not there is no error", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			prefixes := []string{prefix}
			if all {
				prefixes = lab.Prefixes()
			}
			var errs error
			for _, p := range prefixes {
				errs = errors.Join(errs, lab.Down(p))
			}
			return errs
		},
	}
	c.Flags().StringVar(&prefix, "prefix", lab.DefaultPrefix, "prefix of the lab")
	c.Flags().BoolVar(&all, "all", false, "every lab on this machine")
	return c
}

func newLabExec(s streams) *cobra.Command {
	var prefix string
	c := &cobra.Command{
		Use: "exec NETNS -- CMD [ARG…]", Short: "Run a command in a namespace of the lab", Args: cobra.MinimumNArgs(2),
		Example: `  nettrace lab exec client -- curl -m 3 10.96.0.81
  nettrace lab exec node1 -- iptables-legacy-save -t nat`,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return lab.ShortNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := labNeedsRoot(); err != nil {
				return err
			}
			if !slices.Contains(lab.ShortNames(), args[0]) {
				return fmt.Errorf("the lab has no namespace %.64q: it has %s", args[0], strings.Join(lab.ShortNames(), ", "))
			}
			l, err := lab.Attach(prefix)
			if err != nil {
				return err
			}
			err = netns.Do(l.Path(args[0]), func() error {
				cmd := exec.CommandContext(c.Context(), args[1], args[2:]...)
				cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.err
				return cmd.Run()
			})
			var ee *exec.ExitError
			if errors.As(err, &ee) {
				return &exitError{code: max(ee.ExitCode(), 1)}
			}
			return err
		},
	}
	c.Flags().StringVar(&prefix, "prefix", lab.DefaultPrefix, "prefix of the lab")
	return c
}
