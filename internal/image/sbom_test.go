// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"

	"github.com/nettrace-io/nettrace/internal/debian"
)

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
