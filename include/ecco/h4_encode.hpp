// SPDX-License-Identifier: MIT
// The paper's two ways to encode an H4 block: mode faithful (weights) and KV mode (online).
// Scalar, constexpr, host and device; THE reference. Written as docs/format.md, section 5, is.
// Comparisons stand on integers and on single rounded operations, so that contraction to fused
// operations changes nothing.
#pragma once

#include <cstdint>

#include "ecco/detail/index_of_least.hpp"
#include "ecco/h4.hpp"
#include "ecco/types.hpp"

namespace ecco::h4 {

/// Least positive binary32: the tensor scale of magnitudes too small to divide by 448.
inline constexpr float kLeastTensorScale = 0x1p-149f;

/// tensor_scale for a tensor whose largest magnitude is `largest`: largest / 448, so that it has
/// an FP8 code; 1 for a tensor of zeros.
ECCO_HD constexpr float tensor_scale_of(float largest) noexcept {
  if (largest == 0.0f) return 1.0f;
  const float scale = largest / 448.0f;
  return scale > 0.0f ? scale : kLeastTensorScale;
}

/// What an encoder for hardware makes of a value: NaN counts as 0, infinity as the largest finite.
ECCO_HD constexpr float finite(float value) noexcept {
  const std::uint32_t magnitude = float_bits(value) & 0x7fffffffu;
  if (magnitude < 0x7f800000u) return value;
  if (magnitude > 0x7f800000u) return 0.0f;
  return value > 0.0f ? 0x1.fffffep127f : -0x1.fffffep127f;
}

ECCO_HD constexpr float magnitude(float value) noexcept {
  return bits_float(float_bits(value) & 0x7fffffffu);
}

/// Index of the largest magnitude, the first of ties.
ECCO_HD constexpr int index_of_largest(const float* values, int count) noexcept {
  return ecco::detail::index_of_least(count, [values](int e) { return -magnitude(values[e]); });
}

/// What padding and elements under an outlier are given: the lowest symbol of the shortest code.
ECCO_HD constexpr std::uint8_t shortest_symbol(const std::uint8_t* lengths) noexcept {
  return static_cast<std::uint8_t>(
      ecco::detail::index_of_least(huffman::kSymbols, [lengths](int s) { return lengths[s]; }));
}

/// Symbol 0..14 of the centroid nearest to quotient = value / m, the lowest of those equally near.
ECCO_HD constexpr std::uint8_t nearest_symbol(const std::int8_t* pattern,
                                              float quotient) noexcept {
  int s = 0;  // boundaries are exact: a sum of two int8 over 256
  while (s + 1 < kCentroids &&
         quotient > static_cast<float>(pattern[s] + pattern[s + 1]) * 0x1p-8f) {
    ++s;
  }
  while (s > 0 && pattern[s - 1] == pattern[s]) --s;
  return static_cast<std::uint8_t>(s);
}

/// The codebook in which `count` symbols take the fewest bits (the lowest of those) when the other
/// 128 - count elements are padding.
ECCO_HD constexpr int cheapest_codebook(const std::uint8_t* symbols, int count,
                                        const TableView& table) noexcept {
  int best = 0;
  int best_bits = kGroup * huffman::kMaxLength + 1;
  for (int h = 0; h < table.codebooks; ++h) {
    const std::uint8_t* lengths = table.codebook(h);
    const int bits =
        code_bits(symbols, lengths, count) + (kGroup - count) * lengths[shortest_symbol(lengths)];
    if (bits < best_bits) {
      best = h;
      best_bits = bits;
    }
  }
  return best;
}

/// Distance of two values, in binary64.
ECCO_HD constexpr double distance(float a, float b) noexcept {
  const double difference = static_cast<double>(a) - static_cast<double>(b);
  return difference < 0.0 ? -difference : difference;
}

/// Fills the outlier slots that the codes leave: each takes the next element in descending order
/// of magnitude (first of ties first) that its FP8 value brings nearer; slots that find none
/// repeat the first outlier, or the maximum's position with the scale's code. `largest` = index of
/// the maximum. Complexity: O(128) per element visited.
ECCO_HD constexpr void pad_with_outliers(const float* values, int count, int largest,
                                         const TableView& table, float tensor_scale,
                                         Fields& fields) noexcept {
  const int used =
      table.header_bits() + code_bits(fields.symbols, table.codebook(fields.codebook));
  const int slots = outlier_slots(used);
  const float m = tensor_scale * to_float(fields.scale);
  const std::int8_t* pattern = table.pattern(fields.pattern);
  fields.outliers = 0;
  for (int visited = 0, e = largest; fields.outliers < slots && visited < count; ++visited) {
    const int numerator = symbol_numerator(pattern, fields.symbols[e]);
    const float decoded = m * (static_cast<float>(numerator) * 0x1p-7f);
    const fp8_e4m3 code = to_fp8_e4m3(values[e] / tensor_scale);
    if (distance(values[e], tensor_scale * to_float(code)) < distance(values[e], decoded)) {
      fields.outlier[fields.outliers++] = Outlier{static_cast<std::uint8_t>(e), code};
    }
    const float last = magnitude(values[e]);
    float greatest = -1.0f;  // the largest magnitude after e's in the order
    int next = -1;
    for (int i = 0; i < count; ++i) {
      const float size = magnitude(values[i]);
      const bool after = size < last || (size == last && i > e);
      if (after && size > greatest) {
        greatest = size;
        next = i;
      }
    }
    e = next;
  }
  const Outlier filler = fields.outliers > 0
                             ? fields.outlier[0]
                             : Outlier{static_cast<std::uint8_t>(largest), fields.scale};
  while (fields.outliers < slots) fields.outlier[fields.outliers++] = filler;
}

/// The common end of both modes: symbols by the nearest centroid, codebook, outliers.
ECCO_HD constexpr void choose_symbols(const float* values, int count, int largest,
                                      const TableView& table, float tensor_scale,
                                      Fields& fields) noexcept {
  const float m = tensor_scale * to_float(fields.scale);
  for (int e = 0; e < count; ++e) {
    fields.symbols[e] = nearest_symbol(table.pattern(fields.pattern), values[e] / m);
  }
  fields.symbols[largest] = kMaxSymbol;
  fields.codebook = cheapest_codebook(fields.symbols, count, table);
  const std::uint8_t padding = shortest_symbol(table.codebook(fields.codebook));
  for (int e = count; e < kGroup; ++e) fields.symbols[e] = padding;
  pad_with_outliers(values, count, largest, table, tensor_scale, fields);
}

/// pack() of what an encoder chose; scale +-0 stands for the block of zeros.
ECCO_HD constexpr void pack_choice(const Fields& fields, const TableView& table,
                                   std::uint8_t* block) noexcept {
  if ((fields.scale.bits & 0x7fu) != 0) {
    pack(fields, table, block);
  } else {
    for (int i = 0; i < kBlockBits / 8; ++i) block[i] = 0;
  }
}

/// KV mode's pattern: the one whose (lowest, highest) centroid / 128 is nearest to (least,
/// greatest): sum of squares in binary32, lowest index first.
ECCO_HD constexpr int nearest_pattern(const TableView& table, float least,
                                      float greatest) noexcept {
  int best = 0;
  float best_distance = 0.0f;
  for (int p = 0; p < table.patterns; ++p) {
    const std::int8_t* pattern = table.pattern(p);
    const double low = static_cast<double>(static_cast<float>(pattern[0]) * 0x1p-7f - least);
    const double high =
        static_cast<double>(static_cast<float>(pattern[kCentroids - 1]) * 0x1p-7f - greatest);
    // The product of two binary32 is exact in binary64: each square is rounded once, never fused.
    const float distance = static_cast<float>(low * low) + static_cast<float>(high * high);
    if (p == 0 || distance < best_distance) {
      best = p;
      best_distance = distance;
    }
  }
  return best;
}

/// Chooses for a group of 1..128 values of one token's keys or values as KV mode does; elements
/// past `count` are padding. NaN counts as 0, infinity as the largest finite value; the scale
/// saturates at 480 tensor_scale. Of a single value the pattern is 0. Preconditions: tensor_scale
/// positive, at most 1e34; a valid table. Complexity: O(128) per outlier and per pattern's
/// centroid.
ECCO_HD constexpr Fields choose_kv(const float* values, int count, const TableView& table,
                                   float tensor_scale) noexcept {
  float group[kGroup] = {};
  for (int e = 0; e < count; ++e) group[e] = finite(values[e]);
  const int largest = index_of_largest(group, count);
  Fields fields{};
  fields.scale = to_fp8_e4m3(group[largest] / tensor_scale);
  if ((fields.scale.bits & 0x7fu) == 0) return fields;
  const float m = tensor_scale * to_float(fields.scale);
  float least = 0.0f;
  float greatest = 0.0f;
  for (int e = 0, seen = 0; e < count; ++e) {
    if (e == largest) continue;
    const float quotient = group[e] / m;
    if (seen == 0 || quotient < least) least = quotient;
    if (seen == 0 || quotient > greatest) greatest = quotient;
    ++seen;
  }
  fields.pattern = count > 1 ? nearest_pattern(table, least, greatest) : 0;
  choose_symbols(group, count, largest, table, tensor_scale, fields);
  return fields;
}

/// choose_kv, packed into the 64 bytes of `block`.
ECCO_HD constexpr void encode_kv(const float* values, int count, const TableView& table,
                                 float tensor_scale, std::uint8_t* block) noexcept {
  pack_choice(choose_kv(values, count, table, tensor_scale), table, block);
}

/// The pattern of least weighted squared error when every value but the largest takes its nearest
/// centroid (lowest index first). Quotients count in 1/65536, importances in 1/65536 of the
/// group's largest, so the sums are exact. `importance` may be null: all alike.
ECCO_HD constexpr int least_error_pattern(const float* values, const float* importance, int count,
                                          int largest, float m, const TableView& table) noexcept {
  float heaviest = 0.0f;
  for (int e = 0; importance != nullptr && e < count; ++e) {
    if (importance[e] > heaviest) heaviest = importance[e];
  }
  std::int32_t places[kGroup] = {};
  std::int64_t weights[kGroup] = {};
  for (int e = 0; e < count; ++e) {
    const float quotient = values[e] / m;
    const float bounded = quotient > 4.0f ? 4.0f : quotient < -4.0f ? -4.0f : quotient;
    places[e] = static_cast<std::int32_t>((bounded * 65536.0f + 0x1.8p23f) - 0x1.8p23f);
    weights[e] = heaviest > 0.0f
                     ? static_cast<std::int64_t>(importance[e] / heaviest * 65536.0f + 0.5f)
                     : 1;
  }
  weights[largest] = 0;
  int best = 0;
  std::int64_t best_error = 0;
  for (int p = 0; p < table.patterns; ++p) {
    const std::int8_t* pattern = table.pattern(p);
    std::int64_t error = 0;
    for (int e = 0; e < count; ++e) {
      const float quotient = static_cast<float>(places[e]) * 0x1p-16f;
      const std::int64_t off = places[e] - 512 * pattern[nearest_symbol(pattern, quotient)];
      error += weights[e] * (off * off);
    }
    if (p == 0 || error < best_error) {
      best = p;
      best_error = error;
    }
  }
  return best;
}

/// Chooses for a group of 1..128 weights as the paper does: scale = the value of largest
/// magnitude, least-error pattern, nearest centroids, codebook of the fewest bits; then outliers,
/// or clipped codes. `importance` = weight of each element's squared error, finite and >= 0, or
/// null. Preconditions: finite values; tensor_scale positive; a valid table. Complexity: O(128)
/// per pattern's centroid.
ECCO_HD constexpr Fields choose_faithful(const float* values, const float* importance, int count,
                                         const TableView& table, float tensor_scale) noexcept {
  const int largest = index_of_largest(values, count);
  Fields fields{};
  fields.scale = to_fp8_e4m3(values[largest] / tensor_scale);
  if ((fields.scale.bits & 0x7fu) == 0) return fields;
  const float m = tensor_scale * to_float(fields.scale);
  fields.pattern = least_error_pattern(values, importance, count, largest, m, table);
  choose_symbols(values, count, largest, table, tensor_scale, fields);
  return fields;
}

/// choose_faithful, packed into the 64 bytes of `block`.
ECCO_HD constexpr void encode_faithful(const float* values, const float* importance, int count,
                                       const TableView& table, float tensor_scale,
                                       std::uint8_t* block) noexcept {
  pack_choice(choose_faithful(values, importance, count, table, tensor_scale), table, block);
}

}  // namespace ecco::h4
