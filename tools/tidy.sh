#!/usr/bin/env bash
# Runs clang-tidy (.clang-tidy says which checks) over the C++ that a build folder compiles.
#
#   tools/tidy.sh build/dev
set -euo pipefail
python - "$1/compile_commands.json" <<'PY' | xargs -0 -P "$(nproc)" -n 4 clang-tidy -p "$1" --quiet
import json, pathlib, sys

ours = {str(pathlib.Path(folder).resolve()) for folder in ("cpp", "tests", "examples")}
files = {entry["file"] for entry in json.loads(pathlib.Path(sys.argv[1]).read_text())}
print(*sorted(file for file in files if ours & {str(parent) for parent in pathlib.Path(file).parents}), sep="\0", end="")
PY
