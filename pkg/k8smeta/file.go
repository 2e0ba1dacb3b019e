// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// maxFile bounds a file of objects; 'kubectl get pods,services,... -A -o yaml' of 10,000 pods is about 60 MB.
const maxFile = 512 << 20

// kindsOf are the objects that a trace needs, by kind; lists of them are named with "List" behind.
var kindsOf = map[string]func() runtime.Object{
	"Pod": func() runtime.Object { return &corev1.Pod{} }, "Service": func() runtime.Object { return &corev1.Service{} }, "Node": func() runtime.Object { return &corev1.Node{} },
	"Namespace": func() runtime.Object { return &corev1.Namespace{} }, "EndpointSlice": func() runtime.Object { return &discoveryv1.EndpointSlice{} },
	"NetworkPolicy": func() runtime.Object { return &networkingv1.NetworkPolicy{} },
}

// ReadFile reads Kubernetes objects from a file: YAML or JSON, one document or many, single objects and Lists, as
// 'kubectl get pods,services,endpointslices,nodes,namespaces,networkpolicies -A -o yaml' prints. Kinds that a trace does not need are passed
// over. The error names the file, the document and the line.
func ReadFile(name string) (*Objects, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open the cluster file: %w", err)
	}
	defer f.Close()
	o, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("cluster file %s: %w", name, err)
	}
	return o, nil
}

// Read reads what ReadFile does.
func Read(r io.Reader) (*Objects, error) {
	limited := &io.LimitedReader{R: r, N: maxFile + 1}
	b := bufio.NewReaderSize(limited, 1<<16)
	o := &Objects{}
	var n int
	var err error
	if isJSON(b) {
		n, err = readJSON(b, o)
	} else {
		n, err = readYAML(b, o)
	}
	switch {
	case limited.N == 0:
		return nil, fmt.Errorf("it is larger than %d MiB", maxFile>>20)
	case err != nil:
		return nil, err
	case n == 0:
		return nil, errors.New("it holds no Kubernetes object: write it with 'kubectl get pods,services,endpointslices,nodes,networkpolicies -A -o yaml'")
	}
	return o, nil
}

// isJSON looks at the first character that is no space.
func isJSON(b *bufio.Reader) bool {
	for n := 1; n < 4096; n++ {
		p, err := b.Peek(n)
		if err != nil {
			return false
		}
		if c := p[n-1]; c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c == '{'
		}
	}
	return false
}

// head is what every object and list begins with.
type head struct {
	Kind   string            `json:"kind"`
	Items  []json.RawMessage `json:"items"`
	Unread []string          `json:"policiesUnread"` // of Objects.List
}

// lines counts the lines that were read, so that an offset can be told as a line.
type lines struct {
	r     io.Reader
	total int64
	ends  []int64
}

func (l *lines) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			l.ends = append(l.ends, l.total+int64(i))
		}
	}
	l.total += int64(n)
	return n, err
}

