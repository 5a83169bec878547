// SPDX-License-Identifier: MIT
// The portable kernels: loops over lanes that any compiler turns into vector code.
#include "llama/kernels.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ecco/isa.hpp"

namespace llama {
namespace {

using ecco::MatrixView;

template <typename T>
void widen_values(const std::uint8_t* from, std::size_t count, float* to) {
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, from + i * sizeof(T), sizeof(T));
    to[i] = ecco::to_float(value);
  }
}

void widen(Dtype dtype, const std::uint8_t* from, std::size_t count, float* to) {
  switch (dtype) {
    case Dtype::f16:
      return widen_values<ecco::half>(from, count, to);
    case Dtype::bf16:
      return widen_values<ecco::bfloat16>(from, count, to);
    case Dtype::f32:
      return widen_values<float>(from, count, to);
  }
}

/// `count` is a multiple of kLanes.
float dot(const float* a, const float* b, std::size_t count) {
  float lanes[kLanes] = {};
  for (std::size_t k = 0; k < count; k += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) lanes[l] += a[k + l] * b[k + l];
  }
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
         ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

void multiply(MatrixView<const float> w, MatrixView<const float> x, MatrixView<float> y) {
  const std::size_t cols = padded(w.cols);
  for (std::size_t b = 0; b < x.rows; ++b) {
    for (std::size_t r = 0; r < w.rows; ++r) y.row(b)[r] = dot(w.row(r), x.row(b), cols);
  }
}

void attend(const Attention& a) {
  for (std::size_t t = 0; t < a.count; ++t) {
    const float* key = a.keys + t * a.stride;
    const std::size_t whole = a.dim / kLanes * kLanes;
    float product = dot(a.query, key, whole);
    for (std::size_t i = whole; i < a.dim; ++i) product += a.query[i] * key[i];
    a.scores[t] = product * a.scale;
  }
  const float inverse = 1.0f / detail::exponentiate(a.scores, a.count);
  std::fill_n(a.out, a.dim, 0.0f);
  for (std::size_t t = 0; t < a.count; ++t) {
    const float weight = a.scores[t] * inverse;
    const float* value = a.values + t * a.stride;
    for (std::size_t i = 0; i < a.dim; ++i) a.out[i] += weight * value[i];
  }
}

constexpr Kernels kPortable = {widen, multiply, attend};

}  // namespace

float detail::exponentiate(float* scores, std::size_t count) {
  const float top = *std::max_element(scores, scores + count);
  float sum = 0.0f;
  for (std::size_t t = 0; t < count; ++t) {
    scores[t] = std::exp(scores[t] - top);
    sum += scores[t];
  }
  return sum;
}

ecco::Result<const Kernels*> active_kernels() {
  const ecco::Result<ecco::Isa> isa = ecco::active_isa();
  if (!isa) return ecco::fail(isa.error());
#if defined(__x86_64__)
  if (*isa == ecco::Isa::avx2) return &detail::avx2_kernels();
#endif
  return &kPortable;
}

}  // namespace llama
