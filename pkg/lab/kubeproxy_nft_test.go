// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// nftParts is a listing's table ip kube-proxy as lines by chain, set or map, without handles, counters and the order of elements.
func nftParts(t *testing.T, listing []byte) map[string][]string {
	t.Helper()
	var all struct {
		Nftables []map[string]map[string]any `json:"nftables"`
	}
	if err := json.Unmarshal(listing, &all); err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, entry := range all.Nftables {
		for kind, o := range entry {
			if o["family"] != "ip" || kind == "table" {
				continue
			}
			name := fmt.Sprint(kind, " ", o["name"])
			switch kind {
			case "chain":
				out[name] = append(out[name], fmt.Sprint(o["type"], o["hook"], o["prio"], o["policy"]))
			case "rule":
				b, err := json.Marshal(o["expr"])
				if err != nil {
					t.Fatal(err)
				}
				name = fmt.Sprint("chain ", o["chain"])
				out[name] = append(out[name], string(b)+fmt.Sprint(o["comment"]))
			case "set", "map":
				elements, _ := o["elem"].([]any)
				for _, e := range elements {
					b, err := json.Marshal(e)
					if err != nil {
						t.Fatal(err)
					}
					out[name] = append(out[name], string(b))
				}
				sort.Strings(out[name])
				out[name] = append(out[name], fmt.Sprint(o["type"], o["map"], o["flags"], o["timeout"], o["size"]))
			}
		}
	}
	return out
}

// Loaded into a kernel, the table is that of a real kube-proxy for the same Services: same chains, rules, sets and elements.
func TestNFTRulesAreKubeProxys(t *testing.T) {
	needRoot(t)
	b, err := os.ReadFile("../../testdata/kube-proxy-1.31/nftables.json")
	if err != nil {
		t.Fatal(err)
	}
	const name = "ntkpnft"
	if err := netns.Create(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	var listing []byte
	err = netns.Do(netns.Dir+"/"+name, func() error {
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(KubeProxyNFT(Nodes()[0], ClusterCIDR.String(), fixtureServices()))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		listing, err = exec.Command("nft", "-j", "list", "ruleset").Output()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want, got := nftParts(t, b), nftParts(t, listing)
	for _, part := range union(want, got) {
		if strings.Join(want[part], "\n") != strings.Join(got[part], "\n") {
			t.Errorf("%s:\n%s\nkube-proxy wrote:\n%s", part, strings.Join(got[part], "\n"), strings.Join(want[part], "\n"))
		}
	}
	if len(want) < 35 {
		t.Errorf("only %d parts were compared", len(want))
	}
}
