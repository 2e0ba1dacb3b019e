// SPDX-License-Identifier: Apache-2.0

package repotest

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
	target    = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
	typed     = regexp.MustCompile(`(?:^|[\s;&])make ([a-z][a-z-]*)`)
	span      = regexp.MustCompile("`([^`]+)`")
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	screen    = regexp.MustCompile(`^<!-- screen:(.+) -->$`)
)

// files lists the regular files below the root, in order, without what git keeps for itself.
func files(repo fs.FS) ([]string, error) {
	var out []string
	err := fs.WalkDir(repo, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (name == ".git" || name == "dist") {
			return fs.SkipDir
		}
		if d.Type().IsRegular() {
			out = append(out, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the repository: %w", err)
	}
	return out, nil
}

// Unlicensed names the source files that do not say SPDX-License-Identifier in their first two lines (the first may be "#!").
// Generated Go files are excepted: their generators write the header.
func Unlicensed(repo fs.FS) ([]string, error) {
	names, err := files(repo)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range names {
		if !isSource(name) {
			continue
		}
		b, err := fs.ReadFile(repo, name)
		if err != nil {
			return nil, err
		}
		head := bytes.SplitN(b, []byte("\n"), 3)
		if bytes.Contains(bytes.Join(head[:min(2, len(head))], nil), []byte("SPDX-License-Identifier: ")) {
			continue
		}
		if path.Ext(name) == ".go" && generated.Match(b) {
			continue
		}
		out = append(out, name+": its first lines have no SPDX-License-Identifier")
	}
	return out, nil
}

func isSource(name string) bool {
	switch path.Ext(name) {
	case ".go", ".c", ".h", ".sh":
		return true
	}
	return path.Base(name) == "Makefile" || name == ".ci/run"
}

// Targets lists the targets of a makefile that readers may type.
func Targets(makefile []byte) []string {
	var out []string
	for _, m := range target.FindAllSubmatch(makefile, -1) {
		out = append(out, string(m[1]))
	}
	return out
}

// UnknownTargets names the 'make TARGET' commands in a page's code that the makefile does not have. Prose is not read: "make sure" is English.
func UnknownTargets(page, makefile []byte) []string {
	have := Targets(makefile)
	var out []string
	for _, l := range lines(page) {
		var code []string
		if l.fenced {
			code = []string{l.text}
		} else {
			for _, m := range span.FindAllStringSubmatch(l.text, -1) {
				code = append(code, m[1])
			}
		}
		for _, c := range code {
			c, _, _ = strings.Cut(c, "#") // the comment after a command is prose too
			for _, m := range typed.FindAllStringSubmatch(c, -1) {
				if !slices.Contains(have, m[1]) {
					out = append(out, fmt.Sprintf("line %d: 'make %s' is no target", l.number, m[1]))
				}
			}
		}
	}
	return out
}

// BrokenLinks names the links of a page that lead to no file of the repository, or out of it. Links with a scheme are not followed.
func BrokenLinks(repo fs.FS, name string) ([]string, error) {
	page, err := fs.ReadFile(repo, name)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, l := range lines(page) {
		if l.fenced {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(l.text, -1) {
			to, _, _ := strings.Cut(m[1], "#")
			if to == "" || strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			// fs.Stat refuses what leaves the root and what starts with a slash.
			if _, err := fs.Stat(repo, path.Join(path.Dir(name), to)); err != nil || path.IsAbs(to) {
				out = append(out, fmt.Sprintf("%s line %d: %s leads nowhere", name, l.number, to))
			}
		}
	}
	return out, nil
}

// Screens checks the blocks that 'make screens' fills: each names a lab case of the repository, perhaps with a command to run in its lab, ends
// before the next begins, and holds what that printed, not only the commands.
func Screens(repo fs.FS, page []byte) []string {
	var out []string
	open, printed := "", 0
	for _, l := range lines(page) {
		m := screen.FindStringSubmatch(l.text)
		switch {
		case m != nil:
			if open != "" {
				out = append(out, fmt.Sprintf("line %d: the screen before has no end", l.number))
			}
			open, _, _ = strings.Cut(m[1], " ")
			printed = 0
			if _, err := fs.Stat(repo, path.Join("pkg/lab/cases", open+".yaml")); err != nil {
				out = append(out, fmt.Sprintf("line %d: there is no lab case %q", l.number, open))
			}
		case l.text == "<!-- /screen -->":
			if open == "" || printed == 0 {
				out = append(out, fmt.Sprintf("line %d: the screen %q is empty: run 'make screens'", l.number, open))
			}
			open = ""
		case l.fenced && strings.TrimSpace(l.text) != "" && !strings.HasPrefix(l.text, "$ "):
			printed++
		}
	}
	if open != "" {
		out = append(out, fmt.Sprintf("the screen %q has no end", open))
	}
	return out
}

// line is one line of a Markdown page; the fences themselves are not fenced.
type line struct {
	number int
	text   string
	fenced bool
}

func lines(page []byte) []line {
	var out []line
	fenced := false
	s := bufio.NewScanner(bytes.NewReader(page))
	s.Buffer(nil, len(page)+1)
	for n := 1; s.Scan(); n++ {
		fence := strings.HasPrefix(strings.TrimSpace(s.Text()), "```")
		if fence {
			fenced = !fenced
		}
		out = append(out, line{n, s.Text(), fenced && !fence})
	}
	return out
}
