// SPDX-License-Identifier: MIT
// A few lines of test harness: device buffers, random inputs, counting.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

inline int g_passed = 0, g_failed = 0;

inline void check(const std::string& name, bool ok, const std::string& detail = "") {
  if (ok)
    ++g_passed;
  else {
    ++g_failed;
    std::printf("FAIL %s %s\n", name.c_str(), detail.c_str());
  }
}
inline int finish(const char* suite) {
  std::printf("%s: %d passed, %d failed\n", suite, g_passed, g_failed);
  return g_failed != 0;
}

template <class T>
struct Buffer {  // device memory
  T* p = nullptr;
  size_t n;
  explicit Buffer(size_t count) : n(count) {
    cudaMalloc(&p, n * sizeof(T));
    cudaMemset(p, 0, n * sizeof(T));
  }
  explicit Buffer(const std::vector<T>& v) : Buffer(v.size()) {
    cudaMemcpy(p, v.data(), n * sizeof(T), cudaMemcpyHostToDevice);
  }
  ~Buffer() { cudaFree(p); }
  Buffer(const Buffer&) = delete;
  std::vector<T> get() const {
    std::vector<T> v(n);
    cudaMemcpy(v.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost);
    return v;
  }
};

template <class T>
std::string hex(T v) {
  uint64_t u = 0;
  std::memcpy(&u, &v, sizeof v < 8 ? sizeof v : 8);
  char b[32];
  std::snprintf(b, sizeof b, "0x%llx", static_cast<unsigned long long>(u));
  return b;
}

// Interesting values first, then random ones. Element k of input j differs between inputs so that
// pairs mix.
inline std::vector<uint64_t> inputs(size_t n, int which, int bits,
                                    const std::vector<uint64_t>& edges) {
  static std::mt19937_64 rng(12345);
  std::vector<uint64_t> v(n);
  const size_t e = edges.size();
  for (size_t k = 0; k < n; ++k) {
    if (k < e * e)
      v[k] = which == 0 ? edges[k % e] : which == 1 ? edges[k / e] : edges[(k * 7 + k / e) % e];
    else {
      v[k] = rng();
      if (rng() % 4 == 0) v[k] >>= rng() % bits;  // small ones too
      if (rng() % 8 == 0) v[k] = edges[rng() % e];
    }
    if (bits < 64) v[k] &= (1ull << bits) - 1;
  }
  return v;
}
