// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// savedRules are rules from files.
type savedRules struct {
	sets     []ruleset.Ruleset
	ipsets   *ruleset.IPSets // nil when none were given: a match that asks one is not known then
	sources  []string
	warnings []string
}

// maxSaved bounds a file of rules, in bytes; 10,000 Services are 18 MB.
const maxSaved = 256 << 20

// readRules reads the files of --rules. Listings of nft come last: they leave out the tables that iptables made, when those were saved too.
func readRules(values []string) (savedRules, error) {
	var out savedRules
	var listings []savedFile
	for _, v := range values {
		f, err := openSaved(v)
		if err != nil {
			return out, err
		}
		if f.json {
			listings = append(listings, f)
			continue
		}
		if f.ipsets {
			if err := out.takeIPSets(f); err != nil {
				return out, err
			}
			continue
		}
		rs, warnings, err := ruleset.Parse(bytes.NewReader(f.data), f.backend, f.family)
		if err != nil {
			return out, fmt.Errorf("read %s: %w", f.name, err)
		}
		if len(rs.Tables) == 0 {
			return out, fmt.Errorf("%s has no rules: give what iptables-save, 'nft -j -a list ruleset' or 'ipset save' printed", f.name)
		}
		out.add(f, rs, warnings)
	}
	for _, f := range listings {
		n, warnings, err := ruleset.ParseNFT(bytes.NewReader(f.data), func(family, table string) bool { return out.has(family, table) })
		if err != nil {
			return out, fmt.Errorf("read %s: %w", f.name, err)
		}
		if len(n.Tables) == 0 && len(warnings) > 0 {
			return out, fmt.Errorf("read %s: %s", f.name, warnings[0])
		}
		out.add(f, ruleset.Ruleset{Backend: "nft", NFT: n}, warnings)
	}
	if len(out.sets) == 0 {
		return out, errors.New("--rules has ipsets only: give the rules that ask them as well, what iptables-save printed")
	}
	return out, nil
}

func (s *savedRules) takeIPSets(f savedFile) error {
	if s.ipsets != nil {
		return fmt.Errorf("%s is a second file of ipsets, and the files of --rules are those of one namespace: give one", f.name)
	}
	sets, warnings, err := ruleset.ParseIPSets(bytes.NewReader(f.data))
	if err != nil {
		return fmt.Errorf("read %s: %w", f.name, err)
	}
	s.ipsets = sets
	s.tell("ipsets", f, warnings)
	return nil
}

func (s *savedRules) add(f savedFile, rs ruleset.Ruleset, warnings []string) {
	s.sets = append(s.sets, rs)
	s.tell(strings.TrimSpace(rs.Backend+" "+rs.Family), f, warnings)
}

// tell keeps what a file gave and what was not understood of it.
func (s *savedRules) tell(what string, f savedFile, warnings []string) {
	s.sources = append(s.sources, what+" of "+filepath.Base(f.name))
	for _, w := range warnings {
		s.warnings = append(s.warnings, f.name+": "+w)
	}
}

func (s *savedRules) has(family, table string) bool {
	return slices.ContainsFunc(s.sets, func(rs ruleset.Ruleset) bool {
		return rs.Backend == "iptables-nft" && rs.Family == family && slices.ContainsFunc(rs.Tables, func(t ruleset.Table) bool { return t.Name == table })
	})
}

// savedFile is a file of rules and what kind it is.
type savedFile struct {
	name            string
	data            []byte
	json            bool
	ipsets          bool
	backend, family string
}

// openSaved reads "[legacy=|nft=]FILE" and tells by its content what it is.
func openSaved(value string) (savedFile, error) {
	f := savedFile{name: value}
	kind, rest, ok := strings.Cut(value, "=")
	if ok && (kind == "legacy" || kind == "nft") {
		f.name = rest
	} else {
		kind = ""
	}
	if f.name == "" {
		return f, fmt.Errorf("--rules %q names no file: use FILE, legacy=FILE or nft=FILE", value)
	}
	r, err := os.Open(f.name)
	if err != nil {
		return f, fmt.Errorf("open the rules: %w", err)
	}
	defer r.Close()
	if f.data, err = io.ReadAll(io.LimitReader(r, maxSaved+1)); err != nil {
		return f, fmt.Errorf("read %s: %w", f.name, err)
	}
	if len(f.data) > maxSaved {
		return f, fmt.Errorf("%s is larger than %d MB: no ruleset is", f.name, maxSaved>>20)
	}
	f.json = bytes.HasPrefix(bytes.TrimSpace(f.data[:min(len(f.data), 4096)]), []byte("{"))
	if f.json && kind == "legacy" {
		return f, fmt.Errorf("%s is a listing of nft, not what iptables-legacy-save prints: give it as nft=%s", f.name, f.name)
	}
	if f.ipsets = savedIPSets(f.data); f.json || f.ipsets {
		return f, nil
	}
	nft, six, tables := savedBy(f.data)
	if !tables {
		return f, fmt.Errorf("%s has no rules: give what iptables-save, 'nft -j -a list ruleset' or 'ipset save' printed", f.name)
	}
	f.backend, f.family = "iptables-legacy", "ip"
	if kind == "nft" || kind == "" && nft {
		f.backend = "iptables-nft"
	}
	if six {
		f.family = "ip6"
	}
	return f, nil
}

// savedIPSets tells from the first words whether 'ipset save' wrote it (ipset(8)).
func savedIPSets(data []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(data[:min(len(data), 4096)]), []byte("create "))
}

// sixth recognises a rule about an IPv6 address.
var sixth = regexp.MustCompile(` -[sd] [0-9a-f]*:[0-9a-f:]`)

// savedBy tells from a save's first lines and its rules which tool wrote it: nft says so since 1.8, and IPv6 has its own words.
func savedBy(data []byte) (nft, six, tables bool) {
	s := bufio.NewScanner(bytes.NewReader(data))
	s.Buffer(nil, 4<<20)
	for s.Scan() {
		line := strings.TrimSpace(s.Text())
		switch {
		case strings.HasPrefix(line, "# Generated by "):
			nft = nft || strings.Contains(line, "(nf_tables)") || strings.Contains(line, "-nft-save")
			six = six || strings.Contains(line, "ip6tables")
		case strings.HasPrefix(line, "*"):
			tables = true
		case !six && strings.Contains(line, "-A "):
			six = strings.Contains(line, "-p ipv6-icmp") || sixth.MatchString(line)
		}
	}
	return nft, six, tables
}
