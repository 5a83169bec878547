// SPDX-License-Identifier: MIT
// Encoder of rows at the efforts fast and default: evaluates the candidates of a shortlist.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ecco/detail/row_encoder.hpp"
#include "ecco/types.hpp"
#include "encode/kernels.hpp"
#include "encode/shortlist.hpp"

namespace ecco {

/// How much of the shortlist is tried.
struct ShortlistEffort {
  int neighbours = 0;       ///< scale codes scored on both sides of each pattern's usual one
  int candidates = 4;       ///< tried for each block
  int more_candidates = 0;  ///< tried where these leave a large error; 0: every pattern
};

inline constexpr ShortlistEffort kFastEffort = {0, 8, 32};
inline constexpr ShortlistEffort kDefaultEffort = {2, 32, 0};

/// Relative squared error from which the shortlist counts as failed: about three times the usual.
constexpr double large_error(Codec codec) noexcept {
  return 0.32 / (1 << 2 * mantissa_planes(codec));
}

class ShortlistEncoder {
 public:
  /// All but `effort` must outlive the object. Precondition: the range is not empty.
  ShortlistEncoder(const rd::PreparedTable& table, const Shortlist& shortlist,
                   const EncodeKernels& kernels, const rd::ColumnBlocks& columns,
                   rd::ScaleRange range, const ShortlistEffort& effort);

  /// Encodes rows of finite values. What a block becomes depends on that block alone.
  void encode(MatrixView<const float> rows, std::uint8_t* out) noexcept;

 private:
  static constexpr std::size_t kChunk = 256;  ///< blocks whose features are held at a time

  struct Waiting {
    std::uint16_t block;  ///< in the chunk
    std::int16_t base_code;
  };

  const float* values(MatrixView<const float> rows, std::size_t block, float* buffer) const;
  void collect(MatrixView<const float> rows, std::size_t first, std::size_t count,
               std::uint8_t* out) noexcept;
  void weighted_features(std::size_t column_block, const std::int16_t* bins, Features& out) const;
  void encode_batch(MatrixView<const float> rows, std::size_t first, int mantissa,
                    const Waiting* batch, int size, std::uint8_t* out) noexcept;
  void encode_block(std::int32_t* keys, std::uint8_t* out) noexcept;
  void try_candidates(std::int32_t* keys, int count) noexcept;

  const rd::PreparedTable& table_;
  const Shortlist& shortlist_;
  const EncodeKernels& kernels_;
  const rd::Kernels& search_kernels_;
  const rd::ColumnBlocks& columns_;
  ShortlistEffort effort_;
  double large_error_;
  rd::BlockSearch search_;
  /// Per column block with weights: each element's share of the features.
  std::vector<std::array<std::int16_t, kGroup>> shares_;
  std::array<std::vector<Waiting>, 8> waiting_;  ///< by mantissa of the base code
  std::vector<Features> features_;
  std::vector<std::int32_t> keys_;
};

}  // namespace ecco
