# PYTHON: the interpreter to build the environment with, 3.10 or newer.
# TORCH: what pip is given to install PyTorch, before everything else. PyTorch's default build
# for Linux brings gigabytes of CUDA; where a CPU build is at hand, name it here:
#   make test TORCH='torch==2.13.0 --index-url URL'
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0

.PHONY: demo test check clean

# The base install alone, then one prompt.
demo: $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet .
	$(VENV)/bin/promptlift improve "a cat in armor"

# Everything for development, then all checks.
test: $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet $(TORCH)
	$(VENV)/bin/python -m pip install --quiet -e '.[dev]'
	PYTHON=$(VENV)/bin/python scripts/check

# All checks, in an environment that is there already.
check:
	PYTHON=$(VENV)/bin/python scripts/check

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
