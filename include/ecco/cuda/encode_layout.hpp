// SPDX-License-Identifier: MIT
// Where the parts of an encoder's tables lie, for those who fill them and those who read them.
#pragma once

#include <cstddef>

#include "ecco/codec.hpp"
#include "ecco/config.hpp"

namespace ecco::cuda {

/// Places in words of the parts of H4's tables; h4::EncodeTables names them.
struct H4EncodeLayout {
  std::size_t symbols;
  std::size_t extremes;
  std::size_t lengths;
  std::size_t codes;
  std::size_t padding;
  std::size_t size;

  ECCO_HD constexpr H4EncodeLayout(std::size_t patterns, std::size_t codebooks) noexcept
      : symbols(16 * patterns),
        extremes(symbols + 4 * patterns),
        lengths(extremes + 2 * patterns),
        codes(lengths + 64),
        padding(codes + 16 * codebooks),
        size(padding + codebooks) {}
};

/// Places in words of the parts of a planar codec's tables; planar::EncodeTables names them.
struct PlanarEncodeLayout {
  static constexpr std::size_t kRungs = 28;      ///< of a pattern
  static constexpr std::size_t kFeatures = 32;   ///< of a block
  static constexpr std::size_t kBins = 512;      ///< of a value
  static constexpr std::size_t kLists = 8 * 4;   ///< scores: mantissas of scales, multipliers
  static constexpr std::size_t kLadder = 32;     ///< words of a pattern's row
  static constexpr std::size_t kParameters = 8;  ///< 4 floats, a double, 2 integers

  std::size_t lines;  ///< that a rung has room for
  std::size_t ladders;
  std::size_t basis;
  std::size_t bias;
  std::size_t factors;
  std::size_t parameters;
  std::size_t size;

  ECCO_HD constexpr PlanarEncodeLayout(int planes, std::size_t patterns) noexcept
      : lines(planes == 3 ? 64 : 32),
        ladders(patterns * kRungs * lines),
        basis(ladders + kLadder * patterns),
        bias(basis + kBins * kFeatures / 2),
        factors(bias + kLists * kMaxPatterns),
        parameters(factors + kLists * (kFeatures / 2) * kMaxPatterns),
        size(parameters + kParameters) {}
};

}  // namespace ecco::cuda
