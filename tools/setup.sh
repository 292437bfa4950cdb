#!/usr/bin/env bash
# Installs what a build needs: Debian packages and the Python wheels in .venv (LibTorch is one of
# them). Does nothing, in no time, when all is there.
#
#   tools/setup.sh [--cuda]     --cuda: nvcc, too, where no toolkit of 13 or later is installed
#
# STINT_SITE_PACKAGES=<folder>  use the torch wheel unpacked there and download nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

want_cuda=no
case "${1:-}" in
  --cuda) want_cuda=yes ;;
  "") ;;
  *) echo "setup: unknown argument '$1'" >&2; exit 2 ;;
esac

install_debian_packages() {
  local missing=() package
  while read -r package; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null |
      grep --quiet 'ok installed' || missing+=("$package")
  done < tools/debian-packages.txt
  [[ ${#missing[@]} -eq 0 ]] && return
  local as_root=()
  if [[ $EUID -ne 0 ]]; then
    if ! command -v sudo > /dev/null; then
      echo "setup: please install as root: apt-get install ${missing[*]}" >&2
      exit 1
    fi
    as_root=(sudo)
  fi
  echo "setup: installing Debian packages: ${missing[*]}" >&2
  "${as_root[@]}" apt-get update --quiet=2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install --quiet=2 --yes --no-install-recommends "${missing[@]}" > /dev/null
}

# The first python3 that the pinned wheels are built for and that can make a virtual environment.
find_python() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
      2> /dev/null; then
      echo "$python"
      return
    fi
  done
  echo "setup: needs a python3 of version 3.11, 3.12 or 3.13 with venv" >&2
  exit 1
}

# Has this environment been filled from these very lists before?
stamp() { cat "$@" | sha256sum; }
is_fresh() {
  local stamp_file=$1
  shift
  [[ -f $stamp_file && $(< "$stamp_file") == "$(stamp "$@")" ]]
}

install_wheels() {
  local stamp_file=.venv/stint-$1.stamp requirements=$2
  is_fresh "$stamp_file" "$requirements" tools/constraints.txt && return
  echo "setup: installing the wheels of $requirements into .venv" >&2
  local python
  python=$(find_python)
  [[ -x .venv/bin/python ]] || "$python" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --requirement "$requirements" --constraint tools/constraints.txt "${@:3}"
  stamp "$requirements" tools/constraints.txt > "$stamp_file"
}

# A .venv that borrows every package of STINT_SITE_PACKAGES.
borrow_wheels() {
  if [[ ! -f $STINT_SITE_PACKAGES/torch/lib/libtorch_cpu.so ]]; then
    echo "setup: STINT_SITE_PACKAGES: no torch wheel in '$STINT_SITE_PACKAGES'" >&2
    exit 1
  fi
  [[ -x .venv/bin/python ]] || "$(find_python)" -m venv --without-pip .venv
  echo "$STINT_SITE_PACKAGES" > "$(echo .venv/lib/python3*/site-packages)/stint-borrowed.pth"
}

has_nvcc_13() {
  local nvcc release
  for nvcc in nvcc /usr/local/cuda/bin/nvcc; do
    release=$("$nvcc" --version 2> /dev/null | sed -n 's/.*release \([0-9]*\).*/\1/p') || continue
    [[ ${release:-0} -ge 13 ]] && return
  done
  return 1
}

install_debian_packages
if [[ -n ${STINT_SITE_PACKAGES:-} ]]; then
  borrow_wheels
else
  install_wheels cpu tools/requirements.txt
  install_wheels data tools/requirements-data.txt --no-deps
  if [[ $want_cuda == yes ]] && ! has_nvcc_13; then
    install_wheels cuda tools/requirements-cuda.txt
    # nvcc looks for its libraries in lib64.
    (cd .venv/lib/python3*/site-packages/nvidia/cu13 && ln --symbolic --force --no-dereference lib lib64)
  fi
fi
