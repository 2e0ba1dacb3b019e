// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	uid    = "0a1b2c3d-1111-4222-8333-444455556666"
	under  = "0a1b2c3d_1111_4222_8333_444455556666"
	static = "6a1f0e5f0d5c4f2f9d8e7c6b5a493827"
	id     = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
)

func TestParseCgroup(t *testing.T) {
	for _, tc := range []struct{ name, text, uid, id string }{
		{"v2, systemd driver, containerd 1.7, burstable", "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice/cri-containerd-" + id + ".scope\n", uid, id},
		{"v2, systemd driver, containerd, best effort", "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + under + ".slice/cri-containerd-" + id + ".scope\n", uid, id},
		{"v2, systemd driver, containerd, guaranteed", "0::/kubepods.slice/kubepods-pod" + under + ".slice/cri-containerd-" + id + ".scope\n", uid, id},
		{"v2, systemd driver, CRI-O 1.30", "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice/crio-" + id + ".scope\n", uid, id},
		{"v2, CRI-O with a group below the scope", "0::/kubepods.slice/kubepods-pod" + under + ".slice/crio-" + id + ".scope/container\n", uid, id},
		{"v2, systemd driver, cri-dockerd", "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice/docker-" + id + ".scope\n", uid, id},
		{"v2, cgroupfs driver, containerd", "0::/kubepods/burstable/pod" + uid + "/" + id + "\n", uid, id},
		{"v2, cgroupfs driver, guaranteed", "0::/kubepods/pod" + uid + "/" + id + "\n", uid, id},
		{"v2, the pod's own level", "0::/kubepods/besteffort/pod" + uid + "\n", uid, ""},
		{"v2, kubelet's own slice (kind)", "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice/cri-containerd-" + id + ".scope\n", uid, id},
		{"v2, kind's kubelet prefix with cgroupfs", "0::/docker/" + strings.Repeat("ab", 32) + "/kubelet/kubepods/burstable/pod" + uid + "/" + id + "\n", uid, id},
		{"v2, seen from inside a cgroup namespace", "0::/../../kubepods-burstable-pod" + under + ".slice/cri-containerd-" + id + ".scope\n", uid, id},
		{"v2, systemd's escapes", `0::/kubepods.slice/kubepods\x2dburstable.slice/kubepods\x2dburstable\x2dpod` + under + `.slice/cri-containerd-` + id + ".scope\n", uid, id},
		{"v2, a static pod", "0::/kubepods/burstable/pod" + static + "/" + id + "\n", static, id},
		{"v2, a static pod, systemd driver", "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + static + ".slice/crio-" + id + ".scope\n", static, id},
		{"v2, k3s", "0::/kubepods/burstable/pod" + uid + "/" + id, uid, id},
		{"v2, a container in a pod's container", "0::/kubepods/burstable/pod" + uid + "/" + id + "/docker/" + strings.Repeat("cd", 32) + "\n", uid, id},
		{"v2, pods of a kind node whose host is a pod: the inner one", "0::/kubepods/burstable/pod11111111-1111-1111-1111-111111111111/" + strings.Repeat("ab", 32) + "/kubepods/pod" + uid + "/" + id + "\n", uid, id},
		{"v1, containerd, many lines", "12:pids:/kubepods/burstable/pod" + uid + "/" + id + "\n11:memory:/kubepods/burstable/pod" + uid + "/" + id + "\n1:name=systemd:/kubepods/burstable/pod" + uid + "/" + id + "\n0::/\n", uid, id},
		{"v1, systemd driver", "11:cpuset:/\n10:memory:/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + under + ".slice/cri-containerd-" + id + ".scope\n", uid, id},
		{"v1, docker", "3:cpu,cpuacct:/kubepods/burstable/pod" + uid + "/" + id + "\n", uid, id},
		{"hybrid: v2 line is the root", "5:devices:/kubepods/pod" + uid + "/" + id + "\n0::/system.slice/containerd.service\n", uid, id},
		{"containerd's own path with a colon prefix", "0::/system.slice/containerd.service/kubepods-burstable-pod" + under + ".slice:cri-containerd:" + id + "\n", "", ""},
		{"a system service", "0::/system.slice/sshd.service\n", "", ""},
		{"a user's session", "0::/user.slice/user-1000.slice/session-2.scope\n", "", ""},
		{"plain docker", "0::/docker/" + id + "\n", "", ""},
		{"podman's pods are none of Kubernetes", "0::/machine.slice/libpod_pod_" + id + ".slice/libpod-" + id + ".scope\n", "", ""},
		{"kubelet itself", "0::/system.slice/kubelet.service\n", "", ""},
		{"no UID", "0::/kubepods/burstable/podweb/" + id + "\n", "", ""},
		{"a pod's level outside of kubepods", "0::/user.slice/pod" + uid + "/" + id + "\n", "", ""},
		{"upper case is no UID", "0::/kubepods/pod" + strings.ToUpper(uid) + "/" + id + "\n", "", ""},
		{"empty", "", "", ""},
		{"no path", "0\n::\n", "", ""},
	} {
		gotUID, gotID, ok := ParseCgroup([]byte(tc.text))
		if gotUID != tc.uid || gotID != tc.id || ok != (tc.uid != "") {
			t.Errorf("%s: %q %q %v, want %q %q", tc.name, gotUID, gotID, ok, tc.uid, tc.id)
		}
	}
}

func FuzzParseCgroup(f *testing.F) {
	f.Add([]byte("0::/kubepods/pod" + uid + "/" + id))
	f.Add([]byte("1:a:b:c\n\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		u, c, ok := ParseCgroup(b)
		if ok != (u != "") || (len(u) != 36 && len(u) != 32 && ok) || (c != "" && len(c) != 64) {
			t.Errorf("%q %q %v", u, c, ok)
		}
	})
}

// process makes /proc/PID with a namespace and a cgroup; no cgroup when it is "-".
func process(t *testing.T, proc string, pid int, inode uint32, cgroup string) {
	t.Helper()
	dir := filepath.Join(proc, strconv.Itoa(pid))
	if err := os.MkdirAll(filepath.Join(dir, "ns"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(fmt.Sprintf("net:[%d]", inode), filepath.Join(dir, "ns", "net")); err != nil {
		t.Fatal(err)
	}
	if cgroup != "-" {
		if err := os.WriteFile(filepath.Join(dir, "cgroup"), []byte(cgroup), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestScan(t *testing.T) {
	proc := t.TempDir()
	pod := func(u string) string { return "0::/kubepods/burstable/pod" + u + "/" + id + "\n" }
	other := "0a1b2c3d-1111-4222-8333-777777777777"
	process(t, proc, 1, 100, "0::/init.scope\n")
	process(t, proc, 20, 100, pod(uid))   // a hostNetwork pod
	process(t, proc, 30, 200, "-")        // ended meanwhile
	process(t, proc, 31, 200, pod(uid))   // the pause process
	process(t, proc, 32, 200, pod(uid))   // the application
	process(t, proc, 40, 300, pod(other)) // another pod
	process(t, proc, 50, 400, "0::/system.slice/sshd.service\n")
	for _, name := range []string{"self", "sys", "99x"} {
		if err := os.MkdirAll(filepath.Join(proc, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(proc, "60", "ns"), 0o755); err != nil {
		t.Fatal(err)
	}
	got, err := Scan(t.Context(), proc, 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[200].PodUID != uid || got[200].ContainerID != id || got[200].PID == 30 || got[300].PodUID != other {
		t.Errorf("%+v", got)
	}
}

func TestScanErrors(t *testing.T) {
	if _, err := Scan(t.Context(), filepath.Join(t.TempDir(), "nothing"), 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	proc := t.TempDir()
	for pid := 1; pid <= 600; pid++ {
		process(t, proc, pid, uint32(pid), "0::/kubepods/pod"+uid+"/"+id+"\n")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := Scan(ctx, proc, 0); !errors.Is(err, context.Canceled) || len(got) == 0 || len(got) == 600 {
		t.Errorf("%d found, %v", len(got), err)
	}
}

// The machine on which this runs has a /proc of its own.
func TestScanOfThisMachine(t *testing.T) {
	if _, err := Scan(t.Context(), "/proc", 0); err != nil {
		t.Fatal(err)
	}
}
