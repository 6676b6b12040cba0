#!/usr/bin/env bash
# Runs the tests of one name: Python's begin with test_, all others are C++.
#
#   tools/test_one.sh test_split_is_exact build/dev
#   tools/test_one.sh Decimal.Table build/dev
set -euo pipefail
name=$1 build=$2
if [ -z "$name" ]; then
  echo "test-one: no name; run make test-one T=test_name, or T=Suite.Name for a C++ test" >&2
  exit 2
fi

if [[ $name == test_* ]]; then
  # Only the files that hold it: collecting the others would import torch and TensorRT for nothing.
  if ! files=$(grep -rlw --include='test_*.py' "def ${name%%[*}" tests); then
    echo "test-one: no Python test has the name ${name%%[*}" >&2
    exit 1
  fi
  # shellcheck disable=SC2086
  exec python -m pytest -q -k "$name" $files
fi

# CTest knows each test of most programs, and only the program where one set of tests runs against several libraries.
if ctest --test-dir "$build" -N -R "$name" | grep -q 'Test *#'; then
  exec ctest --test-dir "$build" --output-on-failure -R "$name"
fi
if ! grep -rqE "TEST(_F|_P)?\(.*${name##*.}" --include='*_test.cpp' tests; then
  echo "test-one: no C++ test has the name $name" >&2
  exit 1
fi
GTEST_FILTER="*$name*" exec ctest --test-dir "$build" --verbose -R '^tensorrt\.'
