# Unless a target is in `make help`, it is not supported.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
MLORCH := $(BIN)/mlorch
# A person at a terminal is asked before an engine is installed; elsewhere typing `make run` is the answer.
YES    := $(shell test -t 0 || echo --yes)
ARGS   ?=
# Two processes: one has all tests of the engine, the other the rest, in the order of tests/conftest.py.
PYTEST := -m pytest -n 2 --no-loadscope-reorder

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test fuzz kill check fmt lint types complexity golden docs coverage bench pictures clean

help: ## list what is supported
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run engine ## build the images of this machine's target and run the default benchmarks
	$(MLORCH) run $(ARGS)

test: $(VENV)/.dev engine ## all tests, with a real engine; starts one where none runs
	$(BIN)/python $(PYTEST) $(ARGS)

kill: $(VENV)/.dev engine ## kill -9 at 200 random moments of everything; the next command must be right
	$(BIN)/python tests/kill_matrix.py $(ARGS)

check: lint types complexity ## what CI checks besides the tests
	$(MLORCH) recipes lint

fmt: $(VENV)/.dev ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(VENV)/.dev ## ruff
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev ## mypy, strict; what runs in images also as the oldest Python of them
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.10 --no-warn-return-any --no-warn-unused-ignores orchestrator/harness orchestrator/serving orchestrator/power_client

complexity: $(VENV)/.dev ## no function above a cyclomatic complexity of 15
	$(BIN)/python tests/complexity.py

golden: $(VENV)/.dev ## write the golden files anew; read the diff before you commit it
	$(BIN)/python -m pytest tests/golden tests/lint tests/unit/test_source.py --update-golden -q

docs: $(VENV)/.dev ## write docs/reference anew: commands, API, recipes, errors
	$(BIN)/python docs/generate.py

coverage: $(VENV)/.dev engine ## branch coverage of all tests; the figure is the last line
	$(BIN)/coverage erase
	$(BIN)/coverage run $(PYTEST) $(ARGS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --skip-covered --sort=-cover

# --on-host needs no engine and nothing from an index: the Python of the virtual environment, or the machine's own.
ON_HOST := $(findstring --on-host,$(ARGS))
bench: $(if $(ON_HOST),,$(VENV)/.dev engine) ## measure the speed bars of docs/benchmarks.md
	$(if $(ON_HOST),$(or $(wildcard $(BIN)/python),$(PYTHON)),$(BIN)/python) benchmarks/run.py $(ARGS)

fuzz: $(VENV)/.dev ## feed every reader of foreign files with broken ones, 60 s each; ARGS="--seconds 600 yaml"
	$(BIN)/python tests/fuzz/feed.py $(ARGS)

pictures: $(VENV)/.dev engine ## draw the pictures of README and docs from what mlorch prints; runs a short benchmark
	$(BIN)/python docs/pictures.py

clean: ## remove what make made here; images, caches and the engine stay (see `mlorch engine stop`)
	rm -rf $(VENV) build dist *.egg-info .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: engine
engine: $(VENV)/.run
	@$(MLORCH) engine ensure $(YES)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "mlorch needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "no venv module: install it (Debian: apt-get install python3-venv)"; exit 2; }

# A user's pip settings say how packages are reached; where they are put is this environment.
PIP := env -u PIP_TARGET -u PIP_PREFIX -u PIP_ROOT -u PIP_REQUIRE_VIRTUALENV PIP_USER=0 $(BIN)/python -m pip

# -qq: an index may list files that pip skips with a warning each; errors are shown, and fail.
# --no-compile: Python compiles what is imported, a small part of what is installed.
$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	$(PIP) install -qq --no-compile --disable-pip-version-check -e .
	@touch $@

# What developers need holds what a run needs: `make test` in a new clone installs once.
$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(PIP) install -qq --no-compile --disable-pip-version-check -e '.[dev]'
	@touch $(VENV)/.run $@
