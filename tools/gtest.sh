#!/usr/bin/env bash
# Prints where GTest's CMake package is. Where it is not installed it is taken from Debian's or Ubuntu's libgtest-dev, into
# a folder of its own, with no right to install anything. That of another ARCHITECTURE (Debian's word: arm64) always is.
#
#   tools/gtest.sh FOLDER [ARCHITECTURE]
set -euo pipefail
folder=$(realpath -m "$1")
architecture=${2-}
find_package() { find "$@" -path '*/cmake/GTest/GTestConfig.cmake' -printf '%h\n' 2>/dev/null | head -n 1 || true; }

installed=(/usr/lib /usr/local/lib)
[ -z "$architecture" ] || installed=()
found=$(find_package "${installed[@]}" "$folder")
if [ -z "$found" ]; then
  mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial" "$folder/root"
  apt=(apt-get -qq -o "Dir::State::Lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o Debug::NoLocking=1
    -o APT::Sandbox::User="$(id -un)")
  [ -z "$architecture" ] || apt+=(-o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture")
  "${apt[@]}" update >&2
  (cd "$folder" && "${apt[@]}" download libgtest-dev >&2)
  dpkg-deb -x "$folder"/libgtest-dev_*.deb "$folder/root"
  found=$(find_package "$folder")
fi
if [ -z "$found" ]; then
  echo "GTest: found no CMake package of it; expected Debian's libgtest-dev. Install it: apt-get install libgtest-dev" >&2
  exit 1
fi
echo "$found"
