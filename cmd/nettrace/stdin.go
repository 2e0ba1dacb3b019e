// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/nettrace-io/nettrace/pkg/debugpod"
)

// untilStdinCloses is the flag with which 'kubectl nettrace' starts the program in a debug pod: the first line of stdin is what commands read
// from '-', and the end of stdin ends the work in order, as a signal does. So nothing goes on in the pod when whoever started it is gone.
const untilStdinCloses = "until-stdin-closes"

// firstLineWithin is how long the first line is waited for: nobody attaches any more when the plugin was killed before it could.
const firstLineWithin = time.Minute

// maxFirstLine bounds the objects that come as the first line.
const maxFirstLine = 256 << 20

// sayEnd ends what is written to stderr, for whoever is attached: a connection that was cut before it may have swallowed something.
func sayEnd(root *cobra.Command, s streams) {
	if f := root.PersistentFlags().Lookup(untilStdinCloses); f != nil && f.Value.String() == "true" {
		fmt.Fprintln(s.err, debugpod.EndMark)
	}
}

// stdinFlag adds the flag to every command.
func stdinFlag(root *cobra.Command) {
	var on bool
	root.PersistentFlags().BoolVar(&on, untilStdinCloses, false, "the first line of stdin is the input; end when stdin closes")
	_ = root.PersistentFlags().MarkHidden(untilStdinCloses)
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if !on {
			return nil
		}
		line, rest, err := lineWithin(c.InOrStdin(), firstLineWithin)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(c.Context())
		go func() {
			_, _ = io.Copy(io.Discard, rest)
			cancel()
		}()
		c.SetContext(ctx)
		root.SetIn(bytes.NewReader(line))
		return nil
	}
}

// lineWithin reads one line within a time, and returns what comes behind it.
func lineWithin(r io.Reader, within time.Duration) (line []byte, rest io.Reader, err error) {
	type answer struct {
		line []byte
		err  error
	}
	b, got := bufio.NewReader(r), make(chan answer, 1)
	go func() {
		line, err := boundedLine(b)
		got <- answer{line, err}
	}()
	select {
	case a := <-got:
		if errors.Is(a.err, io.EOF) {
			a.err = fmt.Errorf("stdin closed before a whole line came: start this through 'kubectl nettrace', or leave --%s out", untilStdinCloses)
		}
		return a.line, b, a.err
	case <-time.After(within):
		return nil, nil, fmt.Errorf("nothing came on stdin within %v: start this through 'kubectl nettrace', or leave --%s out", within, untilStdinCloses)
	}
}

// boundedLine reads up to a line's end; a line without one is io.EOF.
func boundedLine(b *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := b.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxFirstLine {
			return nil, fmt.Errorf("the first line of stdin is longer than %d MiB: name fewer objects", maxFirstLine>>20)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}
