// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdio>
#include <cub/cub.cuh>
#include <numeric>
#include <vector>
template <class T>
T* up(const std::vector<T>& v) {
  T* p;
  cudaMalloc(&p, v.size() * sizeof(T) + 64);
  cudaMemcpy(p, v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice);
  return p;
}
template <class F>
void two(const char* n, F f) {
  size_t s = 0;
  cudaError_t e = f((void*)nullptr, s);
  void* t;
  cudaMalloc(&t, s + 256);
  cudaError_t e2 = f(t, s);
  cudaError_t e3 = cudaDeviceSynchronize();
  if (e || e2 || e3) printf("%s errors %d %d %d %s\n", n, e, e2, e3, cudaGetErrorString(e3));
}
int main() {
  int n = 20000;
  std::vector<unsigned> a(n);
  for (int i = 0; i < n; i++) a[i] = (unsigned)(i * 2654435761u) >> (i % 7);
  auto da = up(a);
  unsigned* db;
  cudaMalloc(&db, n * 4 + 64);
  two("radix",
      [&](void* t, size_t& s) { return cub::DeviceRadixSort::SortKeys(t, s, da, db, n); });
  std::vector<unsigned> o(n);
  cudaMemcpy(o.data(), db, n * 4, cudaMemcpyDeviceToHost);
  auto r = a;
  std::sort(r.begin(), r.end());
  printf("DeviceRadixSort %s\n", o == r ? "ok" : "FAIL");
  std::vector<unsigned char> c(n);
  for (int i = 0; i < n; i++) c[i] = a[i] & 0xff;
  auto dc = up(c);
  int* dh;
  cudaMalloc(&dh, 1024);
  two("hist", [&](void* t, size_t& s) {
    return cub::DeviceHistogram::HistogramEven(t, s, dc, dh, 257, 0, 256, n);
  });
  std::vector<int> h(256), hr(256);
  cudaMemcpy(h.data(), dh, 1024, cudaMemcpyDeviceToHost);
  for (auto x : c) hr[x]++;
  printf("DeviceHistogram %s\n", h == hr ? "ok" : "FAIL");
  int* dn;
  cudaMalloc(&dn, 4);
  std::vector<char> fl(n);
  for (int i = 0; i < n; i++) fl[i] = (a[i] >> 3) & 1;
  auto df = up(fl);
  two("sel",
      [&](void* t, size_t& s) { return cub::DeviceSelect::Flagged(t, s, da, df, db, dn, n); });
  int k;
  cudaMemcpy(&k, dn, 4, cudaMemcpyDeviceToHost);
  std::vector<unsigned> s2;
  for (int i = 0; i < n; i++)
    if (fl[i]) s2.push_back(a[i]);
  std::vector<unsigned> s1(k);
  cudaMemcpy(s1.data(), db, k * 4, cudaMemcpyDeviceToHost);
  printf("DeviceSelect %s\n", s1 == s2 ? "ok" : "FAIL");
}
