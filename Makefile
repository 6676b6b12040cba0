# make demo, make test: each sets up all it needs in .venv: Python 3.10 or later, a C++17 compiler and git are enough.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

CPP := $(shell git ls-files 'cpp/*.cpp' 'cpp/*.h' 'tests/*.cpp' 'tests/*.h' 'benchmarks/*.cpp' 'examples/*.cpp' 2>/dev/null)
SOURCES := $(shell git ls-files cpp torchtrt_ws CMakeLists.txt pyproject.toml 2>/dev/null)

.PHONY: demo test test-python test-cpp lint format bench clean

# The order matters: what changes least comes first. executorch's own dependencies are for its Python side, which saving
# needs; --no-deps would do for running.
$(VENV)/deps: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) tools/requirements.py build run export examples rtx dev > $(VENV)/requirements.txt
	$(PY) -m pip install --quiet -r $(VENV)/requirements.txt
	$(PY) -m pip install --quiet --no-deps torch-tensorrt-rtx==2.14.0 kernel-lens==2.0.1
	touch $@

# Editable: Python from the tree, compiled code in the environment.
$(VENV)/installed: $(VENV)/deps $(SOURCES)
	$(PY) -m pip install --quiet --no-build-isolation --no-deps --editable .
	touch $@

demo: $(VENV)/installed
	$(PY) examples/demo.py

test: test-cpp test-python

test-python: $(VENV)/installed
	$(PY) -m pytest -q

test-cpp: $(VENV)/deps
	cmake -S . -B build/tests -G Ninja -DPython_EXECUTABLE=$(CURDIR)/$(PY) -DTORCHTRT_WS_TESTS=ON \
	  -DTORCHTRT_WS_PYTHON=OFF -DTORCHTRT_WS_WERROR=ON
	cmake --build build/tests
	ctest --test-dir build/tests --output-on-failure

lint: $(VENV)/deps
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CPP)

format: $(VENV)/deps
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

bench: $(VENV)/installed
	$(PY) benchmarks/host.py

clean:
	rm -rf build $(VENV)
