// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestPath(t *testing.T) {
	for in, want := range map[string]string{"web": "/run/netns/web", "/proc/1/ns/net": "/proc/1/ns/net", "pid:12": "/proc/12/ns/net"} {
		if got, err := Path(in); err != nil || got != want {
			t.Errorf("Path(%q) = %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "a/b", "..", ".", "pid:x", "pid:-1", "pid:99999999999"} {
		if got, err := Path(in); err == nil || !strings.Contains(err.Error(), "use ") {
			t.Errorf("Path(%q) = %q, %v", in, got, err)
		}
	}
}

// A name is found where it is, here before elsewhere.
func TestFind(t *testing.T) {
	here, there := t.TempDir(), t.TempDir()
	for _, p := range []string{here + "/both", there + "/both", there + "/host"} {
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"both": here + "/both", "host": there + "/host", "gone": here + "/gone"} {
		if got := find([]string{here, there}, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestInodeOfWhatIsNoNamespace(t *testing.T) {
	for _, p := range []string{"/etc/passwd", "/proc/self/ns", "/nonexistent"} {
		if _, err := Inode(p); err == nil {
			t.Errorf("Inode(%s) is no error", p)
		}
	}
	if n, err := Inode(Self); err != nil || n == 0 {
		t.Errorf("own namespace: %d, %v", n, err)
	}
}

// Our own namespace takes no right to enter one.
func TestOwnNamespaceIsNotEntered(t *testing.T) {
	var inside uint32
	if err := Do(Self, func() error {
		var err error
		inside, err = Inode("/proc/thread-self/ns/net")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if want, err := Inode(Self); err != nil || inside != want {
		t.Errorf("inside %d, want %d; %v", inside, want, err)
	}
}

// Code in Do runs inside the namespace, its error comes back, and the caller stays where it was.
func TestDo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces")
	}
	const name = "netns-test"
	if err := Create(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = Delete(name) })
	if err := Create(name); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second one with the same name: %v", err)
	}
	outside, err := Inode(Self)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Inode(Dir + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	mine := errors.New("mine")
	var inside uint32
	if err := Do(Dir+"/"+name, func() error {
		inside, _ = Inode("/proc/thread-self/ns/net")
		return mine
	}); !errors.Is(err, mine) {
		t.Errorf("error %v", err)
	}
	var home uint32 // from inside of another namespace too, ours is where this process is at home
	if err := Do(Dir+"/"+name, func() error {
		return Do(Self, func() error {
			home, _ = Inode("/proc/thread-self/ns/net")
			return mine
		})
	}); !errors.Is(err, mine) || home != outside || !IsOwn(Self) || IsOwn(Dir+"/"+name) {
		t.Errorf("at home in %d (want %d), error %v", home, outside, err)
	}
	if after, _ := Inode(Self); inside != want || after != outside {
		t.Errorf("inside %d (want %d), afterwards %d (want %d)", inside, want, after, outside)
	}
	if err := Delete(name); err != nil {
		t.Fatal(err)
	}
	if err := Delete(name); err != nil {
		t.Errorf("deleting what is not there: %v", err)
	}
	if err := Do(Dir+"/"+name, func() error { return nil }); err == nil {
		t.Error("a namespace that is gone can be entered")
	}
}
