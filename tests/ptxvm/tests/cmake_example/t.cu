// SPDX-License-Identifier: MIT
#include <cuda_runtime.h>

#include <cstdio>

__global__ void square(int* p) { p[threadIdx.x] = threadIdx.x * threadIdx.x; }

int main() {
  int* p;
  int h[32];
  cudaMalloc(&p, sizeof h);
  square<<<1, 32>>>(p);
  cudaMemcpy(h, p, sizeof h, cudaMemcpyDeviceToHost);
  std::printf("%d\n", h[31]);
  return h[31] != 961;
}
