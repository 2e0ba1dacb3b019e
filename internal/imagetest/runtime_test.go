// SPDX-License-Identifier: Apache-2.0

package imagetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/nettrace-io/nettrace/deploy"
)

// root is the repository.
const root = "../.."

// runtime is podman with a store of its own.
type runtime struct {
	dir   string
	image string
	pod   *corev1.Pod
}

func readPod(t *testing.T) *corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict(deploy.Pod, &pod); err != nil {
		t.Fatalf("deploy/pod.yaml: %v", err)
	}
	return &pod
}

// imageEnv names an archive that is tested instead of a new one.
const imageEnv = "NETTRACE_IMAGE"

// built is the image of both architectures, which the tests share.
var built struct {
	once    sync.Once
	archive string
	said    string
	err     error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.archive != "" && os.Getenv(imageEnv) == "" {
		_ = os.RemoveAll(filepath.Dir(built.archive))
	}
	os.Exit(code)
}

// shared builds the image once.
func shared(t *testing.T) (archive, said string) {
	t.Helper()
	built.once.Do(func() {
		if built.archive = os.Getenv(imageEnv); built.archive != "" {
			return
		}
		dir, err := os.MkdirTemp("", "nettrace-image-")
		if err != nil {
			built.err = err
			return
		}
		built.archive = filepath.Join(dir, "image.tar")
		built.said, built.err = build(built.archive, "amd64,arm64")
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.archive, built.said
}

// build makes the image as 'make image' does, and returns what the build printed.
func build(archive, arches string) (said string, err error) {
	cmd := exec.Command("go", "run", "-buildvcs=false", "./internal/image/imagebuild", "-version", "test", "-arch", arches, "-o", archive)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the image: %w: %s", err, out)
	}
	return string(out), nil
}

// load puts an archive into a new store.
func load(t *testing.T, archive string) *runtime {
	t.Helper()
	r := &runtime{dir: t.TempDir(), image: "ghcr.io/nettrace-io/nettrace:test", pod: readPod(t)}
	t.Cleanup(func() { // its mounts would keep the directory
		_ = r.podman("unmount", "--all").Run()
	})
	if out, err := r.podman("load", "-i", archive).CombinedOutput(); err != nil {
		t.Fatalf("podman load: %v\n%s", err, out)
	}
	return r
}

func (r *runtime) podman(args ...string) *exec.Cmd {
	return exec.Command("podman", append([]string{"--root", filepath.Join(r.dir, "root"), "--runroot", filepath.Join(r.dir, "run"), "--storage-driver", "vfs",
		"--runtime", "runc", "--cgroup-manager", "cgroupfs", "--log-level", "error"}, args...)...)
}

// binary takes nettrace out of the image, to run outside.
func (r *runtime) binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nettrace")
	for _, args := range [][]string{{"create", "--name", "source", r.image}, {"cp", "source:/usr/bin/nettrace", path}, {"rm", "source"}} {
		if out, err := r.podman(args...).CombinedOutput(); err != nil {
			t.Fatalf("podman %s: %v\n%s", args[0], err, out)
		}
	}
	return path
}

// run is a container of the pod, without the capabilities that are named.
func (r *runtime) run(t *testing.T, without []string, args ...string) *exec.Cmd {
	t.Helper()
	flags, err := flags(r.pod, without)
	if err != nil {
		t.Fatal(err)
	}
	return r.podman(append(append(append([]string{"run", "--rm", "--interactive"}, flags...), r.image), args...)...)
}

// flags are a pod's settings as podman has them. What it cannot translate is an error: a manifest must not be tested in part.
func flags(pod *corev1.Pod, without []string) ([]string, error) {
	s, c := &pod.Spec, &pod.Spec.Containers[0]
	sc := c.SecurityContext
	// the machine's own limits: podman's defaults may be above what it can give
	out := []string{"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", "--read-only-tmpfs=false"}
	set := func(on bool, f ...string) {
		if on {
			out = append(out, f...)
		}
	}
	set(s.HostNetwork, "--network", "host")
	set(!s.HostNetwork, "--network", "none")
	set(s.HostPID, "--pid", "host")
	set(s.HostIPC, "--ipc", "host")
	set(sc.ReadOnlyRootFilesystem != nil && *sc.ReadOnlyRootFilesystem, "--read-only")
	set(sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation, "--security-opt", "no-new-privileges")
	set(sc.SeccompProfile.Type == corev1.SeccompProfileTypeUnconfined, "--security-opt", "seccomp=unconfined")
	set(sc.AppArmorProfile.Type == corev1.AppArmorProfileTypeUnconfined, "--security-opt", "apparmor=unconfined")
	set(sc.SELinuxOptions != nil, "--security-opt", "label=type:"+sc.SELinuxOptions.Type)
	out = append(out, "--user", fmt.Sprintf("%d:%d", *sc.RunAsUser, *sc.RunAsGroup), "--memory", fmt.Sprint(c.Resources.Limits.Memory().Value()))
	for _, d := range sc.Capabilities.Drop {
		out = append(out, "--cap-drop", string(d))
	}
	for _, a := range sc.Capabilities.Add {
		set(!slices.Contains(without, string(a)), "--cap-add", string(a))
	}
	for _, m := range c.VolumeMounts {
		i := slices.IndexFunc(s.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if i < 0 || s.Volumes[i].HostPath == nil {
			return nil, fmt.Errorf("volume %s is no hostPath: translate it here", m.Name)
		}
		mount := "type=bind,src=" + s.Volumes[i].HostPath.Path + ",dst=" + m.MountPath
		if m.ReadOnly {
			mount += ",ro"
		}
		if m.MountPropagation != nil && *m.MountPropagation == corev1.MountPropagationHostToContainer {
			mount += ",bind-propagation=rslave"
		}
		out = append(out, "--mount", mount)
	}
	return out, nil
}

// result is what a command came to.
type result struct {
	code        int
	out, errors string
}

func finish(t *testing.T, cmd *exec.Cmd, stdin []byte) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errs
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// labUp brings the lab up with a case and returns the flags and arguments of the trace that it proposes, and the file of its objects.
func labUp(t *testing.T, nettrace, name string) (args []string, cluster []byte) {
	t.Helper()
	const prefix = "itst"
	down := func() { _ = exec.Command(nettrace, "lab", "down", "--prefix", prefix).Run() }
	down()
	t.Cleanup(down)
	out, err := exec.Command(nettrace, "lab", "up", "--case", name, "--prefix", prefix).Output()
	if err != nil {
		t.Fatalf("lab up --case %s: %v", name, err)
	}
	_, line, ok := strings.Cut(string(out), "Try:")
	line, _, _ = strings.Cut(line, "\n")
	args = strings.Fields(line)
	i := slices.Index(args, "--cluster")
	if !ok || i < 0 {
		t.Fatalf("lab up proposes no trace: %s", out)
	}
	if cluster, err = os.ReadFile(args[i+1]); err != nil {
		t.Fatal(err)
	}
	args[i+1] = "/dev/stdin"
	return args[1:], cluster // without the program's name
}
