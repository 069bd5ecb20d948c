# Everything runs from a fresh clone with Python 3.11 or newer, make and a package index.
# A stamp file per extra in .venv makes repeated runs quick.

PYTHON ?= python3
PYTEST_ARGS ?=
FUZZ ?= 20
SEED ?= 1
MINUTES ?= 10
WORKERS ?= 1
VENV := .venv
BIN := $(VENV)/bin
# Clients that the tests run as their users do; those that want different versions of a package live apart.
CLIENTS := .venv-clients
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test test-real fuzz check format docs bench soak clean .venv-clients
.DELETE_ON_ERROR:

help:
	@echo "make demo       try it: a store with data in memory, the proxy in front of it, lines to copy"
	@echo "make test       run the tests; needs nothing but Python and a package index"
	@echo "make test-real  run the tests against real stores and clients from Debian and npm as well"
	@echo "make fuzz       look for inputs that hurt, for a minute; FUZZ=100 looks five times as long, SEED=2 elsewhere"
	@echo "make check      ruff and mypy"
	@echo "make format     let ruff format the code"
	@echo "make docs       write the generated tables of the reference anew"
	@echo "make bench      measure speed and memory"
	@echo "make soak       run under load for 10 minutes and judge the memory; MINUTES=2 WORKERS=2"
	@echo "make clean      remove what make built"

demo: $(VENV)/stamp-demo
	@$(BIN)/s3warden demo

test: $(VENV)/stamp-test .venv-clients
	$(BIN)/python -m pytest -q -n auto --ignore=tests/real $(PYTEST_ARGS)

test-real: $(VENV)/stamp-test .venv-clients
	.ci/system-packages
	$(BIN)/python -m pytest -q tests/real $(PYTEST_ARGS)

fuzz: $(VENV)/stamp-test
	FUZZ=$(FUZZ) $(BIN)/python -m pytest -q -n auto -o timeout=900 --hypothesis-seed=$(SEED) tests/fuzz $(PYTEST_ARGS)

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
	$(BIN)/python bench/sealed.py --write
	$(BIN)/python bench/keys.py --write
	$(BIN)/python bench/rotation.py --objects 10000 --write
	$(BIN)/python bench/throughput.py --write

soak: $(VENV)/stamp-test
	$(BIN)/python bench/soak.py $(MINUTES) --workers $(WORKERS)

.venv-clients: $(CLIENTS)/stamp-tools $(CLIENTS)/stamp-s3fs $(CLIENTS)/stamp-s3ec

clean:
	rm -rf $(VENV) $(CLIENTS) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .rgw
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit("s3warden needs Python 3.11 or newer; try: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/stamp-%: pyproject.toml $(VENV)/stamp-venv
	$(PIP) -e ".[$*]"
	@touch $@

$(CLIENTS)/stamp-%: tests/journeys/clients/requirements/%.txt $(VENV)/stamp-venv
	$(PYTHON) -m venv $(CLIENTS)/$*
	$(CLIENTS)/$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@
