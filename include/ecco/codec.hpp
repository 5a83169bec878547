// SPDX-License-Identifier: MIT
// The codecs and the exact layout of their blocks; no logic. docs/format.md is the specification.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "ecco/config.hpp"

namespace ecco {

/// Block formats. p2..p5 are the planar codecs (2..5 bits per value), h4 the Huffman block of the
/// ISCA 2025 paper, a8 the 2x block for activations. The numeric values are stable.
enum class Codec : std::uint8_t { p2 = 2, p3 = 3, p4 = 4, p5 = 5, h4 = 20, a8 = 40 };

inline constexpr std::array<Codec, 4> kPlanarCodecs = {Codec::p2, Codec::p3, Codec::p4, Codec::p5};

/// The codecs of matrices and files; a8 holds activations in memory only.
inline constexpr std::array<Codec, 5> kStoredCodecs = {Codec::h4, Codec::p2, Codec::p3, Codec::p4,
                                                       Codec::p5};

inline constexpr int kGroup = 128;        ///< values in a planar block
inline constexpr int kTailBits = 112;     ///< bits of the two stacks of a planar block
inline constexpr int kHalfTailBits = 64;  ///< most tail bits that one half may use
inline constexpr int kClasses = 5;        ///< code lengths classes, L of format.md
inline constexpr int kMaxPatterns = 256;  ///< patterns that the byte `pattern` can name
inline constexpr int kMaxCentroid = 123;  ///< centroids lie in -123..123 (see docs/format.md)

constexpr bool is_planar(Codec codec) noexcept { return codec >= Codec::p2 && codec <= Codec::p5; }

/// True for kStoredCodecs.
constexpr bool stores_tensors(Codec codec) noexcept {
  return is_planar(codec) || codec == Codec::h4;
}

/// Mantissa planes r of a planar codec, 0..3.
constexpr int mantissa_planes(Codec codec) noexcept { return static_cast<int>(codec) - 2; }

/// Centroids of one pattern: 5 * 2^r in planar codecs, 15 in h4.
constexpr int centroids_per_pattern(Codec codec) noexcept {
  return is_planar(codec) ? kClasses << mantissa_planes(codec) : 15;
}

/// Bytes of one block: 32, 48, 64, 80 in planar codecs, 64 in h4 and a8.
constexpr std::size_t block_bytes(Codec codec) noexcept {
  return is_planar(codec) ? static_cast<std::size_t>(16 * static_cast<int>(codec)) : 64;
}

/// Values of one block.
constexpr int group_values(Codec codec) noexcept { return codec == Codec::a8 ? 64 : kGroup; }

/// Bits per value, padding aside.
constexpr double bits_per_value(Codec codec) noexcept {
  return 8.0 * static_cast<double>(block_bytes(codec)) / group_values(codec);
}

/// Blocks that a row of `cols` values takes; the last one may be partly padding.
constexpr std::size_t blocks_per_row(std::size_t cols) noexcept {
  return cols / kGroup + (cols % kGroup != 0 ? 1 : 0);
}

/// Name as files and command lines write it.
constexpr std::string_view codec_name(Codec codec) noexcept {
  switch (codec) {
    case Codec::p2:
      return "p2";
    case Codec::p3:
      return "p3";
    case Codec::p4:
      return "p4";
    case Codec::p5:
      return "p5";
    case Codec::h4:
      return "h4";
    case Codec::a8:
      return "a8";
  }
  return "unknown";
}

/// Inverse of codec_name for the codecs of matrices and files.
constexpr std::optional<Codec> parse_codec(std::string_view name) noexcept {
  for (const Codec codec : kStoredCodecs) {
    if (codec_name(codec) == name) return codec;
  }
  return std::nullopt;
}

/// Bytes of a planar block with R mantissa planes (docs/format.md, section 2).
template <int R>
struct PlanarBlock {
  std::uint8_t pattern;          ///< index of the pattern
  std::uint8_t scale;            ///< E5M3 code
  std::uint8_t tail[14];         ///< two stacks of bits that grow toward each other
  std::uint8_t upper[16];        ///< plane U: class >= 1
  std::uint8_t mantissa[R][16];  ///< most significant plane first
};
template <>
struct PlanarBlock<0> {
  std::uint8_t pattern;
  std::uint8_t scale;
  std::uint8_t tail[14];
  std::uint8_t upper[16];
};
static_assert(sizeof(PlanarBlock<0>) == 32);  // 2 bits per value
static_assert(sizeof(PlanarBlock<1>) == 48);  // 3 bits per value
static_assert(sizeof(PlanarBlock<2>) == 64);  // 4 bits per value: one cache line
static_assert(sizeof(PlanarBlock<3>) == 80);  // 5 bits per value

}  // namespace ecco
