// SPDX-License-Identifier: MIT
// Kernels of the H4 and A8 encoders, one set per instruction set; all give the
// same bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ecco/h4_rate_aware.hpp"
#include "ecco/status.hpp"

namespace ecco {

/// An H4 table prepared for the paper's two ways to encode.
struct CodingTables {
  explicit CodingTables(const h4::TableView& table);  // copies; throws std::bad_alloc only

  struct Pattern {
    /// Between neighbouring centroids, in quotients; [14] is never exceeded.
    alignas(32) std::array<float, 16> boundary{};
    /// Symbol by number of boundaries exceeded: the lowest of equal centroids.
    alignas(16) std::array<std::uint8_t, 16> symbol{};
    /// Error as a sum over steps: weight_step times the weights of the values
    /// in the cell and above, and place_step times their weighted places.
    std::array<std::int16_t, 16> cell{};
    alignas(32) std::array<double, 16> weight_step{};
    alignas(32) std::array<double, 16> place_step{};
  };
  /// Cells of quotients, one per sum of two int8 centroids: cell k holds (k /
  /// 256, (k + 1) / 256], the outermost ones all beyond.
  static constexpr int kLowestCell = -257;
  static constexpr int kCells = 513;

  struct Codebook {
    alignas(16) std::array<std::uint8_t, 16> length{};
    /// By two symbols (first one low): their codes in the order of the stream,
    /// length << 16.
    std::array<std::uint32_t, 256> two_codes{};
  };
  std::vector<std::int8_t> centroids;
  std::vector<std::uint8_t> lengths;
  std::vector<Pattern> patterns;
  std::vector<float> lowest;  // of each pattern, / 128; filled up to a multiple of 8
  std::vector<float> highest;
  std::vector<Codebook> codebooks;

  [[nodiscard]] h4::TableView view() const noexcept {
    return {centroids.data(), static_cast<int>(patterns.size()), lengths.data(),
            static_cast<int>(codebooks.size())};
  }
};

struct H4EncodeKernels {
  h4::SearchKernels search;
  /// One group of 1..128 values, as h4::encode_kv.
  void (*encode_kv)(const CodingTables& tables, const float* values, int count, float tensor_scale,
                    std::uint8_t* block) noexcept = nullptr;
  /// One group of 1..128 values, as h4::encode_faithful.
  void (*encode_faithful)(const CodingTables& tables, const float* values, const float* importance,
                          int count, float tensor_scale, std::uint8_t* block) noexcept = nullptr;
  /// Whole blocks of 64 values, as a8::encode.
  void (*encode_a8)(const float* values, std::size_t blocks, float tensor_scale,
                    std::uint8_t* out) noexcept = nullptr;
};

H4EncodeKernels scalar_h4_encode_kernels() noexcept;
H4EncodeKernels avx2_h4_encode_kernels() noexcept;

/// Kernels of active_isa(), or its error.
Result<H4EncodeKernels> active_h4_encode_kernels() noexcept;

}  // namespace ecco
