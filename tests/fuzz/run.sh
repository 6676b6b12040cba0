#!/usr/bin/env bash
# Runs every fuzz target for its share of the time: libFuzzer's (C++), atheris' (Python). make fuzz calls it.
#
#   tests/fuzz/run.sh SECONDS PYTHON
#
# What a target finds interesting stays in build/fuzz/corpus and is where the next run starts; an input that breaks
# something is build/fuzz/broken-<target>-*, and the target's own command line repeats it:
#
#   build/fuzz/fuzz_blob build/fuzz/broken-blob-crash-...
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=$1 python=$2
build=build/fuzz

clang=${FUZZ_CXX:-$(command -v clang++ || true)}
if [ -z "$clang" ]; then
  echo "fuzz: found no clang++; expected clang with libFuzzer. Install it (Debian: apt-get install clang" \
    "libclang-rt-14-dev, with the version that clang --version says), or name it: FUZZ_CXX=clang++-14" >&2
  exit 1
fi
cmake -S tests/fuzz -B "$build" -G Ninja -DCMAKE_CXX_COMPILER="$clang" -DPython_EXECUTABLE="$(realpath -s "$python")"
cmake --build "$build"
PYTHONPATH=. "$python" tests/fuzz/corpus.py "$build/seeds"

targets=(blob metadata decimal budget program)
share=$((seconds / (${#targets[@]} + 2)))
[ "$share" -gt 0 ] || share=1
fuzz() {  # target, command line
  local target=$1
  mkdir -p "$build/corpus/$target"
  echo "fuzz: $target, $share s"
  "${@:2}" -max_total_time="$share" -timeout=10 -rss_limit_mb=4096 \
    -artifact_prefix="$build/broken-$target-" -print_final_stats=1 2>"$build/$target.log" || {
    tail -n 40 "$build/$target.log" >&2
    return 1
  }
  grep -E "^Done|number_of_executed_units|^INFO: .*seed" "$build/$target.log" || true
}
for target in "${targets[@]}"; do
  seeds=("$build/seeds/$target")
  [ "$target" != blob ] || seeds=(tests/blob/golden tests/blob/hostile)
  # Bigger inputs only make it slower: the caps are constants, and their files are among the seeds.
  fuzz "$target" "$build/fuzz_$target" "$build/corpus/$target" "${seeds[@]}" -max_len=8192
done
if "$python" -c "import atheris" 2>/dev/null; then
  fuzz python_blob "$python" tests/fuzz/python_blob.py "$build/corpus/python_blob" tests/blob/golden tests/blob/hostile -max_len=8192
  mkdir -p "$build/seeds/pte"
  "$python" tests/fuzz/sweep.py --save "$build/seeds/pte/linear.pte"
  "$python" tests/fuzz/sweep.py --methods first second --save "$build/seeds/pte/twice.pte"
  fuzz python_pte "$python" tests/fuzz/python_pte.py "$build/corpus/python_pte" "$build/seeds/pte" -max_len=8192
else
  echo "fuzz: no atheris for this Python (pip install atheris): its targets are left out; tests/pte and tests/blob have" \
    "hypothesis tests of the same readers"
fi
