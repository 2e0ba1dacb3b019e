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

// maxLine bounds one rule.
const maxLine = 4 << 20

// maxWarnings bounds what a broken save can say.
const maxWarnings = 8

// Parse reads the output of iptables-save, with or without counters. What is whole of a save that was cut is returned, with a sentence
// about the rest; only a read error is an error.
func Parse(r io.Reader, backend, family string) (Ruleset, []string, error) {
	p := &parser{out: Ruleset{Backend: backend, Family: family}}
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	for s.Scan() {
		p.line++
		p.take(s.Text())
	}
	if p.table != nil {
		p.warn("the save ends inside table %s", p.table.Name)
		p.commit()
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		p.warn("line %d is longer than a rule can be; what follows was not read", p.line+1)
		return p.out, p.warnings, nil
	}
	if s.Err() != nil {
		return p.out, p.warnings, fmt.Errorf("read the rules: %w", s.Err())
	}
	return p.out, p.warnings, nil
}

type parser struct {
	out      Ruleset
	table    *Table
	chains   map[string]int
	line     int
	warnings []string
}

func (p *parser) warn(format string, args ...any) {
	if len(p.warnings) < maxWarnings {
		p.warnings = append(p.warnings, p.out.Backend+" rules: "+fmt.Sprintf(format, args...))
	}
}

func (p *parser) take(line string) {
	line = strings.TrimSpace(line)
	switch {
	case line == "" || line[0] == '#':
	case line[0] == '*':
		p.commit()
		p.table, p.chains = &Table{Name: clean(line[1:])}, map[string]int{}
	case p.table == nil:
		p.warn("line %d stands outside of a table", p.line)
	case line == "COMMIT":
		p.commit()
	case line[0] == ':':
		p.chain(line[1:])
	default:
		p.rule(line)
	}
}

func (p *parser) commit() {
	if p.table != nil {
		p.out.Tables = append(p.out.Tables, *p.table)
		p.table = nil
	}
}

// chain reads "NAME POLICY [packets:bytes]"; the policy of a user chain is "-".
func (p *parser) chain(s string) {
	f := strings.Fields(s)
	if len(f) < 2 {
		p.warn("line %d is no chain", p.line)
		return
	}
	c := Chain{Name: clean(f[0])}
	if f[1] != "-" {
		c.Policy = clean(f[1])
	}
	if _, ok := p.chains[c.Name]; ok {
		return
	}
	p.chains[c.Name] = len(p.table.Chains)
	p.table.Chains = append(p.table.Chains, c)
}

func (p *parser) rule(line string) {
	var r Rule
	if line[0] == '[' {
		counters, rest, ok := strings.Cut(line[1:], "] ")
		if !ok {
			p.warn("line %d is no rule", p.line)
			return
		}
		packets, bytes, _ := strings.Cut(counters, ":")
		r.Packets, _ = strconv.ParseUint(packets, 10, 64)
		r.Bytes, _ = strconv.ParseUint(bytes, 10, 64)
		line = rest
	}
	name, text, ok := strings.Cut(strings.TrimPrefix(line, "-A "), " ")
	if !strings.HasPrefix(line, "-A ") {
		p.warn("line %d is no rule", p.line)
		return
	}
	if !ok {
		name, text = strings.TrimSpace(name), ""
	}
	i, ok := p.chains[clean(name)]
	if !ok {
		p.warn("line %d belongs to a chain that was not declared", p.line)
		return
	}
	c := &p.table.Chains[i]
	r.Number, r.Text = len(c.Rules)+1, clean(text)
	words := split(r.Text)
	for k := 0; k+1 < len(words); k++ {
		switch words[k] {
		case "-j", "-g":
			r.Target, r.Goto = words[k+1], words[k] == "-g"
		case "--comment":
			if r.Comment != "" {
				r.Comment += "; "
			}
			r.Comment += words[k+1]
		default:
			continue
		}
		k++
	}
	c.Rules = append(c.Rules, r)
}

// clean makes text safe to store as JSON: what is not UTF-8 becomes U+FFFD.
func clean(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// split cuts a rule into words as iptables-save quotes them: double quotes, with backslashes before quotes and backslashes.
func split(s string) []string {
	words := make([]string, 0, 16)
	for i := 0; i < len(s); {
		if s[i] == ' ' {
			i++
			continue
		}
		// a word without quotes is a part of the text
		end := i
		for end < len(s) && s[end] != ' ' && s[end] != '"' {
			end++
		}
		if end == len(s) || s[end] == ' ' {
			words = append(words, s[i:end])
			i = end
			continue
		}
		var w string
		w, i = quotedWord(s, i)
		words = append(words, w)
	}
	return words
}

// quotedWord reads a word with quotes in it, and says where it ends.
func quotedWord(s string, i int) (string, int) {
	var b strings.Builder
	quoted := false
	for ; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && quoted && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '"':
			quoted = !quoted
		case c == ' ' && !quoted:
			return b.String(), i
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), i
}
