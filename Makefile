# Every target is a plain command: read it, copy it, run it by hand.

.DEFAULT_GOAL := help

TEST_TIMEOUT ?= 15m
FUZZ_TIME    ?= 10s
BENCH_FLUSH  ?= 0
TORTURE_TIME ?= 5m
TORTURE_SEED ?= 0
TORTURE_FAULTS ?=

# golangci-lint has a go.mod of its own, so that its needs do not become ours.
GOLANGCI_LINT = go tool -modfile=tools/go.mod golangci-lint

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z\/-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: check
check: fmt lint test ## what to run before every push

.PHONY: test
test: ## all tests, on SQLite and PostgreSQL; installs PostgreSQL where it can
	./scripts/ensure-postgres.sh
	go test -timeout $(TEST_TIMEOUT) ./...

.PHONY: test/short
test/short: ## the tests that need no PostgreSQL, in seconds
	go test -short ./...

.PHONY: race
race: ## all tests under the race detector (needs a C compiler)
	./scripts/ensure-postgres.sh
	go test -race -timeout $(TEST_TIMEOUT) ./...

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZ_TIME (10s)
	./scripts/fuzz.sh $(FUZZ_TIME)

.PHONY: bench
bench: ## our store beside hand-written baselines, on a private PostgreSQL; writes bench-report.json, takes minutes. BENCH_FLUSH=1ms: as on a slower disk
	./scripts/ensure-postgres.sh
	go test ./bench -run '^TestReport$$' -count=1 -timeout 60m -v -args -report $(CURDIR)/bench-report.json -flush $(BENCH_FLUSH)

.PHONY: torture
torture: ## try to break it: every fault and control for TORTURE_TIME (5m), from TORTURE_SEED
	./scripts/ensure-postgres.sh --with-clock
	go test ./torture -v -count=1 -timeout 0 -run '^Test(Torture|Control|All|Both)' -args \
		-torture.time=$(TORTURE_TIME) -torture.seed=$(TORTURE_SEED) -torture.faults=$(TORTURE_FAULTS)

.PHONY: cover
cover: ## test coverage of the whole module, as a table
	./scripts/ensure-postgres.sh
	go test -timeout $(TEST_TIMEOUT) -coverpkg=./... -coverprofile=coverage.out ./...
	go tool cover -func=coverage.out

.PHONY: lint
lint: ## the linters of .golangci.yml and the limit on file length
	./scripts/file-length.sh
	$(GOLANGCI_LINT) run

.PHONY: fmt
fmt: ## format all Go code in place
	$(GOLANGCI_LINT) fmt

.PHONY: demo
demo: ## a bank at work on a temporary SQLite file
	go run ./cmd/daybank demo
