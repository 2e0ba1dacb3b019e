// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of what is kept. The kernel's own default for one set is 65,536 elements (ipset(8), maxelem).
const (
	maxIPSets        = 1 << 14
	maxIPSetElements = 1 << 19 // of all sets
	maxIPSetLine     = 64 << 10
)

// ParseIPSets reads the output of 'ipset save'. What is not understood is told in sentences, and leaves a set of which less can be said; only
// a read error is an error.
func ParseIPSets(r io.Reader) (*IPSets, []string, error) {
	p := &ipsetParser{out: &IPSets{}, sets: map[string]int{}}
	in := bufio.NewReaderSize(r, maxIPSetLine)
	for {
		p.line++
		b, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			p.warn("line %d is longer than a set's element can be; what follows was not read", p.line)
			p.out.Cut()
			return p.out, p.warnings, nil
		}
		if err != nil {
			if len(b) > 0 {
				p.warn("the save ends inside line %d", p.line)
				p.out.Cut()
			}
			if errors.Is(err, io.EOF) {
				return p.out, p.warnings, nil
			}
			p.out.Cut()
			return p.out, p.warnings, fmt.Errorf("read the ipsets: %w", err)
		}
		p.take(clean(strings.TrimSpace(string(b))))
	}
}

type ipsetParser struct {
	out      *IPSets
	sets     map[string]int
	elements int
	full     bool
	line     int
	warnings []string
}

func (p *ipsetParser) warn(format string, args ...any) {
	if len(p.warnings) < maxWarnings {
		p.warnings = append(p.warnings, "ipsets: "+fmt.Sprintf(format, args...))
	}
}

func (p *ipsetParser) take(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	name, rest, ok := strings.Cut(rest, " ")
	switch {
	case line == "" || line[0] == '#':
	case verb == "create" && ok && name != "":
		p.create(name, strings.Fields(rest))
	case verb == "add" && ok && name != "":
		p.add(name, rest)
	default:
		p.warn("line %d is neither a set nor an element", p.line)
		p.out.Cut()
	}
}

// create reads "TYPE [OPTION VALUE]...". An option that could change what matches makes the set strange.
func (p *ipsetParser) create(name string, words []string) {
	if _, ok := p.sets[name]; ok || len(p.out.Sets) >= maxIPSets {
		p.warn("line %d: the set %q is there already, or it is one too many", p.line, name)
		return
	}
	s := &IPSet{Name: name, Type: words[0]}
	if dims := dimensions(s.Type); dims == nil {
		s.Strange = true
		p.warn("line %d: sets of the type %s are not understood", p.line, s.Type)
	}
	for i := 1; i < len(words); i++ {
		value := ""
		if i+1 < len(words) {
			value = words[i+1]
		}
		switch words[i] {
		case "counters", "comment", "skbinfo", "forceadd":
			continue
		case "range", "hashsize", "maxelem", "bucketsize", "initval", "timeout", "size":
		case "family":
			s.Family = value
		case "netmask":
			n, err := strconv.ParseUint(value, 10, 8)
			if err != nil || n == 0 || n > 128 {
				s.Strange = true
				p.warn("line %d: the set's netmask %q is none", p.line, value)
			}
			s.Bits = int(n)
		default:
			if !s.Strange {
				s.Strange = true
				p.warn("line %d: the set's option %s is not understood", p.line, words[i])
			}
		}
		i++
	}
	p.sets[name] = len(p.out.Sets)
	p.out.Sets = append(p.out.Sets, s)
}

func (p *ipsetParser) add(name, rest string) {
	i, ok := p.sets[name]
	if !ok {
		p.warn("line %d adds to a set that was not created", p.line)
		return
	}
	s := p.out.Sets[i]
	if p.elements >= maxIPSetElements {
		if !p.full {
			p.warn("only the first %d elements were read", maxIPSetElements)
		}
		p.full, s.Partial = true, true
		return
	}
	text, ok := elementText(rest)
	if ok && !s.Strange {
		_, ok = parseMember(s, text)
	}
	if !ok {
		s.Partial = true
		p.warn("line %d: an element of the set %s is not understood", p.line, name)
		return
	}
	p.elements++
	s.Elements = append(s.Elements, text)
}

// elementText takes the counters and what is done to packets away from an element's text. An unknown option may change what matches.
func elementText(s string) (string, bool) {
	what, rest, more := strings.Cut(s, " ")
	if !more {
		return what, what != ""
	}
	words := split(rest)
	keep := []string{what}
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "nomatch", "wildcard":
			keep = append(keep, words[i])
			continue
		case "packets", "bytes", "skbmark", "skbprio", "skbqueue":
		case "timeout":
			if i+1 < len(words) && words[i+1] != "0" { // 0 is for good
				keep = append(keep, "timeout", words[i+1])
			}
		case "comment":
			if i+1 < len(words) {
				keep = append(keep, "comment", strconv.Quote(words[i+1]))
			}
		default:
			return "", false
		}
		if i++; i >= len(words) {
			return "", false
		}
	}
	return strings.Join(keep, " "), true
}
