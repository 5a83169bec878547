// SPDX-License-Identifier: MIT
// H4, the block of the ISCA 2025 paper: 128 values in 512 bits. Bit-serial decode, pack and check:
// scalar, constexpr, host and device; THE reference. Written as docs/format.md, section 5, is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ecco/codec.hpp"
#include "ecco/huffman.hpp"
#include "ecco/types.hpp"

namespace ecco::h4 {

inline constexpr int kBlockBits = 512;
inline constexpr int kCentroids = 15;  ///< symbol 15 is the group's largest magnitude
inline constexpr int kMaxSymbol = 15;
inline constexpr int kOutlierBits = 15;  ///< 7 bits position, 8 bits FP8
inline constexpr int kMaxOutliers = (kBlockBits - 8 - kGroup * huffman::kMinLength) / kOutlierBits;
inline constexpr int kMinPatterns = 16;
inline constexpr int kMaxCodebooks = 16;

/// Bits of an index that names one of `count` things: ceil(log2 count).
ECCO_HD constexpr int index_bits(int count) noexcept {
  int bits = 0;
  while (1 << bits < count) ++bits;
  return bits;
}

/// Non-owning table: `patterns` rows of 15 ascending centroids in -127..127 and `codebooks` rows
/// of 16 code lengths. Preconditions: counts in 16..256 and 1..16, every codebook complete.
struct TableView {
  const std::int8_t* centroids;
  int patterns;
  const std::uint8_t* lengths;
  int codebooks;

