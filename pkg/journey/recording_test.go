// SPDX-License-Identifier: Apache-2.0

package journey_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// assemble takes a recording of the lab through the decoder and the assembler.
func assemble(t *testing.T, name string) []journey.Journey {
	t.Helper()
	b, err := os.ReadFile("../../testdata/recordings/" + name + ".nt")
	if err != nil {
		t.Fatal(err)
	}
	r, err := tracer.NewReplay(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	dec := tracer.NewDecoder(r)
	var asm *journey.Assembler
	var out []journey.Journey
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case f.Note != nil && f.Note.Name == "before":
			var s netstate.Snapshot
			if err := json.Unmarshal(f.Note.JSON, &s); err != nil {
				t.Fatal(err)
			}
			asm = journey.New(journey.Options{Places: placesOf(&s), Scoped: true, IsLocal: s.LocalIn(), BridgeOf: s.BridgeOf()})
		case f.Tick != nil:
			asm.Advance(f.Tick.Now, f.Tick.Lost)
		case f.Event != nil:
			var e tracer.Event
			if err := dec.Decode(f.Event, &e); err != nil {
				t.Fatal(err)
			}
			asm.Add(&e)
		}
	}
	asm.Flush()
	out = append(out, asm.Done()...)
	journey.SortByID(out)
	return out
}

// placesOf names namespaces by the end of their name, without the lab's prefix.
func placesOf(s *netstate.Snapshot) map[uint32]journey.Place {
	m := map[uint32]journey.Place{}
	for _, n := range s.Namespaces {
		_, short, _ := strings.Cut(n.Name, "-")
		w := &journey.Where{Kind: "netns", Name: short}
		if n.Host {
			w.Kind = "host"
		}
		m[n.Inode] = journey.Place{Node: n.Node, Where: w}
	}
	return m
}

// way is a journey as lines: place, stage, device and what makes the hop.
func way(j *journey.Journey) []string {
	out := []string{fmt.Sprintf("%s %s %s attempt %d", j.Direction, j.Packet.Proto, j.Packet.Flags+j.Packet.ICMP, j.Attempt)}
	for i := range j.Hops {
		h := &j.Hops[i]
		s := fmt.Sprintf("%s %s", h.Where.Name, h.Stage)
		if h.Dev != "" {
			s += " " + h.Dev + "/" + h.DevKind
		}
		if h.Outer != nil {
			s += " in-tunnel"
		}
		switch {
		case h.NAT != nil:
			s += fmt.Sprintf(" %s %s>%s undo=%v", h.NAT.Type, side(h.NAT.From), side(h.NAT.To), h.NAT.Undo)
		case h.Tunnel != nil:
			s += fmt.Sprintf(" %s vni=%d %s>%s:%d", h.Tunnel.Op, h.Tunnel.VNI, h.Tunnel.Outer.Src, h.Tunnel.Outer.Dst, h.Tunnel.Outer.Dport)
		case h.Route != nil && h.Stage == journey.StageRoute:
			s += fmt.Sprintf(" oif=%s local=%v err=%s", h.Route.OIF, h.Route.Local, h.Route.Error)
		case h.Stage == journey.StageDrop:
			s += fmt.Sprintf(" %s %s %s hook=%s icmp=%s", h.Verdict, h.Reason, h.Location, h.Hook, h.ICMP)
		}
		out = append(out, s)
	}
	return append(out, fmt.Sprintf("end %s complete=%v lost=%d", j.End, j.Complete, j.Lost))
}

// side hides the client's port, which is another one in each recording.
func side(s string) string {
	if strings.HasPrefix(s, "10.244.1.10:") && s != "10.244.1.10:8080" {
		return "client"
	}
	return s
}

