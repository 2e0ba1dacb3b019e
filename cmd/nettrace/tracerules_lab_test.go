// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// untold are cases in which the kernel's trace cannot name a rule that is inferred, with the reason.
var untold = map[string]string{}

// untraced is a recording without what the kernel told of rules.
type untraced struct{ recording }

func (u untraced) Next() (tracer.Frame, error) {
	for {
		f, err := u.recording.Next()
		if err != nil || f.Note == nil || f.Note.Name != noteTraced {
			return f, err
		}
	}
}

// journeysOf replays a recording.
func journeysOf(t *testing.T, file string, wrap func(recording) source) []journey.Journey {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := tracer.NewReplay(f)
	if err != nil {
		t.Fatal(err)
	}
	out, err := render.New("json", nowhere{}, render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	see := &witness{}
	if _, err := runPipeline(wrap(recording{r}), see.watch(out), false, nil); err != nil {
		t.Fatal(err)
	}
	return see.journeys
}

type nowhere struct{}

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

// mustAgree compares the rules that the kernel named with those that are inferred from the same events: at each hop the same, and each is named.
func mustAgree(t *testing.T, name, file string) {
	t.Helper()
	traced := journeysOf(t, file, func(r recording) source { return r })
	inferred := journeysOf(t, file, func(r recording) source { return untraced{r} })
	if len(traced) != len(inferred) {
		t.Fatalf("%d journeys with the kernel's word, %d without", len(traced), len(inferred))
	}
	exact, rules := 0, 0
	for i := range traced {
		for k := range traced[i].Hops {
			said, thought := traced[i].Hops[k].Rule, inferred[i].Hops[k].Rule
			switch {
			case said == nil && thought == nil || said != nil && said.Backend == "ipvs":
				continue
			case said == nil || thought == nil || lab.RuleOf(plainly(said)) != lab.RuleOf(plainly(thought)):
				t.Errorf("journey %d hop %d (%s): the kernel named %+v, inferred is %+v", i+1, k+1, traced[i].Hops[k].Stage, said, thought)
			}
			rules++
			if said != nil && said.Certainty == "exact" {
				exact++
			} else if untold[name] == "" {
				t.Errorf("journey %d hop %d (%s): the kernel named no rule, inferred is %s", i+1, k+1, traced[i].Hops[k].Stage, lab.RuleOf(thought))
			}
		}
	}
	t.Logf("%d rules in the story, %d of them named by the kernel's trace", rules, exact)
	if why := untold[name]; why != "" && exact == rules {
		t.Errorf("every rule was named although %s: take the case from the list", why)
	}
}

// plainly is a rule without how sure it is.
func plainly(r *journey.Rule) *journey.Rule {
	c := *r
	c.Certainty = ""
	return &c
}
