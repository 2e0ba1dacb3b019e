# SPDX-License-Identifier: Apache-2.0
# Every target works from a fresh clone. 'sudo' often drops /usr/local/go/bin from PATH, so it is put back.
export PATH := $(PATH):/usr/local/go/bin
export CGO_ENABLED := 0
GO := go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 20s

.PHONY: help build generate check-generated lint test unit demo bench fuzz screens clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

build: ## the static binary ./nettrace
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o nettrace ./cmd/nettrace

generate: ## compile bpf/ for amd64 and arm64 with the pinned clang
	@hack/clang.sh
	cd pkg/tracer && $(GO) generate .

check-generated: ## fail unless 'make generate' gives the committed files byte for byte
	@hack/check-generated.sh

lint: ## gofmt, vet, staticcheck, errcheck
	@test -z "$$(gofmt -l cmd pkg internal)" || { echo "run gofmt on:"; gofmt -l cmd pkg internal; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) tool errcheck -exclude hack/errcheck.txt ./...

test: ## everything: lint, generated files, unit tests, fuzz seeds, the lab end to end on this kernel (as root)
	@hack/deps.sh test
	$(MAKE) lint check-generated build
	@hack/test.sh

unit: ## the tests that need no privileges
	$(GO) test ./...

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

clean: ## remove what was built
	rm -f nettrace
