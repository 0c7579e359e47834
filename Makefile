# Every target sets up what it needs in .venv; a target that ran before starts at once.
# PYTHON picks the interpreter of the virtual environment, CONFIG what `make run` runs, PYTEST_ARGS what is added to pytest.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
CONFIG ?= hw_configs/cent.yaml
PYTEST_ARGS ?=
N_WORKERS ?= auto

VENV := .venv
BIN := $(VENV)/bin
PACKAGING := setup.cfg pyproject.toml simulator/__init__.py

.PHONY: run test figures bench lint types clean
.DEFAULT_GOAL := run

run: $(VENV)/.installed
	$(BIN)/sim run $(CONFIG)

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n $(N_WORKERS) --maxprocesses 8 $(PYTEST_ARGS)

# Into results/figures, or a folder of your own: make figures FIGURES="cent-13a cent-13b" FIGURES_OUT=out
FIGURES ?= --all
FIGURES_OUT ?=

figures: $(VENV)/.installed
	$(BIN)/sim figure $(FIGURES) $(if $(FIGURES_OUT),--out $(FIGURES_OUT))

bench: $(VENV)/.installed-test
	$(BIN)/python -m pytest tests/benchmarks --override-ini=addopts=--import-mode=importlib -s -q -p no:xdist $(PYTEST_ARGS)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "error: no python3 found; install Python 3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: $(PYTHON) is too old; Python 3.11 is needed: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || $(PYTHON) -m virtualenv $(VENV) \
	  || { rm -rf $(VENV); echo "error: no virtual environment: apt-get install python3-venv" >&2; exit 2; }

# A stamp is written last, so an install that was cut short is done again; it is redone when the packaging changes.
$(VENV)/.installed: $(PACKAGING) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-test: $(PACKAGING) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@ $(VENV)/.installed
