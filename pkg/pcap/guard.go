// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"fmt"
	"io"

	"github.com/nettrace-io/nettrace/internal/guardian"
)

// Guard is the work of the guardian, a process of its own: it reads from its parent what is added to devices, and removes it when the pipe
// ends without a goodbye, because the parent was killed.
func Guard(r io.Reader) error {
	if err := guardian.Watch(r, sweep); err != nil {
		return fmt.Errorf("clean up after a capture that was killed: %w", err)
	}
	return nil
}
