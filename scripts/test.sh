#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The whole suite on a Debian 12 machine with root, git and bash: installs what is missing, builds,
# checks the sources, finds or installs a CUDA compiler, runs the tests under sanitizers and the
# fuzzers, and last the full suite.
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Formatting, line lengths, licence lines.
check_sources() {
  local failed=0 files others file
  # Left out: ptxvm's test programs, lists of macros of which clang-format finds no stable form.
  mapfile -t files < <(find bench cuda examples include src tests tools \
    -name '*.?pp' -o -name '*.cu*' -not -path 'tests/ptxvm/tests/*' | sort)
  # Left out: what made tests/data, kept as it ran; ptxvm's generators, which hold lines of PTX.
  mapfile -t others < <(find . '(' -name '*.py' -o -name '*.cmake' -o -name CMakeLists.txt -o \
    -name '*.sh' ')' -not -path './build/*' -not -path './tests/ptxvm/tests/run.sh' \
    -not -path './tests/data/*' -not -path './tests/ptxvm/tests/gen_*' | sort)
  clang-format-14 --dry-run -Werror "${files[@]}" || failed=1
  for file in "${files[@]}" "${others[@]}"; do
    head -n 3 "$file" | grep -q 'SPDX-License-Identifier: MIT' ||
      { echo "$file: no SPDX line"; failed=1; }
  done
  grep -nE '^.{101,}$' "${files[@]}" "${others[@]}" ./*.md docs/*.md && failed=1
  shellcheck scripts/*.sh tests/package/*.sh .ci/run || failed=1
  return $failed
}

# build PRESET [OPTION...]: configures and builds one preset.
build() {
  local preset=$1
  shift
  step "Configure $preset" cmake --preset "$preset" "$@"
  step "Build $preset" cmake --build "build/$preset" -j "$jobs"
}

# shellcheck disable=SC2086  # lists of words
install_missing $build_packages $test_packages
step "Check the sources" check_sources
find_cuda
build dev -DECCO_BUILD_BENCH=OFF -DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O2 "${cuda_options[@]}"
build asan
step "Test asan, fuzzers included" ctest --test-dir build/asan -j "$jobs" --output-on-failure
echo "Everything (after $((SECONDS - started)) s):"
ctest --test-dir build/dev -j "$jobs" --output-on-failure < /dev/null
