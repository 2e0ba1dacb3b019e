// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"

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
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("needs apt-get, as Debian and Ubuntu have it")
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
