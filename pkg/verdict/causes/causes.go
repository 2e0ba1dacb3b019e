// SPDX-License-Identifier: Apache-2.0

package causes

import (
	_ "embed"
	"fmt"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed causes.yaml
var file []byte

// Cause is the slug of a verdict's cause.
type Cause struct {
	Cause string `yaml:"cause"`
	// Layers are those of verdict.Layer in which it is found, the usual one first.
	Layers []string `yaml:"layers"`
	Short  string   `yaml:"short"` // one sentence, without a full stop
	// Generic causes name the stage only: no check knew better.
	Generic bool `yaml:"generic,omitempty"`
	// By is the package that finds it, beside pkg: "verdict" where it is empty. One node's trace alone does not end with the others'.
	By string `yaml:"by,omitempty"`
	// Unshown says why no lab case ends with this cause; "" where one must.
	Unshown string `yaml:"unshown,omitempty"`
}

var list = sync.OnceValues(func() ([]Cause, error) {
	var out []Cause
	if err := yaml.UnmarshalWithOptions(file, &out, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("read the list of causes: %w", err)
	}
	return out, nil
})

// All is the whole list, by layer bottom-up, the generic ones last. The caller must not change it.
func All() ([]Cause, error) { return list() }

// Find is the cause of that name, nil when there is none.
func Find(name string) *Cause {
	all, err := list()
	if err != nil {
		return nil
	}
	for i := range all {
		if all[i].Cause == name {
			return &all[i]
		}
	}
	return nil
}
