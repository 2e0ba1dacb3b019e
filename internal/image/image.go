// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Name is what the image is called, without a tag.
const Name = "ghcr.io/nettrace-io/nettrace"

// Options say what is built.
type Options struct {
	Cache    string    // directory of Debian's packages
	Version  string    // of nettrace
	Revision string    // commit; "" when not known
	Created  time.Time // of every file and of the image
	// Modules are the directories of Go modules by path@version, for their licences.
	Modules map[string]string
}

// Built is the image of one architecture.
type Built struct {
	Arch  string // as Go and OCI write it: "amd64", "arm64"
	Image v1.Image
	SBOM  []byte // SPDX 2.3, JSON
	Stale bool   // Debian could not be reached: the packages are those that were fetched before
}

// Build makes the image of an architecture around the static binary.
func Build(ctx context.Context, o Options, arch string, binary []byte) (*Built, error) {
	tools, from, stale, err := Tools(ctx, o.Cache, arch)
	if err != nil {
		return nil, err
	}
	sbom, err := SBOM(o, arch, binary, from)
	if err != nil {
		return nil, err
	}
	lower, err := Layer(append(base(), tools...), mountPoints, o.Created)
	if err != nil {
		return nil, err
	}
	upper, err := Layer([]File{{Name: "/usr/bin/nettrace", Exec: true, Content: binary}, {Name: "/usr/share/sbom/nettrace.spdx.json", Content: sbom}}, nil, o.Created)
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	history := func(what string) v1.History { return v1.History{Created: v1.Time{Time: o.Created}, CreatedBy: what} }
	img, err = mutate.Append(img, mutate.Addendum{Layer: lower, History: history("tools of Debian that list rules")}, mutate.Addendum{Layer: upper, History: history("nettrace " + o.Version)})
	if err != nil {
		return nil, fmt.Errorf("put the layers together: %w", err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Architecture, config.OS, config.Created = arch, "linux", v1.Time{Time: o.Created}
	if arch == "arm64" {
		config.Variant = "v8"
	}
	config.Config = v1.Config{Entrypoint: []string{"/usr/bin/nettrace"}, Env: []string{"PATH=/usr/sbin:/usr/bin"}, WorkingDir: "/", User: "0:0", Labels: o.labels()}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return nil, fmt.Errorf("configure the image: %w", err)
	}
	return &Built{Arch: arch, Image: img, SBOM: sbom, Stale: stale}, nil
}

// labels are those of the OCI image specification, annotations.md.
func (o *Options) labels() map[string]string {
	m := map[string]string{
		"org.opencontainers.image.title":       "nettrace",
		"org.opencontainers.image.description": "Follow a packet through this node and learn which layer dropped it",
		"org.opencontainers.image.source":      "https://github.com/nettrace-io/nettrace",
		"org.opencontainers.image.version":     o.Version,
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.created":     o.Created.UTC().Format(time.RFC3339),
	}
	if o.Revision != "" {
		m["org.opencontainers.image.revision"] = o.Revision
	}
	return m
}

// Index is the image for all architectures.
func Index(o Options, all []*Built) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, b := range all {
		p := &v1.Platform{OS: "linux", Architecture: b.Arch}
		if b.Arch == "arm64" {
			p.Variant = "v8"
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: b.Image, Descriptor: v1.Descriptor{Platform: p}})
	}
	return mutate.Annotations(index, o.labels()).(v1.ImageIndex)
}

// WriteArchive writes the index as an OCI archive, which skopeo, podman and containerd read: a tar of an OCI image layout.
func WriteArchive(to string, index v1.ImageIndex, o Options) error {
	dir, err := os.MkdirTemp(filepath.Dir(to), ".layout-")
	if err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	defer os.RemoveAll(dir)
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	names := map[string]string{"org.opencontainers.image.ref.name": o.Version, "io.containerd.image.name": Name + ":" + o.Version}
	if err := l.AppendIndex(index, layout.WithAnnotations(names)); err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(to), ".image-")
	if err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // which is not there any more when all went well
	if err := archive(f, dir, o.Created); err != nil {
		return errors.Join(fmt.Errorf("write the image: %w", err), f.Close())
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	return os.Rename(f.Name(), to)
}

// archive packs a directory, oci-layout and index.json first.
func archive(w io.Writer, dir string, at time.Time) error {
	var names []string
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, rerr := filepath.Rel(dir, p)
			names, err = append(names, rel), rerr
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(names)
	slices.Reverse(names)
	t := tar.NewWriter(w)
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if err := t.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(b)), ModTime: at}); err != nil {
			return err
		}
		if _, err := t.Write(b); err != nil {
			return err
		}
	}
	return t.Close()
}

// Size is how large an image is, in bytes.
type Size struct{ Compressed, Unpacked int64 }

// Measure adds up the layers.
func Measure(img v1.Image) (s Size, err error) {
	layers, err := img.Layers()
	if err != nil {
		return s, err
	}
	for _, l := range layers {
		n, err := l.Size()
		if err != nil {
			return s, err
		}
		s.Compressed += n
		r, err := l.Uncompressed()
		if err != nil {
			return s, err
		}
		n, err = io.Copy(io.Discard, r)
		_ = r.Close()
		if err != nil {
			return s, err
		}
		s.Unpacked += n
	}
	return s, nil
}
