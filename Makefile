# What a person or a machine runs here. `make` alone prints this list.

GO      ?= go
NPM     ?= npm
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# Every module that has tests of its own; each is vetted and tested alike.
MODULES := $(patsubst %/go.mod,%,$(wildcard go.mod test/*/go.mod bench/go.mod))
MODULES := $(patsubst go.mod,.,$(MODULES))

# The race detector needs a C compiler.
CC_FOUND := $(shell command -v $$($(GO) env CC 2>/dev/null) 2>/dev/null)
CGO      := $(shell $(GO) env CGO_ENABLED 2>/dev/null)
RACE     := $(if $(and $(CC_FOUND),$(filter 1,$(CGO))),-race)

TESTFLAGS ?=
FUZZTIME  ?= 30s
SOAKTIME  ?= 10m

.DEFAULT_GOAL := help
.PHONY: help dev build test lint fuzz bench soak docs

help:
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dev: ## run the gateway with an embedded development server and a sample app
	$(GO) run ./cmd/gateway dev

build: ## build the static binary bin/gateway
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/gateway ./cmd/gateway

test: lint node-modules ## run every test of every module, the Node tests too (installs what they need)
	@set -e; for module in $(MODULES); do \
		echo "$(GO) test $(RACE) ./... (in $$module)"; \
		$(GO) -C $$module test $(RACE) -timeout 20m $(TESTFLAGS) ./...; \
	done
	cd test/node && $(NPM) test

lint: bin/staticcheck ## gofmt, go vet and staticcheck over every module
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
		if [ -n "$$unformatted" ]; then echo "not formatted with gofmt: $$unformatted"; exit 1; fi
	@set -e; for module in $(MODULES); do \
		echo "vet and staticcheck (in $$module)"; \
		$(GO) -C $$module vet ./...; \
		(cd $$module && $(CURDIR)/bin/staticcheck ./...); \
	done

fuzz: ## fuzz every fuzz target for FUZZTIME (30s)
	FUZZTIME=$(FUZZTIME) tools/fuzz.sh

bench: ## run the benchmarks, and compare the gateway with others (bench/README.md)
	$(GO) test -run '^$$' -bench . -benchmem ./...
	$(GO) run ./bench/cmd/bench
	$(GO) run ./bench/cmd/events -cycles 5
	$(GO) -C test/sdk run ./cmd/program -cycles 5

soak: ## load a gateway for SOAKTIME (10m) and watch for what grows or fails; then long outages
	$(GO) -C test/sdk test $(RACE) -timeout 0 -count 1 -v -run '^TestSoak$$|^TestRestart_' . -soak $(SOAKTIME)
	$(GO) run ./bench/soak -for $(SOAKTIME)
	$(GO) test $(RACE) -timeout 0 -count 1 -v -run '_outage|_withLargeCalls' ./test/chaos -long

docs: ## rewrite the golden files and the generated references from the code
	@set -e; for dir in $$(git grep -lE 'flag\.Bool\("update"' -- '*_test.go' | xargs -r -n1 dirname | sort -u); do \
		$(GO) test -count=1 ./$$dir -update; \
	done

bin/staticcheck: tools/go.mod
	$(GO) build -C tools -buildvcs=false -o $(CURDIR)/bin/staticcheck honnef.co/go/tools/cmd/staticcheck

.PHONY: node-modules
node-modules:
	@command -v node >/dev/null && command -v $(NPM) >/dev/null || { \
		echo "the tests need Node 20 or later with npm, which run the JavaScript SDK behind the gateway; install it and run make test again"; exit 1; }
	@cd test/node && if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then \
		echo "$(NPM) ci (in test/node)"; $(NPM) ci --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json; fi
