// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/cilium/ebpf/btf"
)

// kernelNames reads names from the running kernel: functions from /proc/kallsyms, reasons from BTF. Reason numbers move between
// kernels, so they are never built in.
type kernelNames struct {
	drop  map[uint32]string
	reset map[uint32]string

	mu      sync.Mutex
	addrs   []uint64
	names   []string
	modules string            // those that were there when addrs was read
	known   map[uint64]string // addresses that were asked for; bounded
	proc    string            // where kallsyms and modules are; for tests
}

const maxKnownSymbols = 4096

func newKernelNames(spec *btf.Spec) *kernelNames {
	k := &kernelNames{proc: "/proc", known: map[uint64]string{}, drop: map[uint32]string{}, reset: enumNames(spec, "sk_rst_reason", "SK_RST_REASON_")}
	for v, n := range enumNames(spec, "skb_drop_reason", "SKB_DROP_REASON_") {
		k.drop[v] = n
	}
	for v, subsystem := range enumNames(spec, "skb_drop_reason_subsys", "SKB_DROP_REASON_SUBSYS_") {
		for _, e := range subsystemEnums[subsystem] {
			for r, n := range enumNames(spec, e.name, e.prefix) {
				if r>>16 == v || r < 1<<16 {
					k.drop[v<<16|r&0xffff] = n
				}
			}
		}
	}
	return k
}

// subsystemEnums are the enums of the subsystems that number their own reasons: SKB_DROP_REASON_SUBSYS_x in include/net/dropreason.h.
var subsystemEnums = map[string][]struct{ name, prefix string }{
	"MAC80211_UNUSABLE": {{"mac80211_drop_reason", "RX_"}},
	"MAC80211_MONITOR":  {{"mac80211_drop_reason", "RX_"}},
	"OPENVSWITCH":       {{"ovs_drop_reason", "OVS_"}},
	"QDISC":             {{"qdisc_drop_reason", "QDISC_DROP_"}},
}

func enumNames(spec *btf.Spec, name, prefix string) map[uint32]string {
	m := map[uint32]string{}
	var e *btf.Enum
	if spec.TypeByName(name, &e) != nil {
		return m
	}
	for _, v := range e.Values {
		n := strings.TrimPrefix(v.Name, prefix)
		if _, ok := m[uint32(v.Value)]; !ok {
			m[uint32(v.Value)] = n
		}
	}
	return m
}

func (k *kernelNames) DropReason(r uint32) string  { return reasonName(k.drop, r) }
func (k *kernelNames) ResetReason(r uint32) string { return reasonName(k.reset, r) }

func reasonName(m map[uint32]string, r uint32) string {
	if n, ok := m[r]; ok {
		return n
	}
	if r == 0 {
		return ""
	}
	if len(m) == 0 {
		return strconv.FormatUint(uint64(r), 10)
	}
	return fmt.Sprintf("%d:%d", r>>16, r&0xffff)
}

// Symbol is the function that contains addr.
func (k *kernelNames) Symbol(addr uint64) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if name, ok := k.known[addr]; ok {
		return name
	}
	k.refresh()
	i := sort.Search(len(k.addrs), func(i int) bool { return k.addrs[i] > addr })
	if i == 0 {
		return ""
	}
	if len(k.known) < maxKnownSymbols {
		k.known[addr] = k.names[i-1]
	}
	return k.names[i-1]
}

// ahead reads the symbols before the first address is asked for.
func (k *kernelNames) ahead() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refresh()
}

// refresh reads the symbols at first, and again when modules came or went: a function of a module that is loaded meanwhile would be taken for
// another module's.
func (k *kernelNames) refresh() {
	if k.addrs != nil && len(k.addrs) == 0 {
		return // addresses are hidden, and will be: without CAP_SYSLOG, or by kptr_restrict
	}
	now := modulePlaces(filepath.Join(k.proc, "modules"))
	if k.addrs != nil && now == k.modules {
		return
	}
	f, err := os.Open(filepath.Join(k.proc, "kallsyms"))
	if err != nil {
		return
	}
	defer f.Close()
	k.modules = now
	k.addrs, k.names = parseKallsyms(f)
	clear(k.known)
}

// modulePlaces are the names and addresses of the modules, without their use counts.
func modulePlaces(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 5 {
			out.WriteString(f[0] + " " + f[5] + "\n")
		}
	}
	return out.String()
}

// parseKallsyms keeps the functions (types t, T, w, W) of a kallsyms listing, sorted by address. Addresses that the kernel hides (0)
// are left out.
func parseKallsyms(r io.Reader) ([]uint64, []string) {
	type symbol struct {
		addr uint64
		name string
	}
	var all []symbol
	s := bufio.NewScanner(r)
	for s.Scan() {
		f := strings.Fields(s.Text())
		if len(f) < 3 || len(f[1]) != 1 || !strings.Contains("tTwW", f[1]) {
			continue
		}
		addr, err := strconv.ParseUint(f[0], 16, 64)
		if err != nil || addr == 0 {
			continue
		}
		all = append(all, symbol{addr, f[2]})
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].addr < all[j].addr })
	addrs, names := make([]uint64, len(all)), make([]string, len(all))
	for i, s := range all {
		addrs[i], names[i] = s.addr, s.name
	}
	return addrs, names
}
