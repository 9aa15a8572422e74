# Two commands do everything on a fresh machine with Python 3.11 or later:
#   make demo    install into an environment of its own and run the main job; needs no privilege
#   make test    install and run the tests; kernel tests run where the machine allows them

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
DEMO_ARGS ?=
BENCH_ARGS ?=

.PHONY: demo test lint types coverage mutation sanitize build bench clean

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

# The C twin again, in place, after a change of speedups/*.c.
build: $(VENV)/.test
	$(BIN)/python setup.py --quiet build_ext --inplace --force

# The tests of the C twin under AddressSanitizer and UndefinedBehaviorSanitizer. Python itself leaks at exit.
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1
C_TESTS := tests/test_batch.py tests/test_spares.py tests/linux/test_calls.py tests/linux/test_port.py tests/endpoint tests/packet/test_checksum.py tests/offload \
	tests/linux/test_vnet_calls.py tests/linux/test_offload_port.py tests/pipeline/test_runner.py tests/pipeline/test_path.py \
	tests/channel/test_udp_datagrams.py tests/channel/test_udp_packets.py
sanitize: $(VENV)/.test
	rm -rf build/sanitized
	mkdir -p build/sanitized
	cp -r aiotun speedups tests setup.py pyproject.toml README.md LICENSE build/sanitized
	rm -f build/sanitized/aiotun/*.so
	cd build/sanitized && CFLAGS="$(SANITIZERS)" $(abspath $(BIN))/python setup.py --quiet build_ext --inplace
	cd build/sanitized && env PYTHONPATH=. PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
		LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
		$(abspath $(BIN))/python -m pytest -q -p no:cacheprovider $(C_TESTS) $(PYTEST_ARGS)

# Every question of the benchmarks, about forty minutes; BENCH_ARGS="--only forward" asks one.
bench: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python benchmarks/run.py $(BENCH_ARGS)

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "aiotun needs Python 3.11 or later; name one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	touch $@

$(VENV)/.demo: $(VENV)/.python pyproject.toml setup.py $(wildcard speedups/*)
	$(BIN)/python -m pip install --quiet --editable '.[cli,crypto,uvloop]'
	touch $@

$(VENV)/.test: $(VENV)/.demo pyproject.toml
	$(BIN)/python -m pip install --quiet --group test --group lint
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info aiotun/*.so benchmarks/build mutants .pytest_cache .mypy_cache .ruff_cache .hypothesis
