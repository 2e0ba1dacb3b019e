// SPDX-License-Identifier: Apache-2.0

package image

import (
	"slices"
	"strings"
	"testing"
)

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
