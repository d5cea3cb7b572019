# Every target does its own set-up from a fresh machine with Python 3.11 or later; the second time none of it is repeated.

# The distribution's Python before the PATH's, if it can make environments and binaries: distributions build theirs with
# profile-guided optimisation, version managers do not, and a node does a tenth more with it.
FIT := import ctypes, ensurepip, sys, sysconfig; sys.version_info >= (3, 11) or sys.exit(1); \
  ctypes.CDLL(sysconfig.get_config_var("INSTSONAME"))
PYTHON ?= $(shell /usr/bin/python3 -c '$(FIT)' 2>/dev/null && echo /usr/bin/python3 || echo python3)
SEEDS ?= 25
WORKERS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)
ARGS ?=

VENV := .venv
PY := $(VENV)/bin/python
NODE := $(VENV)/bin/zmart-lite
LITESVM := $(VENV)/litesvm/.installed
PIP := $(PY) -m pip --quiet --disable-pip-version-check
SOURCES := $(shell find zmart_lite release static docs/runbooks -type f -not -name '*.pyc' 2>/dev/null) schema.sql zmart.toml

.DEFAULT_GOAL := help
.PHONY: help run demo test check format bench simulate fuzz litesvm build package lock clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.installed ## node, devnet and demo markets on http://127.0.0.1:4000
	@exec $(NODE) dev $(ARGS)

demo: $(VENV)/.installed ## a market's whole life in under a minute, checked at the end
	@exec $(NODE) demo $(ARGS)

test: $(VENV)/.installed-dev $(LITESVM) ## every test, one worker per core and one more, because half the time is waiting for the disk
	$(PY) -m pytest --numprocesses $(WORKERS) $(ARGS)

check: $(VENV)/.installed-dev ## format, lint, types, import order
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/test_layers.py

format: $(VENV)/.installed-dev ## rewrites the sources in the one format
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

bench: $(VENV)/.installed-dev ## the measurements of BENCHMARKS.md
	$(PY) -m bench $(ARGS)

simulate: $(VENV)/.installed-dev ## the node under seeded faults: make simulate SEEDS=1000
	$(PY) -m pytest -m simulation --seeds $(SEEDS) $(ARGS)

fuzz: $(VENV)/.installed-dev $(LITESVM) ## the devnet against Agave's runtime, 500 transactions a seed: make fuzz SEEDS=1000
	$(PY) -m pytest -m differential --fuzz-seeds $(SEEDS) --numprocesses $(WORKERS) $(ARGS)

litesvm: $(LITESVM)

$(LITESVM): tests/localnet/differential/requirements.txt | $(VENV)/.installed-dev
	@rm -rf $(@D)
	$(PIP) install --no-deps --target $(@D) --requirement $<
	@touch $@

build: dist/zmart-lite ## one executable file, dist/zmart-lite

dist/zmart-lite: build/program/.made
	$(PY) -m release file

build/program/.made: $(VENV)/.installed-dev build.spec $(SOURCES)
	$(PY) -m PyInstaller --noconfirm --log-level WARN --distpath build/program build.spec
	@touch $@

package: build/program/.made ## the program as dist/*.tar.gz
	$(PY) -m release archive

lock: $(VENV)/.installed-dev ## newest versions that pyproject.toml allows, written to requirements.lock
	$(PIP) install --upgrade --upgrade-strategy eager --editable '.[dev,postgres]'
	sed -n '/^#/p' requirements.lock > requirements.lock.new
	$(PY) -m pip freeze --exclude-editable >> requirements.lock.new
	mv requirements.lock.new requirements.lock

clean: ## removes everything the other targets made
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

# An existing environment is kept; only a missing or unusable one is made.
$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml requirements.lock | $(PY)
	$(PIP) install --constraint requirements.lock --editable .
	@$(PY) -m compileall -q zmart_lite
	@touch $@

$(VENV)/.installed-dev: pyproject.toml requirements.lock | $(PY)
	$(PIP) install --constraint requirements.lock --editable '.[dev,postgres]'
	@$(PY) -m compileall -q zmart_lite
	@touch $@ $(VENV)/.installed
