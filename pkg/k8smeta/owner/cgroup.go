// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"bytes"
	"strconv"
	"strings"
)

// maxCgroup bounds what is read of one /proc/PID/cgroup: a dozen hierarchies of cgroup v1, each with a path of up to 4 KiB.
const maxCgroup = 64 << 10

// ParseCgroup reads the contents of /proc/PID/cgroup (cgroups(7)), one hierarchy-ID:controllers:path a line, of cgroup v1, v2 or both. It
// prefers a line that names a container too: some hierarchies hold a process only as deep as its pod, and systemd's may not hold it at
// all. The container is empty where none does, as for a process that the kubelet or a runtime started for the whole pod.
func ParseCgroup(b []byte) (podUID, containerID string, ok bool) {
	b = b[:min(len(b), maxCgroup)]
	for line := range bytes.Lines(b) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), ":")
		_, path, has := strings.Cut(rest, ":")
		if !has {
			continue
		}
		uid, container, found := parsePath(path)
		if !found {
			continue
		}
		if container != "" {
			return uid, container, true
		}
		if !ok {
			podUID, ok = uid, true
		}
	}
	return podUID, "", ok
}

// parsePath finds the outermost pod in a path, and the container that is next below it: deeper levels are the container's own to name.
//
// A runtime of the cgroupfs driver below a kubelet of the systemd driver takes systemd's slice:prefix:name for the name of one directory.
// The kernel marks a cgroup that is gone, as of a zombie, by " (deleted)" (proc_cgroup_show in kernel/cgroup/cgroup.c).
func parsePath(path string) (podUID, containerID string, ok bool) {
	below := false
	parts := strings.Split(strings.TrimSuffix(path, " (deleted)"), "/")
	for i, part := range parts {
		part = unescape(part)
		slice, scope, _ := strings.Cut(part, ":")
		if uid, ok := parsePod(slice, below); ok {
			if scope == "" && i+1 < len(parts) {
				scope = unescape(parts[i+1])
			}
			return uid, parseContainer(scope), true
		}
		// Seen from a cgroup namespace the path starts with ".." for each level up, and the kubepods level may be hidden behind them.
		below = below || part == ".." || strings.Contains(part, "kubepods")
	}
	return "", "", false
}

// parsePod reads pod<uid> below kubepods (cgroupfs driver), or [prefix-]kubepods[-qos]-pod<uid>.slice (systemd driver), whose '-' in the
// UID became '_' because it separates levels there. The prefix is that of --cgroup-root, which kind sets to /kubelet.
func parsePod(part string, below bool) (string, bool) {
	if slice, ok := strings.CutSuffix(part, ".slice"); ok {
		i := strings.LastIndex(slice, "-pod")
		if i < 0 || !strings.Contains(slice[:i], "kubepods") {
			return "", false
		}
		uid := strings.ReplaceAll(slice[i+len("-pod"):], "_", "-")
		return uid, isUID(uid)
	}
	uid, ok := strings.CutPrefix(part, "pod")
	return uid, ok && below && isUID(uid)
}

// parseContainer reads <id>, or <runtime>-<id>.scope (systemd driver), or <runtime>:<id>. The runtimes are cri-containerd, crio,
// crio-conmon (the monitor of a container), docker, libpod, kata_.
func parseContainer(scope string) string {
	scope = strings.TrimSuffix(scope, ".scope")
	id := scope[strings.LastIndexAny(scope, "-_:")+1:]
	if !isHex(id, 64) {
		return ""
	}
	return id
}

// unescape undoes systemd's \xHH (unit_name_escape in src/basic/unit-name.c), which stands for what a unit's name may not hold.
func unescape(s string) string {
	if !strings.Contains(s, `\x`) {
		return s
	}
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, `\x`)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		s = after
		if c, err := strconv.ParseUint(s[:min(len(s), 2)], 16, 8); err == nil && len(s) >= 2 {
			b.WriteByte(byte(c))
			s = s[2:]
		} else {
			b.WriteString(`\x`)
		}
	}
}

// isUID admits an RFC 4122 UUID, as the API server makes them, and 32 hex digits, as the kubelet makes them for a static pod
// (applyDefaults in pkg/kubelet/config/common.go).
func isUID(s string) bool {
	if len(s) != 36 {
		return isHex(s, 32)
	}
	f := strings.Split(s, "-")
	return len(f) == 5 && isHex(f[0], 8) && isHex(f[1], 4) && isHex(f[2], 4) && isHex(f[3], 4) && isHex(f[4], 12)
}

func isHex(s string, digits int) bool {
	if len(s) != digits {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		default:
			return false
		}
	}
	return true
}
