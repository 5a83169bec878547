// SPDX-License-Identifier: MIT
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cuda_pipeline.h>
#include <cstdio>
namespace cg = cooperative_groups;
__global__ void k(int* p, const int4* g) {
  __shared__ alignas(16) int4 s[32];
  __pipeline_memcpy_async(&s[threadIdx.x], &g[threadIdx.x], 16);
  __pipeline_commit();
  __pipeline_wait_prior(0);
  __syncthreads();
  auto w = cg::tiled_partition<16>(cg::this_thread_block());
  int v = s[31 - threadIdx.x].x;
  p[threadIdx.x] = cg::reduce(w, v, cg::plus<int>()) + __reduce_add_sync(~0u, 1);
}
int main() {
  int4 h[32];
  for (int i = 0; i < 32; i++) h[i] = {i, 0, 0, 0};
  int4* g;
  int* p;
  cudaMalloc(&g, sizeof h);
  cudaMalloc(&p, 128);
  cudaMemcpy(g, h, sizeof h, cudaMemcpyHostToDevice);
  k<<<1, 32>>>(p, g);
  int o[32];
  cudaMemcpy(o, p, 128, cudaMemcpyDeviceToHost);
  bool ok = true;
  for (int i = 0; i < 32; i++) {
    int want = 32;
    for (int j = 0; j < 16; j++) want += 31 - ((i & 16) + j);
    if (o[i] != want) ok = false;
  }
  printf("cp.async+cg.reduce+redux %s (%d)\n", ok ? "ok" : "FAIL", (int)cudaGetLastError());
  return !ok;
}
