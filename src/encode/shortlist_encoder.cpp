// SPDX-License-Identifier: MIT
#include "encode/shortlist_encoder.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ecco {
namespace {

constexpr int kShareBits = 4;  // shares are in sixteenths

/// What each element counts in the features, in natural order; padding counts nothing. The scores
/// know one multiplier for all elements, where lambda over weight would be right: the square root
/// of the weight is the best of the powers tried. The shares are rounded so that they add up to
/// those of a full block exactly, as the scores' bias expects.
std::array<std::int16_t, kGroup> shares_of(const rd::BlockWeights& weights) {
  double total = 0.0;
  for (const std::uint16_t weight : weights.weight)
    total += std::sqrt(static_cast<double>(weight));
  constexpr double kTotal = kGroup << kShareBits;
  std::array<std::int16_t, kGroup> out{};
  double sum = 0.0;
  int given = 0;
  for (std::size_t i = 0; i < kGroup; ++i) {
    sum += std::sqrt(static_cast<double>(weights.weight[i]));
    const int due = static_cast<int>(std::floor(sum / total * kTotal + 0.5));
    out[weights.element[i]] = static_cast<std::int16_t>(due - given);
    given = due;
  }
  return out;
}

}  // namespace

ShortlistEncoder::ShortlistEncoder(const rd::PreparedTable& table, const Shortlist& shortlist,
                                   const EncodeKernels& kernels, const rd::ColumnBlocks& columns,
                                   rd::ScaleRange range, const ShortlistEffort& effort)
    : table_(table),
      shortlist_(shortlist),
      kernels_(kernels),
      search_kernels_(kernels.search[static_cast<std::size_t>(mantissa_planes(table.codec))]),
      columns_(columns),
      effort_(effort),
      large_error_(large_error(table.codec)),
      search_(table, search_kernels_, range),
      features_(kChunk),
      keys_(static_cast<std::size_t>(kScoreBatch * shortlist.padded_candidates())) {
  for (std::vector<Waiting>& list : waiting_) list.reserve(kChunk);
  for (std::size_t k = 0; k < columns.count(); ++k) {
    const rd::BlockWeights* weights = columns.weights(k);
    if (weights == nullptr) continue;
    shares_.resize(k + 1);
    shares_[k] = shares_of(*weights);
  }
}

void ShortlistEncoder::encode(MatrixView<const float> rows, std::uint8_t* out) noexcept {
  const std::size_t blocks = rows.rows * columns_.count();
  const std::size_t bytes = block_bytes(table_.codec);
  for (std::size_t first = 0; first < blocks; first += kChunk) {
    collect(rows, first, std::min(kChunk, blocks - first), out + first * bytes);
    for (int mantissa = 0; mantissa < 8; ++mantissa) {
      const std::vector<Waiting>& list = waiting_[static_cast<std::size_t>(mantissa)];
      for (std::size_t at = 0; at < list.size(); at += kScoreBatch) {
        const auto size = std::min<std::size_t>(kScoreBatch, list.size() - at);
        encode_batch(rows, first, mantissa, list.data() + at, static_cast<int>(size),
                     out + first * bytes);
      }
    }
  }
}

const float* ShortlistEncoder::values(MatrixView<const float> rows, std::size_t block,
                                      float* buffer) const {
  return columns_.normalize(rows.row(block / columns_.count()), block % columns_.count(), buffer);
}

