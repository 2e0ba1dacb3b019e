// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/nettrace-io/nettrace/internal/guardian"
	"github.com/nettrace-io/nettrace/internal/netns"
)

// ourLogger is the logger through which records come to us; the kernel's own is nf_log_ipv4 or nf_log_syslog, "NONE" is none.
const (
	ourLogger = "nfnetlink_log"
	noLogger  = "NONE"
)

// logSetting is a change of net.netfilter.nf_log in a namespace, and what the guardian is told before it is made.
type logSetting struct {
	Path   string `json:"path"`  // of the namespace
	Inode  uint32 `json:"inode"` // of the namespace: the path can come to mean another
	Family uint8  `json:"family"`
	Was    string `json:"was"`
}

func loggerFile(family uint8) string {
	return fmt.Sprintf("/proc/sys/net/netfilter/nf_log/%d", map[uint8]int{4: 2, 6: 10}[family]) // NFPROTO_IPV4, NFPROTO_IPV6
}

// logger is the name of a family's logger in the current thread's namespace.
func logger(family uint8) (string, error) {
	b, err := os.ReadFile(loggerFile(family))
	return strings.TrimSpace(string(b)), err
}

// setLogger changes the logger of a family in the current thread's namespace.
func setLogger(family uint8, name string) error {
	f, err := os.OpenFile(loggerFile(family), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(name)
	return errors.Join(err, f.Close())
}

// kernelLogs reports whether the kernel would write TRACE records of the current thread's namespace into its own log: it does so in its first
// namespace, which alone has this setting (net/netfilter/nf_log.c), and in others when the setting says so.
func kernelLogs(name string) bool {
	if name == noLogger || name == ourLogger {
		return false
	}
	_, err := os.Stat("/proc/sys/net/netfilter/nf_log_all_netns")
	return err == nil
}

// restore puts loggers back where they still are ours.
func restore(all []logSetting) error {
	var errs []error
	for _, s := range all {
		if inode, err := netns.Inode(s.Path); err != nil || inode != s.Inode {
			continue // the namespace is gone
		}
		errs = append(errs, netns.Do(s.Path, func() error {
			now, err := logger(s.Family)
			if err == nil && now == ourLogger {
				err = setLogger(s.Family, s.Was)
			}
			if err != nil {
				return fmt.Errorf("put net.netfilter.nf_log back to %s: %w", s.Was, err)
			}
			return nil
		}))
	}
	return errors.Join(errs...)
}

// Guard is the work of the guardian, a process of its own: it restores net.netfilter.nf_log when its parent was killed. Tables need no
// guardian, since they go with the socket that made them.
func Guard(r io.Reader) error {
	if err := guardian.Watch(r, restore); err != nil {
		return fmt.Errorf("clean up after a trace of rules that was killed: %w", err)
	}
	return nil
}
