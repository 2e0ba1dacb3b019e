// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"regexp"
	"strings"
)

// maxCgroup bounds what is read of /proc/PID/cgroup; cgroup v1 has a line for each of about a dozen controllers.
const maxCgroup = 64 << 10

// A pod's UID is a UUID (RFC 4122); that of a static pod is the hash of its file, 32 hex digits. kubelet's systemd driver writes a UUID's
// dashes as underscores, since dashes part levels in names of slices (pkg/kubelet/cm/cgroup_manager_linux.go, escapeSystemdCgroupName).
var podLevel = regexp.MustCompile(`^(?:kubepods(?:-[a-z]+)*-)?pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$`)

// A container's level: its id alone (cgroupfs driver), or with the runtime's name in front and .scope behind (systemd driver): containerd's
// "cri-containerd-", CRI-O's "crio-", Docker's "docker-".
var containerLevel = regexp.MustCompile(`^(?:[a-z]+(?:-[a-z]+)*-)?([0-9a-f]{64})(?:\.scope)?$`)

// ParseCgroup reads /proc/PID/cgroup, of cgroup v1 or v2. The UID has dashes; containerID is "" for a process at the pod's own level. ok is
// false for a process of no pod.
func ParseCgroup(b []byte) (podUID, containerID string, ok bool) {
	for _, line := range strings.Split(string(b[:min(len(b), maxCgroup)]), "\n") {
		// hierarchy-ID:controllers:path; a path may have colons
		_, rest, found := strings.Cut(line, ":")
		_, path, more := strings.Cut(rest, ":")
		if !found || !more {
			continue
		}
		if uid, id, ok := parsePath(path); ok {
			return uid, id, true
		}
	}
	return "", "", false
}

// parsePath looks for the pod's level, and for the container's behind it. Everything in front may be anything: kubelet's own slice, or the
// groups of a container in which a whole node runs (kind).
func parsePath(path string) (uid, id string, ok bool) {
	kube := false
	for _, level := range strings.Split(path, "/") {
		level = unescape(level)
		kube = kube || strings.HasPrefix(level, "kubepods")
		if m := podLevel.FindStringSubmatch(level); m != nil && kube {
			uid, id = strings.ReplaceAll(m[1], "_", "-"), ""
			continue
		}
		if uid == "" {
			continue
		}
		if m := containerLevel.FindStringSubmatch(level); m != nil && id == "" {
			id = m[1]
		}
	}
	return uid, id, uid != ""
}

// unescape puts back the dashes that systemd writes as \x2d.
func unescape(level string) string { return strings.ReplaceAll(level, `\x2d`, "-") }
