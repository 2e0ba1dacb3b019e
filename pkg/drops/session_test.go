// SPDX-License-Identifier: Apache-2.0

package drops

import (
	"net/netip"
	"testing"
)

// Prefixes are compared as bpf/drops.bpf.c lays them out.
func TestPrefixKey(t *testing.T) {
	for _, tc := range []struct {
		in           string
		bits, family uint32
		first, last  byte
	}{
		{"10.244.2.20/32", 64, 4, 10, 0},
		{"10.244.2.20/16", 48, 4, 10, 0},
		{"::ffff:10.0.0.1/128", 64, 4, 10, 0},
		{"2001:db8::1/128", 160, 6, 0x20, 1},
		{"2001:db8::1/64", 96, 6, 0x20, 0},
	} {
		k := prefixKey(netip.MustParsePrefix(tc.in))
		if k.Bits != tc.bits || k.Family != tc.family || k.Addr[0] != tc.first || k.Addr[15] != tc.last {
			t.Errorf("%s: %+v", tc.in, k)
		}
	}
}

// The embedded program has what the loader sets, for every combination of filters.
func TestConfigure(t *testing.T) {
	for _, o := range []Options{{}, {Pods: true, Port: 80, Rate: 1, Burst: 2}, {Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}} {
		spec, err := loadBpf()
		if err != nil {
			t.Fatal(err)
		}
		if err := o.configure(spec, 3); err != nil {
			t.Fatal(err)
		}
		var interval uint64
		if err := spec.Variables["cfg_interval"].Get(&interval); err != nil || interval != 1e9/uint64(o.Rate) {
			t.Errorf("%+v: interval %d, %v", o, interval, err)
		}
		delete(spec.Variables, "cfg_port")
		if o.configure(spec, 3) == nil {
			t.Error("a variable is missing and nobody says so")
		}
	}
}
