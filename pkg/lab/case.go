// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
)

// Case is one lesson: what is set up, what is probed, what the verdict must be. It is a file in cases/.
type Case struct {
	Name     string    `yaml:"name"`
	Title    string    `yaml:"title"`
	Layer    string    `yaml:"layer,omitempty"` // of the expected verdict; empty for a healthy case
	Backend  string    `yaml:"backend,omitempty"`
	Services []Service `yaml:"services,omitempty"` // instead of the lab's own
	Needs    []string  `yaml:"needs,omitempty"`    // commands beside those of every case
	Points   string    `yaml:"points,omitempty"`   // "functions": the verdict needs points at kernel functions, which tracepoints do not give
	Modules  []string  `yaml:"modules,omitempty"`  // kernel modules that it needs
	Objects  string    `yaml:"objects,omitempty"`  // Kubernetes objects beside those of every lab, as YAML documents
	Setup    []string  `yaml:"setup,omitempty"`    // "NAMESPACE# shell command", in order
	Probe    Probe     `yaml:"probe"`
	Expect   Expect    `yaml:"expect"`
	Teaches  string    `yaml:"teaches"`
}

// PointsFunctions is the value of a case's points when tracepoints are not enough.
const PointsFunctions = "functions"

// Probe is the test traffic of a case, as in 'nettrace flow --probe'.
type Probe struct {
	From    string   `yaml:"from"` // short name of the sender's namespace
	To      string   `yaml:"to"`   // address or address:port
	Proto   string   `yaml:"proto,omitempty"`
	Size    int      `yaml:"size,omitempty"`
	Count   int      `yaml:"count,omitempty"`
	Timeout Duration `yaml:"timeout,omitempty"`
	HTTP    string   `yaml:"http,omitempty"` // path
	DNS     string   `yaml:"dns,omitempty"`  // name
	MTU     bool     `yaml:"mtu,omitempty"`
	Compare bool     `yaml:"compare,omitempty"`
}

// Expect is the verdict that a case must get.
type Expect struct {
	Outcome    string   `yaml:"outcome"`
	Cause      string   `yaml:"cause,omitempty"`
	Confidence []string `yaml:"confidence,omitempty"` // any of these
	Node       string   `yaml:"node,omitempty"`       // where it happened
	Client     string   `yaml:"client,omitempty"`     // what the probe saw
	Evidence   []string `yaml:"evidence,omitempty"`   // words that the evidence must have
	Hops       []string `yaml:"hops,omitempty"`       // "stage", "stage dev" or "stage dev@node", in this order in a request's journey
	ReplyHops  []string `yaml:"replyHops,omitempty"`
	Rules      []Rule   `yaml:"rules,omitempty"` // each must be the rule of some hop
	// The same for what only points at kernel functions show; not asked where there are none.
	FunctionHops      []string `yaml:"functionHops,omitempty"`
	FunctionReplyHops []string `yaml:"functionReplyHops,omitempty"`
	Exit              int      `yaml:"exit"`
}

// Duration is "3s" in a case file.
type Duration time.Duration

// UnmarshalYAML implements yaml.BytesUnmarshaler.
func (d *Duration) UnmarshalYAML(b []byte) error {
	v, err := time.ParseDuration(strings.Trim(strings.TrimSpace(string(b)), `"'`))
	if err != nil || v <= 0 || v > time.Minute {
		return fmt.Errorf("%q is no duration between 0 and 1m, such as 3s", strings.TrimSpace(string(b)))
	}
	*d = Duration(v)
	return nil
}

//go:embed cases/*.yaml
var caseFiles embed.FS

// Cases are the lab's cases, healthy ones first, then by layer bottom-up.
func Cases() ([]Case, error) {
	entries, err := caseFiles.ReadDir("cases")
	if err != nil {
		return nil, fmt.Errorf("read the cases: %w", err)
	}
	var out []Case
	for _, e := range entries {
		b, err := caseFiles.ReadFile(path.Join("cases", e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read the cases: %w", err)
		}
		c, err := ParseCase(path.Join("cases", e.Name()), b)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	order := map[string]int{"": 0, "underlay": 1, "pod-network": 2, "service": 3, "dns": 4, "application": 5}
	sort.SliceStable(out, func(i, k int) bool {
		if a, b := order[out[i].Layer], order[out[k].Layer]; a != b {
			return a < b
		}
		return out[i].Name < out[k].Name
	})
	return out, nil
}

// FindCase finds a case by name, or reads it from a file when the name is a path.
func FindCase(name string) (Case, error) {
	if strings.ContainsAny(name, "/.") {
		b, err := readBounded(name)
		if err != nil {
			return Case{}, fmt.Errorf("read case file: %w", err)
		}
		return ParseCase(name, b)
	}
	all, err := Cases()
	if err != nil {
		return Case{}, err
	}
	var near []string
	for _, c := range all {
		if c.Name == name {
			return c, nil
		}
		if strings.Contains(c.Name, name) {
			near = append(near, c.Name)
		}
	}
	if len(near) > 0 {
		return Case{}, fmt.Errorf("no case %q; did you mean %s?", name, strings.Join(near, ", "))
	}
	return Case{}, fmt.Errorf("no case %q: 'nettrace lab list' names them", name)
}

const maxCaseFile = 1 << 20

func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCaseFile+1))
	if err == nil && len(b) > maxCaseFile {
		err = fmt.Errorf("%s is larger than a case file can be (1 MiB)", name)
	}
	return b, err
}

