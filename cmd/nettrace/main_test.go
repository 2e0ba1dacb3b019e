// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// call runs nettrace as a user would and returns exit code, stdout and stderr.
func call(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(context.Background(), args, streams{strings.NewReader(""), &out, &errs})
	return code, out.String(), errs.String()
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces and tracing")
	}
}

// Bad input gets one sentence and exit code 1, before anything is attached.
func TestBadInput(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "garbage.nt")
	if err := os.WriteFile(garbage, []byte("\x00\x01\x02 this is no recording"), 0o600); err != nil {
		t.Fatal(err)
	}
	badCase := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(badCase, []byte("name: x\ntitle: y\nprobe: {from: client, to: \"1.2.3.4\"}\nexpected: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	badCluster := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(badCluster, []byte("kind: Node\nmetadata: {name: n}\n---\nkind: Pod\nmetadata: {name: 7}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cluster := shopFile(t)
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"a cluster file with a bad document", []string{"flow", "10.0.0.1", "10.0.0.2:80", "--cluster", badCluster}, "cluster.yaml: document 2, line 4: Pod: json: cannot unmarshal number"},
		{"a cluster file that is not there", []string{"flow", "10.0.0.1", "10.0.0.2:80", "--cluster", "/nonexistent.yaml"}, "no such file"},
		{"a file and a server", []string{"flow", "10.0.0.1", "10.0.0.2:80", "--cluster", cluster, "--context", "x"}, "leave --kubeconfig and --context out"},
		{"no Kubernetes and a file", []string{"flow", "10.0.0.1", "10.0.0.2:80", "--cluster", cluster, "--no-kubernetes"}, "excludes"},
		{"a name without a cluster", []string{"flow", "shop/client", "10.0.0.2:80"}, "nobody can be asked for it: no kubeconfig was found"},
		{"a name without Kubernetes", []string{"flow", "shop/client", "10.0.0.2:80", "--no-kubernetes"}, "--no-kubernetes was given"},
		{"a pod that is not there", []string{"flow", "shop/clinet", "10.0.0.2:80", "--cluster", cluster}, "no pod or Service shop/clinet; did you mean shop/client?"},
		{"a Service that is not there", []string{"flow", "shop/client", "svc/shop/wbe:80", "--cluster", cluster}, "no Service shop/wbe; did you mean svc/shop/web?"},
		{"a port that the Service has not", []string{"flow", "shop/client", "svc/shop/web:443", "--cluster", cluster}, `Service shop/web has no port "443": it has http (80/tcp)`},
		{"a Service as the sender", []string{"flow", "svc/shop/web", "10.0.0.2:80", "--cluster", cluster}, "a sender is a pod"},
		{"a probe from a pod of another node", []string{"flow", "shop/far", "svc/shop/web:80", "--probe", "--cluster", cluster}, "runs on node9: run the probe there"},
		{"a name with control characters", []string{"flow", "shop/\x1b[2J", "10.0.0.2:80", "--cluster", cluster}, `\x1b[2J`},
		{"a namespace is missing", []string{"flow", "pod/client", "10.0.0.2:80", "--cluster", cluster}, "add -n NAMESPACE"},
		{"no arguments", []string{"flow"}, "accepts 2 arg(s)"},
		{"no address", []string{"flow", "10.0.0.1", "10.0.0.256:80"}, `"10.0.0.256:80" is no endpoint`},
		{"port 0", []string{"flow", "10.0.0.1", "10.0.0.2:0"}, `"0" is no port`},
		{"port 70000", []string{"flow", "10.0.0.1", "10.0.0.2:70000"}, `"70000" is no port`},
		{"a port that is no number", []string{"flow", "10.0.0.1", "[2001:db8::1]:http"}, `"http" is no port`},
		{"IPv4 to IPv6", []string{"flow", "10.0.0.1", "[2001:db8::1]:80"}, "one is IPv4, the other IPv6"},
		{"unknown namespace", []string{"flow", "netns:there-is-none", "10.0.0.2:80"}, "no such namespace"},
		{"a namespace name with a slash", []string{"flow", "netns:../x", "10.0.0.2:80"}, "is no namespace name"},
		{"a path that is no namespace", []string{"flow", "netns:/etc/passwd", "10.0.0.2:80"}, "is no namespace"},
		{"any as destination", []string{"flow", "10.0.0.1", "any"}, "the destination cannot be 'any'"},
		{"multicast", []string{"flow", "10.0.0.1", "224.0.0.1:80"}, "cannot be one end of a flow"},
		{"a probe from any", []string{"flow", "any", "10.0.0.2:80", "--probe"}, "a probe needs a sender"},
		{"a probe without a port", []string{"flow", "host", "127.0.0.1", "--probe"}, ""},
		{"icmp with a port", []string{"flow", "10.0.0.1", "10.0.0.2:80", "--proto", "icmp"}, "icmp has no ports"},
		{"icmp with the sender's port", []string{"flow", "10.0.0.1", "10.0.0.2", "--proto", "icmp", "--sport", "7"}, "leave the sender's port 7 out"},
		{"two ports of the sender", []string{"flow", "10.0.0.1:7", "10.0.0.2:80", "--sport", "8"}, "SRC names port 7 and --sport 8"},
		{"TCP probes from one port", []string{"flow", "host", "127.0.0.1:80", "--probe", "--sport", "40001", "--count", "2"}, "leave the sender's port 40001 out, or send one probe"},
		{"TCP probes from one port, in SRC", []string{"flow", "127.0.0.1:40001", "127.0.0.1:80", "--probe", "--count", "2"}, "leave the sender's port 40001 out"},
		{"a probe that nobody can send", []string{"flow", "host", "127.0.0.1:80", "--proto", "sctp", "--probe"}, "no sctp probe can be sent"},
		{"an unknown namespace of the lab", []string{"lab", "exec", "clent", "--", "true"}, `the lab has no namespace "clent": it has fabric`},
		{"an order of one case", []string{"lab", "run", "no-endpoints", "--shuffle"}, "--shuffle is for --all"},
		{"a story of all cases", []string{"lab", "run", "--all", "-o", "json"}, "name one case for its story"},
		{"a backend of a case", []string{"lab", "run", "no-endpoints", "--backend", "magic"}, "--backend magic: use one of"},
		{"unknown protocol", []string{"flow", "10.0.0.1", "10.0.0.2:80", "--proto", "quic"}, `unknown protocol "quic"`},
		{"unknown format", []string{"flow", "10.0.0.1", "10.0.0.2:80", "-o", "yaml"}, `unknown output format "yaml"`},
		{"unknown flag", []string{"flow", "10.0.0.1", "10.0.0.2:80", "--fast"}, "--help"},
		{"bad scope", []string{"flow", "10.0.0.1", "10.0.0.2:80", "--scope", "n=nowhere"}, `scope "n=nowhere"`},
		{"size without probe", []string{"flow", "10.0.0.1", "10.0.0.2:80", "--size", "10"}, "add --probe"},
		{"a recording that is not there", []string{"replay", "/nonexistent/x.nt"}, "no such file"},
		{"garbage as recording", []string{"replay", garbage}, "not a nettrace recording"},
		{"unknown case", []string{"lab", "run", "endpoints"}, "did you mean ipvs-no-endpoints, no-endpoints, "},
		{"a case file with a mistake", []string{"lab", "run", badCase}, "bad.yaml:4: unknown field"},
		{"a bad lab prefix", []string{"lab", "up", "--prefix", "UPPER!"}, "use one to eight of a-z and 0-9"},
		{"no lab", []string{"lab", "exec", "--prefix", "nosuch", "client", "--", "true"}, `no lab with prefix "nosuch" is up`},
		{"control characters", []string{"flow", "netns:\x1b[31mred", "10.0.0.2:80"}, `\x1b[31mred`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, out, errs := call(t, tc.args...)
			if code != exitUsage {
				t.Errorf("exit code %d, want 1; stderr %q", code, errs)
			}
			if out != "" {
				t.Errorf("stdout is not empty: %q", out)
			}
			if !strings.Contains(errs, tc.want) || strings.ContainsRune(errs, '\x1b') || strings.Count(errs, "\n") != 1 {
				t.Errorf("stderr %q: want one sentence with %q", errs, tc.want)
			}
		})
	}
}

