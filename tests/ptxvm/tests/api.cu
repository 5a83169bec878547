// SPDX-License-Identifier: MIT
// The runtime API a library and its GoogleTest suite use.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <cuda_runtime.h>
#include "ptxvm/ptxvm.h"

__constant__ float c_scale;
__device__ int g_array[16];
__global__ void axpy(float* y, const float* x, float a, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] += a * x[i] + c_scale;
}
__global__ void __launch_bounds__(128) bounded(int* p) { p[threadIdx.x] = threadIdx.x; }
__global__ void usesShared(int* p) {
  __shared__ int s[1000];
  s[threadIdx.x] = 1;
  __syncthreads();
  p[threadIdx.x] = s[threadIdx.x];
}
struct Args {
  char c;
  double d;
  short s;
  float f[3];
};
__global__ void manyArgs(double* out, char a, Args b, short c, const int* p, bool d) {
  *out = a + b.c + b.d + b.s + b.f[2] + c + *p + d;
}

TEST(Memory, RoundTripsAndBounds) {
  std::vector<int> in(100), out(100);
  for (int k = 0; k < 100; ++k) in[k] = k * k;
  int *d, *e;
  ASSERT_EQ(cudaMalloc(&d, 400), cudaSuccess);
  ASSERT_EQ(cudaMallocAsync((void**)&e, 400, 0), cudaSuccess);
  ASSERT_EQ(cudaMemcpy(d, in.data(), 400, cudaMemcpyHostToDevice), cudaSuccess);
  ASSERT_EQ(cudaMemcpyAsync(e, d, 400, cudaMemcpyDeviceToDevice, 0), cudaSuccess);
  ASSERT_EQ(cudaMemcpy(out.data(), e, 400, cudaMemcpyDefault), cudaSuccess);
  EXPECT_EQ(in, out);
  EXPECT_EQ(cudaMemcpy(d, in.data(), 404, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(cudaMemsetAsync(d, 0xff, 8, 0), cudaSuccess);
  EXPECT_EQ(cudaMemcpy(out.data(), d, 12, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(out[0], -1);
  EXPECT_EQ(out[1], -1);
  EXPECT_EQ(out[2], 4);
  EXPECT_EQ(cudaFree(d), cudaSuccess);
  EXPECT_EQ(cudaFree(d), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFreeAsync(e, 0), cudaSuccess);
  EXPECT_EQ(cudaFree(nullptr), cudaSuccess);
  cudaGetLastError();
  void* huge;
  EXPECT_EQ(cudaMalloc(&huge, size_t{1} << 50), cudaErrorMemoryAllocation);
  cudaGetLastError();
}
TEST(Memory, TwoDimensional) {
  std::vector<int> in(6 * 5), out(6 * 5, 0);
  for (int k = 0; k < 30; ++k) in[k] = k;
  void* d;
  size_t pitch;
  ASSERT_EQ(cudaMallocPitch(&d, &pitch, 24, 5), cudaSuccess);
  ASSERT_EQ(cudaMemcpy2D(d, pitch, in.data(), 24, 24, 5, cudaMemcpyHostToDevice), cudaSuccess);
  ASSERT_EQ(cudaMemcpy2DAsync(out.data(), 24, d, pitch, 24, 5, cudaMemcpyDeviceToHost, 0),
            cudaSuccess);
  EXPECT_EQ(in, out);
  EXPECT_EQ(cudaMemset2D(d, pitch, 0, 24, 5), cudaSuccess);
  cudaFree(d);
}
TEST(Memory, PinnedManagedAndAttributes) {
  int *h, *m, *d, local;
  ASSERT_EQ(cudaMallocHost((void**)&h, 64), cudaSuccess);
  ASSERT_EQ(cudaMallocManaged((void**)&m, 64), cudaSuccess);
  ASSERT_EQ(cudaMalloc(&d, 64), cudaSuccess);
  cudaPointerAttributes a;
  EXPECT_EQ(cudaPointerGetAttributes(&a, h), cudaSuccess);
  EXPECT_EQ(a.type, cudaMemoryTypeHost);
  EXPECT_EQ(cudaPointerGetAttributes(&a, m), cudaSuccess);
  EXPECT_EQ(a.type, cudaMemoryTypeManaged);
  EXPECT_EQ(cudaPointerGetAttributes(&a, d + 3), cudaSuccess);
  EXPECT_EQ(a.type, cudaMemoryTypeDevice);
  EXPECT_EQ(cudaPointerGetAttributes(&a, &local), cudaSuccess);
  EXPECT_EQ(a.type, cudaMemoryTypeUnregistered);
  size_t f, t;
  EXPECT_EQ(cudaMemGetInfo(&f, &t), cudaSuccess);
  EXPECT_LT(f, t);
  cudaFreeHost(h);
  cudaFree(m);
  cudaFree(d);
}
TEST(Symbols, CopyAndAddress) {
  std::vector<int> v(16, 7), w(16);
  ASSERT_EQ(cudaMemcpyToSymbol(g_array, v.data(), 64), cudaSuccess);
  int* p;
  size_t n;
  ASSERT_EQ(cudaGetSymbolAddress((void**)&p, g_array), cudaSuccess);
  ASSERT_EQ(cudaGetSymbolSize(&n, g_array), cudaSuccess);
  EXPECT_EQ(n, 64u);
  bounded<<<1, 8>>>(p);
  ASSERT_EQ(cudaMemcpyFromSymbol(w.data(), g_array, 64), cudaSuccess);
  for (int k = 0; k < 16; ++k) EXPECT_EQ(w[k], k < 8 ? k : 7);
  EXPECT_EQ(cudaMemcpyToSymbol(g_array, v.data(), 68), cudaErrorInvalidValue);
  cudaGetLastError();
}
TEST(Launch, ArgumentsStreamsEvents) {
  cudaStream_t s;
  cudaEvent_t a, b;
  ASSERT_EQ(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&a), cudaSuccess);
  ASSERT_EQ(cudaEventCreateWithFlags(&b, 0), cudaSuccess);
  float *x, *y, one = 1;
  std::vector<float> h(1000, 2.0f);
  cudaMalloc(&x, 4000);
  cudaMalloc(&y, 4000);
  cudaMemcpyToSymbol(c_scale, &one, 4);
  cudaMemcpyAsync(x, h.data(), 4000, cudaMemcpyHostToDevice, s);
  cudaMemsetAsync(y, 0, 4000, s);
  cudaEventRecord(a, s);
  axpy<<<8, 128, 0, s>>>(y, x, 3.0f, 1000);
  cudaEventRecord(b, s);
  EXPECT_EQ(cudaStreamWaitEvent(s, b, 0), cudaSuccess);
  EXPECT_EQ(cudaEventSynchronize(b), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(s), cudaSuccess);
  EXPECT_EQ(cudaStreamQuery(s), cudaSuccess);
  float ms = -1;
  EXPECT_EQ(cudaEventElapsedTime(&ms, a, b), cudaSuccess);
  EXPECT_GE(ms, 0);
  cudaMemcpy(h.data(), y, 4000, cudaMemcpyDeviceToHost);
  for (float v : h) EXPECT_EQ(v, 7.0f);
  int n = 1000;
  float f = 1;
  void* args[] = {&y, &x, &f, &n};
  cudaLaunchConfig_t c{};
  c.gridDim = 8;
  c.blockDim = 128;
  c.stream = s;
  EXPECT_EQ(cudaLaunchKernelExC(&c, (const void*)axpy, args), cudaSuccess);
  EXPECT_EQ(cudaLaunchKernel((const void*)axpy, 8, 128, args, 0, s), cudaSuccess);
  cudaMemcpy(h.data(), y, 4000, cudaMemcpyDeviceToHost);
  EXPECT_EQ(h[999], 13.0f);
  double* o;
  int* q;
  int five = 5;
  cudaMalloc(&o, 8);
  cudaMalloc(&q, 4);
  cudaMemcpy(q, &five, 4, cudaMemcpyHostToDevice);
  manyArgs<<<1, 1>>>(o, 'a', Args{'b', 0.5, -3, {1, 2, 3}}, 1000, q, true);
  double r;
  cudaMemcpy(&r, o, 8, cudaMemcpyDeviceToHost);
  EXPECT_EQ(r, 'a' + 'b' + 0.5 - 3 + 3 + 1000 + 5 + 1);
  cudaEventDestroy(a);
  cudaEventDestroy(b);
  cudaStreamDestroy(s);
  cudaFree(x);
  cudaFree(y);
  cudaFree(o);
  cudaFree(q);
}
TEST(Device, PropertiesAndAttributes) {
  int n = 0, v = 0;
  cudaDeviceProp p;
  EXPECT_EQ(cudaGetDeviceCount(&n), cudaSuccess);
  EXPECT_EQ(n, 1);
  ASSERT_EQ(cudaGetDeviceProperties(&p, 0), cudaSuccess);
  EXPECT_EQ(p.warpSize, 32);
  EXPECT_EQ(cudaDeviceGetAttribute(&v, cudaDevAttrComputeCapabilityMajor, 0), cudaSuccess);
  EXPECT_EQ(v, p.major);
  EXPECT_EQ(cudaDeviceGetAttribute(&v, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0), cudaSuccess);
  EXPECT_EQ(v, p.major >= 9 ? 227 * 1024 : 163 * 1024);
  EXPECT_EQ((size_t)v, p.sharedMemPerBlockOptin);
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  cudaGetLastError();
}
TEST(Functions, AttributesAndOccupancy) {
  cudaFuncAttributes a;
  int n = 0;
  ASSERT_EQ(cudaFuncGetAttributes(&a, bounded), cudaSuccess);
  EXPECT_EQ(a.maxThreadsPerBlock, 128);
  ASSERT_EQ(cudaFuncGetAttributes(&a, usesShared), cudaSuccess);
  EXPECT_EQ(a.sharedSizeBytes, 4000u);
  EXPECT_EQ(
      cudaFuncSetAttribute(usesShared, cudaFuncAttributeMaxDynamicSharedMemorySize, 64 * 1024),
      cudaSuccess);
  EXPECT_EQ(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&n, usesShared, 256, 60 * 1024),
            cudaSuccess);
  int major = 0;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
  EXPECT_EQ(n, major >= 9 ? 3 : 2);
  int grid = 0, block = 0;
  EXPECT_EQ(cudaOccupancyMaxPotentialBlockSize(&grid, &block, axpy, 0, 0), cudaSuccess);
  EXPECT_GT(block, 0);
  int* p;
  cudaMalloc(&p, 4096);
  bounded<<<1, 129>>>(p);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  cudaFree(p);
}
TEST(Errors, NamesAndStickiness) {
  EXPECT_STREQ(cudaGetErrorName(cudaErrorInvalidValue), "cudaErrorInvalidValue");
  EXPECT_STREQ(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory");
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
  bounded<<<1, 32>>>(nullptr);
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_NE(std::string(ptxvm_last_error()).find("OUT OF BOUNDS"), std::string::npos);
  cudaGraphExec_t g;
  (void)g;
  cudaGraph_t gr;
  EXPECT_EQ(cudaStreamBeginCapture(0, cudaStreamCaptureModeGlobal), cudaErrorNotSupported);
  cudaGetLastError();
  EXPECT_EQ(cudaStreamEndCapture(0, &gr), cudaErrorNotSupported);
  cudaGetLastError();
}
TEST(Stats, TotalsByKernel) {
  int* p;
  cudaMalloc(&p, 512);
  ptxvm_stats before{}, after{};
  const char* name = "_Z7boundedPi";
  ptxvm_total_stats(name, &before);
  bounded<<<2, 64>>>(p);
  EXPECT_EQ(ptxvm_total_stats(name, &after), 1);
  EXPECT_EQ(after.launches, before.launches + 1);
  ptxvm_stats last;
  EXPECT_STREQ(ptxvm_last_launch_stats(&last), name);
  EXPECT_EQ(last.global_write_requests, 4u);
  EXPECT_EQ(last.global_write_sectors, 16u);
  EXPECT_EQ(last.global_write_bytes, 512u);
  cudaFree(p);
}
// Calls on a stream since it was made, and all others.
struct Calls {
  cudaStream_t stream;
  ptxvm_calls before{};
  explicit Calls(cudaStream_t s) : stream(s) { ptxvm_count_calls(s, &before); }
  void expect(uint64_t allocations, uint64_t waits, uint64_t here, uint64_t others) {
    ptxvm_calls now{};
    ptxvm_count_calls(stream, &now);
    EXPECT_EQ(now.allocations - before.allocations, allocations);
    EXPECT_EQ(now.waits - before.waits, waits);
    EXPECT_EQ(now.stream_calls - before.stream_calls, here);
    EXPECT_EQ(now.other_stream_calls - before.other_stream_calls, others);
    before = now;
  }
};
TEST(Calls, OfStreams) {
  cudaStream_t stream;
  Calls calls(nullptr);
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  calls.expect(1, 0, 0, 0);
  int *p, *pinned;
  cudaMalloc(&p, 512);
  cudaMallocHost(&pinned, 512);
  Calls own(stream);
  bounded<<<1, 64, 0, stream>>>(p);
  cudaMemsetAsync(p, 0, 512, stream);
  cudaMemcpyAsync(pinned, p, 512, cudaMemcpyDeviceToHost, stream);
  own.expect(0, 0, 3, 0);
  bounded<<<1, 64>>>(p);
  bounded<<<1, 129, 0, stream>>>(p);  // refused
  own.expect(0, 0, 1, 1);
  cudaGetLastError();
  int pageable[128];
  cudaMemcpyAsync(pageable, p, 512, cudaMemcpyDeviceToHost, stream);
  own.expect(0, 1, 1, 0);
  cudaMemcpy(pinned, p, 512, cudaMemcpyDeviceToHost);
  cudaMemset(p, 0, 512);
  own.expect(0, 2, 0, 2);
  cudaStreamSynchronize(stream);
  cudaDeviceSynchronize();
  own.expect(0, 2, 0, 0);
  cudaEvent_t event;
  cudaEventCreate(&event);
  cudaEventRecord(event, stream);
  cudaStreamWaitEvent(nullptr, event, 0);
  cudaEventSynchronize(event);
  cudaEventDestroy(event);
  own.expect(2, 1, 1, 1);
  cudaFree(p);
  cudaFreeHost(pinned);
  cudaStreamDestroy(stream);
  own.expect(3, 0, 0 - own.before.stream_calls, own.before.stream_calls);
}
