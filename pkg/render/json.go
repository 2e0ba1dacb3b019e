// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

func init() {
	register("json", func(w io.Writer, _ Options) Renderer {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return &jsonLines{e}
	})
}

// jsonLines writes one object a line, as the contract has it. encoding/json escapes control characters.
type jsonLines struct{ e *json.Encoder }

func (j *jsonLines) put(v any) error {
	if err := j.e.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

func (j *jsonLines) Start(s Start) error { return j.put(s) }
func (j *jsonLines) Drop(d Drop) error   { return j.put(d) }

func (j *jsonLines) Journey(x *journey.Journey) error {
	return j.put(struct {
		Kind string `json:"kind"`
		*journey.Journey
	}{"journey", x})
}

func (j *jsonLines) Verdict(v *verdict.Verdict) error {
	return j.put(struct {
		Kind string `json:"kind"`
		*verdict.Verdict
	}{"verdict", v})
}
