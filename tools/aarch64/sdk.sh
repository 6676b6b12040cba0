#!/usr/bin/env bash
# What a build for aarch64 needs, in FOLDER: ExecuTorch's and CUDA's aarch64 wheels, unpacked. Nothing of it runs
# here, so PYTHON's pip unpacks it beside the environment, not into it. Says what to install where the compiler or qemu lacks.
#
#   tools/aarch64/sdk.sh FOLDER PYTHON
set -euo pipefail
folder=$1
python=$2

declare -A packages=([aarch64-linux-gnu-g++]=g++-aarch64-linux-gnu [qemu-aarch64]=qemu-user)
missing=()
for program in "${!packages[@]}"; do
  command -v "$program" > /dev/null || missing+=("$program")
done
if [ ${#missing[@]} -gt 0 ]; then
  needed=()
  for program in "${missing[@]}"; do needed+=("${packages[$program]}"); done
  echo "aarch64: found no ${missing[*]}; expected Debian's cross compiler and qemu's user mode." \
    "Install them: apt-get install ${needed[*]}" >&2
  exit 1
fi

here=$(dirname "$(realpath "$0")")
"$python" "${here%/*}/requirements.py" build adapter | grep -E '^(executorch|nvidia-)' > "$folder.txt"
rm -rf "$folder"
# Of each package a tag that some version of it has had: pip takes those given, not older ones by itself.
"$python" -m pip install --quiet --no-deps --no-compile --only-binary :all: --target "$folder" \
  --platform manylinux_2_28_aarch64 --platform manylinux2014_aarch64 --platform manylinux_2_17_aarch64 -r "$folder.txt"
