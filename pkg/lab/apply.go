// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// Missing lists the commands that a case needs and this machine does not have.
func Missing(c Case) []string {
	backend := c.Backend
	if backend == "" {
		backend = "iptables-legacy"
	}
	tools := []string{"ip", backend + "-restore"}
	if backend == NFTables {
		tools = []string{"ip", "nft", "iptables-legacy-restore"}
	}
	var out []string
	for _, cmd := range append(tools, c.Needs...) {
		if _, err := exec.LookPath(cmd); err != nil {
			out = append(out, cmd)
		}
	}
	return out
}

// MissingModules lists the kernel modules that a case needs and that neither are there nor can be loaded.
func MissingModules(c Case) []string {
	var out []string
	for _, m := range c.Modules {
		if _, err := os.Stat("/sys/module/" + m); err == nil {
			continue
		}
		if exec.Command("modprobe", m).Run() != nil {
			out = append(out, m)
		}
	}
	return out
}

// Apply switches a case's failure on.
func (l *Lab) Apply(ctx context.Context, c Case) error {
	for _, s := range c.Setup {
		where, command, _ := strings.Cut(s, "# ")
		run := func() error { return l.shell(ctx, where, l.expand(command)) }
		if strings.HasPrefix(command, "@") {
			run = func() error { return l.program(where, l.expand(command)) }
		}
		if err := run(); err != nil {
			return fmt.Errorf("set up case %s: %s: %w", c.Name, s, err)
		}
	}
	return nil
}

// expand puts in the names that a case cannot know: {veth:POD} is a pod's device on its node, {resolv:POD} its resolv.conf.
func (l *Lab) expand(command string) string {
	for _, p := range Pods() {
		command = strings.ReplaceAll(command, "{resolv:"+p.Short+"}", resolvFile(l.NetNS(p.Short)))
		command = strings.ReplaceAll(command, "{veth:"+p.Short+"}", p.hostVeth())
	}
	return command
}

// shell runs a command line of a case in a namespace.
func (l *Lab) shell(ctx context.Context, space, command string) error {
	return netns.Do(l.Path(space), func() error {
		cmd := exec.CommandContext(ctx, "sh", "-c", command)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%w: %s", err, strings.TrimSpace(out.String()))
		}
		return nil
	})
}
