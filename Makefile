# Targets of Doorward. The tools that they use are pinned in tools/<name>/go.mod.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# make sees a change in the tool's own module only; go's cache does the rest.
TOOLS := build/tools

# The three mutants of `make check`: no signature check, no comparison, no time limit.
CHECK_MUTANTS := jwt-signature secret-compare jwt-expiry

# Packages that compute, share nothing with us, and take ten times as long with the race detector. None may hold instances of the generic
# types of others: the linker keeps one copy of those for the whole program, with the detector or without.
NO_RACE := modernc.org/sqlite/lib modernc.org/libc crypto/internal/fips140/edwards25519/... golang.org/x/crypto/argon2 golang.org/x/crypto/blake2b go.yaml.in/yaml/v3
RACE := -race $(NO_RACE:%=-gcflags=%=-race=false)

TYPESCRIPT := clients/typescript
TYPESCRIPT_API := internal/api/testdata/typescript

.PHONY: help build test test-typescript test-pkcs11 deploy e2e e2e-full screenshots fresh fuzz check format vet lint generated floors mutants check-mutants faults faults-short vuln vuln-public bench bench-clients simulate generate clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the product: build/doorward
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o build/doorward ./cmd/doorward

test: ## run all tests with the race detector on all engines, then fuzz briefly
	@mkdir -p build
	go build -o build/testreport ./scripts/testreport
	scripts/engines bash -o pipefail -c "go test $(RACE) -timeout 15m -json ./... | tee build/test.json | build/testreport"
	scripts/fuzz 20000x

test-typescript: $(TYPESCRIPT)/node_modules/.package-lock.json $(TYPESCRIPT_API)/node_modules/.package-lock.json ## build and test the TypeScript package (Node.js 20 or newer)
	cd $(TYPESCRIPT) && ../../scripts/node npm run --silent build && npm test --silent
	ENGINES=redis scripts/engines go test $(RACE) -tags typescript -run 'Typescript|QuickStartOfNode' ./$(TYPESCRIPT) ./cmd/doorward ./internal/api

# What the lock file names, and no script of a package runs.
%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	cd $* && $(CURDIR)/scripts/node npm ci --ignore-scripts

# The quick starts of the page run in curl, Node.js, Python and Go.
e2e: ## look at every page of the Dashboard in Chromium, once, and go through its flows
	ALSO='curl python3' scripts/browser scripts/node bash -c 'cd e2e && go test -count=1 -timeout 30m ./...'

e2e-full: ## the same in both themes and widths, with a large account and everything timed
	ALSO='curl python3' scripts/browser scripts/node bash -c 'cd e2e && go test -count=1 -v -timeout 60m ./... -full'

faults-short: ## kill, fill, break and overload the platform, for three minutes
	scripts/faults some

faults: ## the same at length: 500 kills, 20,000 revocations on several nodes, overload for a minute
	scripts/faults all

fresh: ## do what a newcomer does: clone, and the README's first command, with empty caches
	scripts/fresh

screenshots: ## draw twelve pages of the Dashboard for docs/screenshots
	scripts/screenshots

test-pkcs11: ## test contrib/kek-pkcs11 with SoftHSM
	ENGINES=sqlite ALSO=softhsm2-util scripts/engines bash -c 'cd contrib/kek-pkcs11 && go test -count=1 ./...'

deploy: $(TOOLS)/kustomize ## check what is in deploy: systemd, container, Kubernetes, Compose
	ENGINES=sqlite ALSO='systemd-analyze haproxy' scripts/engines bash -c 'cd deploy && go test ./...'

fuzz: ## fuzz each target for 30 s, and a million mutated tokens
	scripts/fuzz 30s
	DOORWARD_JWT42=1000000 go test -count=1 -timeout 60m -run JWT42 ./internal/jwt

check: format vet lint generated floors check-mutants vuln deploy ## all checks that are not tests

format:
	@unformatted=$$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0r ls -d 2>/dev/null | xargs -r gofmt -l); \
	if [[ -n $$unformatted ]]; then echo "not formatted (run gofmt -w):"; echo "$$unformatted"; exit 1; fi

# The modules beside the root must know each module that the root needs.
vet:
	go vet ./...
	go vet -tags faults ./internal/servertest
	cd bench && go vet ./...
	cd e2e && go vet ./...
	cd deploy && go vet ./...
	cd contrib/kek-pkcs11 && go vet ./...

lint: $(TOOLS)/golangci-lint
	$(TOOLS)/golangci-lint run ./...

# Generated code is compared with what stands in the working tree, committed or not.
generated: $(TOOLS)/templ $(TOOLS)/oapi-codegen
	@scripts/generated $(TOOLS)

generate: $(TOOLS)/templ $(TOOLS)/oapi-codegen ## write generated code anew
	$(TOOLS)/templ generate
	for config in $$(git ls-files --cached --others --exclude-standard '*oapi-codegen.yaml'); do \
		(cd "$$(dirname "$$config")" && "$(CURDIR)/$(TOOLS)/oapi-codegen" -config oapi-codegen.yaml "$(CURDIR)/management/openapi.yaml"); done

floors:
	go test -run 'TestFloors|TestProductRules' .

mutants: ## break each guard in turn: its test must turn red
	scripts/engines go run ./scripts/mutants

check-mutants:
	go run ./scripts/mutants $(CHECK_MUTANTS)

vuln: $(TOOLS)/govulncheck ## look for vulnerable calls, with the committed database
	scripts/vuln $(TOOLS)/govulncheck

vuln-public: $(TOOLS)/govulncheck ## look for vulnerable calls, with the public database
	$(TOOLS)/govulncheck ./...

bench: build ## run the benchmarks
	scripts/engines go test -run '^$$' -bench ManyClients -benchtime 300x -timeout 20m ./internal/api
	scripts/engines go test -run '^$$' -bench Apply -benchtime 3x ./internal/api
	ENGINES=postgres scripts/engines bash -c "cd bench && go run ."

simulate: ## the hits of directories for 100 million clients, from a simulation
	cd bench && go run . simulate

bench-clients: ## measure the Go client libraries beside x/oauth2 and a bare signature check
	cd bench && go run ./clients

clean: ## remove what was built
	rm -rf build $(TYPESCRIPT)/dist

$(TOOLS)/%: tools/%/go.mod tools/%/go.sum
	@mkdir -p $(TOOLS)
	cd tools/$* && go build -o ../../$@ tool
