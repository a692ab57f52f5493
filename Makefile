# Every target prepares `.venv` by itself; a second run starts at once.
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.linen2nnx-ready

.DEFAULT_GOAL := test
.PHONY: demo test lint bench corpus clean

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 13); ok or sys.exit("linen2nnx needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is %d.%d; try: make PYTHON=python3.12" % sys.version_info[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

$(VENV)/.linen2nnx-lint: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,lint]'
	@touch $@

demo: $(READY)
	@JAX_PLATFORMS=$${JAX_PLATFORMS:-cpu} $(BIN)/python fixtures/demo/run_demo.py

test: $(READY)
	@$(BIN)/python -m pytest -n $(JOBS)

lint: $(VENV)/.linen2nnx-lint
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: $(READY)
	@JAX_PLATFORMS=$${JAX_PLATFORMS:-cpu} $(BIN)/python -m benchmarks

corpus: $(READY)
	@$(BIN)/python -m benchmarks.corpus --equivalence

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
