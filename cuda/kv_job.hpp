// SPDX-License-Identifier: MIT
// The launchers of products with a KV page, as kv_products.cpp calls them: arguments are checked
// already.
#pragma once

#include "launch.hpp"

namespace ecco::cuda::detail {

/// Products with the tokens of a page: scores[query][token], or weighted sums[query][value].
struct KvJob {
  const std::uint8_t* blocks;  ///< of the first token, aligned to 16 bytes
  std::uint32_t tokens;        ///< at least 1
  std::uint32_t token_blocks;  ///< blocks from token to token
  std::uint32_t first_column;  ///< of a token, where the first head begins
  std::uint32_t heads;
  std::uint32_t head_values;  ///< of a head, at least 1
  std::uint32_t queries_per_head;
  const void* in;  ///< queries, or weights of the tokens
  std::size_t in_stride;
  InputType type;
  float tensor_scale;
  float* out;
  std::size_t out_stride;
};
cudaError_t kv_scores(const KvJob& job, const DeviceCodecView& codec, cudaStream_t stream);

inline constexpr std::size_t kKvSliceStep = 256;
inline constexpr std::size_t kMostKvSlices = 64;

/// Tokens of one slice of a weighted sum: a multiple of 256, and so many that there are at most 64
/// slices.
constexpr std::size_t kv_slice(std::size_t tokens) {
  constexpr std::size_t kStep = kMostKvSlices * kKvSliceStep;
  return kKvSliceStep * (tokens == 0 ? 1 : (tokens + kStep - 1) / kStep);
}
constexpr std::size_t kv_slices(std::size_t tokens) {
  return (tokens + kv_slice(tokens) - 1) / kv_slice(tokens);
}

/// `slice_sums` = [slice][query][head_values], where there are several slices.
cudaError_t kv_sums(const KvJob& job, const DeviceCodecView& codec, float* slice_sums,
                    cudaStream_t stream);

}  // namespace ecco::cuda::detail
