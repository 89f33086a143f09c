# The two commands are `make serve` and `make test`. Everything is installed into this folder
# (.venv, and by the tests .interpreter, .venv-openai-* and tests/node/node_modules), from locks with hashes;
# bubblewrap alone is the system's.

# The first Python on the path that is new enough; `make PYTHON=python3.13 serve` takes another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: serve test check pytest chaos bench lock clean bubblewrap page wheel
.DEFAULT_GOAL := help

help:
	@echo "make serve   set up what is missing and serve on http://127.0.0.1:8000/v1 (ARGS=... for options)"
	@echo "make test    set up what is missing and run every check and test (LONG=1: the long ones, too, as CI does)"
	@echo "make check   the checks without the tests: ruff, mypy, import-linter"
	@echo "make pytest  the tests without the checks (ARGS=... for pytest)"
	@echo "make chaos   kill nodes KILLS=1000 times, and much else, while clients work (SEED=... does the same again)"
	@echo "make bench   load and latency before a scripted upstream (WORKERS=2, BENCH=folder of the harness)"
	@echo "make page    the playground page, where Node.js 20 or newer is"
	@echo "make wheel   the package with its page, in dist/"
	@echo "make lock    pin the dependencies anew"
	@echo "make clean   remove what was set up"

serve: .venv/serve bubblewrap page
	@exec $(BIN)/assistd serve $(ARGS)

test: check pytest

check: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Many tests wait for processes that die, sleep and start: three at a time keep two cores busy.
TEST_PROCESSES ?= 3
pytest: .venv/test .interpreter/built bubblewrap
	@sh scripts/install-sandbox.sh runsc
	@sh scripts/install-browser.sh
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadgroup $(if $(LONG),,-m "not long") $(ARGS)

# The long form of a test: what goes wrong, and what must hold, is in docs/explanation/how-a-run-survives.md.
KILLS ?= 1000
chaos: .venv/test
	$(BIN)/python -m tests.chaos --kills $(KILLS) $(if $(SEED),--seed $(SEED)) $(ARGS)

.venv/python:
	@test -n "$(PYTHON)" || { echo "assistd needs Python 3.11 or newer on the path."; exit 1; }
	@echo "Setting up .venv with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/serve: requirements/serve.txt pyproject.toml | .venv/python
	@$(PIP) --require-hashes -r requirements/serve.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/test: requirements/test.txt .venv/serve
	@$(PIP) --require-hashes -r requirements/test.txt
	@touch $@

.venv/bench: requirements/bench.txt .venv/test
	@$(PIP) --require-hashes -r requirements/bench.txt
	@touch $@

# What the code interpreter of the tests' servers runs code in; those who serve have theirs in DATA_DIR.
.interpreter/built: src/assistd/sandbox/packages.txt | .venv/serve
	@mkdir -p .interpreter
	@test "$$(uname -s)" != Linux || ASSISTD_INTERPRETER_DIR=.interpreter $(BIN)/assistd interpreter install
	@touch $@

# The walls around that code. Where they cannot be had without asking, all the rest works all the same.
bubblewrap:
	@sh scripts/install-sandbox.sh bubblewrap

# The playground, where Node.js is; without it `/` says how to get the page.
page:
	@sh scripts/build-playground.sh

wheel: .venv/serve page
	@test -f src/assistd/playground/dist/index.html || { echo "A wheel needs its page: see above."; exit 1; }
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# The load harness lives outside of this repository; WORKERS processes share the port.
BENCH ?= ../shared/bench
WORKERS ?= 1
bench: .venv/bench
	$(BIN)/python benchmarks/serve.py --bench $(BENCH) --workers $(WORKERS) $(ARGS)

LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-annotate --custom-compile-command 'make lock' --quiet
lock:
	$(LOCK) pyproject.toml --group build -o requirements/serve.txt
	$(LOCK) pyproject.toml --group test -c requirements/serve.txt -o requirements/test.txt
	$(LOCK) pyproject.toml --group test --group bench -c requirements/test.txt -o requirements/bench.txt
	$(LOCK) src/assistd/sandbox/packages.in -o src/assistd/sandbox/packages.txt
	for old in 1.2.3 1.20.0 1.40; do $(LOCK) tests/locks/openai-$$old.in -o tests/locks/openai-$$old.txt || exit; done

clean:
	rm -rf .venv .venv-openai-* .interpreter tests/node/node_modules playground/node_modules \
		src/assistd/playground/dist dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
