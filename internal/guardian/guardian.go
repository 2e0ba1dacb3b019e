// SPDX-License-Identifier: Apache-2.0

package guardian

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"golang.org/x/sys/unix"
)

// goodbye is what a guardian reads when its parent has cleaned up by itself.
const goodbye = "done\n"

// Guardian is the process that watches over this one.
type Guardian struct {
	cmd  *exec.Cmd
	tell io.WriteCloser
}

// Start runs the command, which has to call Watch on its standard input.
func Start(cmd *exec.Cmd) (*Guardian, error) {
	g := &Guardian{cmd: cmd}
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true} // Ctrl-C in the terminal is not for it
	var err error
	if g.tell, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start the guardian: %w", err)
	}
	return g, nil
}

// Tell says what will be changed next, as JSON.
func (g *Guardian) Tell(change any) error {
	line, err := json.Marshal(change)
	if err == nil {
		_, err = g.tell.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("tell the guardian: %w", err)
	}
	return nil
}

// End lets the guardian go. When all is undone it has nothing left to do; otherwise it tries again.
func (g *Guardian) End(undone bool) error {
	var err error
	if undone {
		_, err = io.WriteString(g.tell, goodbye)
	}
	return errors.Join(err, g.tell.Close(), g.cmd.Wait())
}

// Leave lets the guardian try again, and does not wait for it.
func (g *Guardian) Leave() error { return errors.Join(g.tell.Close(), g.cmd.Process.Release()) }

// Watch is the guardian's work: it reads what its parent changes, and has it undone when the pipe ends without a goodbye, because the parent
// was killed.
func Watch[T any](r io.Reader, undo func([]T) error) error {
	var changes []T
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if lines.Text()+"\n" == goodbye {
			return nil
		}
		var c T
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			continue // the parent was killed in the middle of the line: then it had not changed anything yet
		}
		changes = append(changes, c)
	}
	return undo(changes)
}
