// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"bytes"
	"strings"
	"testing"
)

// The pods and containers of the cgroup texts.
const (
	uid    = "2c48913c-b29f-11e7-9350-020968147796"
	uid_   = "2c48913c_b29f_11e7_9350_020968147796" // of the systemd driver
	other  = "72f7f152-440c-66ac-9084-e0fc1d8a910c"
	static = "5b1e1f9c3a6e4d0f8a7b6c5d4e3f2a1b" // the hash of a static pod's manifest
	ctr    = "9bca8d63d5fa610783847915bcff0ecac1273e5b4bed3f6fa1b07350e0135961"
	node   = "65a1b6ad09655b3f1475ede1aa0061a97c0d1ada9f2b2acac959afbc92094463" // the container that is a node of kind or minikube
)

// pods are cgroup texts of processes in pods; where nothing else is said the pod is uid and the container ctr.
var pods = []struct {
	name, text string
	uid, ctr   string
}{
	{name: "containerd 1.7, systemd, v2, burstable",
		text: "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uid_ + ".slice/cri-containerd-" + ctr + ".scope\n"},
	{name: "containerd 1.7, systemd, v2, besteffort",
		text: "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + uid_ + ".slice/cri-containerd-" + ctr + ".scope\n"},
	{name: "containerd 1.7, systemd, v2, guaranteed has no level",
		text: "0::/kubepods.slice/kubepods-pod" + uid_ + ".slice/cri-containerd-" + ctr + ".scope\n"},
	{name: "containerd 2.0, cgroupfs, v2 (Talos, k3s)",
		text: "0::/kubepods/burstable/pod" + uid + "/" + ctr + "\n"},
	{name: "containerd, cgroupfs, v2, guaranteed",
		text: "0::/kubepods/pod" + uid + "/" + ctr},
	{name: "containerd 1.4, cgroupfs, v1",
		text: "12:pids:/kubepods/besteffort/pod" + uid + "/" + ctr + "\n11:cpu,cpuacct:/kubepods/besteffort/pod" + uid + "/" + ctr +
			"\n1:name=systemd:/kubepods/besteffort/pod" + uid + "/" + ctr + "\n"},
	{name: "containerd, systemd, v1 with an empty unified hierarchy",
		text: "11:devices:/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uid_ + ".slice/cri-containerd-" + ctr + ".scope\n" +
			"1:name=systemd:/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uid_ + ".slice/cri-containerd-" + ctr + ".scope\n0::/\n"},
	{name: "hybrid: not every hierarchy holds the pod, and one not the container",
		text: "13:misc:/\n12:rdma:/kubepods.slice/kubepods-pod" + uid_ + ".slice\n4:memory:/kubepods.slice/kubepods-pod" + uid_ +
			".slice/docker-" + ctr + ".scope\n0::/system.slice/containerd.service\n"},
	{name: "containerd of cgroupfs below a kubelet of systemd, v1 (k3s 1.2x)",
		text: "12:cpu,cpuacct:/system.slice/containerd.service/kubepods-besteffort-pod" + uid_ + ".slice:cri-containerd:" + ctr + "\n"},
	{name: "the same, v2, seen from the service",
		text: "0::/kubepods-burstable-pod" + uid_ + ".slice:cri-containerd:" + ctr + "\n"},
	{name: "CRI-O 1.28, systemd, v2, runc",
		text: "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uid_ + ".slice/crio-" + ctr + ".scope\n"},
	{name: "CRI-O 1.31, systemd, v2, crun's own level",
		text: "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uid_ + ".slice/crio-" + ctr + ".scope/container\n"},
	{name: "CRI-O, systemd: conmon in the pod's cgroup",
		text: "0::/kubepods.slice/kubepods-pod" + uid_ + ".slice/crio-conmon-" + ctr + ".scope\n"},
	{name: "CRI-O, cgroupfs, v1",
		text: "9:memory:/kubepods/burstable/pod" + uid + "/crio-" + ctr + "\n"},
	{name: "cri-dockerd, systemd, v2",
		text: "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + uid_ + ".slice/docker-" + ctr + ".scope\n"},
	{name: "dockershim 1.18, cgroupfs, v1",
		text: "11:blkio:/kubepods/burstable/pod" + uid + "/" + ctr + "\n"},
	{name: "Kata 1.x, cgroupfs, v1",
		text: "7:pids:/kubepods/burstable/pod" + uid + "/kata_" + ctr + "\n"},
	{name: "kind 0.20, v2, --cgroup-root=/kubelet, from the machine",
		text: "0::/docker/" + node + "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod" +
			uid_ + ".slice/cri-containerd-" + ctr + ".scope\n"},
	{name: "kind 0.20, v2, from the node",
		text: "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" + uid_ + ".slice/cri-containerd-" + ctr + ".scope\n"},
	{name: "kind 0.9, cgroupfs, v1, from the machine",
		text: "8:cpu,cpuacct:/docker/" + node + "/kubelet/kubepods/burstable/pod" + uid + "/" + ctr + "\n"},
	{name: "kind, rootless",
		text: "0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + node + ".scope/kubelet/kubepods/pod" + uid + "/" + ctr + "\n"},
	{name: "minikube, docker driver, v2",
		text: "0::/system.slice/docker-" + node + ".scope/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uid_ +
			".slice/docker-" + ctr + ".scope\n"},
	{name: "static pod, systemd", uid: static,
		text: "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + static + ".slice/cri-containerd-" + ctr + ".scope\n"},
	{name: "static pod, cgroupfs, v1", uid: static,
		text: "4:cpuset:/kubepods/burstable/pod" + static + "/" + ctr + "\n"},
	{name: "from a cgroup namespace, cgroupfs, v1",
		text: "3:cpu:/../../pod" + uid + "/" + ctr + "\n"},
	{name: "from a cgroup namespace, systemd, v2, same level",
		text: "0::/../../kubepods-besteffort-pod" + uid_ + ".slice/cri-containerd-" + ctr + ".scope\n"},
	{name: "from a cgroup namespace, systemd, v2, another level",
		text: "0::/../../../kubepods-burstable.slice/kubepods-burstable-pod" + uid_ + ".slice/crio-" + ctr + ".scope\n"},
	{name: "systemd's escapes",
		text: `0::/kubepods.slice/kubepods-pod2c48913c\x2db29f\x2d11e7\x2d9350\x2d020968147796.slice/cri\x2dcontainerd\x2d` + ctr + ".scope\n"},
	{name: "systemd in the container", // such as a node of kind in a pod, where the outermost pod is the one that this cluster knows
		text: "0::/kubepods.slice/kubepods-pod" + uid_ + ".slice/cri-containerd-" + ctr + ".scope/kubelet/kubepods/burstable/pod" + other + "/" + node + "\n"},
	{name: "a zombie of a container that is gone",
		text: "0::/kubepods/burstable/pod" + uid + "/" + ctr + " (deleted)\n"},
	{name: "the pod's own cgroup", ctr: "none",
		text: "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uid_ + ".slice\n"},
	{name: "a container whose ID is none", ctr: "none",
		text: "0::/kubepods/burstable/pod" + uid + "/openproject/" + ctr + "\n"},
}

func TestParseCgroup(t *testing.T) {
	for _, tt := range pods {
		if tt.uid == "" {
			tt.uid = uid
		}
		switch tt.ctr {
		case "":
			tt.ctr = ctr
		case "none":
			tt.ctr = ""
		}
		gotUID, gotCtr, ok := ParseCgroup([]byte(tt.text))
		if !ok || gotUID != tt.uid || gotCtr != tt.ctr {
			t.Errorf("%s: ParseCgroup(%q) = %q, %q, %v, want %q, %q", tt.name, tt.text, gotUID, gotCtr, ok, tt.uid, tt.ctr)
		}
	}
}

func TestParseCgroupRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty":                            "",
		"no line":                          "\n\n",
		"the root, v2":                     "0::/\n",
		"init":                             "0::/init.scope\n",
		"a service, v1":                    "12:pids:/system.slice/sshd.service\n1:name=systemd:/system.slice/sshd.service\n0::/system.slice/sshd.service\n",
		"the kubelet":                      "0::/system.slice/kubelet.service\n",
		"containerd":                       "0::/system.slice/containerd.service\n",
		"a process of no pod in kubepods":  "0::/kubepods.slice/kubepods-burstable.slice\n",
		"a container of docker":            "0::/system.slice/docker-" + ctr + ".scope\n",
		"a container of podman in its pod": "0::/machine.slice/machine-libpod_pod_" + node + ".slice/libpod-" + ctr + ".scope/container\n",
		"a node of kind":                   "0::/docker/" + node + "/init.scope\n",
		"ECS":                              "4:memory:/ecs/" + other + "/" + ctr + "\n",
		"the same pod, from its namespace": "0::/../crio-" + ctr + ".scope\n", // the level with the pod is hidden
		"pod not below kubepods":           "0::/user.slice/pod" + uid + "/" + ctr + "\n",
		"a slice of somebody else":         "0::/my.slice/my-pod" + uid_ + ".slice/cri-containerd-" + ctr + ".scope\n",
		"a UID one digit short":            "0::/kubepods/pod" + uid[1:] + "/" + ctr + "\n",
		"a UID one digit long":             "0::/kubepods/pod" + uid + "0/" + ctr + "\n",
		"a UID with wrong dashes":          "0::/kubepods/pod2c48913cb-29f-11e7-9350-020968147796/" + ctr + "\n",
		"a UID that is not hexadecimal":    "0::/kubepods/podzc48913c-b29f-11e7-9350-020968147796/" + ctr + "\n",
		"a UID with a terminal escape":     "0::/kubepods/pod\x1b[31m13c-b29f-11e7-9350-020968147796/" + ctr + "\n",
		"underscores without systemd":      "0::/kubepods/pod" + uid_ + "/" + ctr + "\n",
		"a UID of 31 digits":               "0::/kubepods/pod" + static[1:] + "/" + ctr + "\n",
		"a UID of 33 digits":               "0::/kubepods/pod" + static + "0/" + ctr + "\n",
		"no UID":                           "0::/kubepods/pod/" + ctr + "\n",
		"two fields":                       "0:/kubepods/pod" + uid + "\n",
		"one field":                        "/kubepods/pod" + uid + "\n",
		"half an escape":                   `0::/kubepods.slice/kubepods-pod\x2` + "\n",
		"a false escape":                   `0::/kubepods.slice/kubepods-pod2c48913c\xzzb29f\x2d11e7.slice` + "\n",
	} {
		if gotUID, gotCtr, ok := ParseCgroup([]byte(text)); ok || gotUID != "" || gotCtr != "" {
			t.Errorf("%s: ParseCgroup(%q) = %q, %q, %v", name, text, gotUID, gotCtr, ok)
		}
	}
}

func TestParseCgroupIsBounded(t *testing.T) {
	pod := []byte("\n0::/kubepods/pod" + uid + "/" + ctr + "\n")
	if _, _, ok := ParseCgroup(append(bytes.Repeat([]byte("x"), maxCgroup/2), pod...)); !ok {
		t.Error("a pod within the first 64 KiB was not found")
	}
	if gotUID, _, ok := ParseCgroup(append(bytes.Repeat([]byte("x"), maxCgroup), pod...)); ok {
		t.Errorf("a pod beyond the first 64 KiB was found: %q", gotUID)
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		"":           "",
		"plain":      "plain",
		`a\x2db`:     "a-b",
		`\x2d\x5f`:   "-_",
		`a\x`:        `a\x`,
		`a\x2`:       `a\x2`,
		`a\xg0b`:     `a\xg0b`,
		`\x\x2d`:     `\x-`,
		`\x5cx2d`:    `\x2d`, // once
		`a\tb\x2d\n`: `a\tb-\n`,
	} {
		if got := unescape(in); got != want {
			t.Errorf("unescape(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzParseCgroup(f *testing.F) {
	for _, tt := range pods {
		f.Add([]byte(tt.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		gotUID, gotCtr, ok := ParseCgroup(b)
		if !ok {
			if gotUID != "" || gotCtr != "" {
				t.Errorf("not ok, yet %q, %q", gotUID, gotCtr)
			}
			return
		}
		if !isUID(gotUID) || strings.Contains(gotUID, "_") {
			t.Errorf("%q is no UID", gotUID)
		}
		if gotCtr != "" && !isHex(gotCtr, 64) {
			t.Errorf("%q is no container", gotCtr)
		}
		// What was read is a name that reads alike.
		if again, c, ok := ParseCgroup([]byte("0::/kubepods/pod" + gotUID + "/" + gotCtr)); !ok || again != gotUID || c != gotCtr {
			t.Errorf("%q, %q reads as %q, %q, %v", gotUID, gotCtr, again, c, ok)
		}
	})
}
