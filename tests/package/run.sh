#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# usage: run.sh TEST SOURCE_DIR BUILD_DIR WORK_DIR
# The tests are the functions below; each works in a folder of its own, made anew.
set -euo pipefail
test=$1 source=$2 build=$3 work=$4/$1
rm -rf "$work"
mkdir -p "$work"
cd "$work"

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# configure FOLDER OPTION...: the consumer examples/embed, without optimisation.
configure() {
  local folder=$1
  shift
  cmake -S "$source/examples/embed" -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_CXX_FLAGS_DEBUG=-O0 -DCMAKE_CXX_COMPILER_LAUNCHER="$LAUNCHER" "$@"
}

run_consumers() {
  cmake --build "$1"
  "$1/library" | grep 'y\[0\] = .* at 4 bits per weight' || fail "library printed something else"
  "$1/headers_only" | grep 'y\[0\] = ' || fail "headers_only printed something else"
}

# find_package on the installed build, which is static.
static_library() {
  cmake --install "$build" --prefix "$work/prefix" > install.log
  [ -f "$(echo prefix/lib*/libecco.a prefix/lib/*/libecco.a | tr ' ' '\n' |
    grep -v '\*' | head -n 1)" ] || fail "no libecco.a was installed"
  configure consumer -DCMAKE_PREFIX_PATH="$work/prefix"
  run_consumers consumer
  nm -u consumer/headers_only | c++filt | grep ' ecco::' && fail "headers_only needs the library"
  return 0
}

# find_package with the component cuda. Where no GPU is, the program says so.
cuda_library() {
  cmake --install "$build" --prefix "$work/prefix" > install.log
  [ -f prefix/include/ecco/cuda/gemv.cuh ] || fail "no device functions were installed"
  grep -r --include='*.cmake' "$source" prefix/lib &&
    fail "the package names the folder it was built in"
  configure consumer -DCMAKE_PREFIX_PATH="$work/prefix" \
    ${CUDA_ROOT:+"-DCUDAToolkit_ROOT=$CUDA_ROOT"}
  cmake --build consumer --target on_gpu attention_on_gpu
  consumer/on_gpu | grep -E 'y\[0\] = |no product: .*(no CUDA-capable|insufficient|driver)' ||
    fail "on_gpu printed something else"
  consumer/attention_on_gpu |
    grep -E 'output\[0\] = |no attention: .*(no CUDA-capable|insufficient|driver)' ||
    fail "attention_on_gpu printed something else"
}

# find_cuda KIND EXPECTED LIBRARY...: what find_package(ecco KIND cuda) says of a package that needs
# cudart_static and cublas, where the toolkit has the libraries LIBRARY.
find_cuda() {
  local kind=$1 expected=$2 library
  shift 2
  {
    echo 'set(CUDAToolkit_FOUND TRUE)'
    echo 'set(CUDAToolkit_LIBRARY_DIR /toolkit/lib)'
    for library in "$@"; do echo "add_library(CUDA::$library INTERFACE IMPORTED)"; done
  } > FindCUDAToolkit.cmake
  cmake -S . -B build -DKIND="$kind" > found.log 2>&1 || fail "$(cat found.log)"
  grep -qF "$expected" found.log || fail "no '$expected' in $(cat found.log)"
}

# A library that the toolkit lacks is named when the package is looked for; CMake would only fail to
# generate.
cuda_config() {
  mkdir lib
  echo 'add_library(ecco::headers INTERFACE IMPORTED)' > lib/ecco_targets.cmake
  echo 'add_library(ecco::cuda INTERFACE IMPORTED)' > lib/ecco_cuda_targets.cmake
  cat > CMakeLists.txt << END
cmake_minimum_required(VERSION 3.25)
project(cuda_config LANGUAGES NONE)
include(CMakePackageConfigHelpers)
set(ECCO_CUDA_NEEDS CUDA::cudart_static CUDA::cublas)
configure_package_config_file("$source/cmake/ecco-config.cmake.in"
  "\${CMAKE_SOURCE_DIR}/lib/ecco-config.cmake" INSTALL_DESTINATION lib)
list(APPEND CMAKE_MODULE_PATH "\${CMAKE_SOURCE_DIR}")
set(ecco_DIR "\${CMAKE_SOURCE_DIR}/lib")
find_package(ecco QUIET \${KIND} cuda)
message("found: \${ecco_FOUND}, cuda: \${ecco_cuda_FOUND}. \${ecco_NOT_FOUND_MESSAGE}")
END
  local lacks="which the CUDA toolkit in /toolkit/lib does not have"
  find_cuda COMPONENTS \
    "found: 0, cuda: . ecco::cuda needs CUDA::cublas, $lacks" \
    cudart_static
  find_cuda COMPONENTS 'ecco::cuda needs CUDA::cudart_static, CUDA::cublas, which'
  find_cuda OPTIONAL_COMPONENTS 'found: 1, cuda: .' cudart_static
  find_cuda COMPONENTS 'found: 1, cuda: TRUE.' cudart_static cublas
}

# fake_nvcc RELEASE: an nvcc in the folder nvcc, which knows its version and nothing else.
fake_nvcc() {
  mkdir -p nvcc
  printf '#!/bin/sh\necho "Cuda compilation tools, release %s, V%s.1"\n' "$1" "$1" > nvcc/nvcc
  chmod +x nvcc/nvcc
}

# with_nvcc RELEASE MODE STATUS EXPECTED: how a project that includes cuda.cmake is configured with
# ECCO_CUDA=MODE (status 0: it is), and what is said of an nvcc of that release.
with_nvcc() {
  local status=0
  fake_nvcc "$1"
  rm -rf build
  CUDACXX=$work/nvcc/nvcc cmake -S . -B build -DECCO_CUDA="$2" > nvcc.log 2>&1 || status=1
  [ $status = "$3" ] || fail "nvcc $1, $2: status $status: $(cat nvcc.log)"
  tr -s '\n ' ' ' < nvcc.log | grep -qF "$4" || fail "no '$4' in $(cat nvcc.log)"
}

