# make demo · make ui · make test: each creates what it needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Which vLLM: cpu (default) or gpu. EXTRAS=gpu,... needs a CUDA machine.
EXTRAS ?= cpu,train,demo,sandbox,embed,ui,dev
# uv does not read pip's settings; wheels that pip would find locally must be found by uv too. Where there are none,
# the CPU build of PyTorch comes from PyTorch's own index.
ifneq ($(PIP_FIND_LINKS),)
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif
TORCH := $(if $(findstring cpu,$(EXTRAS)),--overrides cpu-overrides.txt $(if $(UV_FIND_LINKS),,--torch-backend=cpu))
export DAGSTER_HOME := $(CURDIR)/dagster_home
export HF_HUB_DISABLE_TELEMETRY := 1
export PYTHONWARNINGS := ignore
RUN := $(BIN)/python -m pipelines.cli

.PHONY: help install loaders model demo ui test lint clean

help:
	@echo "make demo   install, get the model, run the whole graph, print what came out"
	@echo "make ui     the same graph in the Dagster UI, on http://127.0.0.1:3000"
	@echo "make test   install, lint, run the tests (with one end-to-end run on the real model)"
	@echo "make clean  remove the data and the run history (not the environments, not the model)"

install: $(VENV)/installed loaders

$(VENV)/installed: pyproject.toml cpu-overrides.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet 'uv>=0.9'
	VIRTUAL_ENV=$(CURDIR)/$(VENV) UV_COMPILE_BYTECODE=1 $(BIN)/uv pip install $(TORCH) --editable '.[$(EXTRAS)]'
	touch $@

# The export formats are read back with the trainers' own loaders, which live in environments of their own.
loaders: $(VENV)/installed
	scripts/loaders

model: $(VENV)/installed
	$(RUN) model

demo: install model
	$(RUN) run

ui: install
	$(BIN)/dagster dev --host 127.0.0.1 --port 3000 --module-name pipelines.definitions

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

# Two files of tests at a time, in the order of tests/conftest.py; by itself xdist would begin with those that hold the
# most tests, and with the run of the whole graph last. What is imported is compiled once and not by each process anew.
test: install model lint
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

clean:
	rm -rf data $(filter-out dagster_home/dagster.yaml,$(wildcard dagster_home/*))
