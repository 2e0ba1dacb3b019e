// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// goodbye is what a guardian reads when its parent has cleaned up by itself.
const goodbye = "done\n"

// Guard is the work of the guardian, a process of its own: it reads from its parent what is added to devices, and removes it when the pipe
// ends without a goodbye, because the parent was killed. A kill of the whole container kills the guardian too.
func Guard(r io.Reader) error {
	var traces []trace
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if lines.Text()+"\n" == goodbye {
			return nil
		}
		var t trace
		if err := json.Unmarshal(lines.Bytes(), &t); err != nil {
			continue // the parent was killed in the middle of the line: then it had not added anything yet
		}
		traces = append(traces, t)
	}
	if err := sweep(traces); err != nil {
		return fmt.Errorf("clean up after a capture that was killed: %w", err)
	}
	return nil
}