// at is the 1-based line of an offset.
func (l *lines) at(offset int64) int {
	lo, hi := 0, len(l.ends)
	for lo < hi {
		if mid := (lo + hi) / 2; l.ends[mid] < offset {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo + 1
}

func readJSON(r io.Reader, o *Objects) (int, error) {
	l := &lines{r: r}
	d := json.NewDecoder(l)
	n := 0
	for doc := 1; ; doc++ {
		var raw json.RawMessage
		err := d.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			at := d.InputOffset()
			var syntax *json.SyntaxError
			if errors.As(err, &syntax) {
				at = syntax.Offset
			} else if errors.Is(err, io.ErrUnexpectedEOF) {
				at = l.total
			}
			return n, fmt.Errorf("document %d, line %d: %w", doc, l.at(at), err)
		}
		k, err := document(raw, o)
		if err != nil {
			return n, fmt.Errorf("document %d, line %d: %w", doc, l.at(d.InputOffset()-int64(len(raw))+problemAt(raw, err)), err)
		}
		n += k
	}
}

// itemError says which item of a list is wrong.
type itemError struct {
	item int // 0-based
	err  error
}

func (e *itemError) Error() string { return fmt.Sprintf("item %d: %v", e.item+1, e.err) }
func (e *itemError) Unwrap() error { return e.err }

// problemAt is the offset of the item that is wrong in a list.
func problemAt(raw []byte, err error) int64 {
	var ie *itemError
	var h head
	if !errors.As(err, &ie) || json.Unmarshal(raw, &h) != nil || ie.item >= len(h.Items) {
		return 0
	}
	// items are verbatim in the list, in order; equal ones are passed one by one
	at := 0
	for i := 0; i <= ie.item; i++ {
		k := bytes.Index(raw[at:], h.Items[i])
		if k < 0 {
			return 0
		}
		if i == ie.item {
			return int64(at + k)
		}
		at += k + len(h.Items[i])
	}
	return 0
}

// document takes one JSON document and returns the number of objects in it, of whatever kind.
func document(raw []byte, o *Objects) (int, error) {
	var h head
	if err := json.Unmarshal(raw, &h); err != nil {
		return 0, err
	}
	if h.Items == nil {
		return 1, object(raw, h.Kind, o)
	}
	o.PoliciesUnread = union(o.PoliciesUnread, h.Unread)
	for i, item := range h.Items {
		var k struct {
			Kind string `json:"kind"`
		}
		err := json.Unmarshal(item, &k)
		if err == nil {
			if k.Kind == "" && len(h.Kind) > 4 { // a typed list from the API: its items have no kind
				k.Kind = h.Kind[:len(h.Kind)-4]
			}
			err = object(item, k.Kind, o)
		}
		if err != nil {
			return 0, &itemError{i, err}
		}
	}
	return max(len(h.Items), 1), nil
}

func object(raw []byte, kind string, o *Objects) error {
	if kind == "" {
		return errors.New("an object without a kind")
	}
	blank := kindsOf[kind]
	if blank == nil {
		return nil
	}
	obj := blank()
	if err := json.Unmarshal(raw, obj); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	if err := o.Add(obj); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	return nil
}

func readYAML(r io.Reader, o *Objects) (int, error) {
	d := yaml.NewDecoder(r)
	n := 0
	for doc := 1; ; doc++ {
		var node yaml.Node
		err := d.Decode(&node)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("document %d: %w", doc, err) // the error names the line
		}
		k, line, err := yamlDocument(&node, o)
		if err != nil {
			return n, fmt.Errorf("document %d, line %d: %w", doc, line, err)
		}
		n += k
	}
}

// yamlDocument takes a document; line is that of the object that is wrong.
func yamlDocument(node *yaml.Node, o *Objects) (n, line int, err error) {
	if node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
		node = node.Content[0]
	}
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return 0, node.Line, nil // an empty document
	}
	if node.Kind != yaml.MappingNode {
		return 0, node.Line, errors.New("no Kubernetes object: a mapping with a kind is expected")
	}
	kind, items := "", (*yaml.Node)(nil)
	for i := 0; i+1 < len(node.Content); i += 2 {
		switch node.Content[i].Value {
		case "kind":
			kind = node.Content[i+1].Value
		case "items":
			items = node.Content[i+1]
		}
	}
	if items == nil || items.Kind != yaml.SequenceNode {
		return 1, node.Line, yamlObject(node, kind, o)
	}
	for i, item := range items.Content {
		if item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		k := kindOfNode(item)
		if k == "" && len(kind) > 4 {
			k = kind[:len(kind)-4]
		}
		if err := yamlObject(item, k, o); err != nil {
			return 0, item.Line, &itemError{i, err}
		}
	}
	return max(len(items.Content), 1), node.Line, nil
}

func kindOfNode(node *yaml.Node) string {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == "kind" {
			return node.Content[i+1].Value
		}
	}
	return ""
}

// yamlObject goes through JSON: the API's types have their names there.
func yamlObject(node *yaml.Node, kind string, o *Objects) error {
	if kind != "" && kindsOf[kind] == nil {
		return nil
	}
	var v map[string]any
	if err := node.Decode(&v); err != nil {
		return err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	return object(b, kind, o)
}
