// SPDX-License-Identifier: Apache-2.0

package probe

// Outcome is what the client saw.
type Outcome string

// The outcomes of the contract.
const (
	Connected   Outcome = "connected"   // TCP connected, UDP or ICMP answered
	Refused     Outcome = "refused"     // RST, or ICMP port unreachable
	Timeout     Outcome = "timeout"     // TCP: no answer to the SYN or, after it, to the data
	Unreachable Outcome = "unreachable" // EHOSTUNREACH, ENETUNREACH
	Reset       Outcome = "reset"       // reset after it was connected
	NoAnswer    Outcome = "no-answer"   // UDP, ICMP: sent, nothing came back
)

// Known reports whether it is one of the contract's.
func (o Outcome) Known() bool {
	switch o {
	case Connected, Refused, Timeout, Unreachable, Reset, NoAnswer:
		return true
	}
	return false
}

// Result is what one probe saw from inside the client's namespace.
type Result struct {
	Result Outcome `json:"result"`
	MS     int64   `json:"ms"`              // until the result
	Error  string  `json:"error,omitempty"` // the system's words, "connection refused"
	Sent   int     `json:"sent,omitempty"`  // payload bytes sent after the connection
	Acked  bool    `json:"acked,omitempty"` // the payload was answered
	Local  string  `json:"local,omitempty"` // "address:port" the client used
	// What follows is there when it was asked for, ICMP when an error came back.
	ICMP    *ICMP       `json:"icmp,omitempty"`
	HTTP    *HTTPResult `json:"http,omitempty"`
	DNS     *DNSResult  `json:"dns,omitempty"`
	MTU     *MTUResult  `json:"mtu,omitempty"`
	Compare []Compared  `json:"compare,omitempty"`
}
