// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"

	"github.com/nettrace-io/nettrace/internal/debian"
)

var then = time.Unix(1700000000, 0).UTC()

// entries reads a tar.
func entries(t *testing.T, r io.Reader) map[string]*tar.Header {
	t.Helper()
	out := map[string]*tar.Header{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if out[h.Name] != nil {
			t.Errorf("%s is there twice", h.Name)
		}
		out[h.Name] = h
	}
}

// A layer has each directory before what is in it, belongs to root, can be written by nobody else, and is the same whatever the order.
func TestLayer(t *testing.T) {
	files := []File{{Name: "/usr/bin/x", Exec: true, Content: []byte("x")}, {Name: "/etc/y", Content: []byte("yy")}, {Name: "/bin", Link: "usr/bin"}}
	var packed [2]bytes.Buffer
	for i := range packed {
		if err := pack(&packed[i], files, []string{"/run/netns", "/proc"}, then); err != nil {
			t.Fatal(err)
		}
		slices.Reverse(files)
	}
	if !bytes.Equal(packed[0].Bytes(), packed[1].Bytes()) {
		t.Error("the order of files changes the layer")
	}
	got := map[string]int64{}
	for name, h := range entries(t, &packed[0]) {
		got[name] = h.Mode
		if h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(then) || h.Typeflag != tar.TypeSymlink && h.Mode&0o022 != 0 {
			t.Errorf("%s: owner %d:%d, mode %o, time %v", name, h.Uid, h.Gid, h.Mode, h.ModTime)
		}
	}
	want := map[string]int64{"bin": 0o777, "etc/": 0o755, "etc/y": 0o644, "proc/": 0o755, "run/": 0o755, "run/netns/": 0o755, "usr/": 0o755, "usr/bin/": 0o755, "usr/bin/x": 0o755}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("entries %v, want %v", got, want)
	}
}

func TestLayerRefusesTwoOfAName(t *testing.T) {
	same := File{Name: "/a", Content: []byte("1")}
	if err := pack(io.Discard, []File{same, same}, nil, then); err != nil {
		t.Errorf("the same file twice: %v", err)
	}
	if err := pack(io.Discard, []File{same, {Name: "/a", Content: []byte("2")}}, nil, then); err == nil || !strings.Contains(err.Error(), "/a is there twice") {
		t.Errorf("two files of a name: %v", err)
	}
}

// The names of files are one, whichever of the two places a package has them in; links are followed, and those that lead nowhere or in circles end.
func TestTreeFollowsLinks(t *testing.T) {
	have := tree{"/usr/lib/a.so.1": {Name: "/usr/lib/a.so.1"}, "/usr/lib/a.so": {Name: "/usr/lib/a.so", Link: "a.so.1"}, "/usr/bin/b": {Name: "/usr/bin/b", Link: "/lib/a.so"},
		"/c": {Name: "/c", Link: "c"}, "/d": {Name: "/d", Link: "gone"}}
	for name, want := range map[string]string{"/lib/a.so": "/usr/lib/a.so.1", "/bin/b": "/usr/lib/a.so.1", "/c": "", "/d": "", "/e": ""} {
		if f, ok := have.follow(name); f.Name != want || ok != (want != "") {
			t.Errorf("%s leads to %q (%v), want %q", name, f.Name, ok, want)
		}
	}
}

// What an ELF file needs is its interpreter and its libraries; a script or a broken file needs nothing or is an error.
func TestClosureOfPrograms(t *testing.T) {
	have := tree{}
	for _, name := range append(Programs(), "/etc/protocols", "/etc/services", "/usr/lib/t/xtables/libxt_a.so", "/usr/lib/t/xtables/libebt_b.so", "/usr/bin/other") {
		have[name] = File{Name: name, Content: []byte("#!/bin/sh\n")}
	}
	files, err := have.closure()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Name)
	}
	slices.Sort(got)
	want := append(Programs(), "/etc/protocols", "/etc/services", "/usr/lib/t/xtables/libxt_a.so")
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	have["/usr/sbin/nft"] = File{Name: "/usr/sbin/nft", Content: []byte("\x7fELF and no more")}
	if _, err := have.closure(); err == nil || !strings.Contains(err.Error(), "/usr/sbin/nft") {
		t.Errorf("a broken program: %v", err)
	}
	delete(have, "/usr/sbin/nft")
	if _, err := have.closure(); err == nil || !strings.Contains(err.Error(), "no package has /usr/sbin/nft") {
		t.Errorf("no program: %v", err)
	}
}

