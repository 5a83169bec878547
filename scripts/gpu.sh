#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The tests of the GPU kernels on the GPU of this machine: builds for it alone and runs the tests
# labelled gpu, then again under compute-sanitizer where that exists. Needs CUDA 13 and the packages
# of lib.sh; installs nothing.
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null | head -n 1) ||
  true
if [ -z "$capability" ]; then
  echo "${0##*/}: no GPU: nvidia-smi reports none" >&2
  exit 1
fi
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
step "Configure" cmake -S . -B build/gpu -G Ninja -DCMAKE_BUILD_TYPE=Release -DECCO_CUDA=ON \
  -DECCO_BUILD_CLI=OFF -DECCO_BUILD_EXAMPLES=OFF -DECCO_BUILD_TOOLS=OFF -DECCO_INSTALL=OFF \
  "-DECCO_CUDA_ARCHITECTURES=${capability/./}-real"
step "Build" cmake --build build/gpu -j "$jobs" --target tests/cuda/all
ctest --test-dir build/gpu -L gpu --output-on-failure
sanitizer=$(command -v compute-sanitizer || command -v /usr/local/cuda/bin/compute-sanitizer) ||
  exit 0
for test in build/gpu/bin/*_gpu; do
  for tool in memcheck racecheck; do
    step "${tool^} ${test##*/}" "$sanitizer" --tool "$tool" --error-exitcode 1 "$test"
  done
done
echo "Done in $((SECONDS - started)) s."
