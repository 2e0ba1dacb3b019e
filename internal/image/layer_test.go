// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
)

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
