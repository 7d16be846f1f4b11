# `make demo` and `make test` set everything up by themselves. Options, for every target alike:
#   PYTHON=python3.11   the interpreter to use (else the first fitting one on the PATH)
#   MPI=1               build Horovod with MPI too
#   JOBS=1              compile that many files of Horovod at once (memory: 2 GB each)
#   TORCH_INDEX=URL     take PyTorch from another package index, e.g. PyTorch's own for CPUs
#   WORKERS=4           (make test) run that many test files at once (default 2; 0: one process)
#   SLURM=require       (make test) fail, rather than skip, where Slurm is not installed
#   ORDER=random        (make test) run the tests in random order; ORDER=4711 repeats an order
#   MUTANTS="--sample 9"  (make mutants) options and areas of tools/mutants.py

# "runs and is 3.11 or 3.12", not "exists": a version manager leaves names that only fail.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))
ifndef PYTHON
PYTHON := $(shell for p in python3.11 python3.12 python3 python; do \
    "$$p" -c '$(FITS)' >/dev/null 2>&1 && { command -v "$$p"; break; }; done)
endif

# horovodrun starts `python` from the PATH.
demo test: export PATH := $(CURDIR)/.venv/bin:$(PATH)
BIN := .venv/bin
SETUP = $(PYTHON) tools/setup_env.py $(if $(MPI),--mpi) $(if $(JOBS),--jobs $(JOBS)) \
    $(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX))

.PHONY: setup setup-test demo test mutants audit hashes lint format docs docs-serve release clean \
    help python
.DEFAULT_GOAL := setup

setup: python ## make .venv with everything in it (the default)
	@$(SETUP)

setup-test: python
	@$(SETUP) --extras test

demo: setup ## train on a synthetic graph with three trainers and write a report
	@$(BIN)/python tools/demo.py

test: lint ## check style and types, then run all tests
	$(BIN)/python -m pytest -n $(or $(WORKERS),2) --dist loadfile --no-loadscope-reorder \
	    $(if $(SLURM),--slurm=$(SLURM)) \
	    $(if $(ORDER),-p randomly $(if $(filter-out random,$(ORDER)),--randomly-seed=$(ORDER)))

mutants: setup-test ## count the small changes of the core that the tests notice; takes hours
	$(BIN)/python tools/mutants.py $(MUTANTS)

audit: ## look for risky code and for packages with known vulnerabilities
	@$(SETUP) --extras audit
	$(BIN)/python tools/audit.py

hashes: ## write hashes.txt after a change of constraints.txt
	@$(SETUP) --extras audit
	$(BIN)/uv pip compile constraints.txt --no-deps --universal --python-version 3.11.9 \
	    --generate-hashes --no-emit-package torch --no-annotate --no-header --native-tls --quiet \
	    --output-file hashes.txt

lint: setup-test ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy benchmarks/*.py

format: setup-test ## bring the code into style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: ## build the docs site into build/site
	@$(SETUP) --extras docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "build/site/index.html"

docs-serve: docs ## show the docs site at http://127.0.0.1:8000
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

release: ## build the sdist and the wheel in dist/, check them, and train with each
	@$(SETUP) --extras release
	$(BIN)/python tools/release.py

clean: ## remove .venv and everything made (not the cache of Horovod wheels)
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

python:
	@test -n "$(PYTHON)" || { echo "hvdtma needs Python 3.11 or 3.12 (DGL has no wheels for" \
	    "others) and found neither on the PATH: apt-get install python3 python3-venv python3-dev," \
	    "or name one: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