// ParseCase reads a case file. Errors name the file and the line.
func ParseCase(name string, b []byte) (Case, error) {
	var c Case
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(&c); err != nil {
		line := 1
		var ye yaml.Error
		if errors.As(err, &ye) {
			if t := ye.GetToken(); t != nil && t.Position != nil {
				line = t.Position.Line
			}
			return Case{}, fmt.Errorf("%s:%d: %s", name, line, ye.GetMessage())
		}
		return Case{}, fmt.Errorf("%s:%d: %w", name, line, err)
	}
	if err := c.check(); err != nil {
		return Case{}, fmt.Errorf("%s:%d: %w", name, lineOf(b, err), err)
	}
	c.defaults()
	return c, nil
}

// fieldError is a mistake in one field.
type fieldError struct{ field, text string }

func (e *fieldError) Error() string { return e.field + ": " + e.text }

// lineOf finds the line of a field, for messages.
func lineOf(b []byte, err error) int {
	var fe *fieldError
	if errors.As(err, &fe) {
		for i, l := range strings.Split(string(b), "\n") {
			if strings.HasPrefix(strings.TrimLeft(l, " -"), fe.field+":") {
				return i + 1
			}
		}
	}
	return 1
}

func (c *Case) check() error {
	known := map[string]bool{}
	for _, s := range ShortNames() {
		known[s] = true
	}
	switch {
	case c.Name == "":
		return &fieldError{"name", "is missing"}
	case c.Probe.To == "":
		return &fieldError{"probe", "needs 'to'"}
	case !known[c.Probe.From]:
		return &fieldError{"probe", fmt.Sprintf("from %q is no namespace of the lab (%s)", c.Probe.From, strings.Join(ShortNames(), ", "))}
	case !oneOf(c.Expect.Outcome, "delivered", "dropped", "rejected", "lost", "unseen"):
		return &fieldError{"expect", fmt.Sprintf("outcome %q is none of delivered, dropped, rejected, lost, unseen", c.Expect.Outcome)}
	case !oneOf(c.Layer, "", "underlay", "pod-network", "service", "dns", "application"):
		return &fieldError{"layer", fmt.Sprintf("%q is none of underlay, pod-network, service, dns, application", c.Layer)}
	case !oneOf(c.Expect.Client, "", "connected", "refused", "timeout", "unreachable", "reset", "no-answer"):
		return &fieldError{"expect", fmt.Sprintf("client %q is none of connected, refused, timeout, unreachable, reset, no-answer", c.Expect.Client)}
	case !oneOf(c.Probe.Proto, "", "tcp", "udp", "icmp", "sctp"):
		return &fieldError{"probe", fmt.Sprintf("proto %q is none of tcp, udp, icmp, sctp", c.Probe.Proto)}
	case c.Points != "" && c.Points != PointsFunctions:
		return &fieldError{"points", fmt.Sprintf("%q is not 'functions'", c.Points)}
	case !oneOf(c.Backend, "", "iptables-legacy", "iptables-nft", NFTables):
		return &fieldError{"backend", fmt.Sprintf("%q is none of iptables-legacy, iptables-nft, nftables", c.Backend)}
	case c.Probe.Size < 0 || c.Probe.Size > 1<<20 || c.Probe.Count < 0 || c.Probe.Count > 100:
		return &fieldError{"probe", "size must be up to 1 MiB, count up to 100"}
	}
	if c.Objects != "" {
		if _, err := k8smeta.Read(strings.NewReader(c.Objects)); err != nil {
			return &fieldError{"objects", err.Error()}
		}
	}
	for _, conf := range c.Expect.Confidence {
		if !oneOf(conf, "confirmed", "likely", "inconclusive") {
			return &fieldError{"expect", fmt.Sprintf("confidence %q is none of confirmed, likely, inconclusive", conf)}
		}
	}
	for _, r := range c.Expect.Rules {
		if _, err := r.parts(); err != nil {
			return &fieldError{"rules", err.Error()}
		}
	}
	for _, s := range c.Setup {
		if where, cmd, ok := strings.Cut(s, "# "); !ok || !known[where] || strings.TrimSpace(cmd) == "" {
			return &fieldError{"setup", fmt.Sprintf("%q is not of the form 'NAMESPACE# command'", s)}
		}
	}
	return nil
}

func (c *Case) defaults() {
	if c.Probe.Proto == "" {
		c.Probe.Proto = "tcp"
	}
	if c.Probe.Count == 0 {
		c.Probe.Count = 1
	}
	if c.Probe.Timeout == 0 {
		c.Probe.Timeout = Duration(2 * time.Second)
	}
}

func oneOf(s string, words ...string) bool { return slices.Contains(words, s) }
