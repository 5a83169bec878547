# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034  # the variables are for the scripts that read this
# What demo.sh and test.sh share: missing packages, and quiet steps with a log.

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
mkdir -p build
jobs=$(nproc)
started=$SECONDS

build_packages="cmake g++ ninja-build libcli11-dev libexpected-dev libfmt-dev libsentencepiece-dev
  libtbb-dev libxxhash-dev nlohmann-json3-dev"
test_packages="clang-14 clang-format-14 libbenchmark-dev libclang-rt-14-dev libgtest-dev
  python3-numpy python3-venv qemu-user shellcheck"

# NVIDIA's compiler and disassembler on PyPI: one release of the compiler, which takes gcc 12.
cuda_compiler="nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88
  nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85"
cuda_tools="nvidia-cuda-cuobjdump==13.5.37 nvidia-cuda-nvdisasm==13.5.37"

# step TEXT COMMAND...: prints TEXT and the seconds it took; on failure the end of its log.
step() {
  local text=$1 begin=$SECONDS log
  shift
  log=build/$(printf %s "$text" | tr -cs 'a-zA-Z0-9' '-').log
  printf '%-44s' "$text ..."
  if "$@" > "$log" 2>&1 < /dev/null; then
    printf ' %4d s\n' $((SECONDS - begin))
  else
    printf ' FAILED\n'
    tail -n 60 "$log" >&2
    printf '%s failed: %s; the whole log is %s\n' "${0##*/}" "$text" "$log" >&2
    exit 1
  fi
}

install_missing() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' ||
      missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  export DEBIAN_FRONTEND=noninteractive
  step "Fetch lists of packages" apt-get update
  step "Install ${#missing[@]} packages" \
    apt-get install -y --no-install-recommends "${missing[@]}"
}

# pip_install NAME PACKAGE...: into a virtual environment of that name below build/; may fail.
pip_install() {
  local venv=build/$1
  shift
  [ -x "$venv/bin/pip" ] || python3 -m venv "$venv" || return
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"
}

# Prints the nvcc of this machine, if one is there that cmake/cuda.cmake takes.
find_nvcc() {
  local nvcc release
  for nvcc in nvcc /usr/local/cuda/bin/nvcc; do
    release=$("$nvcc" --version 2> /dev/null | sed -n 's/.*release \([0-9.]*\).*/\1/p') || continue
    if printf '%s\n' 12.8 "$release" | sort --version-sort --check=quiet; then
      command -v "$nvcc"
      return
    fi
  done
}

# Sets cuda_options, what CMake needs to build the GPU kernels: with the nvcc of this machine, or
# else with NVIDIA's packages from PyPI; without both, CUDA is off.
find_cuda() {
  local nvcc top packages=$cuda_tools log=build/Install-CUDA.log
  nvcc=$(find_nvcc)
  [ -n "$nvcc" ] || packages="$packages $cuda_compiler"
  # shellcheck disable=SC2086  # a list of words
  if pip_install cuda-venv $packages > "$log" 2>&1 < /dev/null; then
    top=$(echo "$root"/build/cuda-venv/lib/python3*/site-packages/nvidia/cu13)
    cuda_options=("-DECCO_CUOBJDUMP=$top/bin/cuobjdump")
    if [ -z "$nvcc" ]; then
      nvcc=$top/bin/nvcc
      ln -sfn lib "$top/lib64"  # where nvcc looks
      cuda_options+=("-DCUDAToolkit_ROOT=$top")
    fi
  elif [ -n "$nvcc" ]; then
    cuda_options=()
    echo "No tests of machine code: NVIDIA's disassembler cannot be had from PyPI; see $log"
  else
    cuda_options=(-DECCO_CUDA=OFF)
    echo "CUDA is off: no nvcc from 12.8 on, NVIDIA's packages cannot be had from PyPI; see $log"
    return
  fi
  cuda_options+=(-DECCO_CUDA=ON "-DCMAKE_CUDA_COMPILER=$nvcc"
    "-DECCO_CUDA_ARCHITECTURES=80-real;90-real;120-real")
}
