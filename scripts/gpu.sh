#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# On a machine with a GPU: builds for it alone, runs the tests labelled gpu (also under
# compute-sanitizer where that exists) and the benchmarks, and writes docs/gpu/. Needs CUDA 13,
# cmake and the libraries of $libraries; installs nothing. Without network, run it with --carry on a
# machine that has Debian's packages: that copies the libraries to build/gpu-deps, where this script
# finds them when the checkout and that folder are on the other machine.
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

carried=$root/build/gpu-deps
libraries="libbenchmark-dev libbenchmark1debian libcli11-dev libexpected-dev libfmt-dev libfmt9
  libgmock-dev libgtest-dev libtbb-dev libtbb12 libtbbbind-2-5 libtbbmalloc2 libxxhash-dev
  libxxhash0 nlohmann-json3-dev"

# Files of the packages with the libraries, 8 MB, below $carried/usr.
carry() {
  # shellcheck disable=SC2086  # a list of words
  install_missing $libraries
  rm -rf "$carried"
  mkdir -p "$carried"
  # shellcheck disable=SC2086
  dpkg -L $libraries | grep -E '^/usr/(include|lib|share/cmake|share/pkgconfig)/' |
    while read -r file; do
      [ -d "$file" ] || cp --parents --no-dereference "$file" "$carried"
    done
  echo "$carried: $(du -sh "$carried" | cut -f 1)"
}

if [ "${1:-}" = --carry ]; then
  carry
  exit
fi
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null | head -n 1) ||
  true
if [ -z "$capability" ]; then
  echo "${0##*/}: no GPU: nvidia-smi reports none" >&2
  exit 1
fi
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
export CUDACXX=${CUDACXX:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
step "Configure" cmake -S . -B build/gpu -DCMAKE_BUILD_TYPE=Release -DECCO_CUDA=ON \
  -DECCO_BUILD_CLI=OFF -DECCO_BUILD_EXAMPLES=OFF -DECCO_BUILD_TOOLS=OFF -DECCO_INSTALL=OFF \
  -DECCO_BUILD_BENCH=ON "-DCMAKE_PREFIX_PATH=$carried/usr" \
  "-DECCO_CUDA_ARCHITECTURES=${capability/./}-real"
step "Build" cmake --build build/gpu -j "$jobs" --target gpu_tests cuda_bench
ctest --test-dir build/gpu -L gpu --output-on-failure
if sanitizer=$(command -v compute-sanitizer || command -v /usr/local/cuda/bin/compute-sanitizer)
then
  for test in build/gpu/bin/*_gpu; do
    for tool in memcheck racecheck; do
      step "${tool^} ${test##*/}" "$sanitizer" --tool "$tool" --error-exitcode 1 "$test"
    done
  done
fi
step "Measure" build/gpu/bin/cuda_bench --benchmark_min_time=0.02 \
  --benchmark_out=build/gpu/cuda_bench.json
python3 bench/cuda/report.py build/gpu/cuda_bench.json --out docs/gpu
echo "Done in $((SECONDS - started)) s."
