// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/pkg/diagnose"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

const evil = "x\x1b]0;pwned\a\x1b[2J\u009b31m\u202e"

// poison makes every string in a value evil, also those of types that have few values: a recording may hold anything.
func poison(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *netip.Addr: // a zone is any text
		*x = netip.MustParseAddr("fe80::1").WithZone(evil)
		return
	case *time.Time:
		*x = time.Unix(1, 0)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(evil)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		poison(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		poison(v.Index(0))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				poison(v.Field(i))
			}
		}
	}
}

func poisoned[T any]() *T {
	x := new(T)
	poison(reflect.ValueOf(x).Elem())
	return x
}

// stages are those that renderers treat apart, and one that nobody knows.
var stages = []journey.Stage{journey.StageDrop, journey.StageNAT, journey.StageTunnel, journey.StageSocket, journey.StageRoute, evil}

// evilWays are journeys that differ in what renderers ask for.
func evilWays() []*journey.Journey {
	var out []*journey.Journey
	for _, s := range stages {
		for _, end := range []journey.End{journey.LeftNode, evil} {
			j := poisoned[journey.Journey]()
			j.ID, j.Hops[0].Stage, j.End = len(out)+1, s, end
			bare := *j.Hops[0].Where
			bare.Kind = "host"
			hop := j.Hops[0]
			hop.Where = &bare
			j.Hops = append(j.Hops, hop)
			out = append(out, j)
		}
	}
	return out
}

// harmless fails when something that a terminal obeys is in a text; colours are ours.
func harmless(t *testing.T, what, text string) {
	t.Helper()
	if i := strings.IndexAny(text, "\x1b\a\u009b\u202e"); i >= 0 {
		t.Errorf("%s lets an escape through: %q", what, text[max(i-40, 0):min(i+20, len(text))])
	}
	if !strings.Contains(text, "pwned") && !strings.Contains(text, "PWNED") {
		t.Errorf("%s shows nothing of it: the test does not test", what)
	}
}

// Whatever a recording, a pod's output or a rule has in any of its strings, a terminal does not obey it.
func TestNoStringOfARunGetsRawToATerminal(t *testing.T) {
	for _, format := range []string{"story", "table", "mermaid", "html"} {
		for _, addresses := range []bool{false, true} {
			var out bytes.Buffer
			r, err := New(format, &out, Options{Addresses: addresses})
			if err != nil {
				t.Fatal(err)
			}
			s := poisoned[Start]()
			s.Points[0].Attached, s.Points[0].Needless = false, false
			err = errors.Join(r.Start(*s), r.Drop(*poisoned[Drop]()))
			for _, j := range evilWays() {
				err = errors.Join(err, r.Journey(j))
			}
			if err = errors.Join(err, r.Verdict(poisoned[verdict.Verdict]())); err != nil {
				t.Fatal(err)
			}
			harmless(t, format, out.String())
		}
	}
}

func TestNoStringOfADiagnosisGetsRawToATerminal(t *testing.T) {
	for _, format := range []string{"story", "table"} {
		for _, traced := range []bool{false, true} {
			var out bytes.Buffer
			r, err := NewDiagnosis(format, &out, Options{})
			if err != nil {
				t.Fatal(err)
			}
			d := poisoned[Diagnosis]()
			d.Traced = traced
			err = errors.Join(r.Start(*poisoned[Start]()), r.Check(*poisoned[diagnose.Result]()))
			for _, j := range evilWays() {
				err = errors.Join(err, r.Journey(j))
			}
			if err = errors.Join(err, r.Verdict(poisoned[verdict.Verdict]()), r.Diagnosis(d)); err != nil {
				t.Fatal(err)
			}
			harmless(t, "diagnosis as "+format, out.String())
		}
	}
}

func TestNoStringOfADryRunGetsRawToATerminal(t *testing.T) {
	for _, format := range []string{"story", "table"} {
		var out bytes.Buffer
		r, err := NewRules(format, &out, Options{})
		if err != nil {
			t.Fatal(err)
		}
		unsure := poisoned[RuleStep]()
		unsure.Certain, unsure.Handle, unsure.Unknown, unsure.Backend = false, 0, nil, "nft"
		err = errors.Join(r.Start(*poisoned[RulesStart]()), r.Rule(*poisoned[RuleStep]()), r.Rule(*unsure))
		end := poisoned[Ruling]()
		for _, rule := range []int{0, 1} {
			for _, local := range []bool{false, true} {
				e := end.Ends[0]
				e.Rule, e.Local = rule, local
				end.Ends = append(end.Ends, e)
			}
		}
		if err = errors.Join(err, r.Ruling(*end)); err != nil {
			t.Fatal(err)
		}
		harmless(t, "rules as "+format, out.String())
	}
}

func TestNoStringOfADropGetsRawToATerminal(t *testing.T) {
	l := poisoned[DropLine]()
	noise := l.Text(Options{})
	l.Noise = ""
	harmless(t, "drop", noise+l.Text(Options{}))
	harmless(t, "drops", poisoned[DropScreen]().Text(Options{}, 0))
}
