# Everything a person or a CI machine runs. Each target makes its own environment in .venv first,
# so that a fresh clone needs nothing but Python 3.11+, git and make (node and npm for some tests).
#
#   make test ARGS="-k swap -x"     passes arguments on (to pytest, mypy, ruff, the demo, the bench)
#   make setup PYTHON=/path/python  picks the interpreter for .venv

VENV   := .venv
PY     := $(VENV)/bin/python
STAMP  := $(VENV)/.installed
NODE   := .node
ARGS   ?=
PYTHON ?=

NPM_INSTALL := npm install --no-audit --no-fund --no-package-lock --loglevel=error \
	--fetch-retries=1 --fetch-timeout=120000

.PHONY: help setup demo test lint format types bench storm sim fuzz mutants conformance node clean

help:
	@echo "make demo    a real MCP client session on your terminal"
	@echo "make test    all tests, several at once; one after another: ARGS=-n0"
	@echo "make lint    ruff: rules and format      make format   let ruff repair both"
	@echo "make types   mypy --strict"
	@echo "make bench   the relay beside the floor and other relays; writes docs/benchmarks.md"
	@echo "make storm   swaps, kills, re-execs of the supervisor, under load; prints figures"
	@echo "make sim     the core in millions of random steps nobody has seen; seeds are printed"
	@echo "make fuzz    the properties with thousands of examples nobody has seen"
	@echo "make mutants rules of the core broken one by one: the tests have to notice each"
	@echo "make conformance  the official suite, directly and through the relay; writes docs/conformance.md"
	@echo "make setup   only the environment        make clean    remove all that was made"

setup: $(STAMP)

demo: $(STAMP)
	@$(PY) deploy/demo.py $(ARGS)

test: $(STAMP) node
	@$(PY) -m pytest -n auto --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(ARGS)

lint: $(STAMP)
	@$(PY) -m ruff check $(ARGS) .
	@$(PY) -m ruff format --check $(ARGS) .

format: $(STAMP)
	@$(PY) -m ruff check --fix-only $(ARGS) .
	@$(PY) -m ruff format $(ARGS) .

types: $(STAMP)
	@$(PY) -m mypy $(ARGS)

bench: $(STAMP)
	@$(PY) -m tests.bench $(ARGS)

storm: $(STAMP)
	@$(PY) -m tests.storm $(ARGS)

sim: $(STAMP)
	@$(PY) -m tests.sim $(ARGS)

fuzz: $(STAMP)
	@$(PY) -m pytest -n auto -m hypothesis --hypothesis-profile search $(ARGS)

mutants: $(STAMP)
	@$(PY) -m tests.mutants $(ARGS)

conformance: $(STAMP) node
	@$(PY) -m tests.conformance $(ARGS)

clean:
	rm -rf $(VENV) $(NODE) .bench .conformance .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Candidates are run, not only looked up: a pyenv shim may exist for a version that is not installed.
$(STAMP): pyproject.toml
	@set -eu; \
	for candidate in $(PYTHON) python3 python3.11 python3.12 python3.13 python3.14 python; do \
		if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			python="$$candidate"; break; \
		fi; \
	done; \
	if [ -z "$${python:-}" ]; then \
		echo "Relay needs Python 3.11 or newer, and none was found on PATH." >&2; \
		echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
		echo "$$python has no venv module with pip in it." >&2; \
		echo "On Debian and Ubuntu: apt install python3-venv (or python3.11-venv for that version)." >&2; \
		exit 1; \
	fi; \
	if ! $(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		rm -rf $(VENV); "$$python" -m venv $(VENV); \
	fi; \
	echo "Installing Relay and its tools into $(VENV) (once) ..." >&2; \
	$(PY) -m pip install --quiet --disable-pip-version-check -e ".[dev]"; \
	touch $@

# The real servers and the real client the tests use. Whatever cannot be had is not an error here: the
# tests that need it are skipped, and say the reason left in the file "missing".
node:
	@$(call npm_folder,servers,tests/fixtures/package.json)
	@$(call npm_folder,claude_code,tests/fixtures/claude_code/package.json)
	@$(call npm_folder,conformance,tests/fixtures/conformance/package.json)

define npm_folder
	folder=$(NODE)/$(1); \
	if [ $$folder/.installed -nt $(2) ]; then exit 0; fi; \
	mkdir -p $$folder; rm -f $$folder/.installed; cp $(2) $$folder/package.json; \
	if ! command -v npm >/dev/null 2>&1 || ! command -v node >/dev/null 2>&1; then \
		echo "node and npm are not installed" > $$folder/missing; \
	elif (cd $$folder && echo "Installing npm packages for the tests: $(1) (once) ..." >&2 && \
		$(NPM_INSTALL) > install.log 2>&1 < /dev/null); then \
		rm -f $$folder/missing; touch $$folder/.installed; \
	else \
		{ echo "npm install of $(2) failed:"; tail -3 $$folder/install.log; } > $$folder/missing; \
	fi; \
	if [ -f $$folder/missing ]; then echo "Tests with npm's $(1) will be skipped:" >&2; cat $$folder/missing >&2; fi
endef
