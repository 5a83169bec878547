// SPDX-License-Identifier: MIT
// Kernels with planted defects: each must fail its launch with a message that names what, where
// and the source line. Each has a correct twin nearby that must pass, so that the checks do not
// simply reject everything.
#include <cassert>
#include <cstdlib>

#include "check.hpp"
#include "ptxvm/ptxvm.h"

__global__ void oob_write(int* p) { p[threadIdx.x] = 1; }
__global__ void oob_read(int* p, const int* q) { p[0] = q[threadIdx.x == 5 ? -1 : 0]; }
__global__ void use_after_free(int* p) { p[threadIdx.x] = 1; }
__global__ void null_write(int* p) {
  if (threadIdx.x == 3) *p = 1;
}
__global__ void misaligned(char* p) { *(int*)(p + 1) = 3; }
__global__ void misaligned_shared(int* p) {
  __shared__ char s[64];
  s[threadIdx.x] = 0;
  __syncthreads();
  p[0] = *(int*)&s[p[1]];
}
__global__ void oob_shared(int* p, int n) {
  __shared__ int s[32];
  s[threadIdx.x + n] = 1;
  __syncthreads();
  p[threadIdx.x] = s[threadIdx.x];
}
__global__ void oob_dynamic(int* p, int n) {
  extern __shared__ int s[];
  s[threadIdx.x + n] = 1;
  p[threadIdx.x] = s[threadIdx.x + n];
}
__global__ void oob_local(int* p, int n) {
  int a[4] = {1, 2, 3, 4};
  a[p[0] & 3] = 9;
  p[1] = a[n];
}
__global__ void uninit(int* p) {
  __shared__ int s[32];
  if (threadIdx.x != 7) s[threadIdx.x] = 1;
  __syncthreads();
  p[threadIdx.x] = s[threadIdx.x];
}
__global__ void uninit_byte(char* p, int n) {
  __shared__ char s[64];
  if (threadIdx.x < n) s[threadIdx.x] = 1;
  __syncthreads();
  p[threadIdx.x] = s[threadIdx.x];
}
__global__ void race_raw(int* p) {
  __shared__ int s[64];
  s[threadIdx.x] = threadIdx.x;
  p[threadIdx.x] = s[63 - threadIdx.x];
}
__global__ void race_waw(int* p) {
  __shared__ int s[2];
  s[0] = threadIdx.x / 32;
  __syncthreads();
  p[threadIdx.x] = s[0];
}
__global__ void race_war(int* p, int sync) {
  __shared__ int s[64];
  s[threadIdx.x] = threadIdx.x;
  __syncthreads();
  int v = s[(threadIdx.x + 32) % 64];
  if (sync) __syncthreads();
  s[threadIdx.x] = v + 5;
  __syncthreads();
  p[threadIdx.x] = s[threadIdx.x];
}
__global__ void race_war_only(
    int* p, int sync) {  // the second warp reads what the first one then overwrites
  __shared__ int s[32];
  if (threadIdx.x < 32) s[threadIdx.x] = 1;
  __syncthreads();
  if (threadIdx.x >= 32) p[threadIdx.x] = s[threadIdx.x - 32];
  if (sync) __syncthreads();
  if (threadIdx.x < 32) s[threadIdx.x] = p[0] + 7;
}
__global__ void race_war_warp(int* p, int sync) {
  __shared__ int s[32];
  s[threadIdx.x] = threadIdx.x;
  __syncwarp();
  int v = s[threadIdx.x ^ 1];
  if (sync) __syncwarp();
  s[threadIdx.x] = v + 40;
  p[threadIdx.x] = s[threadIdx.x];
}
__global__ void race_byte(char* p, int sync) {
  __shared__ char s[64];
  s[threadIdx.x] = 3;
  if (sync) __syncthreads();
  p[threadIdx.x] = s[threadIdx.x ^ 33];
}
__global__ void race_warp(int* p, int sync) {
  __shared__ int s[32];
  s[threadIdx.x] = threadIdx.x;
  if (sync) __syncwarp();
  p[threadIdx.x] = s[threadIdx.x ^ 1];
}
__global__ void race_warp_store(int* p) {
  __shared__ int s[2];
  s[threadIdx.x & 1] = threadIdx.x;
  __syncwarp();
  p[threadIdx.x] = s[threadIdx.x & 1];
}
__global__ void same_value(int* p) {
  __shared__ int flag;
  flag = 5;
  __syncthreads();
  p[threadIdx.x] = flag;
}
__global__ void shfl_absent(int* p) {
  int v = threadIdx.x;
  if (threadIdx.x < 16) v = __shfl_xor_sync(0xffffffffu, v, 1);
  p[threadIdx.x] = v;
}
__global__ void shfl_partial_warp(int* p, int d) {
  p[threadIdx.x] = __shfl_down_sync(0xffffffffu, (int)threadIdx.x, d);
}
__global__ void vote_exited(int* p) {
  if (threadIdx.x == 9) return;
  p[threadIdx.x] = __ballot_sync(0xffffffffu, 1);
}
__global__ void bad_mask(int* p) {
  if (threadIdx.x < 16) p[threadIdx.x] = __ballot_sync(0xff, 1);
}
__global__ void barrier_paths(int* p) {
  if (threadIdx.x < 32) {
    p[0] = 1;
    __syncthreads();
  } else {
    p[1] = 2;
    __syncthreads();
    p[2] = 3;
  }
}
__global__ void barrier_in_warp(int* p) {
  if (threadIdx.x % 2) {
    p[0] = 1;
    __syncthreads();
    p[5] = 1;
  } else {
    p[1] = 2;
    __syncthreads();
    p[2] = 3;
  }
}
__global__ void deadlock_count(int* p) {
  if (threadIdx.x < 32) asm volatile("bar.sync 1, 128;" ::: "memory");
  p[threadIdx.x] = 1;
}
__global__ void deadlock_warp(int* p) {
  if (threadIdx.x < 4)
    __syncwarp(0xf);
  else if (threadIdx.x < 8) {
    __shfl_sync(0x1f0, 1, 4);
    p[0] = 2;
  } else if (threadIdx.x == 8)
    __syncwarp(0x100), __shfl_sync(0x1f0, 1, 5), p[3] = 1;
}
__global__ void spin(volatile int* p) {
  while (*p != 7) {
  }
}
__global__ void spin_barrier(volatile int* p) {
  if (threadIdx.x < 32) {
    __syncthreads();
    p[0] = 7;
  } else
    while (*p != 7) {
    }
}
__global__ void do_trap(int* p) {
  if (threadIdx.x == 2) __trap();
  p[0] = 1;
}
__global__ void do_assert(int* p) {
  assert(threadIdx.x != 6 && "lucky number");
  p[threadIdx.x] = 1;
}
__global__ void no_wait(int* d, const int* s, int wait) {
  __shared__ alignas(16) int a[128];
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   (unsigned)__cvta_generic_to_shared(&a[4 * threadIdx.x])),
               "l"(s + 4 * threadIdx.x)
               : "memory");
  asm volatile("cp.async.commit_group;");
  if (wait) asm volatile("cp.async.wait_group 0;" ::: "memory");
  d[threadIdx.x] = a[4 * threadIdx.x];
}
__device__ __noinline__ int endless(int n) { return n == -1 ? 0 : 1 + endless(n + 1) * 3; }
__global__ void overflow(int* p) { p[0] = endless(0); }
__device__ __noinline__ void inner(int* p) { p[64] = 1; }
__global__ void oob_in_function(int* p) { inner(p); }