/// Computes the features of the chunk's blocks; writes those that are all zero.
void ShortlistEncoder::collect(MatrixView<const float> rows, std::size_t first, std::size_t count,
                               std::uint8_t* out) noexcept {
  alignas(32) std::array<float, kGroup> buffer;
  alignas(32) std::array<std::int16_t, kGroup> bins;
  for (std::vector<Waiting>& list : waiting_) list.clear();
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t k = (first + i) % columns_.count();
    const float* block = values(rows, first + i, buffer.data());
    const rd::Measure measure = search_kernels_.measure(block);
    if (!(measure.sum_of_squares > 0.0)) {
      std::memset(out + i * block_bytes(table_.codec), 0, block_bytes(table_.codec));
      continue;
    }
    const int code = rd::BlockSearch::base_code(measure, columns_.elements(k));
    search_kernels_.quantize(block, kBinsPerRms / rd::scale_of(code), bins.data());
    if (columns_.weights(k) == nullptr) {
      kernels_.features(bins.data(), shortlist_.basis(), features_[i]);
    } else {
      weighted_features(k, bins.data(), features_[i]);
    }
    waiting_[static_cast<std::size_t>(code & 7)].push_back(
        {static_cast<std::uint16_t>(i), static_cast<std::int16_t>(code)});
  }
}

/// As EncodeKernels::features, each row times its element's share, saturating at the end. The
/// shares add up to 2048, so the sums stay in 32 bits.
void ShortlistEncoder::weighted_features(std::size_t column_block, const std::int16_t* bins,
                                         Features& out) const {
  std::array<std::int32_t, kScoreRank> sum{};
  for (std::size_t i = 0; i < kGroup; ++i) {
    const int bin = std::clamp(bins[i] + kScoreBins / 2, 0, kScoreBins - 1);
    const std::int16_t* row = shortlist_.basis() + bin * kScoreRank;
    const std::int32_t share = shares_[column_block][i];
    for (std::size_t r = 0; r < kScoreRank; ++r) sum[r] += share * row[r];
  }
  for (std::size_t r = 0; r < kScoreRank; ++r) {
    out[r] = static_cast<std::int16_t>(std::clamp(sum[r] >> kShareBits, -32768, 32767));
  }
}

void ShortlistEncoder::encode_batch(MatrixView<const float> rows, std::size_t first, int mantissa,
                                    const Waiting* batch, int size, std::uint8_t* out) noexcept {
  alignas(32) std::array<float, kGroup> buffer;
  std::array<Features, kScoreBatch> features{};
  for (int b = 0; b < size; ++b) {
    features[static_cast<std::size_t>(b)] = features_[batch[b].block];
  }
  kernels_.scores(features.data(), shortlist_.bias(mantissa), shortlist_.factors(mantissa),
                  shortlist_.padded_candidates(), keys_.data());
  for (int b = 0; b < size; ++b) {
    const std::size_t block = first + batch[b].block;
    search_.load(values(rows, block, buffer.data()), columns_.weights(block % columns_.count()));
    encode_block(keys_.data() + b * shortlist_.padded_candidates(),
                 out + batch[b].block * block_bytes(table_.codec));
  }
}

void ShortlistEncoder::encode_block(std::int32_t* keys, std::uint8_t* out) noexcept {
  try_candidates(keys, effort_.candidates);
  search_.climb();
  if (search_.relative_cost() > large_error_) {
    if (effort_.more_candidates == 0) {
      search_.search_all(rd::RowEncoder::kBestRadius);
    } else {
      try_candidates(keys, effort_.more_candidates);
      search_.climb();
    }
  }
  search_.finish(out);
}

void ShortlistEncoder::try_candidates(std::int32_t* keys, int count) noexcept {
  std::array<std::int16_t, 64> index;
  std::array<std::int32_t, 64> key;
  count = std::min({count, shortlist_.candidates(), static_cast<int>(index.size())});
  kernels_.select(keys, shortlist_.padded_candidates(), count, index.data(), key.data());
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    if (index[i] >= shortlist_.candidates()) continue;
    const int pattern = shortlist_.pattern(index[i]);
    const int code =
        search_.base_code() + search_.usual_offset(pattern) + shortlist_.distance(index[i]);
    search_.set_lambda(shortlist_.lambda(key[i] & 3) * 1024.0, search_.base_code());
    search_.attempt(pattern, code);
  }
}

}  // namespace ecco
