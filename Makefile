# SPDX-License-Identifier: Apache-2.0
# Every target works from a fresh clone. 'sudo' and plain users' shells often lack the places of Go and of the network tools in PATH: they
# are put last, so that what the caller chose still wins.
export PATH := $(PATH):/usr/local/go/bin:/usr/lib/go/bin:/snap/bin:/usr/sbin:/sbin
export CGO_ENABLED := 0
# A Go that is too old fetches the one that go.mod names, unless the caller said otherwise.
export GOTOOLCHAIN ?= auto
GO := go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 20s

.PHONY: help build image release-archives generate check-generated lint test unit race demo test-kernels bench fuzz screens install-deps clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

build: ## the static binary ./nettrace
	$(GO) build -buildvcs=false -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o nettrace ./cmd/nettrace

image: ## the container image for amd64 and arm64: dist/nettrace-image.tar (OCI archive) with its SBOMs, without a daemon
	@hack/deps.sh image
	$(GO) run -buildvcs=false ./internal/image/imagebuild -version $(VERSION) -o dist/nettrace-image.tar

release-archives: ## the kubectl plugin for each platform and krew's manifest with the sums, in dist/ (VERSION=v1.2.3)
	$(GO) run -buildvcs=false ./internal/release -version $(VERSION) -o dist

generate: ## compile bpf/ for amd64 and arm64 with the pinned clang
	@hack/clang.sh
	$(GO) generate ./...

check-generated: ## fail unless 'make generate' gives the committed files byte for byte
	@hack/check-generated.sh

lint: ## gofmt, licence headers, vet, staticcheck, errcheck
	@test -z "$$(gofmt -l cmd pkg internal)" || { echo "run gofmt on:"; gofmt -l cmd pkg internal; exit 1; }
	$(GO) test -count=1 -run Licence ./internal/repotest
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) tool errcheck -exclude hack/errcheck.txt ./...

test: ## everything: lint, generated files, unit tests, fuzz seeds, the lab end to end on this kernel (as root)
	@hack/deps.sh test
	$(MAKE) lint
	@hack/check-generated.sh --or-say-so
	$(MAKE) build
	@hack/test.sh

unit: ## the tests that need no privileges
	$(GO) test ./...

race: ## the tests under the race detector (needs a C compiler; as root for all of them)
	CGO_ENABLED=1 $(GO) test -race -p 1 -count=1 -timeout 60m ./...

test-kernels: ## boot the kernels of the matrix (Debian 5.10, 6.1, 6.12, 7.x) and run the whole lab on each
	@hack/deps.sh kernels
	NETTRACE_WHOLE_LAB=1 $(GO) test -count=1 -timeout 150m -run TestKernels -v ./internal/vmtest

demo: ## trace a healthy and a broken flow in the lab on this kernel (as root)
	@hack/deps.sh demo
	$(MAKE) build
	@hack/demo.sh

bench: ## speed of decoding, cost for other traffic and for the followed flow, attach and detach (as root)
	@hack/deps.sh demo
	$(GO) run ./internal/bench

fuzz: ## every fuzz target for FUZZTIME each
	@hack/fuzz.sh $(FUZZTIME)

screens: build ## put real output into the README (as root)
	@hack/screens.sh

install-deps: ## install what 'make test' needs (Debian and Ubuntu, as root)
	@hack/deps.sh test

clean: ## remove what was built
	rm -rf nettrace dist
