// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubeconfigs with OIDC
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/nettrace-io/nettrace/pkg/debugpod"
	"github.com/nettrace-io/nettrace/pkg/k8smeta"
)

// isPlugin reports that the program was started by kubectl, or under the name that kubectl looks for.
func isPlugin(argv0 string) bool {
	return strings.HasPrefix(filepath.Base(argv0), "kubectl-")
}

// kubeOptions say how the API server is reached, as kubectl's own flags do. They are client-go's: those of cli-runtime are the same, and bring
// more code than the rest of nettrace.
type kubeOptions struct {
	kubeconfig string
	over       clientcmd.ConfigOverrides
	podNS      string // of the debug pods, "" for that of names
}

func (o *kubeOptions) flags(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "path to the kubeconfig file (default $KUBECONFIG or ~/.kube/config)")
	names := clientcmd.RecommendedConfigOverrideFlags("")
	names.ClusterOverrideFlags.APIServer.ShortName = "s"
	clientcmd.BindOverrideFlags(&o.over, f, names)
	shown := []string{"context", "namespace"}
	f.VisitAll(func(one *pflag.Flag) { one.Hidden = one.Name != "kubeconfig" && !slices.Contains(shown, one.Name) })
	f.Lookup("namespace").Usage = "namespace of names without one, and of the debug pods (default that of the context)"
	f.StringVar(&o.podNS, "pod-namespace", "", "namespace of the debug pods, which must admit privileged ones (default that of --namespace)")
}

// kubeClient is a read kubeconfig.
type kubeClient struct {
	cfg          *rest.Config
	pods         *debugpod.Cluster
	namespace    string // of names
	podNamespace string
	patience     time.Duration // for one request
}

// apiPatience is how long one request may take: whoever types kubectl waits longer than a trace on a node does, and may have to log in.
const apiPatience = 20 * time.Second

func (o *kubeOptions) connect() (*kubeClient, error) {
	k8smeta.Quiet()
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &o.over)
	cfg, err := loader.ClientConfig()
	if err != nil {
		if clientcmd.IsEmptyConfig(err) {
			return nil, errors.New("no kubeconfig was found: set KUBECONFIG, or use --kubeconfig FILE")
		}
		return nil, fmt.Errorf("read the kubeconfig: %s; 'kubectl config view' shows it", strings.Join(strings.Fields(err.Error()), " "))
	}
	ns, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	k := &kubeClient{cfg: cfg, namespace: ns, podNamespace: ns, patience: cmp.Or(cfg.Timeout, apiPatience)}
	cfg.Timeout = 0 // --request-timeout is not for streams
	if o.podNS != "" {
		k.podNamespace = o.podNS
	}
	k.pods, err = debugpod.Connect(cfg)
	return k, err
}

// names asks the API server for names.
func (k *kubeClient) names() (*names, error) {
	api, err := k8smeta.Connect(k.cfg, k.namespace, k.patience)
	if err != nil {
		return nil, err
	}
	return &names{api: api, namespace: k.namespace, now: time.Now()}, nil
}

const pluginLong = `kubectl nettrace starts nettrace as a debug pod on the nodes that a flow crosses, gives it the names that it needs, and shows what it sees as one
story. The pods need no rights in the cluster; they are deleted at the end, after errors and Ctrl-C too, and end by themselves when nobody is
attached any more. You need: create, get, list, watch and delete pods, create pods/attach and get pods/log in one namespace that admits
privileged pods (--pod-namespace), and get and list pods, services, nodes, namespaces, endpointslices and networkpolicies.`

// newPlugin is the program as 'kubectl nettrace'.
func newPlugin(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:         "nettrace",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl nettrace"},
		Short:       "Follow a packet through the cluster's nodes and learn which layer dropped it",
		Long:        pluginLong,
		Example: `  kubectl nettrace flow shop/client svc/shop/web:http --probe
  kubectl nettrace drops --node worker-1
  kubectl nettrace doctor --all-nodes
  kubectl nettrace cleanup`,
	}
	furnish(root, s)
	k := &kubeOptions{}
	for _, c := range newRoot(s).Commands() {
		if p, ok := podCommands[c.Name()]; ok {
			one := newPodCommand(s, k, c, p)
			k.flags(one)
			if c.Flag("namespace") != nil && !p.ends {
				one.PersistentFlags().Lookup("namespace").Usage = "only drops of this namespace's pods; the debug pods are there too, unless --pod-namespace is given"
			}
			root.AddCommand(one)
		}
		switch c.Name() {
		case "explain", "replay", "merge": // need no node
			c.Parent().RemoveCommand(c)
			c.Example = strings.ReplaceAll(c.Example, "  nettrace ", "  kubectl nettrace ")
			root.AddCommand(c)
		}
	}
	cleanup := newCleanup(s, k)
	k.flags(cleanup)
	sayHow(cleanup)
	root.AddCommand(cleanup, newPodGuard(s))
	group(root)
	return root
}

// runPlugin is run for the plugin.
func runPlugin(ctx context.Context, args []string, s streams) int {
	return execute(ctx, newPlugin(s), args, s)
}
