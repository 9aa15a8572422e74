# Two commands do everything on a fresh machine with Python 3.11 or later:
#   make demo    install into an environment of its own and run the main job; needs no privilege
#   make test    install and run the tests; kernel tests run where the machine allows them

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
DEMO_ARGS ?=

.PHONY: demo test lint types coverage mutation bench clean

demo: $(VENV)/.demo
	$(BIN)/aiotun demo $(DEMO_ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

coverage: $(VENV)/.test
	$(BIN)/python -m pytest --cov=aiotun --cov-branch --cov-report=term-missing:skip-covered $(PYTEST_ARGS)

mutation: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --group mutation
	$(BIN)/mutmut run
	$(BIN)/mutmut results

bench: $(VENV)/.test
	$(BIN)/python benchmarks/iterate.py
	$(BIN)/python benchmarks/forward.py
	$(BIN)/python benchmarks/fairness.py
	$(BIN)/python benchmarks/importing.py
	$(BIN)/python benchmarks/in_process.py
	$(BIN)/python benchmarks/bufferbloat.py

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "aiotun needs Python 3.11 or later; name one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	touch $@

$(VENV)/.demo: $(VENV)/.python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[cli,crypto,uvloop]'
	touch $@

$(VENV)/.test: $(VENV)/.demo pyproject.toml
	$(BIN)/python -m pip install --quiet --group test --group lint
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info benchmarks/build mutants .pytest_cache .mypy_cache .ruff_cache .hypothesis
