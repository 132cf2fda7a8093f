# Everything here needs Python 3.11 (or 3.12, 3.13) with venv, and make.
# `make help` lists the targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test docs coverage reliability compat bench package format lock clean

# The first of these that can makes the environment; with PYTHON=... that one.
PYTHONS = $(or $(PYTHON),python3.11 python3 python3.12 python3.13)
SUPPORTED = import sys, venv, ensurepip; \
	sys.exit(not (3, 11) <= sys.version_info < (3, 14))

# $(call environment,FOLDER,REQUIREMENTS): makes FOLDER, an environment with
# REQUIREMENTS and this checkout installed.
define environment
	@for python in $(PYTHONS); do \
	  if "$$python" -c "$(SUPPORTED)" 2>/dev/null; then \
	    exec "$$python" scripts/environment.py $(1) $(2); \
	  fi; \
	done; \
	echo "error: none of $(PYTHONS) is Python 3.11, 3.12 or 3.13 with the\
	modules venv and ensurepip. Install one (Debian: apt install python3\
	python3-venv), or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python" \
	  >&2; exit 1
endef

# Of the repository itself; what they find is wanted before all else.
QUICK_TESTS = tests/repository/architecture_test.py tests/repository/habits_test.py
# Some tests wait for processes: one worker more than there are cores keeps
# them busy, and another only takes the others' caches. A worker needs 2 GB.
WORKERS = $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 8 ? n + 1 : 8)))
# By file, in the order of tests/conftest.py.
IN_PARALLEL = -n $(WORKERS) --dist=loadfile --no-loadscope-reorder

help:  ## Lists what can be made
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/make \1|\2/p' Makefile | \
	  while IFS='|' read -r name text; do \
	    printf '%-18s %s\n' "$$name" "$$text"; \
	  done

demo: .venv/.installed  ## Trains, exports, serves and queries a small model (minutes)
	@.venv/bin/python scripts/demo.py

test: .venv/.installed  ## Lint, format, types, architecture and all tests (minutes)
	@.venv/bin/python -m ruff check
	@.venv/bin/python -m ruff format --check
	@.venv/bin/python -m mypy
	@.venv/bin/python -m pytest $(QUICK_TESTS)
	@.venv/bin/python -m pytest $(IN_PARALLEL) $(QUICK_TESTS:%=--ignore=%)

docs: .venv-docs/.installed  ## Runs the tutorial and builds the documentation site in site/
	@.venv-docs/bin/python scripts/tutorial.py
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict
	@echo "The documentation is in site/index.html."

coverage: .venv/.installed  ## Which lines the tests run: a summary, and htmlcov/ (long)
	@.venv/bin/python -m pytest $(IN_PARALLEL) --cov --cov-report=term --cov-report=html

reliability: .venv/.installed  ## The reliability tests with their full counts (hours)
	@.venv/bin/python -m benchmarks.reliability.corpus_memory --megabytes=2000
	@.venv/bin/python -m benchmarks.reliability.client_faults --faults=100
	@.venv/bin/python -m benchmarks.reliability.health_under_load --clients=32
	@.venv/bin/python -m benchmarks.reliability.serving_memory --minutes=60
	@KERASRNN_FULL=1 .venv/bin/python -m pytest --durations=20

compat: .venv/.installed .venv-oldest/.installed .venv-server/.installed  ## The tests under the oldest TensorFlow and Keras, exports under an older one
	@KERASRNN_SESSION_PYTHON="$(CURDIR)/.venv-server/bin/python" \
	  .venv/bin/python -m pytest -s tests/unit/export/portability_test.py
	@KERASRNN_SESSION_PYTHON="$(CURDIR)/.venv-server/bin/python" \
	  .venv-oldest/bin/python -m pytest

# Without those that need a text or a trained model of the user's.
bench: .venv-bench/.installed  ## Speed compared with Keras and PyTorch, in alternation (long)
	@for file in benchmarks/*/*_benchmark.py; do \
	  case "$$file" in */defaults_*|*/learning_*|*/openings_*|*/starts_*) continue;; esac; \
	  benchmark=$$(echo "$${file%.py}" | tr / .); \
	  echo "== $$benchmark"; .venv-bench/bin/python -m "$$benchmark" || exit 1; \
	done
	@.venv-bench/bin/python -m benchmarks.sampling.sampling_benchmark --sides=state,token

package: .venv-package/.installed  ## Builds, checks and tries the wheel and the source distribution
	@.venv-package/bin/python scripts/package.py

format: .venv/.installed  ## Puts the code into the house style
	@.venv/bin/python -m ruff check --fix
	@.venv/bin/python -m ruff format

lock: .venv/.installed  ## Writes requirements_lock.txt, what Bazel installs, from .venv
	@{ printf '# What Bazel installs (MODULE.bazel), for Python 3.11 on Linux: `make lock`.\n'; \
	  .venv/bin/python -m pip freeze --exclude-editable; } > requirements_lock.txt.new
	@mv requirements_lock.txt.new requirements_lock.txt

clean:  ## Removes what make has made: environments, caches, demo/
	@rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis \
	  .coverage* htmlcov demo dist build site
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: pyproject.toml scripts/environment.py
	$(call environment,.venv,'.[test]')
	@touch $@

.venv-oldest/.installed: pyproject.toml scripts/environment.py
	$(call environment,.venv-oldest,'.[test]' 'tensorflow==2.20.*' 'keras==3.12.*' \
	  'numpy<2; python_version < "3.13"')
	@touch $@

# Nothing of this checkout: an export is a file that others load.
.venv-server/.installed: scripts/environment.py
	$(call environment,.venv-server,'tensorflow-cpu==2.19.*')
	@touch $@

.venv-bench/.installed: pyproject.toml scripts/environment.py
	$(call environment,.venv-bench,'.[bench]')
	@touch $@

.venv-docs/.installed: pyproject.toml scripts/environment.py
	$(call environment,.venv-docs,'.[docs]')
	@touch $@

.venv-package/.installed: scripts/environment.py
	$(call environment,.venv-package,build twine)
	@touch $@
