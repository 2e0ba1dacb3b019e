// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// PrivilegeError names the capabilities that are missing.
type PrivilegeError struct{ Missing []string }

func (e *PrivilegeError) Error() string {
	what := "these capabilities"
	if len(e.Missing) == 1 {
		what = "this capability"
	}
	if slices.Contains(e.Missing, "CAP_BPF") || slices.Contains(e.Missing, "CAP_PERFMON") {
		what += ", or CAP_SYS_ADMIN, which has them in it"
	}
	return fmt.Sprintf("missing %s: run nettrace as root, or give the pod %s", strings.Join(e.Missing, " and "), what)
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

// MayTrace says whether this process may load and attach tracing programs; the error is a *PrivilegeError.
func MayTrace() error { return checkPrivileges() }

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
	if errors.Is(rlimit.RemoveMemlock(), unix.EPERM) { // kernels before 5.11 count BPF's memory as locked
		return &PrivilegeError{Missing: []string{"CAP_SYS_RESOURCE"}}
	}
	if mode := Lockdown(); mode != "none" {
		return &FeatureError{What: "permission to load tracing programs (lockdown is " + mode + ")", Next: "boot without lockdown=" + mode, Err: err}
	}
	return &FeatureError{What: "permission to load tracing programs", Next: "allow the bpf system call (seccomp, AppArmor, SELinux) for this process", Err: err}
}

// Lockdown is the kernel's lockdown mode: none, integrity or confidentiality (security/lockdown/lockdown.c). A container has a sysfs of its own,
// without securityfs in it; with the host's processes in sight, the first of them leads to the host's.
func Lockdown() string {
	for _, root := range []string{"", "/proc/1/root"} {
		if b, err := os.ReadFile(root + "/sys/kernel/security/lockdown"); err == nil {
			return parseLockdown(string(b))
		}
	}
	return "none"
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
