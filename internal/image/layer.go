// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// base is what every process expects.
func base() []File {
	out := []File{
		{Name: "/etc/passwd", Content: []byte("root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n")},
		{Name: "/etc/group", Content: []byte("root:x:0:\nnogroup:x:65534:\n")},
		{Name: "/etc/nsswitch.conf", Content: []byte("passwd: files\ngroup: files\nhosts: files dns\nprotocols: files\nservices: files\n")},
	}
	for _, d := range mergedDirs {
		out = append(out, File{Name: d, Link: "usr" + d})
	}
	return out
}

// mountPoints are directories that the debug pod's mounts and the runtimes expect: with a read-only root nobody can make them later.
var mountPoints = []string{"/dev", "/etc", "/proc", "/run", "/run/netns", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/sbin"}

// Layer packs files: sorted, of root, written at the same time, and for nobody else to write.
func Layer(files []File, dirs []string, at time.Time) (v1.Layer, error) {
	var buf bytes.Buffer
	if err := pack(&buf, files, dirs, at); err != nil {
		return nil, fmt.Errorf("pack a layer: %w", err)
	}
	b := buf.Bytes()
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil },
		tarball.WithCompressedCaching, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(9))
}

func pack(w io.Writer, files []File, dirs []string, at time.Time) error {
	entries := map[string]File{}
	for _, f := range files {
		if old, ok := entries[f.Name]; ok && (old.Link != f.Link || !bytes.Equal(old.Content, f.Content)) {
			return fmt.Errorf("%s is there twice, and not the same", f.Name)
		}
		entries[f.Name] = f
	}
	every := map[string]bool{}
	for _, d := range append(slices.Collect(maps.Keys(entries)), dirs...) {
		if _, file := entries[d]; file {
			d = path.Dir(d)
		}
		for ; d != "/"; d = path.Dir(d) {
			every[d] = true
		}
	}
	t := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(merge(every, entries))) {
		h := &tar.Header{Name: strings.TrimPrefix(name, "/"), ModTime: at, Format: tar.FormatPAX}
		f, file := entries[name]
		switch {
		case !file:
			h.Typeflag, h.Mode, h.Name = tar.TypeDir, 0o755, h.Name+"/"
		case f.Link != "":
			h.Typeflag, h.Mode, h.Linkname = tar.TypeSymlink, 0o777, f.Link
		default:
			h.Typeflag, h.Mode, h.Size = tar.TypeReg, 0o644, int64(len(f.Content))
			if f.Exec {
				h.Mode = 0o755
			}
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.Content); err != nil {
			return err
		}
	}
	return t.Close()
}

func merge(dirs map[string]bool, files map[string]File) map[string]bool {
	all := maps.Clone(dirs)
	for name := range files {
		all[name] = true
	}
	return all
}
