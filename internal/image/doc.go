// SPDX-License-Identifier: Apache-2.0

// Package image makes nettrace's container image without a container daemon: the static binary, and the tools that list rules (they speak for
// the rules of iptables of both kinds, nftables and ipsets) with the libraries that they load, from Debian's packages, for each architecture.
//
// The same commit and the same packages give the same bytes: files are sorted, belong to root, carry the commit's time, and only root may write
// them. What is inside, from which package or module and under which licence, is in its SBOM (SPDX 2.3), inside the image and beside it.
package image
