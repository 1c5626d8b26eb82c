.PHONY: demo test check coverage docs install

PYTHON ?= python3
# Pinned versions. For NVIDIA drivers older than 580: make -B install CONSTRAINTS=constraints-cuda12.txt
CONSTRAINTS ?= constraints.txt
BIN := .venv/bin

# The demo: street footage, day <-> night, 8 to 11 minutes on two CPU cores, 20 on older ones; look at runs/demo/report.html.
demo: install
	$(BIN)/recycle demo

# Two processes with one thread each are faster than one with two: most tests are small.
test: install
	OMP_NUM_THREADS=1 $(BIN)/pytest -q --durations=10 --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# The tests with branch coverage, which must not fall below fail_under in pyproject.toml. It takes a third longer.
coverage: install
	OMP_NUM_THREADS=1 $(BIN)/pytest -q --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered

# The documentation, strictly: a broken link, a missing page or a bad docstring fails. Open site/index.html.
docs: .venv/documented
	$(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env --quiet docs site

install: .venv/installed

.venv/installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "recycle needs Python 3.11 or later, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --editable '.[dev]'
	touch $@

.venv/documented: .venv/installed
	$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --editable '.[docs]'
	touch $@