  ECCO_HD constexpr int header_bits() const noexcept {
    return index_bits(codebooks) + index_bits(patterns) + 8;
  }
  ECCO_HD constexpr const std::int8_t* pattern(int index) const noexcept {
    return centroids + kCentroids * (index < patterns ? index : 0);
  }
  ECCO_HD constexpr const std::uint8_t* codebook(int index) const noexcept {
    return lengths + huffman::kSymbols * (index < codebooks ? index : 0);
  }
};

/// `count` bits of a block from bit `at`, the first one least significant. Bits past the end are
/// 0.
ECCO_HD constexpr unsigned read_bits(const std::uint8_t* block, int at, int count) noexcept {
  unsigned value = 0;
  for (int i = 0; i < count && at + i < kBlockBits; ++i) {
    value |= (block[(at + i) / 8] >> ((at + i) % 8) & 1u) << i;
  }
  return value;
}

ECCO_HD constexpr void write_bits(std::uint8_t* block, int at, int count,
                                  unsigned value) noexcept {
  for (int i = 0; i < count; ++i) {
    const auto bit = static_cast<std::uint8_t>(1u << ((at + i) % 8));
    if ((value >> i & 1u) != 0) block[(at + i) / 8] = block[(at + i) / 8] | bit;
  }
}

/// An element whose value stands in the block in full.
struct Outlier {
  std::uint8_t position;
  fp8_e4m3 value;
};

/// Everything a block says, before any arithmetic.
struct Fields {
  int codebook = 0;  ///< as stored, possibly past the table
  int pattern = 0;
  fp8_e4m3 scale{};
  std::uint8_t symbols[kGroup]{};
  int coded = 0;  ///< elements whose code is whole; 128 unless clipped
  int outliers = 0;
  Outlier outlier[kMaxOutliers]{};
  int end =
      0;  ///< first bit after the last code (clipped: where the broken code begins) or outlier
};

/// The fixed-width fields of any 64 bytes.
ECCO_HD constexpr Fields parse_header(const std::uint8_t* block, const TableView& table) noexcept {
  Fields out{};
  const int codebook_bits = index_bits(table.codebooks);
  const int pattern_bits = index_bits(table.patterns);
  out.codebook = static_cast<int>(read_bits(block, 0, codebook_bits));
  out.pattern = static_cast<int>(read_bits(block, codebook_bits, pattern_bits));
  out.scale.bits = static_cast<std::uint8_t>(read_bits(block, codebook_bits + pattern_bits, 8));
  return out;
}

/// Reads the outliers from bit out.end on, after 128 whole codes, and moves out.end past them.
ECCO_HD constexpr void parse_outliers(const std::uint8_t* block, Fields& out) noexcept {
  for (; out.end + kOutlierBits <= kBlockBits; out.end += kOutlierBits) {
    out.outlier[out.outliers++] =
        Outlier{static_cast<std::uint8_t>(read_bits(block, out.end, 7)),
                fp8_e4m3{static_cast<std::uint8_t>(read_bits(block, out.end + 7, 8))}};
  }
}

/// Parses any 64 bytes, bit by bit.
ECCO_HD constexpr Fields parse(const std::uint8_t* block, const TableView& table) noexcept {
  Fields out = parse_header(block, table);
  const huffman::SerialCode code = huffman::serial_code(table.codebook(out.codebook));
  out.end = table.header_bits();
  for (; out.coded < kGroup; ++out.coded) {
    int bit = out.end;
    const huffman::Step step =
        huffman::read_code(code, [&] { return read_bits(block, bit++, 1); });
    if (out.end + step.length > kBlockBits) break;
    out.symbols[out.coded] = step.symbol;
    out.end += step.length;
  }
  if (out.coded == kGroup) parse_outliers(block, out);
  return out;
}

/// The sixteen values a symbol can stand for, times nothing: centroids, and 128 for symbol 15.
/// Value = m * (this / 128), m = tensor_scale * fp8(scale).
ECCO_HD constexpr int symbol_numerator(const std::int8_t* pattern, int symbol) noexcept {
  return symbol == kMaxSymbol ? 128 : pattern[symbol];
}

/// Decodes any 64 bytes to 128 values; every product is rounded once to binary32 (docs/format.md,
/// section 5). Complexity: O(bits of the block).
ECCO_HD constexpr void decode(const std::uint8_t* block, const TableView& table,
                              float tensor_scale, float* out) noexcept {
  for (int e = 0; e < kGroup; ++e) out[e] = 0.0f;
  const Fields fields = parse(block, table);
  if ((fields.scale.bits & 0x7fu) == 0) return;
  const float m = tensor_scale * to_float(fields.scale);
  const std::int8_t* pattern = table.pattern(fields.pattern);
  for (int e = 0; e < fields.coded; ++e) {
    const int numerator = symbol_numerator(pattern, fields.symbols[e]);
    out[e] = m * (static_cast<float>(numerator) * 0x1p-7f);
  }
  for (int i = 0; i < fields.outliers; ++i) {
    out[fields.outlier[i].position] = tensor_scale * to_float(fields.outlier[i].value);
  }
}

/// A block for integer kernels: value = factor * values[e] (plus, where an outlier stands, the
/// outlier's value; values[e] is 0 there). Clipped elements have 0.
struct Int8Block {
  std::int8_t values[kGroup];
  float factor;  ///< -m / 128: the values are -centroid and, for symbol 15, -128
  int outliers;
  std::uint8_t positions[kMaxOutliers];  ///< distinct, the last one stored first
  float outlier_values[kMaxOutliers];    ///< tensor_scale * fp8, as decode gives them
};

/// Moves the outliers that decode would keep (the last one at each place) from the fields to `out`
/// and clears their elements.
ECCO_HD constexpr void take_outliers(const Outlier* outlier, int count, float tensor_scale,
                                     Int8Block& out) noexcept {
  out.outliers = 0;
  std::uint64_t seen[2] = {0, 0};
  for (int i = count - 1; i >= 0; --i) {
    const int position = outlier[i].position;
    const std::uint64_t bit = std::uint64_t{1} << (position % 64);
    if ((seen[position / 64] & bit) != 0) continue;
    seen[position / 64] |= bit;
    out.values[position] = 0;
    out.positions[out.outliers] = static_cast<std::uint8_t>(position);
    out.outlier_values[out.outliers++] = tensor_scale * to_float(outlier[i].value);
  }
}

/// The int8 that stands for each symbol of a pattern, under the factor -m / 128.
ECCO_HD constexpr void int8_of_symbols(const std::int8_t* pattern, std::int8_t* out) noexcept {
  for (int k = 0; k < kCentroids; ++k) out[k] = static_cast<std::int8_t>(-pattern[k]);
  out[kMaxSymbol] = -128;
}

/// Factor of the int8 values of a block, -m / 128; 0 for scale +-0.
ECCO_HD constexpr float int8_factor(fp8_e4m3 scale, float tensor_scale) noexcept {
  return (scale.bits & 0x7fu) == 0 ? 0.0f : tensor_scale * to_float(scale) * -0x1p-7f;
}

/// Decodes any 64 bytes to int8. Complexity: O(bits of the block).
ECCO_HD constexpr void decode_int8(const std::uint8_t* block, const TableView& table,
                                   float tensor_scale, Int8Block& out) noexcept {
  for (int e = 0; e < kGroup; ++e) out.values[e] = 0;
  const Fields fields = parse(block, table);
  out.factor = int8_factor(fields.scale, tensor_scale);
  out.outliers = 0;
  if ((fields.scale.bits & 0x7fu) == 0) return;
  std::int8_t values[huffman::kSymbols] = {};
  int8_of_symbols(table.pattern(fields.pattern), values);
  for (int e = 0; e < fields.coded; ++e) out.values[e] = values[fields.symbols[e]];
  take_outliers(fields.outlier, fields.outliers, tensor_scale, out);
}

/// Why a block is not valid.
enum class Fault : std::uint8_t {
  none,
  unknown_codebook,
  unknown_pattern,
  dirty_end,           ///< a bit after the last outlier is set
  outlier_on_padding,  ///< an outlier lies past the row's end
  dirty_zero,          ///< scale +-0 with other bits set
};

constexpr const char* fault_name(Fault fault) noexcept {
  switch (fault) {
    case Fault::none:
      return "valid";
    case Fault::unknown_codebook:
      return "codebook index past the table";
    case Fault::unknown_pattern:
      return "pattern index past the table";
    case Fault::dirty_end:
      return "bits after the last outlier are set";
    case Fault::outlier_on_padding:
      return "an outlier lies on padding";
    case Fault::dirty_zero:
      return "scale 0 but other bits are set";
  }
  return "unknown fault";
}

/// First rule that the block breaks, or Fault::none. `values` = elements that are no
/// padding, 1..128.
ECCO_HD constexpr Fault check(const std::uint8_t* block, const TableView& table,
                              int values = kGroup) noexcept {
  const Fields fields = parse(block, table);
  if ((fields.scale.bits & 0x7fu) == 0) {
    for (int i = 0; i < kBlockBits / 8; ++i) {
      if (block[i] != 0) return Fault::dirty_zero;
    }
    return Fault::none;
  }
  if (fields.codebook >= table.codebooks) return Fault::unknown_codebook;
  if (fields.pattern >= table.patterns) return Fault::unknown_pattern;
  for (int i = 0; i < fields.outliers; ++i) {
    if (fields.outlier[i].position >= values) return Fault::outlier_on_padding;
  }
  if (fields.coded == kGroup && read_bits(block, fields.end, kBlockBits - fields.end) != 0) {
    return Fault::dirty_end;
  }
  return Fault::none;
}

/// Bits that the codes of the first `count` symbols take in a codebook.
ECCO_HD constexpr int code_bits(const std::uint8_t* symbols, const std::uint8_t* lengths,
                                int count = kGroup) noexcept {
  int bits = 0;
  for (int e = 0; e < count; ++e) bits += lengths[symbols[e]];
  return bits;
}

/// Outliers that a block with so many bits of header and codes holds; negative: the codes
/// overflow.
ECCO_HD constexpr int outlier_slots(int used_bits) noexcept {
  return used_bits > kBlockBits ? -1 : (kBlockBits - used_bits) / kOutlierBits;
}

/// Packs a block. Uses codebook, pattern, scale, symbols and, if all codes fit, exactly
/// outlier_slots() entries of fields.outlier; codes that overflow are clipped: the block is filled
/// with the first bits of the code that did not fit. Preconditions: indices inside the table,
/// scale not +-0 (else the block must be 64 zero bytes).
ECCO_HD constexpr void pack(const Fields& fields, const TableView& table,
                            std::uint8_t* block) noexcept {
  for (int i = 0; i < kBlockBits / 8; ++i) block[i] = 0;
  const int codebook_bits = index_bits(table.codebooks);
  const int pattern_bits = index_bits(table.patterns);
  write_bits(block, 0, codebook_bits, static_cast<unsigned>(fields.codebook));
  write_bits(block, codebook_bits, pattern_bits, static_cast<unsigned>(fields.pattern));
  write_bits(block, codebook_bits + pattern_bits, 8, fields.scale.bits);
  huffman::Lengths lengths{};
  for (std::size_t s = 0; s < lengths.size(); ++s) {
    lengths[s] = table.codebook(fields.codebook)[s];
  }
  const huffman::Codes codes = huffman::canonical_codes(lengths);
  int at = table.header_bits();
  for (int e = 0; e < kGroup; ++e) {
    const std::uint8_t symbol = fields.symbols[e];
    const int length = lengths[symbol];
    const int room = kBlockBits - at < length ? kBlockBits - at : length;
    write_bits(block, at, room, huffman::reverse_bits(codes.code[symbol], length));
    if (room < length) return;
    at += length;
  }
  for (int i = 0; i < outlier_slots(at); ++i) {
    const int slot = at + i * kOutlierBits;
    write_bits(block, slot, 7, fields.outlier[i].position);
    write_bits(block, slot + 7, 8, fields.outlier[i].value.bits);
  }
}

}  // namespace ecco::h4
