// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/cavaliergopher/cpio"

	"github.com/nettrace-io/nettrace/internal/debian"
)

//go:embed init.sh
var initScript []byte

// Tools are the commands of the guest, copied from this machine with the libraries that they need; those with a ? are left out where they
// are missing.
var Tools = []string{
	"bash", "sh", "busybox", "ip", "bridge", "tc", "ss", "sysctl", "modprobe", "iptables-legacy", "iptables-legacy-save", "iptables-legacy-restore", "iptables-nft",
	"iptables-nft-save", "iptables-nft-restore", "ip6tables-legacy", "ip6tables-legacy-save", "ip6tables-legacy-restore", "ip6tables-nft", "ip6tables-nft-save",
	"ip6tables-nft-restore", "nft", "ipvsadm", "setpriv", "unshare", "tcpdump", "conntrack", "ethtool", "?ipset", "?socat", "?pwru", "?bpftool", "?strace",
}

// plugIns are what those load at run time.
var plugIns = []string{"/usr/lib/x86_64-linux-gnu/xtables"}

// archive collects files for an initramfs; each path once.
type archive struct {
	w    *cpio.Writer
	seen map[string]bool
}

func newArchive(w io.Writer) *archive {
	return &archive{w: cpio.NewWriter(w), seen: map[string]bool{}}
}

func (a *archive) entry(name string, mode cpio.FileMode, body []byte) error {
	name = strings.TrimPrefix(name, "/")
	if a.seen[name] || name == "" || name == "." {
		return nil
	}
	if err := a.parents(name); err != nil {
		return err
	}
	a.seen[name] = true
	if err := a.w.WriteHeader(&cpio.Header{Name: name, Mode: mode, Size: int64(len(body)), Links: 1}); err != nil {
		return fmt.Errorf("archive %s: %w", name, err)
	}
	if _, err := a.w.Write(body); err != nil {
		return fmt.Errorf("archive %s: %w", name, err)
	}
	return nil
}

func (a *archive) parents(name string) error {
	dir := filepath.Dir(name)
	if dir == "." || a.seen[dir] {
		return nil
	}
	return a.entry(dir, cpio.TypeDir|0o755, nil)
}

func (a *archive) file(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return a.entry(to, cpio.TypeReg|0o755, b)
}

// program adds a command under /bin and its libraries where the loader looks for them.
func (a *archive) program(ctx context.Context, name string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	if err := a.file(real, "/bin/"+name); err != nil {
		return err
	}
	return a.libraries(ctx, real)
}

// libraries adds what ldd names; a static program has none.
func (a *archive) libraries(ctx context.Context, path string) error {
	out, err := exec.CommandContext(ctx, "ldd", path).Output()
	if err != nil {
		return nil
	}
	for _, f := range strings.Fields(string(out)) {
		if strings.HasPrefix(f, "/") {
			if err := a.file(f, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeBase writes the part of the initramfs that does not depend on the kernel.
func writeBase(ctx context.Context, w io.Writer) error {
	a := newArchive(w)
	for _, dir := range []string{"proc", "sys", "dev", "run", "tmp", "var/tmp", "var/run", "root", "etc"} {
		if err := a.entry(dir, cpio.TypeDir|0o1777, nil); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n", "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
		"/etc/protocols": "icmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nipv6-icmp 58 IPv6-ICMP\nsctp 132 SCTP\n", "/etc/resolv.conf": "", "/etc/hosts": "127.0.0.1 localhost\n"} {
		if err := a.entry(name, cpio.TypeReg|0o644, []byte(text)); err != nil {
			return err
		}
	}
	if err := a.entry("/init", cpio.TypeReg|0o755, initScript); err != nil {
		return err
	}
	for _, name := range Tools {
		name, optional := strings.CutPrefix(name, "?")
		if err := a.program(ctx, name); err != nil && !optional {
			return fmt.Errorf("put %s into the guest: %w", name, err)
		}
	}
	for _, dir := range plugIns {
		files, err := filepath.Glob(dir + "/*.so")
		if err != nil || len(files) == 0 {
			return fmt.Errorf("no iptables plug-ins in %s: install iptables", dir)
		}
		for _, f := range files {
			if err := errors.Join(a.file(f, f), a.libraries(ctx, f)); err != nil {
				return err
			}
		}
	}
	return a.w.Close()
}

// moduleDirs are the parts of a kernel's modules that nettrace and its lab can touch; everything below these is taken with dependencies.
var moduleDirs = []string{"kernel/net", "kernel/lib", "kernel/crypto", "kernel/arch/x86/crypto", "kernel/drivers/net/veth", "kernel/drivers/net/vxlan", "kernel/drivers/net/geneve",
	"kernel/drivers/net/dummy", "kernel/drivers/net/tun", "kernel/drivers/net/ipvlan", "kernel/drivers/net/macvlan", "kernel/drivers/net/wireguard", "kernel/drivers/net/ifb",
	"kernel/drivers/net/vrf"}

// writeModules writes a kernel's modules, decompressed, with the index that modprobe reads.
func writeModules(ctx context.Context, w io.Writer, f *Fetched) error {
	from := ""
	for _, top := range []string{"lib", "usr/lib"} {
		if dir := filepath.Join(f.Dir, top, "modules", f.Release); isDir(dir) {
			from = dir
		}
	}
	if from == "" {
		return fmt.Errorf("kernel %s has no modules in its packages", f.Release)
	}
	tmp, err := os.MkdirTemp(f.Dir, "modules-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	to := filepath.Join(tmp, "lib/modules", f.Release)
	if err := copyModules(from, to); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "sh", "-c", `find "$1" -name '*.xz' -print0 | xargs -0 -r -n 50 xz -d; find "$1" -name '*.zst' -print0 | xargs -0 -r zstd -q -d --rm; depmod -b "$2" "$3"`,
		"sh", to, tmp, f.Release).CombinedOutput(); err != nil {
		return fmt.Errorf("unpack the modules of %s: %w: %s", f.Release, err, debian.LastLines(string(out), 2))
	}
	a := newArchive(w)
	err = filepath.WalkDir(tmp, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return a.file(path, strings.TrimPrefix(path, tmp))
	})
	if err != nil {
		return err
	}
	return a.w.Close()
}

func copyModules(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel := strings.TrimPrefix(path, from+"/")
		wanted := strings.HasPrefix(rel, "modules.")
		for _, dir := range moduleDirs {
			wanted = wanted || strings.HasPrefix(rel, dir+"/") || strings.HasPrefix(rel, dir+".ko")
		}
		if !wanted || strings.Contains(rel, "/bluetooth/") || strings.Contains(rel, "/wireless/") || strings.Contains(rel, "/sunrpc/") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
			return err
		}
		return os.WriteFile(dst, b, 0o644)
	})
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// writeOverlay adds what one run brings along: paths in the guest by files here, and the script that the guest runs.
func writeOverlay(w io.Writer, files map[string]string, script string) error {
	a := newArchive(w)
	for to, from := range files {
		if err := a.file(from, to); err != nil {
			return err
		}
	}
	if err := a.entry("/job", cpio.TypeReg|0o755, []byte(script)); err != nil {
		return err
	}
	return a.w.Close()
}
