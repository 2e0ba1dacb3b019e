// SPDX-License-Identifier: Apache-2.0

package reasons

import (
	"cmp"
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/agnivade/levenshtein"
	"github.com/goccy/go-yaml"
)

//go:embed *.yaml
var files embed.FS

// Page explains one reason.
type Page struct {
	Reason  string   `yaml:"reason" json:"reason"` // without the prefix SKB_DROP_REASON_
	Aliases []string `yaml:"aliases" json:"aliases,omitempty"`
	// Layer is where the fault lies when the place says nothing else; a verdict.Layer.
	Layer  string   `yaml:"layer" json:"layer,omitempty"`
	Short  string   `yaml:"short" json:"short,omitempty"` // one sentence, without a full stop
	When   string   `yaml:"when" json:"when,omitempty"`   // which kernel function gives it, and on what
	Causes []string `yaml:"causes" json:"causes,omitempty"`
	Next   []string `yaml:"next" json:"next,omitempty"`
	// Cases are lab cases that show it.
	Cases []string `yaml:"cases" json:"cases,omitempty"`
	// Internal says why this name of the kernel's enum is no reason for a drop; such a page has nothing else.
	Internal string `yaml:"internal" json:"internal,omitempty"`
}

// library is all pages by name, read once when the first is asked for.
var library = sync.OnceValues(func() (*shelf, error) { return read() })

type shelf struct {
	pages  []*Page
	byName map[string]*Page
}

func read() (*shelf, error) {
	s := &shelf{byName: map[string]*Page{}}
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("read the pages: %w", err)
	}
	for _, e := range entries {
		b, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, fmt.Errorf("read the pages: %w", err)
		}
		if err := s.add(b); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
	}
	slices.SortFunc(s.pages, func(a, b *Page) int { return cmp.Compare(a.Reason, b.Reason) })
	return s, nil
}

// add reads one file of pages.
func (s *shelf) add(b []byte) error {
	var pages []*Page
	if err := yaml.UnmarshalWithOptions(b, &pages, yaml.Strict()); err != nil {
		return err
	}
	for _, p := range pages {
		for _, n := range append([]string{p.Reason}, p.Aliases...) {
			if s.byName[n] != nil {
				return fmt.Errorf("two pages for %s", n)
			}
			s.byName[n] = p
		}
	}
	s.pages = append(s.pages, pages...)
	return nil
}

// Find is the page of a reason; nil when there is none. The name may have the kernel's prefix, that of an inferred reason, and any case.
func Find(name string) *Page {
	s, err := library()
	if err != nil {
		return nil
	}
	name = canonical(name)
	for _, n := range []string{name, strings.TrimPrefix(name, "RX_"), strings.TrimPrefix(name, "OVS_")} {
		if p := s.byName[n]; p != nil {
			return p
		}
	}
	return nil
}

// maxName bounds what a user can write; the kernel's longest name is far shorter.
const maxName = 128

func canonical(name string) string {
	name = name[:min(len(name), maxName)]
	name = strings.TrimPrefix(strings.TrimSpace(name), "inferred:")
	name = strings.ReplaceAll(strings.ToUpper(name), "-", "_")
	return strings.TrimPrefix(name, "SKB_DROP_REASON_")
}

// All lists the pages by name, without the internal ones.
func All() ([]*Page, error) {
	s, err := library()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(s.pages), func(p *Page) bool { return p.Internal != "" }), nil
}

// Names lists every name that Find knows and that is no internal one, sorted; for shell completion.
func Names() []string {
	s, err := library()
	if err != nil {
		return nil
	}
	var out []string
	for n, p := range s.byName {
		if p.Internal == "" {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

const maxNear = 3

// Near lists names among all that resemble one that was not found, the nearest first.
func Near(name string, all []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	want := canonical(name)
	var found []candidate
	for _, n := range all {
		have := canonical(n)
		d := levenshtein.ComputeDistance(want, have)
		switch {
		case d <= max(2, len(want)/4) && d < len(want):
		case len(want) >= 3 && strings.Contains(have, want): // the middle of a name
			d = 10 + len(have) - len(want)
		default:
			continue
		}
		found = append(found, candidate{n, d})
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	var out []string
	for _, c := range found[:min(len(found), maxNear)] {
		out = append(out, c.name)
	}
	return out
}
