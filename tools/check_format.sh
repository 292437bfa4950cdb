#!/usr/bin/env bash
# Fails if a C++ or CUDA file is not laid out as .clang-format says; `--fix` lays them out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Versions differ in their verdicts, so only one is asked.
for clang_format in .venv/bin/clang-format clang-format-14 clang-format; do
  if "$clang_format" --version 2> /dev/null | grep --quiet 'version 14\.'; then
    mode=(--dry-run -Werror)
    [[ ${1:-} == --fix ]] && mode=(-i)
    find . \( -name .git -o -name .venv -o -name build -o -name results -o -name shared \) -prune -o \
      -type f -regex '.*\.\(h\|cc\|cu\|cuh\)' -print0 | xargs --null "$clang_format" "${mode[@]}"
    exit
  fi
done
echo "check_format: no clang-format 14 here; run 'make setup'" >&2
exit 1