func TestDebianLicences(t *testing.T) {
	const text = "Format: x\n\nFiles: *\nCopyright: me\nLicense: GPL-2+\n text\n\nFiles: y\nLicense: BSD-3-clause\n\nLicense: GPL-2+\nLicense:\n"
	if got := debianLicences([]byte(text)); !slices.Equal(got, []string{"BSD-3-clause", "GPL-2+"}) {
		t.Errorf("%q", got)
	}
	if got := debianLicences([]byte("This is prose.\n")); len(got) != 0 {
		t.Errorf("prose: %q", got)
	}
}

func TestLicencesOfModules(t *testing.T) {
	l, err := newLicences()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if got := l.of(dir); got != noAssertion {
		t.Errorf("no file: %s", got)
	}
	apache, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "LICENSE"), apache, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "COPYING.txt"), []byte("nobody's words"), 0o600); err != nil {
		t.Fatal(err)
	}
	for where, want := range map[string]string{dir: "Apache-2.0", "": noAssertion, filepath.Join(dir, "gone"): noAssertion} {
		if got := l.of(where); got != want {
			t.Errorf("%q: %s, want %s", where, got, want)
		}
	}
}

func TestPackageURLs(t *testing.T) {
	for got, want := range map[string]string{
		purl("deb", "debian", "libgmp10", "2:6.3.0+dfsg-3", "arch", "arm64", "distro", "debian-13"): "pkg:deb/debian/libgmp10@2%3A6.3.0%2Bdfsg-3?arch=arm64&distro=debian-13",
		purlGo("k8s.io/api", "v0.37.2"): "pkg:golang/k8s.io/api@v0.37.2",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// executable is this test's own binary: a Go program with modules.
func executable(t *testing.T) []byte {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The SBOM can be read again; all of it hangs together; every module and package has a version and a place where scanners find it.
func TestSBOM(t *testing.T) {
	self := executable(t)
	deb := filepath.Join(t.TempDir(), "x.deb")
	if err := os.WriteFile(deb, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	from := []Component{{Package: debian.Package{Name: "libx1", Version: "1:2-3", Arch: "amd64", Path: deb}, Copyright: []byte("License: Expat\n")}}
	o := Options{Version: "v1.2.3", Created: then}
	b, err := SBOM(o, "amd64", self, from)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := SBOM(o, "amd64", self, from); err != nil || !bytes.Equal(b, again) {
		t.Errorf("made again it differs: %v", err)
	}
	doc, err := spdxjson.Read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	checkSBOM(t, doc)
	if doc.CreationInfo.Created != "2023-11-14T22:13:20Z" || !strings.HasPrefix(doc.DocumentNamespace, "https://github.com/nettrace-io/nettrace/spdx/v1.2.3/amd64/") {
		t.Errorf("made %s, named %s", doc.CreationInfo.Created, doc.DocumentNamespace)
	}
	last := doc.Packages[len(doc.Packages)-1]
	if last.PackageName != "libx1" || last.PackageVersion != "1:2-3" || last.PackageLicenseComments != "debian/copyright names: Expat" || len(last.PackageChecksums) != 1 {
		t.Errorf("the package is %+v", last)
	}
}

func checkSBOM(t *testing.T, doc *spdx.Document) {
	t.Helper()
	names := map[string]bool{"DOCUMENT": true}
	for _, p := range doc.Packages {
		if names[string(p.PackageSPDXIdentifier)] {
			t.Errorf("two packages are %s", p.PackageSPDXIdentifier)
		}
		names[string(p.PackageSPDXIdentifier)] = true
		if p.PackageVersion == "" || len(p.PackageExternalReferences) != 1 || p.PackageLicenseDeclared == "" {
			t.Errorf("%s: version %q, %d references, licence %q", p.PackageName, p.PackageVersion, len(p.PackageExternalReferences), p.PackageLicenseDeclared)
		}
	}
	if len(doc.Relationships) != len(doc.Packages) { // each package has one above it, the image has the document
		t.Errorf("%d packages, %d relationships", len(doc.Packages), len(doc.Relationships))
	}
	for _, r := range doc.Relationships {
		if !names[string(r.RefA.ElementRefID)] || !names[string(r.RefB.ElementRefID)] {
			t.Errorf("%s %s %s leads nowhere", r.RefA.ElementRefID, r.Relationship, r.RefB.ElementRefID)
		}
	}
}

// The archive holds one index with an image for each architecture, whose blobs have the digests that they are called by.
func TestArchive(t *testing.T) {
	o := Options{Version: "v1.2.3", Revision: "abc", Created: then}
	var all []*Built
	for _, arch := range []string{"amd64", "arm64"} {
		layer, err := Layer([]File{{Name: "/a", Content: []byte(arch)}}, nil, then)
		if err != nil {
			t.Fatal(err)
		}
		img, err := mutate.AppendLayers(empty.Image, layer)
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.ConfigFile(img, configFor(t, img, arch)); err != nil {
			t.Fatal(err)
		}
		all = append(all, &Built{Arch: arch, Image: img})
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "image.tar")
	if err := WriteArchive(path, Index(o, all), o); err != nil {
		t.Fatal(err)
	}
	unpacked := t.TempDir()
	untar(t, path, unpacked)
	index, err := layout.ImageIndexFromPath(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	m, err := index.IndexManifest()
	if err != nil || len(m.Manifests) != 1 || m.Manifests[0].Annotations["io.containerd.image.name"] != "ghcr.io/nettrace-io/nettrace:v1.2.3" {
		t.Fatalf("%v, %v", m, err)
	}
	inner, err := index.ImageIndex(m.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	im, err := inner.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, d := range im.Manifests {
		platforms = append(platforms, d.Platform.String())
	}
	if !slices.Equal(platforms, []string{"linux/amd64", "linux/arm64/v8"}) || im.Annotations["org.opencontainers.image.revision"] != "abc" {
		t.Errorf("platforms %v, annotations %v", platforms, im.Annotations)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func configFor(t *testing.T, img v1.Image, arch string) *v1.ConfigFile {
	t.Helper()
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c = c.DeepCopy()
	c.OS, c.Architecture, c.Variant = "linux", arch, map[string]string{"arm64": "v8"}[arch]
	return c
}

func untar(t *testing.T, path, to string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for tr := tar.NewReader(f); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(to, filepath.Dir(h.Name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Clean(h.Name)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Both architectures' images are complete from Debian's archive: the loader and all libraries that a program asks for, the licences, nothing that
// another than root could write, and dpkg's list for scanners.
func TestImagesOfDebian(t *testing.T) {
	if testing.Short() {
		t.Skip("fetches packages from Debian's archive")
	}
	cache, err := debian.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	self := executable(t)
	loaders := map[string]string{"amd64": "usr/lib64/ld-linux-x86-64.so.2", "arm64": "usr/lib/ld-linux-aarch64.so.1"}
	for arch, loader := range loaders {
		b, err := Build(t.Context(), Options{Cache: cache, Version: "test", Created: then}, arch, self)
		if err != nil {
			t.Fatal(err)
		}
		all := contents(t, b.Image)
		for _, name := range []string{loader, "usr/bin/nettrace", "usr/sbin/nft", "usr/sbin/iptables-legacy-save", "usr/share/doc/libc6/copyright", "var/lib/dpkg/status.d/libc6", "usr/share/sbom/nettrace.spdx.json", "run/netns"} {
			if all[name] == nil {
				t.Errorf("%s: no %s", arch, name)
			}
		}
		for name, h := range all {
			if h.Typeflag != tar.TypeSymlink && (h.Mode&0o022 != 0 || h.Mode&0o7000 != 0) || h.Uid != 0 || h.Gid != 0 {
				t.Errorf("%s: %s has mode %o, owner %d:%d", arch, name, h.Mode, h.Uid, h.Gid)
			}
		}
		c, err := b.Image.ConfigFile()
		if err != nil || c.Architecture != arch || c.OS != "linux" || !slices.Equal(c.Config.Entrypoint, []string{"/usr/bin/nettrace"}) {
			t.Errorf("%s: config %+v, %v", arch, c, err)
		}
	}
}

func contents(t *testing.T, img v1.Image) map[string]*tar.Header {
	t.Helper()
	r := mutate.Extract(img)
	defer r.Close()
	return entries(t, r)
}
