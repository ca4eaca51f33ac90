# jobrunner. Needs make, git and Python 3.11 or later; everything else is installed into .venv.
# `make` alone lists the targets.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
RAY := .venv-ray
PYTHON ?=
DEMO := --jobs examples/jobs
FUZZ := 60
# more than there are cores: most tests wait for processes
WORKERS := $(shell echo $$(($$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1) * 3)))

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_ROOT_USER_ACTION := ignore
# thousands of interpreters are started: each would compile the package anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: $(VENV)/installed ## run the example jobs (about a quarter of a minute), then show what happened
	@state=$$(mktemp -d) && trap 'rm -rf "$$state"' EXIT && trap 'exit 130' INT TERM && \
	export JOBRUNNER_STATE="sqlite:///$$state/state.db" PATH="$(CURDIR)/$(BIN):$$PATH" && \
	say() { printf '\n$$ %s\n' "$$*"; "$$@"; } && \
	say jobrunner start $(DEMO) --until-done && \
	say jobrunner run backup-warehouse $(DEMO) && \
	say jobrunner ls $(DEMO) && \
	say jobrunner history $(DEMO)

.PHONY: lint
lint: $(VENV)/installed-dev
	$(BIN)/python -m ruff format --check --quiet .
	$(BIN)/python -m ruff check --quiet .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-logo

.PHONY: check
check: lint ## format, lint, types, import contracts, size limits
	$(BIN)/python -m pytest tests/docs/test_frame.py

.PHONY: test
test: lint ## everything: the checks, then all tests, README and docs included
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.PHONY: coverage
coverage: $(VENV)/installed-dev ## which lines and branches the tests reach, in all processes that are not killed
	rm -rf .coverage && mkdir .coverage
	-$(BIN)/python -m coverage run -m pytest -n $(WORKERS) --dist worksteal
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

.PHONY: needs-system
needs-system:
	@tests/system/needs

.PHONY: test-system
test-system: needs-system $(VENV)/installed-dev ## what needs root and packages of Debian's: poolers, networks, disks, clocks
	$(BIN)/python -m pytest tests/system
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --every-cell tests/faults

.PHONY: fuzz
fuzz: $(VENV)/installed-dev ## mutate what is read as text, a minute a reader (FUZZ=seconds); needs Linux on x86-64
	@$(BIN)/python -m pip install -qq --prefer-binary --editable '.[dev,fuzz]' || echo "atheris cannot be installed" >&2
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ)

.PHONY: needs-ray
needs-ray:
	@echo "test-ray needs the package ray, some 300 MB in $(RAY), and starts clusters on this machine's 127.0.0.1"

.PHONY: test-ray
test-ray: needs-ray $(RAY)/installed ## runs on a Ray cluster, in a virtual environment of its own
	$(RAY)/bin/python -m pytest -n 2 tests/ray

.PHONY: bench
bench: $(VENV)/installed-dev ## measure beside others, who are installed into .bench (hours); writes docs/benchmarks.md
	$(BIN)/python -m benchmarks.all

.PHONY: bench-short
bench-short: $(VENV)/installed-dev ## a few ratios to others, in three minutes; fails when one has fallen
	$(BIN)/python -m benchmarks.short

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf $(VENV) $(RAY) .bench .coverage dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf examples/output examples/.jobrunner
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the virtual environment ---------------------------------------------------------------------

# A copied or moved checkout must not run the code of the old place: then the environment is made anew.
ifneq ($(shell cat $(VENV)/home 2>/dev/null),$(CURDIR))
.PHONY: $(VENV)/home
endif

$(VENV)/home:
	@python= ; \
	for each in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
		if "$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$each; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "No Python 3.11 or later found; install one, or name it: make PYTHON=/path/to/python3 ..." >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "This Python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV)
	@echo "$(CURDIR)" > $@

$(VENV)/installed: $(VENV)/home pyproject.toml
	@echo "Installing jobrunner"
	@$(BIN)/python -m pip install -qq --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/home pyproject.toml
	@echo "Installing jobrunner and what its tests need"
	@$(BIN)/python -m pip install -qq --editable '.[dev]'
	@touch $@ $(VENV)/installed

$(RAY)/installed: $(VENV)/home pyproject.toml
	@echo "Installing jobrunner with Ray, and what its tests need"
	@$(BIN)/python -m venv $(RAY)
	@$(RAY)/bin/python -m pip install -qq --editable '.[ray,dev]'
	@touch $@
