// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// StuckPort is the TCP port of each pod behind which nobody accepts: its queue holds two connections (a backlog of one and one more, see
// include/net/sock.h, sk_acceptq_is_full).
const StuckPort = 8099

// LocalPort is the TCP port of each pod behind which somebody listens on 127.0.0.1 only.
const LocalPort = 8097

// DeafPort is the UDP port of each pod behind which nobody reads; its receive buffer is the smallest that the kernel allows.
const DeafPort = 9002

// deafSocket opens a UDP socket that is never read in the namespace of the calling thread.
func deafSocket() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the socket that nobody reads: %w", err)
	}
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1), unix.Bind(fd, &unix.SockaddrInet4{Port: DeafPort}))
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("open the socket that nobody reads: %w", err)
	}
	return os.NewFile(uintptr(fd), "deaf socket"), nil
}

// stuckListener listens in the namespace of the calling thread and never accepts.
func stuckListener() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the listener that accepts nothing: %w", err)
	}
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, &unix.SockaddrInet6{Port: StuckPort}), unix.Listen(fd, 1))
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("open the listener that accepts nothing: %w", err)
	}
	return os.NewFile(uintptr(fd), "stuck listener"), nil
}
