// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// DNSServer is the pod that answers for the cluster's names on port 53, as CoreDNS does.
const DNSServer = "web-b"

// ClusterDNS is the address that the pods' resolv.conf names, as the kubelet's --cluster-dns; cases have the Service behind it.
var ClusterDNS = addr("10.96.0.10")

// externalName is the only name outside of the cluster that the lab's server knows.
const externalName = "example.com."

// resolvDir is where iproute2 and nettrace look for the files of a named namespace (ip-netns(8)).
const resolvDir = "/etc/netns"

func resolvFile(full string) string { return filepath.Join(resolvDir, full, "resolv.conf") }

// resolvConf is what the kubelet writes for a pod with dnsPolicy ClusterFirst.
func (p *Pod) resolvConf() string {
	return fmt.Sprintf("search %s.svc.cluster.local svc.cluster.local cluster.local\nnameserver %s\noptions ndots:5\n", p.Namespace, ClusterDNS)
}

// resolvers writes a resolv.conf for each pod.
func (l *Lab) resolvers() error {
	for _, p := range Pods() {
		name := resolvFile(l.NetNS(p.Short))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return fmt.Errorf("write the pods' resolv.conf: %w", err)
		}
		if err := os.WriteFile(name, []byte(p.resolvConf()), 0o644); err != nil {
			return fmt.Errorf("write the pods' resolv.conf: %w", err)
		}
	}
	return nil
}

// removeResolvers removes what resolvers wrote, and nothing else that may be there.
func removeResolvers(prefix string) {
	for _, p := range Pods() {
		name := resolvFile(prefix + "-" + p.Short)
		_ = os.Remove(name)
		_ = os.Remove(filepath.Dir(name)) // only when it is empty
	}
	_ = os.Remove(resolvDir) // so too
}

// serveDNS answers for the lab's names in the namespace that it is called in.
func (l *Lab) serveDNS() error {
	pc, err := net.ListenPacket("udp", ":53")
	if err != nil {
		return err
	}
	l.keep(pc)
	ln, err := net.Listen("tcp", ":53")
	if err != nil {
		return err
	}
	l.keep(ln)
	names := zone(l.services)
	go func() {
		b := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			if a := resolve(names, b[:n]); a != nil {
				_, _ = pc.WriteTo(a, from)
			}
		}
	}()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go answerDNS(names, c)
		}
	}()
	return nil
}

// answerDNS answers one query on a TCP connection.
func answerDNS(names map[string]netip.Addr, c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return
	}
	q := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, q); err != nil {
		return
	}
	if a := resolve(names, q); a != nil {
		_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
	}
}

// zone are the names that the server knows.
func zone(services []Service) map[string]netip.Addr {
	names := map[string]netip.Addr{externalName: externalIP}
	for _, s := range services {
		names[s.Name+"."+s.Namespace+".svc.cluster.local."] = s.ClusterIP
	}
	return names
}

// resolve answers a query: the address of a name that is known, no address of the other family, NXDOMAIN for every other name; nil for what
// is no query.
func resolve(names map[string]netip.Addr, query []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || m.Response || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	out := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionDesired: m.RecursionDesired, RecursionAvailable: true}, Questions: m.Questions}
	a, known := names[strings.ToLower(q.Name.String())]
	h := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 30}
	switch {
	case !known:
		out.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA && a.Is4():
		out.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AResource{A: a.As4()}}}
	case q.Type == dnsmessage.TypeAAAA && a.Is6():
		out.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}}}
	}
	b, err := out.Pack()
	if err != nil {
		return nil
	}
	return b
}
