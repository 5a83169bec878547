#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# On a machine with a GPU: builds for it alone, runs the tests labelled gpu and the benchmarks,
# writes docs/gpu/, and with the time that is left runs the tests under compute-sanitizer, where
# that exists. Takes at most 8 minutes; what fails does not keep the rest from running, but the
# script from succeeding. Needs CUDA 13, cmake, python3 and the libraries of $libraries; installs
# nothing. Without network, run it with --carry on a machine that has Debian's packages: that copies
# the libraries to build/gpu-deps, where this script finds them when the checkout and that folder
# are on the other machine.
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

carried=$root/build/gpu-deps
libraries="libbenchmark-dev libbenchmark1debian libcli11-dev libexpected-dev libfmt-dev libfmt9
  libgmock-dev libgtest-dev libtbb-dev libtbb12 libtbbbind-2-5 libtbbmalloc2 libxxhash-dev
  libxxhash0 nlohmann-json3-dev"

# What is measured: the commit checked out here, or where --carry ran.
find_commit() {
  git describe --always --dirty 2> /dev/null ||
    grep . "$carried/commit" 2> /dev/null || echo unknown
}

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
  find_commit > "$carried/commit"
  echo "$carried: $(du -sh "$carried" | cut -f 1)"
}

if [ "${1:-}" = --carry ]; then
  carry
  exit
fi
limit=460
bench_seconds=170
failed=()

stop() {
  echo "${0##*/}: $1" >&2
  exit 1
}

# attempt TEXT SECONDS COMMAND...: a step that may fail or run out of time; the script goes on.
attempt() {
  local text=$1 seconds=$2
  shift 2
  (step "$text" timeout "$seconds" "$@") || failed+=("$text")
}

# sanitize TOOL [OPTION]: the tests side by side under one tool of compute-sanitizer, with the
# option off.
sanitize() {
  local left=$((limit - (SECONDS - started)))
  if [ "$left" -lt 20 ]; then
    failed+=("$1: no time left")
    return
  fi
  # shellcheck disable=SC2016  # the inner shell expands it
  attempt "Run the tests under $1" "$left" xargs -a build/gpu/tests.txt -P 6 -I '{}' bash -c \
    'test={}; "$0" --tool "$1" ${2:+"$2" no} --error-exitcode 1 "$test" > "$test.$1.log" 2>&1 ||
       { tail -n 30 "$test.$1.log"; echo "$test failed"; exit 1; }' \
    "$sanitizer" "$1" "${2:-}"
}

capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null | head -n 1) ||
  true
[ -n "$capability" ] || stop "no GPU: nvidia-smi reports none"
for tool in cmake python3; do
  command -v $tool > /dev/null || stop "no $tool here"
done
CUDACXX=${CUDACXX:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
[ -x "$CUDACXX" ] || stop "no nvcc: neither on the PATH nor at $CUDACXX"
export CUDACXX
nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,clocks.max.memory --format=csv,noheader
step "Configure" cmake -S . -B build/gpu -DCMAKE_BUILD_TYPE=Release -DECCO_CUDA=ON \
  -DECCO_BUILD_CLI=OFF -DECCO_BUILD_EXAMPLES=OFF -DECCO_BUILD_TOOLS=OFF -DECCO_INSTALL=OFF \
  -DECCO_BUILD_BENCH=ON -DECCO_ISA_TESTS=OFF "-DCMAKE_PREFIX_PATH=$carried/usr" \
  "-DECCO_CUDA_ARCHITECTURES=${capability/./}-real"
step "Build" cmake --build build/gpu -j "$jobs" --target gpu_tests cuda_bench
attempt "Run the tests" 120 ctest --test-dir build/gpu -L gpu --output-on-failure
attempt "Measure" $((bench_seconds + 30)) build/gpu/bin/cuda_bench --benchmark_min_time=0.02 \
  --time-limit "$bench_seconds" "--benchmark_context=commit=$(find_commit)" \
  --benchmark_out=build/gpu/cuda_bench.json
attempt "Report" 30 python3 bench/cuda/report.py build/gpu/cuda_bench.json --out docs/gpu
if sanitizer=$(command -v compute-sanitizer || command -v /usr/local/cuda/bin/compute-sanitizer)
then
  printf '%s\n' build/gpu/bin/*_gpu > build/gpu/tests.txt
  sanitize memcheck --report-api-errors  # tests provoke some
  sanitize racecheck
fi
echo "Done in $((SECONDS - started)) s."
[ ${#failed[@]} -eq 0 ] || stop "failed: $(printf '%s; ' "${failed[@]}")"