static int* g_p;
template <class F>
static void mustFail(const char* name, const char* text, cudaError_t code, F launch) {
  ptxvm_clear_error();
  launch();
  const cudaError_t e = cudaDeviceSynchronize();
  const std::string m = ptxvm_last_error();
  bool ok =
      e == code && m.find(text) != std::string::npos && m.find("kernel _Z") != std::string::npos &&
      m.find("block (0,0,0)") != std::string::npos && m.find("thread (") != std::string::npos &&
      m.find("PTX line ") != std::string::npos && m.find("negative.cu:") != std::string::npos;
  check(std::string("must fail: ") + name, ok, "error " + std::to_string(e) + ": " + m);
  ptxvm_clear_error();
  cudaGetLastError();
}
template <class F>
static void mustPass(const char* name, F launch) {
  ptxvm_clear_error();
  launch();
  check(std::string("must pass: ") + name, cudaDeviceSynchronize() == cudaSuccess,
        ptxvm_last_error());
  ptxvm_clear_error();
}

int main() {
  cudaMalloc(&g_p, 256);
  int* p = g_p;
  auto reset = [&] { cudaMemset(p, 0, 256); };
  reset();
  mustFail("write past the end", "OUT OF BOUNDS: global write", cudaErrorIllegalAddress,
           [&] { oob_write<<<1, 65>>>(p); });
  mustPass("write up to the end", [&] { oob_write<<<1, 64>>>(p); });
  mustFail("read before the start", "OUT OF BOUNDS: global read", cudaErrorIllegalAddress,
           [&] { oob_read<<<1, 32>>>(p, p); });
  int* gone;
  cudaMalloc(&gone, 256);
  cudaFree(gone);
  mustFail("use after free", "OUT OF BOUNDS", cudaErrorIllegalAddress,
           [&] { use_after_free<<<1, 32>>>(gone); });
  mustFail("null pointer", "OUT OF BOUNDS", cudaErrorIllegalAddress,
           [&] { null_write<<<1, 32>>>(nullptr); });
  mustFail("misaligned global", "MISALIGNED", cudaErrorMisalignedAddress,
           [&] { misaligned<<<1, 1>>>((char*)p); });
  int off = 2;
  cudaMemcpy(p + 1, &off, 4, cudaMemcpyHostToDevice);
  mustFail("misaligned shared", "MISALIGNED", cudaErrorMisalignedAddress,
           [&] { misaligned_shared<<<1, 64>>>(p); });
  reset();
  mustFail("static shared out of bounds", "OUT OF BOUNDS: shared write", cudaErrorIllegalAddress,
           [&] { oob_shared<<<1, 32>>>(p, 1); });
  mustFail("dynamic shared out of bounds", "OUT OF BOUNDS: shared write", cudaErrorIllegalAddress,
           [&] { oob_dynamic<<<1, 32, 128>>>(p, 1); });
  mustPass("dynamic shared to the end", [&] { oob_dynamic<<<1, 32, 128>>>(p, 0); });
  reset();
  mustFail("local out of bounds", "OUT OF BOUNDS: local", cudaErrorIllegalAddress,
           [&] { oob_local<<<1, 1>>>(p, 1 << 20); });
  mustFail("uninitialised shared", "UNINITIALISED", cudaErrorLaunchFailure,
           [&] { uninit<<<1, 32>>>(p); });
  mustFail("uninitialised byte", "UNINITIALISED", cudaErrorLaunchFailure,
           [&] { uninit_byte<<<1, 32>>>((char*)p, 31); });
  mustPass("initialised bytes", [&] { uninit_byte<<<1, 32>>>((char*)p, 32); });
  // Which side of a race is reported depends on the order in which the warps ran.
  mustFail("write after write", "SHARED RACE: write after write", cudaErrorLaunchFailure,
           [&] { race_waw<<<1, 64>>>(p); });
  mustFail("write after read", "SHARED RACE", cudaErrorLaunchFailure,
           [&] { race_war<<<1, 64>>>(p, 0); });
  mustPass("write after read with barrier", [&] { race_war<<<1, 64>>>(p, 1); });
  const char* war = std::getenv("PTXVM_SEED") ? "SHARED RACE" : "SHARED RACE: write after read";
  mustFail("overwritten after another warp's read", war, cudaErrorLaunchFailure,
           [&] { race_war_only<<<1, 64>>>(p, 0); });
  mustPass("the same with barrier", [&] { race_war_only<<<1, 64>>>(p, 1); });
  mustFail("overwritten after another lane's read", "SHARED RACE: write after read",
           cudaErrorLaunchFailure, [&] { race_war_warp<<<1, 32>>>(p, 0); });
  mustPass("the same with __syncwarp", [&] { race_war_warp<<<1, 32>>>(p, 1); });
  ptxvm_set_option("PTXVM_INIT", "0");  // else the same defect may show as an uninitialised read
  mustFail("read after write", "SHARED RACE", cudaErrorLaunchFailure,
           [&] { race_raw<<<1, 64>>>(p); });
  mustFail("byte race between warps", "SHARED RACE", cudaErrorLaunchFailure,
           [&] { race_byte<<<1, 64>>>((char*)p, 0); });
  ptxvm_set_option("PTXVM_INIT", "1");
  mustPass("bytes with barrier", [&] { race_byte<<<1, 64>>>((char*)p, 1); });
  mustFail("race inside a warp", "of the same warp with no __syncwarp", cudaErrorLaunchFailure,
           [&] { race_warp<<<1, 32>>>(p, 0); });
  mustPass("warp exchange with __syncwarp", [&] { race_warp<<<1, 32>>>(p, 1); });
  mustFail("lanes store different values", "SHARED RACE: write after write",
           cudaErrorLaunchFailure, [&] { race_warp_store<<<1, 32>>>(p); });
  mustPass("lanes store the same value", [&] { same_value<<<1, 64>>>(p); });
  mustFail("shuffle with half of the warp away", "ABSENT LANE", cudaErrorLaunchFailure,
           [&] { shfl_absent<<<1, 32>>>(p); });
  mustFail("shuffle from a lane that does not exist", "does not exist", cudaErrorLaunchFailure,
           [&] { shfl_partial_warp<<<1, 20>>>(p, 4); });
  mustPass("shuffle in a full warp", [&] { shfl_partial_warp<<<1, 32>>>(p, 4); });
  mustFail("vote with an exited lane", "ABSENT LANE", cudaErrorLaunchFailure,
           [&] { vote_exited<<<1, 32>>>(p); });
  ptxvm_set_option("PTXVM_STRICT", "0");
  mustPass("the same with PTXVM_STRICT=0", [&] { vote_exited<<<1, 32>>>(p); });
  ptxvm_set_option("PTXVM_STRICT", "1");
  mustFail("lane outside its own mask", "BAD MEMBER MASK", cudaErrorLaunchFailure,
           [&] { bad_mask<<<1, 32>>>(p); });
  mustFail("warps at different barriers", "DIVERGENT BARRIER", cudaErrorLaunchFailure,
           [&] { barrier_paths<<<1, 64>>>(p); });
  mustFail("lanes at different barriers", "DIVERGENT BARRIER", cudaErrorLaunchFailure,
           [&] { barrier_in_warp<<<1, 32>>>(p); });
  mustFail("barrier waits for too many threads", "DEADLOCK", cudaErrorLaunchFailure,
           [&] { deadlock_count<<<1, 64>>>(p); });
  mustFail("shuffles that never meet", "DEADLOCK", cudaErrorLaunchFailure,
           [&] { deadlock_warp<<<1, 9>>>(p); });
  ptxvm_set_option("PTXVM_MAX_STEPS", "200000");
  mustFail("endless loop", "STEP BUDGET", cudaErrorLaunchTimeout, [&] { spin<<<1, 32>>>(p); });
  mustFail("barrier against a spinning warp", "STEP BUDGET", cudaErrorLaunchTimeout, [&] {
    reset();
    spin_barrier<<<1, 64>>>(p);
  });
  ptxvm_set_option("PTXVM_MAX_STEPS", "2000000000");
  mustFail("trap", "TRAP", cudaErrorLaunchFailure, [&] { do_trap<<<1, 32>>>(p); });
  mustFail("device assert", "lucky number", cudaErrorAssert, [&] { do_assert<<<1, 32>>>(p); });
  Buffer<int> src(128);
  mustFail("cp.async without wait", "UNFINISHED COPY", cudaErrorLaunchFailure,
           [&] { no_wait<<<1, 32>>>(p, src.p, 0); });
  mustPass("cp.async with wait", [&] { no_wait<<<1, 32>>>(p, src.p, 1); });
  mustFail("endless recursion", "stack overflow", cudaErrorLaunchFailure,
           [&] { overflow<<<1, 1>>>(p); });
  mustFail("defect inside a called function", "in function _Z5innerPi", cudaErrorIllegalAddress,
           [&] { oob_in_function<<<1, 1>>>(p); });
  // Launch configuration errors
  oob_write<<<1, 1025>>>(p);
  check("1025 threads", cudaGetLastError() == cudaErrorInvalidConfiguration);
  oob_write<<<0, 32>>>(p);
  check("empty grid", cudaGetLastError() == cudaErrorInvalidConfiguration);
  oob_dynamic<<<1, 32, 49 * 1024>>>(p, 0);
  check("49 KiB without opt-in", cudaGetLastError() == cudaErrorInvalidValue);
  check("opt-in", cudaFuncSetAttribute(oob_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                       96 * 1024) == cudaSuccess);
  mustPass("96 KiB with opt-in", [&] { oob_dynamic<<<1, 32, 96 * 1024>>>(p, 0); });
  check("opt-in beyond the device",
        cudaFuncSetAttribute(oob_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             300 * 1024) == cudaErrorInvalidValue);
  check("memcpy out of bounds", cudaMemset(p, 0, 257) == cudaErrorInvalidValue);
  cudaGetLastError();
  return finish("negative tests");
}
