#!/usr/bin/env bash
# The CPU build needs no CUDA toolkit: with every toolkit out of sight (where this user may mount
# over it) it configures again, refers to none, and the program that was built starts.
#
#   no_cuda_toolkit_test.sh <stint>
set -euo pipefail

if [[ -z ${STINT_TOOLKIT_IS_HIDDEN:-} ]] && unshare --mount --map-root-user true 2> /dev/null; then
  STINT_TOOLKIT_IS_HIDDEN=yes exec unshare --mount --map-root-user "$0" "$@"
fi
if [[ -n ${STINT_TOOLKIT_IS_HIDDEN:-} ]]; then
  for folder in /usr/local/cuda*; do
    [[ -d $folder && ! -L $folder ]] && mount -t tmpfs none "$folder"
  done
fi

stint=$1
fresh=$(mktemp --directory)
trap 'rm -rf "$fresh"' EXIT
export PATH=/usr/bin:/bin
unset CUDACXX CUDA_HOME CUDA_PATH LD_LIBRARY_PATH
cmake --preset cpu -B "$fresh" > "$fresh/log"
if grep /usr/local/cuda "$fresh/build.ninja"; then
  echo "the CPU build refers to a CUDA toolkit"
  exit 1
fi
"$stint" --help > /dev/null