// Topology: the lab, a Service whose endpoint is on the other node. Action: a TCP probe. Expectation: the whole way of the SYN and of its
// answer.
func TestServiceAcrossNodes(t *testing.T) {
	js := assemble(t, "healthy-service")
	want := [][]string{{
		"request tcp SYN attempt 1",
		"client route oif=eth0 local=false err=",
		"client device-tx eth0/veth",
		"node1 device-rx veth2828400f/veth",
		"node1 bridge cni0/bridge",
		"node1 nat dnat 10.96.0.81:80>10.244.2.20:8080 undo=false",
		"node1 route oif=flannel.1 local=false err=",
		"node1 bridge cni0/bridge",
		"node1 device-tx flannel.1/vxlan",
		"node1 route in-tunnel oif=eth0 local=false err=",
		"node1 tunnel flannel.1/vxlan in-tunnel encap vni=1 192.168.50.1>192.168.50.2:8472",
		"node1 device-tx eth0/veth in-tunnel",
		"node2 device-rx eth0/veth in-tunnel",
		"node2 route in-tunnel oif=eth0 local=true err=",
		"node2 tunnel flannel.1/vxlan decap vni=1 192.168.50.1>192.168.50.2:8472",
		"node2 device-rx flannel.1/vxlan",
		"node2 route oif=cni0 local=false err=",
		"node2 neighbour cni0/bridge",
		"node2 bridge cni0/bridge",
		"node2 device-tx veth025acccc/veth",
		"web-b device-rx eth0/veth",
		"web-b route oif=eth0 local=true err=",
		"web-b socket",
		"end delivered complete=true lost=0",
	}, {
		"reply tcp SYN,ACK attempt 1",
		"web-b route oif=eth0 local=false err=",
		"web-b device-tx eth0/veth",
		"node2 device-rx veth025acccc/veth",
		"node2 bridge cni0/bridge",
		"node2 bridge cni0/bridge",
		"node2 route oif=flannel.1 local=false err=",
		"node2 device-tx flannel.1/vxlan",
		"node2 route in-tunnel oif=eth0 local=false err=",
		"node2 tunnel flannel.1/vxlan in-tunnel encap vni=1 192.168.50.2>192.168.50.1:8472",
		"node2 device-tx eth0/veth in-tunnel",
		"node1 device-rx eth0/veth in-tunnel",
		"node1 route in-tunnel oif=eth0 local=true err=",
		"node1 tunnel flannel.1/vxlan decap vni=1 192.168.50.2>192.168.50.1:8472",
		"node1 device-rx flannel.1/vxlan",
		"node1 route oif=cni0 local=false err=",
		"node1 nat dnat 10.244.2.20:8080>10.96.0.81:80 undo=true",
		"node1 bridge cni0/bridge",
		"node1 device-tx veth2828400f/veth",
		"client device-rx eth0/veth",
		"client route oif=eth0 local=true err=",
		"client socket",
		"end delivered complete=true lost=0",
	}}
	compare(t, js, want)
}

