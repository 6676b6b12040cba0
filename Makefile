# make demo, make test: each sets up all it needs in .venv: Python 3.10 or later, a C++17 compiler and git are enough.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
BIN := $(VENV)/bin
SITE = $(CURDIR)/$(shell echo $(VENV)/lib/python3.*/site-packages)
# CUDA's headers and libcudart as pip brings them: a toolkit on the machine is not asked for.
CUDA = -DCUDA_INCLUDE_DIR=$(SITE)/nvidia/cu13/include -DCUDART_LIBRARY=$(SITE)/nvidia/cu13/lib/libcudart.so.13
export PATH := $(CURDIR)/$(BIN):$(PATH)

CPP := $(shell git ls-files 'cpp/*.cpp' 'cpp/*.h' 'tests/*.cpp' 'tests/*.h' 'benchmarks/*.cpp' 'examples/*.cpp' 2>/dev/null)
SOURCES := $(shell git ls-files cpp torchtrt_ws CMakeLists.txt pyproject.toml 2>/dev/null)

.PHONY: demo test test-python test-cpp lint format bench gpu-report clean

# The order matters: what changes least comes first. executorch's own dependencies are for its Python side, which saving
# needs; --no-deps would do for running.
$(VENV)/deps: pyproject.toml tools/requirements.py
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) tools/requirements.py build run export examples rtx adapter dev > $(VENV)/requirements.txt
	$(PY) -m pip install --quiet -r $(VENV)/requirements.txt
	# Their dependencies are a GPU's: TensorRT, triton. Tests read the one's format, the build takes the other's headers.
	$(PY) -m pip install --quiet --no-deps torch-tensorrt-rtx==2.14.0 kernel-lens==2.0.1
	touch $@

# Editable: Python from the tree, compiled code in the environment.
$(VENV)/installed: $(VENV)/deps $(SOURCES)
	$(PY) -m pip install --quiet --no-build-isolation --no-deps $(CUDA:-D%=-C cmake.define.%) --editable .
	touch $@

demo: $(VENV)/installed
	$(PY) examples/demo.py

test: test-cpp test-python

test-python: $(VENV)/installed
	TORCHTRT_WS_NO_SKIPS=1 $(PY) -m pytest -q -n 2 --dist loadfile

test-cpp: $(VENV)/deps
	cmake -S . -B build/tests -G Ninja -DPython_EXECUTABLE=$(CURDIR)/$(PY) -DTORCHTRT_WS_TESTS=ON \
	  -DTORCHTRT_WS_PYTHON=OFF -DTORCHTRT_WS_WERROR=ON -DTORCHTRT_WS_TENSORRT=ON $(CUDA) \
	  -DGTest_DIR=$$(tools/gtest.sh build/gtest)
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
	$(PY) benchmarks/save.py

# Reads the sources and needs none of what they import: no other target's set-up. mkdocs has a successor and says so at
# length, hence the variable.
$(VENV)/docs: pyproject.toml tools/requirements.py
	test -e $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) tools/requirements.py docs > $(VENV)/docs.txt
	$(PY) -m pip install --quiet -r $(VENV)/docs.txt
	touch $@

.PHONY: docs
docs: $(VENV)/docs
	$(PY) tools/architecture.py --check
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

# On a machine with a GPU and TensorRT-RTX: make gpu-report NAME=h100 TENSORRT_INCLUDE_DIR=<TensorRT 11's include folder>
gpu-report: $(VENV)/installed
	cmake -S . -B build/gpu -G Ninja -DPython_EXECUTABLE=$(CURDIR)/$(PY) -DTORCHTRT_WS_TESTS=ON \
	  -DTORCHTRT_WS_BENCHMARKS=ON -DTORCHTRT_WS_TENSORRT=ON -DTENSORRT_INCLUDE_DIR=$(TENSORRT_INCLUDE_DIR) $(CUDA) \
	  -DGTest_DIR=$$(tools/gtest.sh build/gtest)
	cmake --build build/gpu
	$(PY) tests/gpu/programs.py build/gpu/programs
	LD_LIBRARY_PATH=$(SITE)/tensorrt_rtx_libs $(PY) tests/gpu/report.py --name $(NAME) --build build/gpu \
	  --programs build/gpu/programs

clean:
	rm -rf build $(VENV)
