# The commands a person types. Each sets itself up: `make tour` on a fresh clone needs Python 3.11 or newer
# and make; a C compiler adds the C kernels. Everything is installed into .venv and nothing outside this folder.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --constraint lock.txt

# What each installation depends on; a file newer than its stamp makes it run again.
CORE := packages/etude/pyproject.toml
KIT := packages/etude-check/pyproject.toml packages/etude-course/pyproject.toml
CPU := $(wildcard $(addprefix plugins/etude-cpu/,pyproject.toml CMakeLists.txt *.py)) \
       $(wildcard c_src/cpu/* c_src/cpu/*/*) packages/etude/src/etude/include/etude.h \
       packages/etude/src/etude/backends/native/header.py
CUDA := $(wildcard $(addprefix plugins/etude-cuda/,pyproject.toml CMakeLists.txt *.py src/etude_cuda/lab/*.py)) \
        $(wildcard c_src/cuda/* c_src/cuda/host/* c_src/lab/*/* c_src/lab/include/*/*) \
        packages/etude/src/etude/include/etude.h

say = @echo "==> $(1)"

.PHONY: help tour notebooks test lower check lint types docs sanitizers bench dist gpu-wheels gpu-check lock clean cpu no-compiler cuda no-lab

help: ## This list
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

tour: $(VENV)/core $(VENV)/kit cpu ## Train a network on digits: NumPy, then the C kernels, and compare
	$(call say,Starting the tour)
	@$(BIN)/etude tour

notebooks: $(VENV)/core $(VENV)/notebooks cpu ## The tutorials as notebooks, in notebooks/, opened in JupyterLab
	$(call say,Making the notebooks of the tutorials)
	@exec $(BIN)/python docs/notebooks.py

test: $(VENV)/core $(VENV)/kit $(VENV)/test cpu cuda ## Run the tests, on all cores
	$(call say,Running the tests)
	@$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

# The tests whose arrays are computed in more than one way. The rest is about files, words and processes.
lower: $(VENV)/core $(VENV)/kit $(VENV)/test cpu ## Run those that rounding reaches, as on an older processor
	$(call say,Running the tests of ops, kernels and the kit with lower instruction sets)
	@$(BIN)/python tests/lower.py $(BIN)/python -m pytest -q -n auto --maxprocesses 8 --dist worksteal \
	  tests/backends tests/check tests/core tests/cpu tests/definition tests/inspect tests/nn tests/ops tests/optim

check: $(VENV)/kit cpu ## Hold the C kernels against the reference, in about a minute
	$(call say,Checking the backend named cpu)
	@$(BIN)/etude check cpu --level smoke --jobs 2

lint: ## ruff
types: ## mypy, strict, on packages/
docs: ## The documentation, with every tutorial executed: some minutes
sanitizers: ## The C kernels under the address, undefined-behaviour and thread sanitizers
bench: ## Timings beside NumPy (and PyTorch where it is installed)
lint types docs sanitizers bench: $(VENV)/tox # each in an environment of its own: see tox.ini
	$(call say,Running the check named $@)
	@$(BIN)/tox run -q -e $@

dist: $(VENV)/made ## Every package as sdist and wheel, tried in a clean environment; into dist/
	@$(BIN)/python tests/dist.py

gpu-wheels: ## Into WHEELS=dir what gpu-check installs from, where there is a network
	@python3 tests/gpu/check.py --fill --wheels "$(WHEELS)"

gpu-check: ## On a card: conformance, compute-sanitizer, speed beside PyTorch. WHEELS=dir: without a network
	@python3 tests/gpu/check.py $(if $(WHEELS),--wheels "$(WHEELS)")

lock: $(VENV)/made ## Write lock.txt anew: the versions that everything here is tested with
	$(call say,Installing the newest of everything into a scratch environment)
	@$(BIN)/python -m venv --clear $(VENV)/lock
	@$(VENV)/lock/bin/python -m pip install -qq --upgrade pip
	@$(VENV)/lock/bin/python -m pip install -qq 'packages/etude[all]' 'packages/etude-check[pytest]' packages/etude-course 'tox>=4.25' build \
	  $(addprefix --group ,test lint types docs notebooks bench)
	@{ echo "# Versions that everything here is tested with, for development alone. Written by make lock with"; \
	   echo "# $$($(BIN)/python --version); use the oldest Python supported, since the newest takes its wheels too."; \
	   $(VENV)/lock/bin/python -m pip freeze --exclude etude --exclude etude-check --exclude etude-course; } > lock.txt
	@rm -rf $(VENV)/lock; wc -l lock.txt

clean: ## Remove everything that was made here, except notebooks/
	rm -rf $(VENV) .tox docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ------------------------------------------------------------------------------------ set-up

# The newest Python from 3.11 up that can make a virtual environment; PYTHON=... overrides.
$(VENV)/made:
	@python="$${PYTHON:-}"; \
	for candidate in $${python:-python3.14 python3.13 python3.12 python3.11 python3}; do \
	  if "$$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	  then python=$$candidate; found=yes; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
	  echo "Etude needs Python 3.11 or newer with the venv module, and found none on the PATH."; \
	  echo "Debian, Ubuntu: sudo apt install python3 python3-venv     macOS: brew install python"; \
	  echo "Or name one: make PYTHON=/path/to/python3.12 tour"; \
	  exit 1; \
	fi; \
	echo "==> Making $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -qq --upgrade pip
	@touch $@

$(VENV)/core: $(VENV)/made $(CORE)
	$(call say,Installing etude with its command line and plots (up to a minute or two: pip downloads NumPy and others))
	@$(PIP) --editable 'packages/etude[all]'
	@touch $@

$(VENV)/kit: $(VENV)/core $(KIT)
	$(call say,Installing the conformance kit and the course (some seconds))
	@$(PIP) --editable 'packages/etude-check[pytest]' --editable packages/etude-course
	@touch $@

$(VENV)/test: $(VENV)/made pyproject.toml
	$(call say,Installing what the tests need)
	@$(PIP) --group test
	@touch $@

$(VENV)/notebooks: $(VENV)/made pyproject.toml
	$(call say,Installing JupyterLab)
	@$(PIP) --group notebooks
	@touch $@

$(VENV)/tox: $(VENV)/made
	$(call say,Installing tox)
	@$(PIP) 'tox>=4.25'
	@touch $@

# Without a compiler this says so every time and goes on: the reference needs none.
cpu: $(if $(shell command -v $${CC:-cc} gcc clang),$(VENV)/cpu,no-compiler)

no-compiler: $(VENV)/core
	$(call say,No C compiler found (cc or gcc or clang): going on with the NumPy reference alone.)
	@echo "    For the C kernels: sudo apt install gcc    or, on macOS: xcode-select --install"

$(VENV)/cpu: $(VENV)/core $(CPU)
	$(call say,Building the C kernels (one to three minutes, in which nothing is printed))
	@touch $@.begun # a source that is edited during the build is newer than this, and built again
	@$(PIP) --editable plugins/etude-cpu
	@mv $@.begun $@

# The lab, which runs CUDA kernels on the CPU, wants g++; kernels for a card, nvcc as well (ETUDE_CUDA=on).
cuda: $(if $(shell command -v g++),$(VENV)/cuda,no-lab)

no-lab: $(VENV)/core
	$(call say,No g++ found: going on without the GPU lab.)
	@echo "    For the device gpu-lab and the command etude lab: sudo apt install g++"

$(VENV)/cuda: $(VENV)/core $(CUDA)
	$(call say,Building the GPU lab and its kernels (one to three minutes, in which nothing is printed))
	@touch $@.begun
	@$(PIP) --editable plugins/etude-cuda
	@mv $@.begun $@
