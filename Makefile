# Everything runs from a fresh clone with Python 3.11 or newer, make and a package index.
# A stamp file per extra in .venv makes repeated runs quick.

PYTHON ?= python3
PYTEST_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test test-real check format docs bench soak clean
.DELETE_ON_ERROR:

help:
	@echo "make demo       try it: a store with data in memory, the proxy in front of it, lines to copy"
	@echo "make test       run the tests; needs nothing but Python and a package index"
	@echo "make test-real  run the tests against real stores and clients from Debian and npm as well"
	@echo "make check      ruff and mypy"
	@echo "make format     let ruff format the code"
	@echo "make docs       write the generated tables of the reference anew"
	@echo "make bench      measure speed and memory"
	@echo "make soak       run under load for a while"
	@echo "make clean      remove what make built"

demo: $(VENV)/stamp-demo
	@$(BIN)/s3warden demo

test: $(VENV)/stamp-test
	$(BIN)/python -m pytest -q -n auto --ignore=tests/real $(PYTEST_ARGS)

test-real: $(VENV)/stamp-test
	.ci/system-packages
	$(BIN)/python -m pytest -q tests/real $(PYTEST_ARGS)

check: $(VENV)/stamp-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/stamp-check
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/stamp-test
	for page in docs/generate_*.py; do $(BIN)/python "$$page"; done

bench: $(VENV)/stamp-test
	$(BIN)/python bench/evaluation.py
	$(BIN)/python bench/envelope.py
	$(BIN)/python bench/throughput.py --write

soak: $(VENV)/stamp-test
	$(BIN)/python bench/soak.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .rgw
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit("s3warden needs Python 3.11 or newer; try: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/stamp-%: pyproject.toml $(VENV)/stamp-venv
	$(PIP) -e ".[$*]"
	@touch $@
