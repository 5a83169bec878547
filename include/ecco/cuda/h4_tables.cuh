// SPDX-License-Identifier: MIT
// The tables of H4's decoders: from a view of the host API to a kernel, and their codes to shared
// memory. docs/cuda.md, "Kernels of an engine".
#pragma once

#include <cstddef>
#include <cstdint>

#include "ecco/cuda/h4_lane.cuh"

namespace ecco::cuda::h4 {

/// Of the view of a DeviceTensor of layout raw, or of a DeviceCodec, to be passed to a kernel; its
/// memory must live as long as kernels run. Both are of codec h4.
template <typename View>
Tables decode_tables(const View& view) noexcept {
  return {reinterpret_cast<const float4*>(view.patterns),
          view.codes,
          view.pattern_count,
          view.codebook_count,
          ecco::h4::index_bits(view.pattern_count),
          ecco::h4::index_bits(view.codebook_count)};
}

/// Bytes of dynamic shared memory for load_codes: 1 KiB per codebook, and what aligns them.
inline std::size_t code_bytes(const Tables& tables) noexcept {
  return static_cast<std::size_t>(tables.codebook_count) * kBookBytes + kBookBytes - 4;
}

/// Copies the codes of all codebooks to dynamic shared memory, `code_bytes` of it, and returns
/// where they lie: at the first place aligned as walk_block wants it; decode_warp takes them, too.
/// All threads of a one-dimensional block call it; waits by __syncthreads().
///
/// @code
/// extern __shared__ std::uint32_t dynamic[];
/// const std::uint32_t* codes = ecco::cuda::h4::load_codes(dynamic, tables);
/// @endcode
__device__ __forceinline__ const std::uint32_t* load_codes(std::uint32_t* dynamic,
                                                           const Tables& tables) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(dynamic));
  std::uint32_t* codes = dynamic + pinned(static_cast<int>(-address & (kBookBytes - 1)) / 4);
  const unsigned count = static_cast<unsigned>(tables.codebook_count * kCodeEntries);
  for (unsigned i = threadIdx.x; i < count; i += blockDim.x) codes[i] = tables.codes[i];
  __syncthreads();
  return codes;
}

}  // namespace ecco::cuda::h4
