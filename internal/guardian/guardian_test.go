// SPDX-License-Identifier: Apache-2.0

package guardian

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

type change struct {
	What string `json:"what"`
}

// A guardian undoes what it was told of when the pipe ends without a goodbye, and nothing otherwise; half a line was not done yet.
func TestWatch(t *testing.T) {
	mine := errors.New("mine")
	for _, tc := range []struct {
		said string
		want []string
		err  error
	}{
		{"", nil, nil},
		{"done\n", nil, nil},
		{`{"what":"a"}` + "\n" + `{"what":"b"}` + "\n", []string{"a", "b"}, nil},
		{`{"what":"a"}` + "\ndone\n", nil, nil},
		{`{"what":"a"}` + "\n" + `{"wha`, []string{"a"}, nil},
		{"garbage\n" + `{"what":"a"}` + "\n", []string{"a"}, mine},
	} {
		var got []string
		err := Watch(strings.NewReader(tc.said), func(all []change) error {
			for _, c := range all {
				got = append(got, c.What)
			}
			return tc.err
		})
		if !slices.Equal(got, tc.want) || !errors.Is(err, tc.err) {
			t.Errorf("%q: undone %q, %v; want %q", tc.said, got, err, tc.want)
		}
	}
}

// What is told arrives as a line each, with a goodbye only when all is undone.
func TestGuardianHearsWhatIsTold(t *testing.T) {
	for _, undone := range []bool{true, false} {
		file := filepath.Join(t.TempDir(), "heard")
		g, err := Start(exec.Command("sh", "-c", fmt.Sprintf("cat > %s", file)))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(g.Tell(change{"x"}), g.End(undone)); err != nil {
			t.Fatal(err)
		}
		want := `{"what":"x"}` + "\n"
		if undone {
			want += "done\n"
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("undone %v: heard %q, %v; want %q", undone, got, err, want)
		}
	}
}

// A guardian that is left tries again, and nobody waits for it.
func TestLeave(t *testing.T) {
	file := filepath.Join(t.TempDir(), "heard")
	if err := unix.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := Start(exec.Command("sh", "-c", fmt.Sprintf("cat > %s", file))) // which waits for a reader
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.Tell(change{"x"}), g.Leave()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != `{"what":"x"}`+"\n" {
		t.Errorf("heard %q, %v", got, err)
	}
}

func TestNoGuardian(t *testing.T) {
	if _, err := Start(exec.Command("/nonexistent")); err == nil || !strings.Contains(err.Error(), "start the guardian") {
		t.Errorf("error %v", err)
	}
	g, err := Start(exec.Command("cat"))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Tell(make(chan int)); err == nil {
		t.Error("what cannot be said was said")
	}
	if err := g.End(true); err != nil {
		t.Error(err)
	}
}
