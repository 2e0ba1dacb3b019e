// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/internal/debian"
)

// Suites are where the tools come from: Debian's stable release with its security updates.
var Suites = []string{debian.Mirror + " trixie main", debian.Security + " trixie-security main"}

// packages have the tools; netbase has the names of protocols and ports that they print.
var packages = []string{"iptables", "nftables", "ipset", "netbase"}

// programs are what pkg/netstate runs.
var programs = []string{"/usr/sbin/iptables-legacy-save", "/usr/sbin/ip6tables-legacy-save", "/usr/sbin/iptables-nft-save", "/usr/sbin/ip6tables-nft-save",
	"/usr/sbin/nft", "/usr/sbin/ipset"}

// extension of iptables; those of ebtables and arptables lie beside them.
var extension = regexp.MustCompile(`^lib(xt|ipt|ip6t)_.*\.so$`)

// Programs are the tools of the image.
func Programs() []string { return slices.Clone(programs) }

// wanted says whether a file is taken although no program asks for it: the extensions of iptables are loaded by name, and the licences go with
// what they are for.
func wanted(name string) bool {
	dir := path.Dir(name)
	return slices.Contains(programs, name) || path.Base(dir) == "xtables" && extension.MatchString(path.Base(name)) || name == "/etc/protocols" || name == "/etc/services"
}

// File is a file or, when Link is set, a symbolic link of the image.
type File struct {
	Name    string // absolute
	Link    string
	Exec    bool
	Content []byte
	Package string // Debian's, where it is from one
}

// Component is a Debian package of which something is in the image.
type Component struct {
	debian.Package
	Control   []byte // its control paragraph
	Copyright []byte
}

// Tools are the files of the tools for an architecture, and the packages that they are from. When the archive could not be reached and what was
// fetched before was taken, stale is true.
func Tools(ctx context.Context, cache, arch string) (files []File, from []Component, stale bool, err error) {
	a := &debian.Apt{Dir: filepath.Join(cache, "image", arch), Suites: Suites, Arch: arch}
	all, stale, err := a.Closure(ctx, packages)
	if err != nil {
		return nil, nil, false, fmt.Errorf("fetch the tools for %s: %w", arch, err)
	}
	have := tree{}
	for i := range all {
		if err := have.add(ctx, &all[i]); err != nil {
			return nil, nil, false, err
		}
	}
	files, err = have.closure()
	if err != nil {
		return nil, nil, false, fmt.Errorf("choose the files for %s: %w", arch, err)
	}
	for i := range all {
		p := &all[i]
		if !slices.ContainsFunc(files, func(f File) bool { return f.Package == p.Name }) {
			continue
		}
		c := Component{Package: *p}
		if c.Control, err = p.Control(ctx); err != nil {
			return nil, nil, false, err
		}
		name := "/usr/share/doc/" + p.Name + "/copyright"
		licence, ok := have.follow(name)
		if !ok {
			return nil, nil, false, fmt.Errorf("package %s has no %s", p.Name, name)
		}
		c.Copyright = licence.Content
		// dpkg's list in the form of images without dpkg: scanners find the packages there
		files = append(files, File{Name: name, Content: c.Copyright, Package: p.Name}, File{Name: "/var/lib/dpkg/status.d/" + p.Name, Content: c.Control, Package: p.Name})
		from = append(from, c)
	}
	return files, from, stale, nil
}

// tree are the files of all packages by their names.
type tree map[string]File

func (t tree) add(ctx context.Context, p *debian.Package) error {
	return p.Files(ctx, func(h *tar.Header, content []byte) error {
		f := File{Name: unmerged(h.Name), Exec: h.Mode&0o100 != 0, Content: content, Package: p.Name}
		switch h.Typeflag {
		case tar.TypeSymlink:
			f.Link, f.Content = h.Linkname, nil
		case tar.TypeLink:
			f.Link, f.Content = path.Join("/", h.Linkname), nil
		}
		t[f.Name] = f
		return nil
	})
}

// unmerged gives files the one place that they have since /bin, /lib and /sbin are links into /usr.
func unmerged(name string) string {
	for _, d := range mergedDirs {
		if strings.HasPrefix(name, d+"/") {
			return "/usr" + name
		}
	}
	return name
}

var mergedDirs = []string{"/bin", "/lib", "/lib64", "/sbin"}

// follow is the file that a name leads to, through links.
func (t tree) follow(name string) (File, bool) {
	for range 8 {
		f, ok := t[unmerged(name)]
		if !ok || f.Link == "" {
			return f, ok
		}
		name = f.Link
		if !path.IsAbs(name) {
			name = path.Join(path.Dir(f.Name), name)
		}
	}
	return File{}, false
}

// closure is what is wanted, with the interpreter and the libraries that the programs and extensions load, and the links on the way to them.
func (t tree) closure() ([]File, error) {
	taken := map[string]bool{}
	var take func(name string) error
	take = func(name string) error {
		name = unmerged(name)
		f, ok := t[name]
		if taken[name] {
			return nil
		}
		if !ok {
			return fmt.Errorf("no package has %s", name)
		}
		taken[name] = true
		if f.Link != "" {
			if path.IsAbs(f.Link) {
				return take(f.Link)
			}
			return take(path.Join(path.Dir(name), f.Link))
		}
		needs, err := t.needs(f)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, n := range needs {
			if err := take(n); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	}
	for _, name := range append(slices.Clone(programs), "/etc/protocols", "/etc/services") {
		if err := take(name); err != nil {
			return nil, err
		}
	}
	for name := range t {
		if wanted(name) {
			if err := take(name); err != nil {
				return nil, err
			}
		}
	}
	var out []File
	for name := range taken {
		out = append(out, t[name])
	}
	return out, nil
}

// needs are the names of the files that an ELF file loads; none for anything else.
func (t tree) needs(f File) ([]string, error) {
	if !bytes.HasPrefix(f.Content, []byte(elf.ELFMAG)) {
		return nil, nil
	}
	e, err := elf.NewFile(bytes.NewReader(f.Content))
	if err != nil {
		return nil, err
	}
	defer func() { _ = e.Close() }()
	var out []string
	for _, p := range e.Progs {
		if p.Type == elf.PT_INTERP {
			b := make([]byte, min(p.Filesz, 256))
			if _, err := p.ReadAt(b, 0); err != nil {
				return nil, err
			}
			out = append(out, string(bytes.TrimRight(b, "\x00")))
		}
	}
	libs, err := e.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	for _, lib := range libs {
		name, ok := t.library(lib)
		if !ok {
			return nil, fmt.Errorf("no package has the library %s", lib)
		}
		out = append(out, name)
	}
	return out, nil
}

// library finds a library where the loader looks without a cache: in /usr/lib/TRIPLET.
func (t tree) library(soname string) (string, bool) {
	for name := range t {
		if path.Base(name) == soname && path.Dir(path.Dir(name)) == "/usr/lib" {
			return name, true
		}
	}
	return "", false
}
