// SPDX-License-Identifier: MIT
// Comparison by bits, outputs with guards around them, threads, and the paths of this CPU.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ecco/isa.hpp"
#include "ecco/parallel.hpp"
#include "ecco/types.hpp"

namespace ecco::test {

/// The paths that this CPU can run.
inline std::vector<Isa> supported_isas() {
  std::vector<Isa> isas = {Isa::scalar};
  if (isa_supported(Isa::avx2)) isas.push_back(Isa::avx2);
  return isas;
}

/// Equal bits, or both NaN (whose payload and sign no standard fixes).
inline bool same_bits(float a, float b) {
  return float_bits(a) == float_bits(b) || (std::isnan(a) && std::isnan(b));
}
inline bool same_bits(half a, half b) { return a.bits == b.bits; }
inline bool same_bits(bfloat16 a, bfloat16 b) { return a.bits == b.bits; }
inline bool same_bits(std::int8_t a, std::int8_t b) { return a == b; }
inline bool same_bits(std::uint8_t a, std::uint8_t b) { return a == b; }

/// Index of the first difference, or -1.
template <typename T>
std::ptrdiff_t first_difference(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return static_cast<std::ptrdiff_t>(std::min(a.size(), b.size()));
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!same_bits(a[i], b[i])) return static_cast<std::ptrdiff_t>(i);
  }
  return -1;
}

/// rows x cols values inside larger memory: gaps between the rows and guards at both ends.
template <typename T>
class GuardedMatrix {
 public:
  GuardedMatrix(std::size_t rows, std::size_t cols) : rows_(rows), cols_(cols) {
    memory_.resize(2 * kGuard + rows * stride());
    std::memset(static_cast<void*>(memory_.data()), kPaint, memory_.size() * sizeof(T));
  }

  [[nodiscard]] MatrixView<T> view() { return {memory_.data() + kGuard, rows_, cols_, stride()}; }

  /// The values without gaps.
  [[nodiscard]] std::vector<T> values() {
    std::vector<T> out;
    for (std::size_t r = 0; r < rows_; ++r) {
      out.insert(out.end(), view().row(r), view().row(r) + cols_);
    }
    return out;
  }

  /// True when nothing outside the rows was written.
  [[nodiscard]] bool guards_untouched() {
    for (std::size_t r = 0; r < rows_; ++r) {
      std::memset(static_cast<void*>(view().row(r)), kPaint, cols_ * sizeof(T));
    }
    const auto* bytes = reinterpret_cast<const unsigned char*>(memory_.data());
    return std::all_of(bytes, bytes + memory_.size() * sizeof(T),
                       [](unsigned char byte) { return byte == kPaint; });
  }

 private:
  static constexpr std::size_t kGuard = 64;
  static constexpr unsigned char kPaint = 0xa5;
  [[nodiscard]] std::size_t stride() const { return cols_ + 3; }

  std::size_t rows_;
  std::size_t cols_;
  std::vector<T> memory_;
};

/// Splits the work over that many threads, ranges in no useful order and of uneven length.
inline ParallelFor threads(std::size_t count) {
  return [count](std::size_t size, const std::function<void(std::size_t, std::size_t)>& body) {
    std::vector<std::thread> workers;
    for (std::size_t t = count; t-- > 0;) {
      const std::size_t begin = size * t * t / (count * count);
      const std::size_t end = size * (t + 1) * (t + 1) / (count * count);
      if (begin < end) workers.emplace_back([&body, begin, end] { body(begin, end); });
    }
    for (std::thread& worker : workers) worker.join();
  };
}

/// Normal values, exactly as many as asked for.
inline std::vector<float> normal_values(unsigned seed, std::size_t count) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

}  // namespace ecco::test
