// SPDX-License-Identifier: Apache-2.0

package image

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/licenseclassifier/v2"
	"github.com/google/licenseclassifier/v2/assets"
)

// licences tells licences by their text.
type licences struct{ c *classifier.Classifier }

func newLicences() (*licences, error) {
	c, err := assets.DefaultClassifier()
	if err != nil {
		return nil, fmt.Errorf("read the texts of licences: %w", err)
	}
	return &licences{c}, nil
}

// of is the SPDX expression of the licence files in a module's directory: all of them apply. NOASSERTION when none is known.
func (l *licences) of(dir string) string {
	if dir == "" {
		return noAssertion
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return noAssertion
	}
	var names []string
	for _, e := range entries {
		upper := strings.ToUpper(e.Name())
		if e.IsDir() || !strings.HasPrefix(upper, "LICENSE") && !strings.HasPrefix(upper, "LICENCE") && !strings.HasPrefix(upper, "COPYING") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		for _, m := range l.c.Match(b).Matches {
			if m.MatchType == "License" && m.Confidence > 0.9 && !slices.Contains(names, m.Name) {
				names = append(names, m.Name)
			}
		}
	}
	if len(names) == 0 {
		return noAssertion
	}
	slices.Sort(names)
	return strings.Join(names, " AND ")
}
