// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// podCommand says how a command of the nodes is run through pods.
type podCommand struct {
	ends    bool     // its arguments are the ends of a flow, which say on which nodes to run it
	story   bool     // several nodes tell one story; otherwise each node's output is shown as it is
	objects bool     // it takes Kubernetes objects
	formats []string // of the output, where not all of the node's command make sense
	long    string
	example string
}

// podCommands are the commands that are run through pods; one that this program lacks is left out.
var podCommands = map[string]podCommand{
	"flow": {ends: true, story: true, objects: true,
		long: `Follow one flow on the nodes that it crosses: SRC's node and DST's, or those of a Service's endpoints. A debug pod is started on each, a probe is
sent when all of them watch, and what they see is told as one story with one verdict.`,
		example: `  # can the pod reach the Service?
  kubectl nettrace flow shop/client svc/shop/web:http --probe

  # what is there, for a minute, on one node only
  kubectl nettrace flow any shop/web-0:8080 --timeout 1m --node worker-1

  # with debug pods in a namespace that admits privileged ones, and an image of one's own registry
  kubectl nettrace flow shop/client svc/shop/web:http --probe --pod-namespace netops --image registry.example/nettrace:v1`},
	"diagnose": {ends: true, objects: true,
		long:    `Find out why SRC cannot reach DST, layer by layer, on SRC's node: static checks bottom-up, then a traced probe. A debug pod is started there.`,
		example: `  kubectl nettrace diagnose shop/client svc/shop/web:http`},
	"drops": {objects: true, formats: []string{"auto", "text", "json"},
		long: `Every drop of the chosen nodes, live. A debug pod is started on each of them; a line is shown for each drop.`,
		example: `  kubectl nettrace drops --node worker-1
  kubectl nettrace drops --node worker-1 --node worker-2 --duration 30s -o json
  kubectl nettrace drops --all-nodes --duration 1m --reason NETFILTER_DROP`},
	"doctor": {
		long: `Check on the chosen nodes what nettrace can see there. A debug pod is started on each of them.`,
		example: `  kubectl nettrace doctor --node worker-1
  kubectl nettrace doctor --all-nodes -o json`},
}

// notInPods are flags of the node's commands that the plugin answers itself, or that make no sense in a pod.
var notInPods = []string{"cluster", "kubeconfig", "context", "namespace", "no-kubernetes", "scope", "record", "pcap", "pcap-clsact", "signatures", "translated", "no-color", "output", untilStdinCloses}

// ofProbes are flags that only the node of the sender gets.
var ofProbes = []string{"probe", "size", "count", "http", "https", "dns", "mtu", "compare", "sport"}

// sendsProbes are those of them that each send a probe.
var sendsProbes = []string{"probe", "http", "https", "dns", "mtu", "compare"}

// podOptions are the plugin's own flags.
type podOptions struct {
	kube     *kubeOptions
	image    string
	nodes    []string
	all      bool
	keep     bool
	deadline time.Duration
	start    time.Duration
}

// releaseImage is where releases are published.
const releaseImage = "ghcr.io/nettrace-io/nettrace"

// defaultImage is the image of this version; builds between releases take the newest one.
func defaultImage() string {
	if v := os.Getenv("NETTRACE_IMAGE"); v != "" {
		return v
	}
	if strings.HasPrefix(version, "v") && !strings.ContainsAny(version, "-+") {
		return releaseImage + ":" + version
	}
	return releaseImage + ":latest"
}

func (o *podOptions) flags(c *cobra.Command, p podCommand) {
	f := c.Flags()
	f.StringVar(&o.image, "image", "", fmt.Sprintf("image of the debug pods (default $NETTRACE_IMAGE, or %s of this version)", releaseImage))
	f.StringArrayVar(&o.nodes, "node", nil, "run on this node (repeatable)"+map[bool]string{true: " instead of the nodes of SRC and DST"}[p.ends])
	if !p.ends {
		f.BoolVar(&o.all, "all-nodes", false, "run on all nodes that are ready")
	}
	f.BoolVar(&o.keep, "keep", false, "leave the pods there when the run is over, for a look at them")
	f.DurationVar(&o.deadline, "deadline", 0, "after this time the cluster ends the pods, whatever becomes of this program (default: a minute longer than starting and the command may take; an hour for a command without an end)")
	f.DurationVar(&o.start, "start-timeout", time.Minute, "how long to wait for the pods to start")
}

// check finds mistakes before any work.
func (o *podOptions) check(p podCommand) error {
	switch {
	case !p.ends && len(o.nodes) == 0 && !o.all:
		return fmt.Errorf("on which node? use --node NAME (repeatable) or --all-nodes; 'kubectl get nodes' lists them")
	case p.ends && !p.story && len(o.nodes) > 1:
		return fmt.Errorf("this command looks at one node, the sender's: name one with --node")
	case o.all && len(o.nodes) > 0:
		return fmt.Errorf("--all-nodes and --node exclude one another")
	case o.deadline < 0 || o.deadline > 24*time.Hour:
		return fmt.Errorf("--deadline %v: use up to 24h", o.deadline)
	case o.start <= 0:
		return fmt.Errorf("--start-timeout %v: use a positive duration such as 1m", o.start)
	}
	for i, n := range o.nodes {
		if n == "" || slices.Contains(o.nodes[:i], n) {
			return fmt.Errorf("--node %q is given twice or empty: name each node once", n)
		}
	}
	o.image = cmp.Or(o.image, defaultImage())
	return nil
}

