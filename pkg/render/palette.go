// SPDX-License-Identifier: Apache-2.0

package render

// tone is a colour by what it means.
type tone string

// The tones; the values are SGR codes (ECMA-48).
const (
	good    tone = "32"
	bad     tone = "1;31"
	warning tone = "33"
	change  tone = "36" // the packet changed: translated, put into a tunnel
	quiet   tone = "2"
	strong  tone = "1"
)

// palette colours text, or does not.
type palette bool

// paint escapes text and colours it.
func (p palette) paint(t tone, text string) string {
	text = Escape(text)
	if !p || text == "" {
		return text
	}
	return "\x1b[" + string(t) + "m" + text + "\x1b[0m"
}
