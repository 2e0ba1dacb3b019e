// SPDX-License-Identifier: Apache-2.0

package vmtest

import "regexp"

// Kernel is one line of the matrix: the newest package of a Debian suite whose name fits.
type Kernel struct {
	Line   string   // name of the line: "5.10"
	Suites []string // apt sources "URL SUITE COMPONENT"
	Name   *regexp.Regexp
	// Parts are the packages that hold the kernel, with %s for the release; one package before Debian split them.
	Parts []string
	// Blind are the points that do not attach, by name, with words of the reason; any other blind point fails the tests.
	Blind map[string]string
	// BlindOn are those that do not attach on one rung, when that one is forced.
	BlindOn map[string]map[string]string
	// Rungs are the backends that this kernel is known to have, besides the tracepoints; a test forces each of them.
	Rungs []string
	Why   string // what makes it different
}

const (
	mirror   = "http://deb.debian.org/debian"
	security = "http://deb.debian.org/debian-security"
)

// Kernels is the matrix, oldest first.
var Kernels = []Kernel{
	{
		Line: "5.10", Suites: []string{mirror + " bullseye main", security + " bullseye-security main"},
		Name: regexp.MustCompile(`^linux-image-(5\.10\.0-\d+-cloud-amd64)$`), Parts: []string{"linux-image-%s"},
		Rungs: []string{"kprobe", "fentry"}, Why: "no drop reasons, no module BTF, no kprobe.multi",
	},
	{
		Line: "6.1", Suites: []string{mirror + " bookworm main", security + " bookworm-security main"},
		Name: regexp.MustCompile(`^linux-image-(6\.1\.0-\d+-cloud-amd64)$`), Parts: []string{"linux-image-%s"},
		Rungs: []string{"kprobe", "fentry"}, Why: "drop reasons and module BTF, no kprobe.multi",
	},
	{
		Line: "6.12", Suites: []string{mirror + " bookworm-backports main", security + " bookworm-security main"},
		Name: regexp.MustCompile(`^linux-image-(6\.12\.\d+\+deb12(?:\.\d+)?-cloud-amd64)$`), Parts: []string{"linux-image-%s"},
		Rungs: []string{"kprobe", "kprobe-multi", "fentry"}, Why: "kprobe.multi, tcx",
	},
	{
		Line: "7.x", Suites: []string{mirror + " trixie-backports main"},
		Name: regexp.MustCompile(`^linux-image-(7\.\d+\.\d+\+deb13(?:\.\d+)?-cloud-amd64)$`), Parts: []string{"linux-binary-%s", "linux-modules-%s"},
		Rungs: []string{"kprobe", "kprobe-multi", "fentry"}, Why: "renamed and reshaped functions",
	},
}