# options_with_nvcc RELEASE: what find_cuda of the scripts gives to CMake, with nvcc's packages of
# PyPI as a folder without files.
options_with_nvcc() {
  fake_nvcc "$1"
  PATH="$work/nvcc:$PATH" bash -c 'source scripts/lib.sh
    pip_install() { mkdir -p "build/$1/lib/python3/site-packages/nvidia/cu13"; }
    find_cuda
    echo "${cuda_options[@]}"'
}

# An nvcc that is too old is told from one that is missing or broken, and breaks no build for CPUs.
cuda_versions() {
  cat > CMakeLists.txt << END
cmake_minimum_required(VERSION 3.25)
project(cuda_versions LANGUAGES CXX)
include("$source/cmake/cuda.cmake")
message("with CUDA: \${ECCO_WITH_CUDA}")
END
  local reason="$work/nvcc/nvcc is of release 12.7, and 12.8 is needed"
  with_nvcc 12.7 AUTO 0 "CUDA: $reason: GPU kernels are left out"
  with_nvcc 12.7 AUTO 0 'with CUDA: OFF'
  with_nvcc 12.7 ON 1 "ECCO_CUDA is ON, but $reason"
  with_nvcc 9.2 AUTO 0 'with CUDA: OFF'
  with_nvcc 12.7 OFF 0 'with CUDA: OFF'
  with_nvcc 12.8 AUTO 1 'CUDA compiler identification'  # CMake tries to compile

  mkdir scripts
  cp "$source/scripts/lib.sh" scripts
  options_with_nvcc 12.8 | grep -F -e "-DCMAKE_CUDA_COMPILER=$work/nvcc/nvcc" ||
    fail "an nvcc of release 12.8 was not taken"
  options_with_nvcc 12.7 > options
  ! grep -F "$work/nvcc/nvcc" options || fail "an nvcc of release 12.7 was taken"
  grep -F -e -DECCO_CUDA=ON options || fail "no other nvcc was taken"
}

# add_subdirectory with a shared library, installed from there, then find_package on that. Sources
# are compiled several at a time, as some projects do, which takes a third of the time.
shared_library() {
  configure embedded -DECCO_SOURCE_DIR="$source" -DBUILD_SHARED_LIBS=ON -DECCO_INSTALL=ON \
    -DCMAKE_UNITY_BUILD=ON
  run_consumers embedded
  cmake --install embedded --prefix "$work/prefix" > install.log
  configure consumer -DCMAKE_PREFIX_PATH="$work/prefix"
  run_consumers consumer

  local library leaked
  library=$(find prefix -name 'libecco.so.*.*.*')
  [ -n "$library" ] || fail "no versioned library was installed"
  readelf -d "$library" | grep -E 'SONAME.*\[libecco\.so\.[0-9]+\.[0-9]+\]' || fail "no soname"
  readelf -d consumer/library | grep -E 'NEEDED.*\[libecco\.so\.[0-9]+\.[0-9]+\]' ||
    fail "the consumer does not need the soname"
  nm -D --defined-only "$library" | c++filt > symbols
  grep -q ' ecco::gemv(' symbols || fail "ecco::gemv is not exported"
  leaked=$(cut -d ' ' -f 3- symbols |
    grep -vE '^(ecco::|(vtable|typeinfo|typeinfo name) for ecco::)' || true)
  [ -z "$leaked" ] || fail "symbols that are not ecco's are exported: $leaked"
}

# headers_alone COMPILER: each public header is the whole of a source, without a warning.
headers_alone() {
  local header
  for header in "$source"/include/ecco/*.hpp "$source"/include/ecco/cuda/*.hpp; do
    header=${header#"$source/include/"}
    echo "#include \"$header\"" > "${header//\//-}.cpp"
  done
  # shellcheck disable=SC2016  # expanded by the inner shell
  printf '%s\n' ./*.cpp | xargs -P "$(nproc)" -I '{}' "$1" -std=c++20 -fsyntax-only -I \
    "$source/include" -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror '{}'
}
headers_alone_built() { headers_alone "$CXX"; }
headers_alone_clang() { headers_alone "$CLANG"; }

# try_compile NAME: code on standard input, status of the compiler, its messages in NAME.log.
try_compile() {
  { printf '#include "ecco/ecco.hpp"\n'; cat; } > "$1.cpp"
  "$CXX" -std=c++20 -fsyntax-only -Wall -Werror -I "$source/include" "$1.cpp" 2> "$1.log"
}
refuse() {
  ! try_compile "$1" || fail "$1 compiles"
  grep -q "$2" "$1.log" || fail "$1 does not compile, but not for the reason '$2': $(cat "$1.log")"
}

must_not_compile() {
  try_compile control <<< 'ecco::Status f(const ecco::TensorView& t, std::span<float> y) {
    return ecco::gemv(t, std::span<const float>(y), y); }' || fail "$(cat control.log)"
  refuse ignored_status 'nodiscard\|unused-result' <<< 'void f(const ecco::TensorView& t,
    std::span<float> y) { ecco::gemv(t, std::span<const float>(y), y); }'
  refuse unchecked_view 'private' <<< 'ecco::TensorView view;'
  refuse constant_output 'const' <<< 'ecco::Status f(const ecco::TensorView& t,
    std::span<const float> y) { return ecco::gemv(t, y, y); }'
  refuse implicit_code 'conver\|could not' <<< 'int f(ecco::Status s) { return s; }'
}

"$test"
