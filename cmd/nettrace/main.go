// SPDX-License-Identifier: Apache-2.0

// Command nettrace shows a packet's way through this node, hop by hop, and says which layer dropped it, why, and what to do.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// Exit codes of the contract.
const (
	exitOK          = 0
	exitUsage       = 1
	exitVerdict     = 2
	exitUnseen      = 3
	exitPrivileges  = 4
	exitInterrupted = 130
)

// exitError carries an exit code out of a command; a nil err prints nothing.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// streams are where a command reads and writes: data to out, everything else to err.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// /proc/self/ns/net is the namespace of the process's first thread. Whoever entered another one on that thread would take "this node's
// namespace" along for everybody: so only main runs there, which waits.
func init() { runtime.LockOSThread() }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM, unix.SIGHUP)
	// when the reader of our output goes away ('nettrace … | head'), a write must fail rather than kill us: there may be things to remove
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	go func() { // the first signal ends the work in order, the second one at once
		<-ctx.Done()
		stop()
	}()
	start := run
	if isPlugin(os.Args[0]) {
		start = runPlugin
	}
	code := make(chan int)
	go func() { code <- start(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}) }()
	os.Exit(<-code)
}

// run is main without the process.
func run(ctx context.Context, args []string, s streams) int {
	return execute(ctx, newRoot(s), args, s)
}

// execute runs a command and turns how it ended into a sentence and an exit code.
func execute(ctx context.Context, root *cobra.Command, args []string, s streams) int {
	root.SetArgs(args)
	defer sayEnd(root, s)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var ee *exitError
	if errors.As(err, &ee) {
		if ee.err != nil {
			complain(s, ee.err)
		}
		return ee.code
	}
	complain(s, err)
	if ctx.Err() != nil {
		return exitInterrupted
	}
	var pe *tracer.PrivilegeError
	var fe *tracer.FeatureError
	if errors.As(err, &pe) || errors.As(err, &fe) {
		return exitPrivileges
	}
	return exitUsage
}

func complain(s streams, err error) { fmt.Fprintf(s.err, "nettrace: %s\n", render.Escape(err.Error())) }
