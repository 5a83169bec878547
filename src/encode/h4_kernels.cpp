// SPDX-License-Identifier: MIT
#include "encode/h4_kernels.hpp"

#include <algorithm>
#include <limits>

#include "ecco/a8.hpp"
#include "ecco/isa.hpp"

namespace ecco {
namespace {

void encode_kv_scalar(const CodingTables& tables, const float* values, int count,
                      float tensor_scale, std::uint8_t* block) noexcept {
  h4::encode_kv(values, count, tables.view(), tensor_scale, block);
}

void encode_faithful_scalar(const CodingTables& tables, const float* values,
                            const float* importance, int count, float tensor_scale,
                            std::uint8_t* block) noexcept {
  h4::encode_faithful(values, importance, count, tables.view(), tensor_scale, block);
}

void encode_a8_scalar(const float* values, std::size_t blocks, float tensor_scale,
                      std::uint8_t* out) noexcept {
  for (std::size_t b = 0; b < blocks; ++b) {
    a8::encode(values + b * a8::kValues, a8::kValues, tensor_scale, out + b * a8::kValues);
  }
}

CodingTables::Pattern prepare_pattern(const std::int8_t* centroids) {
  CodingTables::Pattern pattern;
  pattern.boundary.fill(std::numeric_limits<float>::infinity());
  for (std::size_t k = 0; k + 1 < h4::kCentroids; ++k) {
    pattern.boundary[k] = static_cast<float>(centroids[k] + centroids[k + 1]) * 0x1p-8f;
  }
  for (std::size_t k = 1; k < h4::kCentroids; ++k) {
    pattern.symbol[k] =
        centroids[k] == centroids[k - 1] ? pattern.symbol[k - 1] : static_cast<std::uint8_t>(k);
  }
  // By the steps from centroid to centroid: the lowest one's for all values.
  const auto step = [&](std::size_t at, int above, int from, int to) {
    pattern.cell[at] = static_cast<std::int16_t>(above - CodingTables::kLowestCell);
    pattern.weight_step[at] = 256.0 * (to * to - from * from);
    pattern.place_step[at] = from - to;
  };
  step(0, CodingTables::kLowestCell, 0, centroids[0]);
  for (std::size_t k = 0; k + 1 < h4::kCentroids; ++k) {
    step(k + 1, centroids[k] + centroids[k + 1], centroids[k], centroids[k + 1]);
  }
  return pattern;
}

CodingTables::Codebook prepare_codebook(const std::uint8_t* lengths) {
  CodingTables::Codebook codebook;
  std::copy_n(lengths, huffman::kSymbols, codebook.length.begin());
  const huffman::Codes codes = huffman::canonical_codes(codebook.length);
  for (std::size_t i = 0; i < codebook.two_codes.size(); ++i) {
    const std::size_t first = i % 16;
    const std::size_t second = i / 16;
    const unsigned low = huffman::reverse_bits(codes.code[first], lengths[first]);
    const unsigned high = huffman::reverse_bits(codes.code[second], lengths[second]);
    codebook.two_codes[i] = low | high << lengths[first] |
                            static_cast<unsigned>(lengths[first] + lengths[second]) << 16;
  }
  return codebook;
}

}  // namespace

CodingTables::CodingTables(const h4::TableView& table)
    : centroids(table.centroids, table.centroids + table.patterns * h4::kCentroids),
      lengths(table.lengths, table.lengths + table.codebooks * huffman::kSymbols) {
  const std::size_t rounded = (static_cast<std::size_t>(table.patterns) + 7) / 8 * 8;
  lowest.resize(rounded, 0.0f);
  highest.resize(rounded, 0.0f);
  for (int p = 0; p < table.patterns; ++p) {
    const std::int8_t* row = table.pattern(p);
    patterns.push_back(prepare_pattern(row));
    lowest[static_cast<std::size_t>(p)] = static_cast<float>(row[0]) * 0x1p-7f;
    highest[static_cast<std::size_t>(p)] = static_cast<float>(row[h4::kCentroids - 1]) * 0x1p-7f;
  }
  for (int h = 0; h < table.codebooks; ++h)
    codebooks.push_back(prepare_codebook(table.codebook(h)));
}

H4EncodeKernels scalar_h4_encode_kernels() noexcept {
  return {h4::SearchKernels{}, encode_kv_scalar, encode_faithful_scalar, encode_a8_scalar};
}

Result<H4EncodeKernels> active_h4_encode_kernels() noexcept {
  const Result<Isa> isa = active_isa();
  if (!isa) return fail(isa.error());
#if defined(__x86_64__)
  if (*isa == Isa::avx2) return avx2_h4_encode_kernels();
#endif
  return scalar_h4_encode_kernels();
}

}  // namespace ecco
