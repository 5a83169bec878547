// SPDX-License-Identifier: MIT
// The scalar encode kernels: the definition of what the other paths compute.
#include <algorithm>
#include <limits>

#include "encode/kernels.hpp"

namespace ecco {
namespace {

void features(const std::int16_t* bins, const std::int16_t* basis, Features& out) noexcept {
  out.fill(0);
  for (int i = 0; i < kGroup; ++i) {
    const int bin = std::clamp(bins[i] + kScoreBins / 2, 0, kScoreBins - 1);
    const std::int16_t* row = basis + bin * kScoreRank;
    for (std::size_t r = 0; r < kScoreRank; ++r) {
      out[r] = static_cast<std::int16_t>(std::clamp(out[r] + row[r], -32768, 32767));
    }
  }
}

void scores(const Features* features_of, const std::int32_t* bias, const std::int16_t* factors,
            int candidates, std::int32_t* keys) noexcept {
  for (int c = 0; c < candidates; ++c) {
    for (int b = 0; b < kScoreBatch; ++b) {
      std::int32_t greatest = std::numeric_limits<std::int32_t>::min();
      for (int l = 0; l < kScoreLambdas; ++l) {
        const int list = c / 8 * kScoreLambdas + l;
        const std::int16_t* factor = factors + (list * kScoreRank / 2 * 8 + c % 8) * 2;
        auto sum = static_cast<std::uint32_t>(bias[list * 8 + c % 8]);
        for (std::size_t r = 0; r < kScoreRank; r += 2, factor += 16) {
          sum += static_cast<std::uint32_t>(factor[0] * features_of[b][r]);
          sum += static_cast<std::uint32_t>(factor[1] * features_of[b][r + 1]);
        }
        const auto key = static_cast<std::int32_t>((sum & ~3u) | static_cast<unsigned>(l));
        greatest = std::max(greatest, key);
      }
      keys[b * candidates + c] = greatest;
    }
  }
}

void select(std::int32_t* keys, int candidates, int count, std::int16_t* indices,
            std::int32_t* selected_keys) noexcept {
  for (int k = 0; k < count; ++k) {
    const auto least = std::min_element(keys, keys + candidates) - keys;
    indices[k] = static_cast<std::int16_t>(least);
    selected_keys[k] = keys[least];
    keys[least] = std::numeric_limits<std::int32_t>::max();
  }
}

}  // namespace

EncodeKernels scalar_encode_kernels() noexcept {
  return {{rd::scalar_kernels(Codec::p2), rd::scalar_kernels(Codec::p3),
           rd::scalar_kernels(Codec::p4), rd::scalar_kernels(Codec::p5)},
          features,
          scores,
          select};
}

}  // namespace ecco
