PYTHON ?= python3
# A CPU build where one is offered; any torch that pyproject.toml admits will do: make test TORCH=torch
TORCH ?= torch==2.13.0
# As CI runs the checks: make test CHECK=--coverage
CHECK ?=
VENV := .venv
BIN := $(VENV)/bin

# Where `make wheel` writes.
DIST ?= dist

.PHONY: demo test check slow wheel docs clean

# Base install in .venv, then one prompt improved with the bundled model, offline.
demo: $(BIN)/python
	$(BIN)/pip install --quiet .
	$(BIN)/promptlift improve "a cat in armor"

# Everything for development in .venv, then all checks.
test: $(BIN)/python
	$(BIN)/pip install --quiet "$(TORCH)"
	$(BIN)/pip install --quiet --editable ".[dev]"
	$(BIN)/python scripts/check.py $(CHECK)

check:
	$(BIN)/python scripts/check.py $(CHECK)

slow:
	$(BIN)/python -m pytest -m slow -n auto

# One file that installs alone, bundled models included.
wheel: $(BIN)/python
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir $(DIST) .

# The documentation as a site in build/site, warnings as errors; needs Python 3.11 or newer.
docs: $(BIN)/python
	$(BIN)/pip install --quiet --editable ".[docs]"
	$(BIN)/python scripts/build_docs.py

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

clean:
	rm -rf $(VENV)
