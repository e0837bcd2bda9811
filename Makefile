# `make` alone shows what there is. Every target sets up what it needs first, and again only after a lock file changed.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# Where nft, ip and sshd live; a root shell from `su` leaves it out.
export PATH := $(PATH):/usr/sbin:/sbin

BIN := .venv/bin
CODE := src tests $(wildcard bench)
# Passed on to demo, test, unit and bench:  make test ARGS='-k expiry'
ARGS ?=
# Test processes; `auto` is one for each core, and never more than eight.
JOBS ?= auto
PYTEST := $(BIN)/pytest $(ARGS)
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-package jitgate-agent

##@ Try it
.PHONY: demo
demo: setup-run ## two machines, a real firewall, a port that opens and shuts; stays up until Ctrl-C (ARGS=--once: ends by itself)
	@$(BIN)/jitgate demo $(ARGS)

.PHONY: bench
bench: setup-dev ## how fast it is: the performance table (ARGS are passed on)
	$(BIN)/python -m bench $(ARGS)

##@ Work on it
.PHONY: setup
setup: setup-dev ## make this machine and .venv ready for development; the other targets do it by themselves

.PHONY: format
format: setup-dev ## rewrite the code in the project's format, and mend what can be mended by itself
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

.PHONY: unit
unit: setup-dev ## the fast tests alone: no root, no processes, some seconds
	$(PYTEST) tests/unit -n 0

##@ Prove it
.PHONY: test
test: lint types ## everything that must hold before a change lands: lint, types, import rules, all tests
	$(PYTEST) -n $(JOBS) --maxprocesses 8 --dist loadfile

.PHONY: lint
lint: setup-dev ## code style, format, and which room may import which
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/lint-imports --no-cache --no-logo

.PHONY: types
types: setup-dev ## mypy --strict over source and tests
	$(BIN)/mypy $(CODE)

.PHONY: chaos
chaos: setup-dev ## the long search: 100,000 random steps, and kill -9 at every failpoint (an hour or more)
	JITGATE_PROFILE=long $(PYTEST) tests/stateful tests/crash -n $(JOBS) --dist loadfile --timeout 0

##@ Release it
.PHONY: lock
lock: setup-dev ## renew the lock files: the newest versions that pyproject.toml allows, pinned by hash
	$(COMPILE) --upgrade --group dev --extra postgres --extra notify pyproject.toml -o requirements-dev.lock
	$(COMPILE) --upgrade --group build --constraint requirements-dev.lock pyproject.toml -o requirements.lock
	$(COMPILE) --upgrade --group setup -o requirements-setup.lock
	$(COMPILE) --upgrade --group az -o requirements-az.lock

.PHONY: dist
dist: setup-dev ## both wheels and source distributions, into dist/, built offline with the locked build tools
	rm -rf dist
	$(BIN)/uv build --quiet --offline --no-build-isolation --out-dir dist packages/agent
	$(BIN)/uv build --quiet --offline --no-build-isolation --out-dir dist .
	@ls -l dist

.PHONY: clean
clean: ## remove all that was made here, the environment too
	rm -rf .venv .venv-az dist .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Find your way
.PHONY: help
help: ## this page
	@awk 'BEGIN { FS = ":.*## "; print "jitgate: make TARGET [ARGS=...]" } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "CONTRIBUTING.md is the map of the source; docs/ is the rest."

.PHONY: setup-run setup-dev
setup-run:
	@tools/setup run
setup-dev:
	@tools/setup dev
