// SPDX-License-Identifier: Apache-2.0

// Package schematest checks lines of JSON output against the published schema. The schema lets readers meet fields that they do not know;
// the tests do not: a field that is written and not described fails.
package schematest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Path is the schema's file.
func Path() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "testdata", "schema", "nettrace-v1.schema.json")
}

// strict closes every object: only described fields may occur.
func strict(v any) {
	switch x := v.(type) {
	case map[string]any:
		if _, ok := x["properties"]; ok && x["type"] == "object" {
			x["additionalProperties"] = false
		}
		for _, c := range x {
			strict(c)
		}
	case []any:
		for _, c := range x {
			strict(c)
		}
	}
}

// Schema compiles the strict variant.
func Schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	b, err := os.ReadFile(Path())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	strict(doc)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("nettrace.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("nettrace.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Lines validates each line of JSON output and returns the records by kind.
func Lines(t testing.TB, output []byte) map[string][]map[string]any {
	t.Helper()
	schema := Schema(t)
	kinds := map[string][]map[string]any{}
	for n, line := range bytes.Split(bytes.TrimSpace(output), []byte("\n")) {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err != nil {
			t.Fatalf("line %d is no JSON: %v", n+1, err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("line %d: %v\n%s", n+1, err, line)
			continue
		}
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		kind, _ := m["kind"].(string)
		kinds[kind] = append(kinds[kind], m)
	}
	return kinds
}