// newPodCommand makes the plugin's command of a node's.
func newPodCommand(s streams, k *kubeOptions, node *cobra.Command, p podCommand) *cobra.Command {
	o := podOptions{kube: k}
	var out output
	c := &cobra.Command{Use: node.Use, Short: node.Short + " (in debug pods)", Example: p.example, Args: node.Args,
		Long: p.long + "\n\nOther flags are those of 'nettrace " + node.Name() + "'; exit codes are the same. kubectl's flags that are not listed, such\nas --as, --server and --token, work as well.",
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(p); err != nil {
				return err
			}
			out.format = c.Flag("output").Value.String()
			if f := c.Flag("addresses"); f != nil {
				out.addresses = f.Value.String() == "true"
			}
			if len(p.formats) > 0 && !slices.Contains(p.formats, out.format) {
				return fmt.Errorf("-o %.64s: through pods there are %s", out.format, strings.Join(p.formats, ", "))
			}
			if p.story {
				if _, err := out.renderer(s); err != nil {
					return err
				}
			}
			return runPods(c, s, &o, &out, p, args)
		}}
	if node.PreRunE != nil {
		c.PreRunE = node.PreRunE // the flags' values are the node's command's
	}
	node.Flags().VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(notInPods, f.Name) {
			c.Flags().AddFlag(f)
			if complete, ok := node.GetFlagCompletionFunc(f.Name); ok {
				_ = c.RegisterFlagCompletionFunc(f.Name, complete)
			}
		}
	})
	c.Flags().AddFlag(node.Flag("output"))
	if len(p.formats) > 0 {
		_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(p.formats, cobra.ShellCompDirectiveNoFileComp))
	} else if complete, ok := node.GetFlagCompletionFunc("output"); ok {
		_ = c.RegisterFlagCompletionFunc("output", complete)
	}
	c.Flags().BoolVar(&out.noColor, "no-color", false, "no colours (also when NO_COLOR is set or the output is no terminal)")
	o.flags(c, p)
	return c
}

// podRole is what one node does in a run.
type podRole struct {
	leads bool // it sends the probes, and the run ends with it
	sends bool // the flow's sender is on it
}

// podArgs is the command line in the pod. Nodes that do not lead watch until they are told to end, and send nothing. Whichever leads, a node that
// does not have the sender follows what another node's NAT makes of the flow.
func podArgs(c *cobra.Command, p podCommand, args []string, namespace string, role podRole) []string {
	out := []string{c.Name()}
	format := c.Flag("output").Value.String()
	switch {
	case p.story:
		format = "json"
	case c.Name() == "drops" && format != "json":
		format = "text"
	}
	out = append(out, "--output="+format, "--"+untilStdinCloses)
	if p.objects {
		out = append(out, "--cluster=-")
	}
	if p.ends && namespace != "" || c.Name() == "drops" && c.Flag("namespace").Changed {
		out = append(out, "--namespace="+namespace)
	}
	changed(c, func(f *pflag.Flag) {
		if !role.leads && (slices.Contains(ofProbes, f.Name) || f.Name == "timeout") {
			return
		}
		out = append(out, flagArgs(f)...)
	})
	if !role.leads { // only story commands have others
		out = append(out, "--timeout=0")
	}
	if p.story && !role.sends && !(role.leads && given(c, sendsProbes...)) { // where the sender is not, a probe that is asked for says so
		out = append(out, "--translated")
	}
	if dns := c.Flag("dns"); !role.leads && dns != nil && dns.Changed && !c.Flag("proto").Changed {
		out = append(out, "--proto=udp")
	}
	return append(append(out, "--"), args...)
}

// flagArgs are the arguments that give a flag the value that it has.
func flagArgs(f *pflag.Flag) []string {
	v, ok := f.Value.(pflag.SliceValue)
	if !ok {
		return []string{"--" + f.Name + "=" + f.Value.String()}
	}
	var out []string
	for _, one := range v.GetSlice() {
		out = append(out, "--"+f.Name+"="+one)
	}
	return out
}

// changed visits the flags of the node's command that the user gave.
func changed(c *cobra.Command, visit func(*pflag.Flag)) {
	own := []string{"image", "node", "all-nodes", "keep", "deadline", "start-timeout", "pod-namespace", "help"}
	persistent := c.PersistentFlags()
	c.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains(own, f.Name) && !slices.Contains(notInPods, f.Name) && persistent.Lookup(f.Name) == nil {
			visit(f)
		}
	})
}

// lifetime is the pods' deadline: a minute longer than starting and the command may take. The kubelet counts from when it accepts the pod, so the
// image's pull is in it, and where a node waits for others to watch, their start too.
func (o *podOptions) lifetime(c *cobra.Command, p podCommand) time.Duration {
	if o.deadline > 0 {
		return o.deadline
	}
	takes := time.Duration(0)
	for _, name := range []string{"timeout", "duration"} {
		if f := c.Flags().Lookup(name); f != nil {
			takes, _ = time.ParseDuration(f.Value.String())
		}
	}
	switch {
	case takes == 0 && c.Name() != "doctor":
		takes = time.Hour - time.Minute // until somebody ends it
	case given(c, "compare", "mtu", "http", "https", "dns") || c.Name() == "diagnose":
		takes *= 10 // several probes, one after the other
	}
	if f := c.Flags().Lookup("count"); f != nil && f.Changed && given(c, "probe") {
		n, _ := time.ParseDuration(f.Value.String() + "ns")
		takes *= max(1, n)
	}
	starts := o.start
	if p.story {
		starts += begunWithin
	}
	return min(takes, 24*time.Hour) + time.Minute + starts
}

// given reports whether one of some flags was given.
func given(c *cobra.Command, flags ...string) bool {
	return slices.ContainsFunc(flags, func(n string) bool {
		f := c.Flags().Lookup(n)
		return f != nil && f.Changed
	})
}
