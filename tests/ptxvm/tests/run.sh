#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds the executor with CMake, builds and runs every test; the last line says "N passed, M failed".
# Environment: NVCC, BUILD (build folder), QUICK=1 skips the CUB programs, SEEDS (schedules to try, default "1 2 3 4").
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
build=${BUILD:-$root/build/tests}
NVCC=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
SEEDS=${SEEDS:-1 2 3 4}
mkdir -p "$build" && cd "$build" || exit 1
passed=0 failed=0
note() { if [ "$1" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $2"; fi; }
# Adds the "N passed, M failed" of a program's last line; the program's exit status must agree.
tally() {
  local name=$1; shift
  local out status line
  out=$("$@" 2>&1); status=$?
  line=$(echo "$out" | grep -E '[0-9]+ passed, [0-9]+ failed' | tail -1)
  echo "$out" | grep -E '^(FAIL|FAILED)' | cut -c1-300
  if [ -z "$line" ]; then echo "FAILED: $name gave no summary: $(echo "$out" | tail -3 | cut -c1-300)"; failed=$((failed + 1)); return; fi
  local p f
  p=$(echo "$line" | grep -oE '[0-9]+ passed' | grep -oE '[0-9]+'); f=$(echo "$line" | grep -oE '[0-9]+ failed' | grep -oE '[0-9]+')
  passed=$((passed + p)); failed=$((failed + f))
  if [ "$f" = 0 ] && [ $status != 0 ]; then failed=$((failed + 1)); echo "FAILED: $name exit status $status"; fi
  echo "$name: $p passed, $f failed"
}
cmake -S "$root" -B lib -DCMAKE_BUILD_TYPE=Release > cmake.log 2>&1 && cmake --build lib > make.log 2>&1
note $? "building the library (see $build/make.log)"
[ -f lib/libcudart_ptxvm.a ] || { tail -5 cmake.log make.log; echo "$passed passed, $((failed + 1)) failed"; exit 1; }
link="-Llib -lcudart_ptxvm"
compile() {  # output, source, PTX architecture, further flags
  local o=$1 s=$2 arch=$3; shift 3
  if [ -f "$o" ] && [ "$o" -nt "$s" ] && [ "$o" -nt "$here/check.hpp" ]; then return 0; fi
  "$NVCC" -std=c++20 -O2 -lineinfo -gencode arch=compute_$arch,code=compute_$arch --compress-mode=none -diag-suppress 186,177 \
    -I"$here" -I"$root/include" "$@" -c "$s" -o "$o" > "$o.log" 2>&1 || { grep -m3 error "$o.log"; rm -f "$o"; return 1; }
}
python3 "$here/gen_int.py" > int.new && { cmp -s int.new opcodes_int.cu || cp int.new opcodes_int.cu; }
python3 "$here/gen_float.py" > float.new && { cmp -s float.new opcodes_float.cu || cp float.new opcodes_float.cu; }
g++ -std=c++20 -O2 -frounding-math -c "$here/ref_float.cpp" -o ref_float.o; note $? "ref_float"
for t in opcodes_int opcodes_float; do compile $t.o $t.cu 90; note $? "compiling $t"; done
for t in opcodes_mem negative unsupported features; do compile $t.o "$here/$t.cu" 90; note $? "compiling $t"; done
for t in opcodes_int opcodes_float opcodes_mem negative unsupported features; do
  g++ -o $t $t.o $([ $t = opcodes_float ] && echo ref_float.o) $link; note $? "linking $t"
done
export PTXVM_SM=90
for t in opcodes_int opcodes_float opcodes_mem negative unsupported features; do tally $t timeout 300 ./$t; done
for s in $SEEDS; do PTXVM_SEED=$s tally "opcodes_mem, seed $s" timeout 300 ./opcodes_mem; done
for s in $SEEDS; do PTXVM_SEED=$s tally "features, seed $s" timeout 300 ./features; done
for s in $SEEDS; do PTXVM_SEED=$s tally "negative, seed $s" timeout 300 ./negative; done
# Runtime API, with GoogleTest
compile api80.o "$here/api.cu" 80; note $? "compiling api"
g++ -o api80 api80.o $link -lgtest -lgtest_main -lpthread; note $? "linking api"
for sm in 80 90; do
  out=$(PTXVM_SM=$sm timeout 100 ./api80 2>/dev/null); n=$(echo "$out" | grep -c '^\[       OK'); f=$(echo "$out" | grep -c '^\[  FAILED.*ms)$')
  [ $((n + f)) -gt 0 ] || f=1
  echo "$out" | grep -B8 -E '^\[  FAILED.*ms\)$' | head -30
  echo "api, PTXVM_SM=$sm: $n passed, $f failed"; passed=$((passed + n)); failed=$((failed + f))
done
# The demonstration programs, and broken versions of them that must be caught
compile base.o "$here/demos/base.cu" 75; note $? "compiling base"
g++ -o base base.o $link && PTXVM_SM=75 tally "demo without CUB" timeout 100 ./base
for m in m1_nosync m2_shfl m3_funnel m4_oob m5_magic m6_ballot; do
  python3 "$here/demos/mutants.py" "$here/demos/base.cu" $m $m.new; cmp -s $m.new $m.cu || cp $m.new $m.cu
  compile $m.o $m.cu 75 && g++ -o $m $m.o $link; note $? "compiling $m"
  PTXVM_SM=75 timeout 100 ./$m > $m.out 2>&1; [ $? != 0 ]; note $? "mutant $m was not caught"
done
compile cpa.o "$here/demos/cpa.cu" 80; note $? "compiling cpa"
g++ -o cpa cpa.o $link && PTXVM_SM=80 timeout 100 ./cpa > /dev/null 2>&1; note $? "cp.async, cooperative groups, redux"
if [ -z "$QUICK" ]; then
  for arch in 75 90; do
    compile demo$arch.o "$here/demos/demo.cu" $arch; note $? "compiling demo for $arch"
    g++ -o demo$arch demo$arch.o $link && PTXVM_SM=$arch tally "demo, compute_$arch" timeout 100 ./demo$arch
    for s in $SEEDS; do PTXVM_SEED=$s PTXVM_SM=$arch tally "demo, compute_$arch, seed $s" timeout 100 ./demo$arch; done
    compile devcub$arch.o "$here/demos/devcub.cu" $arch; note $? "compiling devcub for $arch"
    g++ -o devcub$arch devcub$arch.o $link
    for s in 0 $SEEDS; do
      out=$(PTXVM_SEED=$s PTXVM_SM=$arch timeout 200 ./devcub$arch 2>&1); [ "$(echo "$out" | grep -c ' ok$')" = 3 ]
      note $? "CUB device algorithms, compute_$arch, seed $s: $(echo "$out" | head -3 | cut -c1-200)"
    done
  done
fi
# The CMake lines of the README
CUDACXX=$NVCC cmake -S "$here/cmake_example" -B example > example.log 2>&1 && cmake --build example >> example.log 2>&1 && ./example/t > /dev/null
note $? "CMake example (see $build/example.log)"
! readelf -d example/t | grep -q libcudart; note $? "CMake example still needs libcudart"
# Counters as JSON
rm -f stats.json
PTXVM_STATS=$build/stats.json PTXVM_SM=75 ./base > /dev/null 2>&1
python3 -c "
import json; j = json.load(open('stats.json')); k = j['kernels']; t = j['total']
assert len(k) == 3 and t['launches'] == 3 and t['lane_instructions'] == sum(x['lane_instructions'] for x in k.values())
"; note $? "PTXVM_STATS JSON"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