func TestSecondsOfTheCatalogue(t *testing.T) {
	for _, tc := range []struct {
		recording string
		want      [][]string
	}{
		{"no-endpoints", [][]string{{
			"request tcp SYN attempt 1",
			"client route oif=eth0 local=false err=",
			"client device-tx eth0/veth",
			"node1 device-rx veth2828400f/veth",
			"node1 bridge cni0/bridge",
			"node1 bridge cni0/bridge",
			"node1 route oif=eth0 local=false err=",
			"node1 drop cni0/bridge reject NETFILTER_DROP nf_hook_slow hook=FORWARD icmp=port unreachable",
			"end rejected complete=true lost=0",
		}}},
		{"tunnel-lost-in-fabric", [][]string{{
			"request tcp SYN attempt 1",
			"client route oif=eth0 local=false err=",
			"client device-tx eth0/veth",
			"node1 device-rx veth2828400f/veth",
			"node1 bridge cni0/bridge",
			"node1 bridge cni0/bridge",
			"node1 route oif=flannel.1 local=false err=",
			"node1 device-tx flannel.1/vxlan",
			"node1 route in-tunnel oif=eth0 local=false err=",
			"node1 tunnel flannel.1/vxlan in-tunnel encap vni=1 192.168.50.1>192.168.50.2:8472",
			"node1 device-tx eth0/veth in-tunnel",
			"end left-node complete=true lost=0",
		}}},
		{"forward-policy-drop-nft", [][]string{{
			"request tcp SYN attempt 1",
			"client route oif=eth0 local=false err=",
			"client device-tx eth0/veth",
			"node1 device-rx veth2828400f/veth",
			"node1 bridge cni0/bridge",
			"node1 bridge cni0/bridge",
			"node1 route oif=flannel.1 local=false err=",
			"node1 drop cni0/bridge drop NETFILTER_DROP nft_do_chain hook=FORWARD icmp=",
			"end dropped complete=true lost=0",
		}}},
		{"not-listening", [][]string{{
			"request tcp SYN attempt 1",
			"client route oif=eth0 local=false err=",
			"client device-tx eth0/veth",
			"node1 device-rx veth2828400f/veth",
			"node1 bridge cni0/bridge",
			"node1 bridge cni0/bridge",
			"node1 route oif=flannel.1 local=false err=",
			"node1 device-tx flannel.1/vxlan",
			"node1 route in-tunnel oif=eth0 local=false err=",
			"node1 tunnel flannel.1/vxlan in-tunnel encap vni=1 192.168.50.1>192.168.50.2:8472",
			"node1 device-tx eth0/veth in-tunnel",
			"node2 device-rx eth0/veth in-tunnel",
			"node2 route in-tunnel oif=eth0 local=true err=",
			"node2 tunnel flannel.1/vxlan decap vni=1 192.168.50.1>192.168.50.2:8472",
			"node2 device-rx flannel.1/vxlan",
			"node2 route oif=cni0 local=false err=",
			"node2 neighbour cni0/bridge",
			"node2 bridge cni0/bridge",
			"node2 device-tx veth025acccc/veth",
			"web-b device-rx eth0/veth",
			"web-b route oif=eth0 local=true err=",
			"web-b drop eth0/veth reject NO_SOCKET tcp_v4_rcv hook= icmp=",
			"end rejected complete=true lost=0",
		}}},
	} {
		t.Run(tc.recording, func(t *testing.T) { compare(t, assemble(t, tc.recording), tc.want) })
	}
}

// compare checks the first journeys of a recording; ARP may or may not have to wait, so a neighbour hop is not compared.
func compare(t *testing.T, js []journey.Journey, want [][]string) {
	t.Helper()
	if len(js) < len(want) {
		t.Fatalf("%d journeys, want %d", len(js), len(want))
	}
	drop := func(lines []string) (out []string) {
		for _, l := range lines {
			if !strings.Contains(l, " neighbour ") {
				out = append(out, l)
			}
		}
		return out
	}
	for i := range want {
		got, exp := drop(way(&js[i])), drop(want[i])
		if strings.Join(got, "\n") != strings.Join(exp, "\n") {
			t.Errorf("journey %d:\n%s\nwant:\n%s", i+1, strings.Join(got, "\n"), strings.Join(exp, "\n"))
		}
	}
}

// Retransmissions of a lost SYN are attempts of the same packet, and times never run backwards.
func TestRetransmissionsAreAttempts(t *testing.T) {
	js := assemble(t, "tunnel-lost-in-fabric")
	attempts := 0
	for i := range js {
		if js[i].Direction != journey.Request || js[i].Packet.Flags != "SYN" {
			continue
		}
		attempts++
		if js[i].Attempt != attempts {
			t.Errorf("SYN %d is attempt %d", attempts, js[i].Attempt)
		}
	}
	if attempts < 2 {
		t.Errorf("%d SYNs were recorded, want retransmissions", attempts)
	}
	for i := range js {
		last := int64(0)
		for k := range js[i].Hops {
			if js[i].Hops[k].T < last {
				t.Errorf("journey %d hop %d: time runs backwards", js[i].ID, k)
			}
			last = js[i].Hops[k].T
		}
	}
}

// A Service to itself: both sides are translated, and the packet leaves through the port it came in by.
func TestHairpin(t *testing.T) {
	js := assemble(t, "healthy-service-itself")
	var nats []string
	for _, l := range way(&js[0]) {
		if strings.Contains(l, " nat ") {
			nats = append(nats, l)
		}
	}
	if len(nats) != 2 || !strings.Contains(nats[0], "dnat 10.96.0.84:80>10.244.1.10:8080") || !strings.Contains(nats[1], "snat client>10.244.1.1:") {
		t.Errorf("translations: %q", nats)
	}
	if js[0].End != journey.Delivered {
		t.Errorf("end %s", js[0].End)
	}
}
