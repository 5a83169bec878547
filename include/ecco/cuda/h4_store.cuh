// SPDX-License-Identifier: MIT
// Values of the H4 blocks that a warp's lanes have walked (h4_lane.cuh), written by the warp
// together. docs/cuda.md, "Decoding".
// tests/cuda/example_h4.cu is a kernel with all steps.
#pragma once

#include <cstdint>

#include "ecco/cuda/h4_lane.cuh"

namespace ecco::cuda::h4 {

/// Stores four values of T, given as their words, where the row has them: `at` is the place of the
/// first one, `count` how many there are.
template <bool kVector, typename T>
__device__ __forceinline__ void store_words(T* to, const std::uint32_t (&words)[sizeof(T)], int at,
                                            int count) {
  if constexpr (!kVector) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (at + i >= count) continue;
      if constexpr (sizeof(T) == 2) {
        to[i].bits = static_cast<std::uint16_t>(words[i / 2] >> 16 * (i % 2));
      } else {
        to[i] = bits_float(words[i]);
      }
    }
  } else if constexpr (sizeof(T) == 2) {
    if (at < count) *reinterpret_cast<uint2*>(to) = make_uint2(words[0], words[1]);
  } else {
    if (at < count) {
      *reinterpret_cast<uint4*>(to) = make_uint4(words[0], words[1], words[2], words[3]);
    }
  }
}

/// Writes the values of `count` blocks, 4 or a multiple, that the warp has walked, from `first`
/// on, where their lanes' Destinations say: 8 lanes per block, each of them four times 4 values.
template <bool kVector, typename T>
__device__ __forceinline__ void write_rows(const LaneScratch<T>& scratch, int first, int count) {
  constexpr int kPlanes = LaneScratch<T>::kPlanes;
  const int lane = lane_index();
  const int part = lane % 8;
  const int place = part / 4 * 32 + part % 4 * 4;
#pragma unroll 1
  for (int row = first + lane / 8; row < first + count; row += 4) {
    const Destination<T> to = scratch.destinations[row];
    T* values = to.values + place;
    const int room = to.count - place;
    uint4 table[kPlanes];
#pragma unroll
    for (int p = 0; p < kPlanes; ++p) table[p] = scratch.values[row * kPlanes + p];
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const std::uint32_t symbols = scratch.symbols[row * kRowWords + part + 8 * k];
      const Selectors selectors = selectors_of(symbols);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        std::uint32_t words[sizeof(T)];
        values_of<T>(table, selectors.part(half), words);
        const int ahead = 64 * k + 16 * half;
        store_words<kVector>(values + ahead, words, ahead, room);
      }
    }
  }
}

/// After write_rows and __syncwarp(): clears what was clipped and stores the outliers of the
/// lane's own block, the last one at each place last.
template <typename T>
__device__ __forceinline__ void correct_block(const std::uint32_t* block, const LaneBlock& walked,
                                              bool zero, float tensor_scale,
                                              const Destination<T>& to) {
#pragma unroll 1
  for (int e = walked.coded; e < to.count; ++e) to.values[e] = from_float<T>(0.0f);
#pragma unroll 1
  for (int at = zero ? kBlockBits : walked.end; at <= kBlockBits - kOutlierBits;
       at += kOutlierBits) {
    const std::uint32_t bits = __funnelshift_r(block[at / 32], block[at / 32 + 1], at);
    const int place = static_cast<int>(bits & 127u);
    const float value = tensor_scale * fp8_value(bits >> 7 & 255u);
    if (place < to.count) to.values[place] = from_float<T>(value);
  }
}

}  // namespace ecco::cuda::h4
