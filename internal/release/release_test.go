// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// An archive has the plugin, which can be run, and the licence, and is the same each time.
func TestPack(t *testing.T) {
	at := time.Unix(1700000000, 0)
	b, err := pack([]byte("program"), []byte("licence"), at)
	if err != nil {
		t.Fatal(err)
	}
	again, err := pack([]byte("program"), []byte("licence"), at)
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("packed again it differs: %v", err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	type file struct {
		name, content string
		mode          int64
	}
	var got []file
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil || h.Uid != 0 || !h.ModTime.Equal(at) {
			t.Errorf("%s: owner %d, time %v, %v", h.Name, h.Uid, h.ModTime, err)
		}
		got = append(got, file{h.Name, string(content), h.Mode})
	}
	if want := []file{{"LICENSE", "licence", 0o644}, {"kubectl-nettrace", "program", 0o755}}; !reflect.DeepEqual(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
}

// plugin is what krew takes: apiVersion krew.googlecontainertools.github.com/v1alpha2 (krew, pkg/index/types.go).
type plugin struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Version          string `json:"version"`
		ShortDescription string `json:"shortDescription"`
		Description      string `json:"description"`
		Caveats          string `json:"caveats"`
		Homepage         string `json:"homepage"`
		Platforms        []struct {
			URI      string `json:"uri"`
			SHA256   string `json:"sha256"`
			Selector struct {
				MatchLabels map[string]string `json:"matchLabels"`
			} `json:"selector"`
			Files []struct {
				From string `json:"from"`
				To   string `json:"to"`
			} `json:"files"`
			Bin string `json:"bin"`
		} `json:"platforms"`
	} `json:"spec"`
}

// The manifest has only fields that krew knows, and a platform for each archive, with its sum.
func TestManifest(t *testing.T) {
	all := []archive{{"linux", "amd64", "a.tar.gz", strings.Repeat("a", 64)}, {"linux", "arm64", "b.tar.gz", strings.Repeat("b", 64)}}
	b, err := manifest("../../deploy/krew/nettrace.yaml", "v1.2.3", all)
	if err != nil {
		t.Fatal(err)
	}
	var p plugin
	if err := yaml.UnmarshalStrict(b, &p); err != nil {
		t.Fatalf("%v in\n%s", err, b)
	}
	if p.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || p.Kind != "Plugin" || p.Metadata.Name != "nettrace" || p.Spec.Version != "v1.2.3" {
		t.Errorf("%s %s %s %s", p.APIVersion, p.Kind, p.Metadata.Name, p.Spec.Version)
	}
	if n := len(p.Spec.ShortDescription); n == 0 || n > 50 || p.Spec.Description == "" || p.Spec.Homepage == "" {
		t.Errorf("short description of %d characters, description %q, homepage %q", n, p.Spec.Description, p.Spec.Homepage)
	}
	if len(p.Spec.Platforms) != len(all) {
		t.Fatalf("%d platforms", len(p.Spec.Platforms))
	}
	for i, a := range all {
		x := p.Spec.Platforms[i]
		if x.SHA256 != a.SHA256 || !strings.HasSuffix(x.URI, "/v1.2.3/"+a.Name) || !strings.HasPrefix(x.URI, "https://") || x.Bin != "kubectl-nettrace" || len(x.Files) != 2 ||
			!reflect.DeepEqual(x.Selector.MatchLabels, map[string]string{"os": a.OS, "arch": a.Arch}) {
			t.Errorf("platform %+v for %+v", x, a)
		}
	}
}

// A version that krew would refuse is refused here, before anything is built.
func TestVersions(t *testing.T) {
	for version, good := range map[string]bool{"v1.2.3": true, "v1.2.3-rc.1": true, "1.2.3": false, "v1.2": false, "abc123-dirty": false, "": false, "v1.2.3\n": false, "v1.2.3 x": false} {
		if semver.MatchString(version) != good {
			t.Errorf("%q: %v", version, !good)
		}
	}
	if err := run(t.Context(), "devel", t.TempDir()); err == nil || !strings.Contains(err.Error(), "tag the commit as v1.2.3") {
		t.Errorf("%v", err)
	}
}

func TestManifestThatIsNone(t *testing.T) {
	if _, err := manifest("no such file", "v1.2.3", nil); err == nil || !strings.Contains(err.Error(), "read krew's manifest") {
		t.Errorf("%v", err)
	}
}
