# `make demo` and `make test` need Python >= 3.11 with pip and venv, git and make; nothing else.
# They build .venv themselves. Another interpreter: make PYTHON=python3.12 test
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed.stamp
PYTEST_ARGS ?=
# Two processes, the files of tests in their order, each file in one of them. In one: make IN_TWO= test
IN_TWO := -n 2 --dist loadfile --no-loadscope-reorder
# Most tests compile longer than they compute: compiled plainly they take half the time. Tests marked
# "alone" or "slow" (and doctests, the wheel's test) run what users run; those of recovery nearly.
COMPILE_PLAINLY := JAX_DISABLE_MOST_OPTIMIZATIONS=1 XLA_FLAGS="$$XLA_FLAGS --xla_cpu_use_fusion_emitters=false"
# A part of the tests that somebody asked for may hold none of either kind (code 5); all of them may not.
NONE_IS_FINE = $(if $(strip $(PYTEST_ARGS)),|| [ $$? -eq 5 ])

.PHONY: help demo test slow check gallery lock install clean

help:
	@echo "make demo     simulate, fit, infer and draw a small example"
	@echo "make test     the tests that are not marked slow"
	@echo "make slow     the statistical tests (long)"
	@echo "make check    lint, types, import rules, doctests"
	@echo "make gallery  draw the figures of docs/gallery.md again"
	@echo "make lock     resolve requirements.lock again from pyproject.toml"
	@echo "make install  only build .venv"

demo: $(STAMP)
	$(BIN)/latentspike demo

test: $(STAMP)
	$(COMPILE_PLAINLY) $(BIN)/python -m pytest -m "not slow and not alone" $(IN_TWO) $(PYTEST_ARGS) $(NONE_IS_FINE)
	$(BIN)/python -m pytest -m "not slow and alone" $(PYTEST_ARGS) $(NONE_IS_FINE)

slow: $(STAMP)
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

check: $(STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q --doctest-modules src

gallery: $(STAMP)
	$(BIN)/python docs/gallery/make.py

install: $(STAMP)

# The stamp is touched last, so an interrupted install is done again. Every path is relative:
# a checkout in a folder with a space in its name works.
$(STAMP): pyproject.toml requirements.lock
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "No '$(PYTHON)' found: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "latentspike needs Python 3.11 or newer, but '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1): make PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing latentspike and its locked dependencies into .venv (a minute or two, once)"
	@"$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c requirements.lock -e '.[dev]'
	@touch $(STAMP)

# Not after an install: a lock that a new pyproject.toml contradicts is the reason to make another.
# The comment lines on top of the lock say how it is made; they are written here.
lock:
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install -qq uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --fork-strategy fewest \
	  --extra dev --no-annotate --no-header pyproject.toml -o .venv/requirements.body
	@{ printf '%s\n' \
	  '# Made by `make lock` (uv pip compile --universal --python-version 3.11 --extra dev); do not edit.' \
	  '# Used as pip constraints: pip install -c requirements.lock -e ".[dev]"' \
	  '# One version each for every platform and Python >= 3.11. The cuda extra is not in it: choose the' \
	  '# jax build that fits your driver. No hashes: pip refuses an editable install in hash-checking mode.'; \
	  cat .venv/requirements.body; } > requirements.lock

clean:
	rm -rf .venv build dist
