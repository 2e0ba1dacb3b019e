// SPDX-License-Identifier: Apache-2.0

package schematest

import (
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func TestStrictSchema(t *testing.T) {
	const good = `{"kind":"drop","time":"2026-01-02T03:04:05.000000006Z","journey":1,"hop":{"t":0,"stage":"drop","what":"dropped"}}`
	s := Schema(t)
	for _, tc := range []struct {
		name, line string
		ok         bool
	}{
		{"a drop", good, true},
		{"a field that is not described", strings.Replace(good, `"t":0`, `"t":0,"colour":"red"`, 1), false},
		{"a stage that there is not", strings.Replace(good, `"stage":"drop"`, `"stage":"gone"`, 1), false},
		{"a time that is none", strings.Replace(good, "2026-01", "yesterday", 1), false},
		{"a kind that there is not", strings.Replace(good, `"kind":"drop"`, `"kind":"dropped"`, 1), false},
		{"a negative time", strings.Replace(good, `"t":0`, `"t":-1`, 1), false},
	} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(tc.line))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(doc); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
