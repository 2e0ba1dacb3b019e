// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/verdict/causes"
)

// literals are the strings that the code in a folder gives as a cause, and all its strings but the names of checks.
func literals(t *testing.T, dir string) (asCause, any map[string]bool) {
	t.Helper()
	asCause, any = map[string]bool{}, map[string]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "register" {
					return false
				}
			case *ast.KeyValueExpr:
				if k, ok := n.Key.(*ast.Ident); ok && k.Name == "Cause" {
					note(asCause, n.Value)
				}
			case *ast.AssignStmt:
				for i, l := range n.Lhs {
					if s, ok := l.(*ast.SelectorExpr); ok && s.Sel.Name == "Cause" && len(n.Rhs) == len(n.Lhs) {
						note(asCause, n.Rhs[i])
					}
				}
			case *ast.BasicLit:
				note(any, n)
			}
			return true
		})
	}
	return asCause, any
}

func note(into map[string]bool, e ast.Expr) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return
	}
	if s, err := strconv.Unquote(l.Value); err == nil && s != "" {
		into[s] = true
	}
}

// What checks call a cause is in the list, and each cause of the list is one that some check finds.
func TestEveryCauseIsFoundByACheck(t *testing.T) {
	all, err := causes.All()
	if err != nil {
		t.Fatal(err)
	}
	asCause, any := literals(t, ".")
	by := map[string]map[string]bool{"": any}
	for _, other := range []string{"diagnose", "merge"} {
		var named map[string]bool
		named, by[other] = literals(t, filepath.Join("..", other))
		for name := range named {
			asCause[name] = true
		}
	}
	if len(asCause) < 50 {
		t.Fatalf("only %d causes were found in the code: the test does not see them", len(asCause))
	}
	for name := range asCause {
		if causes.Find(name) == nil {
			t.Errorf("a check names the cause %s, which is not in causes.yaml", name)
		}
	}
	for _, c := range all {
		stage, ok := strings.CutSuffix(c.Cause, "-drop")
		if !by[c.By][c.Cause] && !(c.Generic && ok && any[stage]) { // generic makes these of the stage
			t.Errorf("no check finds %s", c.Cause)
		}
	}
}

// mustBeListed holds a verdict against the list of causes.
func mustBeListed(t *testing.T, v *Verdict) {
	t.Helper()
	for _, a := range append([]Also{{Cause: v.Cause, Layer: v.Layer}}, v.Also...) {
		if a.Cause == "" {
			continue
		}
		c := causes.Find(a.Cause)
		switch {
		case c == nil:
			t.Errorf("cause %s is not in causes.yaml", a.Cause)
		case !slices.Contains(c.Layers, string(a.Layer)):
			t.Errorf("cause %s in layer %q: causes.yaml has %v", a.Cause, a.Layer, c.Layers)
		}
	}
}
