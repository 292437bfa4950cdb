#!/usr/bin/env bash
# Compiles those files of build/cuda that only a CUDA build has, and nothing else: what a machine
# without a GPU can find out about them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../build/cuda"

mapfile -t objects < <(ninja -t targets all |
  sed --quiet --regexp-extended 's/^(.*(\.cu|cuda[a-z_]*\.cc)\.o): .*/\1/p')
if [[ ${#objects[@]} -eq 0 ]]; then
  echo "build_cuda_files: build/cuda has no file that knows CUDA" >&2
  exit 1
fi
ninja "${objects[@]}"
