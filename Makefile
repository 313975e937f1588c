# make run    sets up and serves the studio        make test   sets up and passes the tests, browser included
# make check  format, lint, types                   make nano   rebuilds the base model of our own (about an hour)
# Needs Python >= 3.11 with pip, make and git; everything else it installs itself, into .venv.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help run test check format bench nano clean

help:
	@sed -n '1,2s/^# //p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Tuning Fork needs Python 3.11 or newer; set PYTHON=/path/to/python3.11."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Tuning Fork into $(VENV): about three minutes and 2 GB, once."
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e '.[dev]'
	@touch $@

run: $(VENV)/.installed
	$(BIN)/tuning-fork ui

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(VENV)/.installed-dev
	@CHROMIUM="$$($(BIN)/python tests/find_browser.py)" && export CHROMIUM && $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

bench: $(VENV)/.installed-dev
	@for file in tests/benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

nano: $(VENV)/.installed
	$(BIN)/python -m studio.engine.nano build --out assets/nano --seed 0

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build dist
