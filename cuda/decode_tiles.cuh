// SPDX-License-Identifier: MIT
// Tiles -> half, bfloat16, float: a warp per tile, by the look-up of products. decode_fast.cu and
// decode_dense.cu instantiate it, so that they compile side by side.
#pragma once

#include "gemv_tiles.cuh"

namespace ecco::cuda::detail {
namespace {

/// The four bytes of register `at` of a tile's fragment, + 128: the sum that a tensor core makes.
template <int kParts>
__device__ __forceinline__ std::uint32_t sum_parts(const std::uint32_t (&parts)[kParts][4],
                                                   int at) {
  std::uint32_t sum = parts[0][at];
#pragma unroll
  for (int k = 1; k < kParts; ++k) sum = add_bytes(sum, parts[k][at]);
  return sum ^ 0x80808080u;
}

template <typename Lane, typename T, bool kVector>
__global__ void __launch_bounds__(kThreads)
    decode_kernel(DecodeTilesJob job, T* __restrict__ out) {
  __shared__ alignas(16) GemvTables<Lane> tables;
  load_tables<Lane>(tables, job.gated, job.codes, job.tensor_scale);
  const int lane = pinned(lane_index());
  const auto place = Lane::place(lane);
  for (unsigned tile = blockIdx.x * kWarps + static_cast<unsigned>(warp_index());
       tile < job.tile_count; tile += gridDim.x * kWarps) {
    Lane share;
    share.load(job.tiles + static_cast<std::size_t>(tile) * Lane::kWords, lane);
    const std::uint32_t headers[2] = {share.header_of(0), share.header_of(1)};
    const Gated<Lane::kTableWords> gated[2] = {load_gated(tables, headers[0] & 255u),
                                               load_gated(tables, headers[1] & 255u)};
    typename Lane::Decoder decoder(share, tables.codes, place);
    const unsigned first_row =
        tile / job.column_tiles * kTileRows + static_cast<unsigned>(lane / 4);
    const unsigned first_column =
        tile % job.column_tiles * kGroup + 4 * static_cast<unsigned>(lane % 4);
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      std::uint32_t parts[Lane::kParts][4];
      decoder.decode(q, gated, parts);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const unsigned row = first_row + static_cast<unsigned>(i % 2 * 8);
        const unsigned column = first_column + static_cast<unsigned>(32 * q + i / 2 * 16);
        const unsigned code = headers[i % 2] >> 8 & 255u;
        float values[4];  // scale code 0 is +0, also where a centroid is negative
        Lane::scale(code == 0 ? 0x80808080u : sum_parts(parts, i), tables.factors[code], values);
        store_four<kVector>(out + row * job.row_stride + column, values, column,
                            row < job.rows ? job.cols : 0);
      }
    }
  }
}

template <typename Lane, typename T>
cudaError_t decode_with(const DecodeTilesJob& job, T* out, cudaStream_t stream) {
  const auto kernel = job.vector ? decode_kernel<Lane, T, true> : decode_kernel<Lane, T, false>;
  unsigned grid = 0;
  const cudaError_t error = grid_size(kernel, job.tile_count, kWarps, kThreads, 0, grid);
  if (error != cudaSuccess) return error;
  return launch_kernel(kernel, grid, kThreads, 0, stream, job, out);
}

}  // namespace
}  // namespace ecco::cuda::detail