func TestHelpHasExamples(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"flow", "--help"}, {"replay", "--help"}, {"lab", "--help"}, {"lab", "run", "--help"}} {
		code, out, _ := call(t, args...)
		if code != 0 || !strings.Contains(out, "Examples:") {
			t.Errorf("%v: exit %d, no examples in %q", args, code, out)
		}
	}
}

func TestLabListNamesEveryCase(t *testing.T) {
	code, out, _ := call(t, "lab", "list")
	if code != 0 {
		t.Fatalf("exit %d", code)
	}
	for _, name := range []string{"healthy-service", "no-endpoints", "forward-policy-drop-nft", "underlay-mtu-silent"} {
		if !strings.Contains(out, name) {
			t.Errorf("%s is not listed", name)
		}
	}
}

// The first thread never enters another namespace, however many do: /proc/self/ns/net stays this node's.
func TestSelfStaysHere(t *testing.T) {
	needRoot(t)
	here, err := netns.Inode(netns.Self)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 200 {
				err := netns.Do(netns.Self, func() error {
					if unix.Gettid() == os.Getpid() {
						return errors.New("on the first thread")
					}
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if now, err := netns.Inode(netns.Self); err != nil || now != here {
		t.Errorf("this node's namespace is %d, was %d: %v", now, here, err)
	}
}
