// SPDX-License-Identifier: Apache-2.0

// Package probe sends a real test connection from inside a network namespace and reports what the client saw. It sends to the one
// address it is given, as often as it is told, and stops.
package probe
