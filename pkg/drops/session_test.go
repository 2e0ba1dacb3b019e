// SPDX-License-Identifier: Apache-2.0

package drops

import (
	"cmp"
	"errors"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
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

// bounded is a map of a few entries.
type bounded map[any]bool

func (b bounded) Put(k, _ any) error {
	if !b[k] && len(b) >= 3 {
		return errors.New("the map is full")
	}
	b[k] = true
	return nil
}

func (b bounded) Delete(k any) error {
	if !b[k] {
		return ebpf.ErrKeyNotExist
	}
	delete(b, k)
	return nil
}

// A full map is filled with others: what goes makes room for what comes, and what is gone already is no error.
func TestReplace(t *testing.T) {
	m := bounded{uint32(1): true, uint32(2): true, uint32(3): true}
	want := map[uint32]bool{3: true, 4: true, 5: true}
	if err := replace(m, map[uint32]bool{1: true, 2: true, 3: true, 9: true}, want); err != nil || len(m) != 3 || !m[uint32(4)] || !m[uint32(5)] {
		t.Errorf("%v, %v", m, err)
	}
}

// More than the kernel side holds are cut to the same ones each time, whatever their order.
func TestLowest(t *testing.T) {
	var all []uint32
	for i := range uint32(MaxPods + 10) {
		all = append(all, MaxPods+9-i, i)
	}
	first := all[0]
	if got := lowest(all, cmp.Compare[uint32]); len(got) != MaxPods || got[0] != 0 || got[MaxPods-1] != MaxPods-1 || all[0] != first {
		t.Errorf("%d of them", len(got))
	}
}
