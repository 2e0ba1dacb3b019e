// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A ring that is too small for a frame: stderr says how many packets the file lacks, and there is a file.
func TestCaptureLoss(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "pcapl")
	file := filepath.Join(t.TempDir(), "x.pcapng")
	var errs bytes.Buffer
	o := flowOptions{output: output{format: "json"}, proto: "tcp", probe: true, count: 20, size: 1 << 20, timeout: 5 * time.Second, scope: l.Scopes(), backend: "auto", ringBytes: 4096, pcap: file}
	if _, err := runFlow(t.Context(), streams{nil, io.Discard, &errs}, o, "netns:"+l.NetNS("client"), "10.244.2.20:8080"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(errs.String(), "packets could not be captured") {
		t.Errorf("stderr does not tell of the loss: %q", errs.String())
	}
	captured(t, file)
}

// What --pcap needs besides what a trace needs is named, with exit code 4; without CAP_SYS_ADMIN it captures in nettrace's own namespace, which is
// said.
func TestCapturePrivileges(t *testing.T) {
	needRoot(t)
	for _, tc := range []struct {
		caps, want string
		exit       int
		args       []string
	}{
		{"+bpf,+perfmon", "missing CAP_NET_ADMIN", exitPrivileges, nil},
		{"+bpf,+perfmon,+net_admin", "without CAP_SYS_ADMIN only nettrace's own namespace can be read", exitUnseen, nil},
		{"+sys_admin", "missing CAP_NET_ADMIN", exitPrivileges, []string{"--pcap-clsact"}},
	} {
		t.Run(tc.caps, func(t *testing.T) {
			cmd := nettrace(t, []string{"setpriv", "--bounding-set=-all," + tc.caps, "--inh-caps=-all"},
				append([]string{"flow", "127.0.0.1", "127.0.0.2:9", "--timeout", "1s", "--pcap", filepath.Join(t.TempDir(), "x.pcapng")}, tc.args...)...)
			out, _ := cmd.CombinedOutput()
			if cmd.ProcessState.ExitCode() != tc.exit || !strings.Contains(string(out), tc.want) {
				t.Errorf("exit %d, want %d and %q: %s", cmd.ProcessState.ExitCode(), tc.exit, tc.want, out)
			}
		})
	}
}

// Mistakes in --pcap are one sentence, and leave no file.
func TestCaptureMistakes(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct {
		name, want string
		args       []string
	}{
		{"a directory that is not there", "create the capture file", []string{"flow", "127.0.0.1", "127.0.0.2:9", "--pcap", filepath.Join(dir, "gone", "x")}},
		{"the recording's file", "give each its own", []string{"flow", "127.0.0.1", "127.0.0.2:9", "--pcap", filepath.Join(dir, "x"), "--record", filepath.Join(dir, "x")}},
		{"the recording's file by another path", "give each its own", []string{"flow", "127.0.0.1", "127.0.0.2:9", "--pcap", filepath.Join(dir, "x"), "--record", dir + "/./x"}},
		{"all cases", "name it instead of --all", []string{"lab", "run", "--all", "--pcap", filepath.Join(dir, "x")}},
		{"all cases, recorded", "name it instead of --all", []string{"lab", "run", "--all", "--record", filepath.Join(dir, "x")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if strings.Contains(tc.args[0], "flow") {
				needRoot(t)
			}
			code, _, errs := call(t, tc.args...)
			if code != exitUsage || !strings.Contains(errs, tc.want) || strings.Count(errs, "\n") != 1 {
				t.Errorf("exit %d, %q", code, errs)
			}
		})
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
