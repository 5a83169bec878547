// SPDX-License-Identifier: MIT
// Tables of H4 for the kernels that walk codes lane by lane or chunk by chunk.
#pragma once

#include "ecco/cuda/h4_lane.cuh"
#include "launch.hpp"

namespace ecco::cuda::detail {
namespace {

/// Dynamic shared memory: the codes, aligned by hand.
inline std::size_t code_bytes(const H4Tables& tables) {
  return static_cast<std::size_t>(tables.codebook_count) * h4::kBookBytes + h4::kBookBytes - 4;
}

inline h4::Tables device_tables(const H4Tables& tables) {
  return {static_cast<const float4*>(tables.patterns),
          tables.codes,
          tables.pattern_count,
          tables.codebook_count,
          ecco::h4::index_bits(tables.pattern_count),
          ecco::h4::index_bits(tables.codebook_count)};
}

/// Copies the codes to dynamic shared memory, to the first place aligned as walk_block wants it.
__device__ __forceinline__ const std::uint32_t* load_codes(std::uint32_t* dynamic,
                                                           const h4::Tables& tables) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(dynamic));
  std::uint32_t* codes = dynamic + pinned(static_cast<int>(-address & (h4::kBookBytes - 1)) / 4);
  const unsigned count = static_cast<unsigned>(tables.codebook_count * h4::kCodeEntries);
  for (unsigned i = threadIdx.x; i < count; i += blockDim.x) codes[i] = tables.codes[i];
  __syncthreads();
  return codes;
}

}  // namespace
}  // namespace ecco::cuda::detail
