// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// discard is a renderer that writes nothing.
type discard struct{}

func (discard) Start(render.Start) error       { return nil }
func (discard) Drop(render.Drop) error         { return nil }
func (discard) Journey(*journey.Journey) error { return nil }
func (discard) Verdict(*verdict.Verdict) error { return nil }

func noteOf(name string, b []byte) *tracer.Note { return &tracer.Note{Name: name, JSON: b} }
