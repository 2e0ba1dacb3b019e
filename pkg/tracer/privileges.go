// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// PrivilegeError names the capabilities that are missing.
type PrivilegeError struct{ Missing []string }

func (e *PrivilegeError) Error() string {
	return fmt.Sprintf("missing %s: run nettrace as root, or give the pod these capabilities", strings.Join(e.Missing, " and "))
}

// FeatureError names a kernel feature that is missing and what to do about it.
type FeatureError struct {
	What string
	Next string
	Err  error
}

func (e *FeatureError) Error() string {
	return fmt.Sprintf("this kernel does not have %s: %s", e.What, e.Next)
}

func (e *FeatureError) Unwrap() error { return e.Err }

// checkPrivileges asks for what loading and attaching tracing programs takes: CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN, which
// includes both and is the only one before 5.8 (include/uapi/linux/capability.h).
func checkPrivileges() error {
	have, err := effectiveCapabilities()
	if err != nil {
		return fmt.Errorf("read this process's capabilities: %w", err)
	}
	return missingPrivileges(have)
}

func missingPrivileges(have uint64) error {
	has := func(c int) bool { return have>>c&1 == 1 }
	if has(unix.CAP_SYS_ADMIN) {
		return nil
	}
	var missing []string
	if !has(unix.CAP_BPF) {
		missing = append(missing, "CAP_BPF")
	}
	if !has(unix.CAP_PERFMON) {
		missing = append(missing, "CAP_PERFMON")
	}
	if len(missing) == 0 {
		return nil
	}
	return &PrivilegeError{Missing: missing}
}

func effectiveCapabilities() (uint64, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, err
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective), nil
}

// explainLoad turns the kernel's EPERM into what it means: capabilities were checked before, so lockdown or a seccomp profile is left.
func explainLoad(err error) error {
	if !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("load the programs: %w", err)
	}
	if mode := Lockdown(); mode != "none" {
		return &FeatureError{What: "permission to load tracing programs (lockdown is " + mode + ")", Next: "boot without lockdown=" + mode, Err: err}
	}
	return &FeatureError{What: "permission to load tracing programs", Next: "allow the bpf system call (seccomp, AppArmor, SELinux) for this process", Err: err}
}

// Lockdown is the kernel's lockdown mode: none, integrity or confidentiality (security/lockdown/lockdown.c).
func Lockdown() string {
	b, err := os.ReadFile("/sys/kernel/security/lockdown")
	if err != nil {
		return "none"
	}
	return parseLockdown(string(b))
}

// parseLockdown reads "none [integrity] confidentiality": the mode in force stands in brackets.
func parseLockdown(s string) string {
	_, rest, ok := strings.Cut(s, "[")
	if !ok {
		return "none"
	}
	mode, _, _ := strings.Cut(rest, "]")
	switch mode {
	case "integrity", "confidentiality":
		return mode
	}
	return "none"
}
