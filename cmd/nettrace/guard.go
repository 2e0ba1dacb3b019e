// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/nettrace-io/nettrace/pkg/pcap"
	"github.com/nettrace-io/nettrace/pkg/ruletrace"
)

// The hidden commands that clean up when this process is killed.
const (
	captureGuard = "capture-guard"
	rulesGuard   = "trace-rules-guard"
)

// guardianOf is this program as the process that does so.
func guardianOf(command string) func() (*exec.Cmd, error) {
	return func() (*exec.Cmd, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		return exec.Command(self, command), nil
	}
}

func newGuards(s streams) []*cobra.Command {
	guard := func(name string, work func(io.Reader) error) *cobra.Command {
		return &cobra.Command{Use: name, Hidden: true, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return work(s.in) }}
	}
	return []*cobra.Command{guard(captureGuard, pcap.Guard), guard(rulesGuard, ruletrace.Guard)}
}
