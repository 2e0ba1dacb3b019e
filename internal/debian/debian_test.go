// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"archive/tar"
	"bytes"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// What apt would install is read from its plan; other lines are not packages.
func TestPlan(t *testing.T) {
	const plan = `NOTE: This is only a simulation!
Inst netbase (6.5 Debian:13.1/stable [all])
Inst libgmp10 (2:6.3.0+dfsg-3 Debian:13.1/stable [arm64])
Inst libc6 (2.41-12+deb13u5 Debian-Security:13/stable-security, Debian:13.1/stable [arm64]) []
Conf libgmp10 (2:6.3.0+dfsg-3 Debian:13.1/stable [arm64])
Inst broken
`
	want := []Package{{Name: "netbase", Version: "6.5", Arch: "all"}, {Name: "libgmp10", Version: "2:6.3.0+dfsg-3", Arch: "arm64"}, {Name: "libc6", Version: "2.41-12+deb13u5", Arch: "arm64"}}
	if got := parsePlan(plan); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestCacheDir(t *testing.T) {
	t.Setenv("NETTRACE_CACHE", "/some/where")
	if got, err := CacheDir(); err != nil || got != "/some/where" {
		t.Errorf("%q, %v", got, err)
	}
	t.Setenv("NETTRACE_CACHE", "")
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	if got, err := CacheDir(); err != nil || got != "/var/cache/nettrace" {
		t.Errorf("without a home: %q, %v", got, err)
	}
}

func TestLastLines(t *testing.T) {
	for in, want := range map[string]string{"a\nb\nc\n": "b / c", "a": "a", "": ""} {
		if got := LastLines(in, 2); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Files and links come with absolute names, directories and devices not at all.
func TestEachFile(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{
		{Name: "./usr/", Typeflag: tar.TypeDir}, {Name: "./usr/a", Typeflag: tar.TypeReg, Size: 1}, {Name: "./usr/b", Typeflag: tar.TypeSymlink, Linkname: "a"},
		{Name: "./dev/null", Typeflag: tar.TypeChar}, {Name: "../../c", Typeflag: tar.TypeReg},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte("x"), int(h.Size))); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	see := func(h *tar.Header, content []byte) error {
		got = append(got, h.Name+"="+string(content)+h.Linkname)
		return nil
	}
	if err := eachFile(bytes.NewReader(b.Bytes()), see); err != nil || !reflect.DeepEqual(got, []string{"/usr/a=x", "/usr/b=a", "/c="}) {
		t.Errorf("%q, %v", got, err)
	}
	if err := eachFile(strings.NewReader("no archive"), see); err == nil {
		t.Error("no error for what is no archive")
	}
}

// A package that cannot be taken apart is named.
func TestBrokenPackage(t *testing.T) {
	p := &Package{Name: "x", Path: filepath.Join(t.TempDir(), "x_1_all.deb")}
	if err := p.Files(t.Context(), func(*tar.Header, []byte) error { return nil }); err == nil || !strings.Contains(err.Error(), "unpack x_1_all.deb") {
		t.Errorf("%v", err)
	}
	if _, err := p.Control(t.Context()); err == nil || !strings.Contains(err.Error(), "x_1_all.deb") {
		t.Errorf("%v", err)
	}
}
