# Each target does all of its own set-up. What was made once is made again only when its sources change.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
export CARGO_TARGET_DIR := $(CURDIR)/target
# maturin, as the build back end, is found on the path.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# The ONNX Runtime library sends telemetry unless it is told not to before it loads.
export ORT_DISABLE_TELEMETRY := 1

RUST := $(shell find engine -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock $(wildcard protos/fraudgate/v1/*.proto)
ENGINE := .venv/.engine

.PHONY: help
help:  ## This list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.venv/.requirements: requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo 'Python 3.11 or newer is needed: set PYTHON=' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or newer is needed' >&2; exit 1; }
	@command -v cargo >/dev/null || { echo 'a Rust toolchain is needed (cargo is not on the path)' >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	touch $@

# The engine is built once, in release, for demo, tests and benchmarks alike.
$(ENGINE): .venv/.requirements $(RUST) pyproject.toml client/pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable client
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# What tests and benchmarks put beside the project, and it does without.
BESIDE := .venv/.beside
$(BESIDE): requirements-beside.lock .venv/.requirements
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-beside.lock
	touch $@

# Broken on purpose only where a run asks for it: one build for all.
SIMULATE := cargo run --release --locked --quiet --features broken -p fraudgate-simulate --
SEEDS ?= 2000
FIRST ?= 1

.PHONY: kafka simulate setup demo demo-stream test test-rust test-python bench prove fmt lint protos lock clean
setup: $(ENGINE)  ## The environment in .venv, with the engine built.

demo: $(ENGINE)  ## Certificates, a model, a server, and a week of transactions scored over mutual TLS.
	$(BIN)/fraudgate demo

demo-stream: $(ENGINE)  ## A broker, a PoP and its cloud: an outage, and how it is caught up with (needs Java and Maven).
	$(BIN)/python -m service.demo.outage

test: test-rust test-python  ## Everything that must hold.

test-rust: $(ENGINE)
	cargo test --release --locked --quiet --lib --tests -p fraudgate-core -p fraudgate-server
	cargo test --release --locked --quiet --features broken -p fraudgate-simulate
	$(SIMULATE) --seeds 2000

simulate:  ## The core and its journal under simulated faults: SEEDS=n FIRST=m; VERBOSE=1 tells all, BREAK=name breaks it.
	$(SIMULATE) --seeds $(SEEDS) --first $(FIRST) $(if $(VERBOSE),--verbose) $(if $(BREAK),--break $(BREAK))

# Tests that need a broker skip themselves where there is no Java or Maven; in CI they fail.
test-python: $(ENGINE) $(BESIDE) $(if $(shell command -v mvn),kafka)
	$(BIN)/python -m pytest -q tests

kafka: .venv/.requirements  ## The jars of the broker that tests start, kept in a cache between runs.
	$(BIN)/python -m service.demo.kafka.jars

bench: $(ENGINE) $(BESIDE)  ## Speed beside the best that could be assembled instead: a table, and build/bench.json; ROWS="serve journal" for some.
	$(BIN)/python -m benchmarks $(ROWS)

prove: $(ENGINE) $(BESIDE)  ## The tests again, with the full counts of what is random.
	FRAUDGATE_PROVE=1 $(BIN)/python -m pytest -q tests
	$(SIMULATE) --seeds 100000
	FRAUDGATE_PROVE=1 PROPTEST_CASES=20000 cargo test --release --locked --quiet --lib --tests -p fraudgate-core -p fraudgate-server

fmt: $(ENGINE)  ## Formats everything.
	cargo fmt --all
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .
	cd protos && ../$(BIN)/buf format -w

lint: $(ENGINE)  ## Formatters, linters and the type checker, with warnings denied.
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- --deny warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd protos && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code >/dev/null

protos: .venv/.requirements  ## Writes the client's generated messages anew.
	$(BIN)/python -m grpc_tools.protoc -Iprotos --python_out=client --pyi_out=client protos/fraudgate/v1/*.proto
	$(BIN)/python -m grpc_tools.protoc -Iprotos --grpc_python_out=client protos/fraudgate/v1/scoring.proto protos/fraudgate/v1/operation.proto \
	  protos/fraudgate/v1/rescore.proto

lock:  ## Resolves requirements.in anew.
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet uv
	build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --upgrade --output-file requirements.lock requirements.in
	build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --upgrade --constraint requirements.lock --output-file requirements-beside.lock requirements-beside.in
	cargo update

clean:  ## Removes all that was made.
	rm -rf .venv build target engine/_native*.so
