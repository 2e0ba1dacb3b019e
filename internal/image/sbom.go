// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

const noAssertion = "NOASSERTION" // SPDX's word for what is not known

// SBOM lists what an image consists of: nettrace, the Go modules linked into the binary, and Debian's packages. Licences of modules are
// read from their files; those of packages stand in their copyright files, whose words are quoted, because Debian's names are not SPDX's.
func SBOM(o Options, arch string, binary []byte, from []Component) ([]byte, error) {
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		return nil, fmt.Errorf("read the modules of the binary: %w", err)
	}
	doc := &v2_3.Document{
		SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: "nettrace " + o.Version + " linux/" + arch,
		CreationInfo: &v2_3.CreationInfo{Created: o.Created.UTC().Format(time.RFC3339), Creators: []common.Creator{{CreatorType: "Tool", Creator: "nettrace-imagebuild"}}},
	}
	image := sbomPackage("image", "nettrace", o.Version, "https://github.com/nettrace-io/nettrace", "Apache-2.0", purl("oci", "", "nettrace", o.Version, "arch", arch))
	image.PrimaryPackagePurpose = "CONTAINER"
	program := sbomPackage("binary", info.Main.Path, o.Version, "https://github.com/nettrace-io/nettrace", "Apache-2.0", purlGo(info.Main.Path, o.Version))
	program.PackageLicenseComments = "The programs that it loads into the kernel are dual licensed: BSD-2-Clause OR GPL-2.0-only."
	program.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: hash(binary)}}
	program.PrimaryPackagePurpose = "APPLICATION"
	doc.Packages = []*v2_3.Package{image, program}
	relate := func(a common.ElementID, how string, b common.ElementID) {
		doc.Relationships = append(doc.Relationships, &v2_3.Relationship{RefA: common.MakeDocElementID("", string(a)), RefB: common.MakeDocElementID("", string(b)), Relationship: how})
	}
	relate("DOCUMENT", "DESCRIBES", image.PackageSPDXIdentifier)
	relate(image.PackageSPDXIdentifier, "CONTAINS", program.PackageSPDXIdentifier)
	modules, err := goModules(o, info)
	if err != nil {
		return nil, err
	}
	for _, m := range modules {
		doc.Packages = append(doc.Packages, m)
		relate(program.PackageSPDXIdentifier, "DEPENDS_ON", m.PackageSPDXIdentifier)
	}
	for i := range from {
		p := debianPackage(&from[i])
		doc.Packages = append(doc.Packages, p)
		relate(image.PackageSPDXIdentifier, "CONTAINS", p.PackageSPDXIdentifier)
	}
	doc.DocumentNamespace = "https://github.com/nettrace-io/nettrace/spdx/" + url.PathEscape(o.Version) + "/" + arch + "/" + contentHash(doc)
	var buf bytes.Buffer
	if err := json.Write(doc, &buf, json.Indent(" ")); err != nil {
		return nil, fmt.Errorf("write the SBOM: %w", err)
	}
	return buf.Bytes(), nil
}

func goModules(o Options, info *debug.BuildInfo) ([]*v2_3.Package, error) {
	l, err := newLicences()
	if err != nil {
		return nil, err
	}
	out := []*v2_3.Package{sbomPackage("go-stdlib", "stdlib", strings.TrimPrefix(info.GoVersion, "go"), "https://go.dev/dl/", "BSD-3-Clause",
		purl("golang", "", "stdlib", strings.TrimPrefix(info.GoVersion, "go")))}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		licence := l.of(o.Modules[m.Path+"@"+m.Version])
		p := sbomPackage("go-"+m.Path, m.Path, m.Version, "https://proxy.golang.org/"+m.Path+"/@v/"+m.Version+".zip", licence, purlGo(m.Path, m.Version))
		if m.Sum != "" {
			p.PackageComment = "go.sum: " + m.Sum
		}
		out = append(out, p)
	}
	return out, nil
}

func debianPackage(c *Component) *v2_3.Package {
	p := sbomPackage("deb-"+c.Name, c.Name, c.Version, noAssertion, noAssertion, purl("deb", "debian", c.Name, c.Version, "arch", c.Arch, "distro", "debian-13"))
	if names := debianLicences(c.Copyright); len(names) > 0 {
		p.PackageLicenseComments = "debian/copyright names: " + strings.Join(names, ", ")
	}
	if b, err := os.ReadFile(c.Path); err == nil {
		p.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: hash(b)}}
	}
	p.PackageSupplier = &common.Supplier{SupplierType: "Organization", Supplier: "Debian"}
	return p
}

// debianLicences are the short names of the licence fields of a machine-readable copyright file; none when it is prose.
func debianLicences(copyright []byte) []string {
	found := map[string]bool{}
	for s := bufio.NewScanner(bytes.NewReader(copyright)); s.Scan(); {
		if name, ok := strings.CutPrefix(s.Text(), "License:"); ok && strings.TrimSpace(name) != "" {
			found[strings.TrimSpace(name)] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func sbomPackage(id, name, version, from, licence, purl string) *v2_3.Package {
	return &v2_3.Package{
		PackageSPDXIdentifier: common.ElementID("Package-" + notAllowed.ReplaceAllString(id, "-")), PackageName: name, PackageVersion: version,
		PackageDownloadLocation: from, PackageLicenseDeclared: licence, PackageLicenseConcluded: licence, PackageCopyrightText: noAssertion,
		IsFilesAnalyzedTagPresent: true,
		PackageExternalReferences: []*v2_3.PackageExternalReference{{Category: "PACKAGE-MANAGER", RefType: "purl", Locator: purl}},
	}
}

// notAllowed in an SPDX identifier.
var notAllowed = regexp.MustCompile(`[^A-Za-z0-9.-]`)

// purl is a package URL, by which scanners look for known faults; qualifiers come in pairs.
func purl(kind, space, name, version string, qualifiers ...string) string {
	s := "pkg:" + kind + "/"
	if space != "" {
		s += space + "/"
	}
	s += url.PathEscape(name) + "@" + url.QueryEscape(version)
	for i := 0; i+1 < len(qualifiers); i += 2 {
		s += map[bool]string{true: "?", false: "&"}[i == 0] + qualifiers[i] + "=" + url.QueryEscape(qualifiers[i+1])
	}
	return s
}

func purlGo(module, version string) string {
	return "pkg:golang/" + module + "@" + url.PathEscape(version)
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// contentHash makes the document's name unique to what it says.
func contentHash(doc *v2_3.Document) string {
	var buf bytes.Buffer
	if err := json.Write(doc, &buf); err != nil {
		return "0"
	}
	return hash(buf.Bytes())[:16]
}
