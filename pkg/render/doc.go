// SPDX-License-Identifier: Apache-2.0

// Package render turns what a run found into bytes: one file for each format. A renderer writes as things happen and never looks back
// into the steps before it. Every string that came from a packet, a name or a file is escaped before a terminal sees it.
package render
