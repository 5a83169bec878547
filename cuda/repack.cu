// SPDX-License-Identifier: MIT
// Planar blocks <-> device tiles, without loss: a warp per tile, lane 4 g + t with its elements of
// rows g and g + 8 as ranks (repack_rows.cuh, repack_writers.cuh). Equal to pack_tiles and
// unpack_tiles byte for byte. docs/cuda.md, "Tiles".
#include "ecco/cuda/gemv_dense.cuh"
#include "ecco/cuda/gemv_fast.cuh"
#include "ecco/cuda/gemv_paired.cuh"
#include "repack_writers.cuh"

namespace ecco::cuda::detail {
namespace {

constexpr unsigned kWarps = kThreads / kWarpLanes;

/// Adds the rows that `good` is false for, of which each quad has one, to the faults.
__device__ __forceinline__ void count_faults(bool good, int lane, std::uint32_t* faults) {
  const unsigned bad = __ballot_sync(kFullMask, !good && lane % 4 == 0);
  if (bad != 0 && lane == 0) atomicAdd(faults, static_cast<std::uint32_t>(__popc(bad)));
}

/// Place of row g + 8 half of a tile among the blocks, nullptr past the last row.
template <int R, typename Byte>
__device__ __forceinline__ Byte* block_of(Byte* blocks, const RepackJob& job, unsigned tile,
                                          int lane, int half) {
  const unsigned row =
      tile / job.column_tiles * kTileRows + static_cast<unsigned>(lane / 4 + 8 * half);
  if (row >= job.rows) return nullptr;
  return blocks + (static_cast<std::size_t>(row) * job.column_tiles + tile % job.column_tiles) *
                      sizeof(PlanarBlock<R>);
}

template <int R, typename Writer>
__global__ void __launch_bounds__(kThreads) pack_kernel(RepackJob job) {
  __shared__ Writer writer;
  __shared__ std::uint8_t deposit[256];
  planar::load_deposit(deposit);
  writer.load(job);
  __syncthreads();
  const int lane = pinned(lane_index());
  auto* tiles = reinterpret_cast<typename Writer::Tile*>(job.to);
  for (unsigned tile = blockIdx.x * kWarps + static_cast<unsigned>(warp_index()); tile < job.tiles;
       tile += gridDim.x * kWarps) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      LaneRow row;
      bool good = read_block<R>(block_of<R>(job.from, job, tile, lane, half), lane, deposit,
                                job.pattern_count, row);
      good = writer.write(row, half, lane, tiles + tile) && good;
      count_faults(good, lane, job.faults);
    }
  }
}

/// The look-up of products, with ranks in place of centroids: none is negative, so tables that are
/// off read as 0.
template <int R, typename Lane>
__global__ void __launch_bounds__(kThreads) unpack_kernel(RepackJob job) {
  __shared__ std::uint32_t codes[Lane::kCodes > 0 ? Lane::kCodes : 1];
  if constexpr (Lane::kCodes > 0) copy_words(codes, job.codes);
  __syncthreads();
  Gated<Lane::kTableWords> ranks;
#pragma unroll
  for (int i = 0; i < Lane::kTableWords; ++i) {  // paired tiles have the last word twice
    ranks.words[i] = 0x03020100u + 4 * min(i, gated_words(kClasses << R) - 1) * kEachByte;
  }
  const int lane = pinned(lane_index());
  const auto place = Lane::place(lane);
  const auto* tiles = reinterpret_cast<const uint4*>(job.from);
  for (unsigned tile = blockIdx.x * kWarps + static_cast<unsigned>(warp_index()); tile < job.tiles;
       tile += gridDim.x * kWarps) {
    Lane share;
    share.load(tiles + static_cast<std::size_t>(tile) * Lane::kWords, lane);
    const Gated<Lane::kTableWords> gated[2] = {ranks, ranks};
    LaneRow rows[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) rows[half].header = share.header_of(half) & 0xffffu;
    typename Lane::Decoder decoder(share, codes, place);
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      std::uint32_t parts[Lane::kParts][4];
      decoder.decode(q, gated, parts);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        std::uint32_t sum = parts[0][i];
#pragma unroll
        for (int k = 1; k < Lane::kParts; ++k) sum |= parts[k][i];
        rows[i % 2].ranks[2 * q + i / 2] = sum;
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const bool known = (rows[half].header & 255u) < job.pattern_count;
      const bool good =
          write_block<R>(rows[half], known, lane, block_of<R>(job.to, job, tile, lane, half));
      count_faults(good, lane, job.faults);
    }
  }
}

cudaError_t launch(void (*kernel)(RepackJob), const RepackJob& job, cudaStream_t stream) {
  unsigned grid = 0;
  const cudaError_t error = grid_size(kernel, job.tiles, kWarps, kThreads, 0, grid);
  if (error != cudaSuccess) return error;
  return launch_kernel(kernel, grid, kThreads, 0, stream, job);
}

}  // namespace

cudaError_t repack_to_tiles(Codec codec, Layout layout, const RepackJob& job,
                            cudaStream_t stream) {
  if (layout == Layout::dense) return launch(pack_kernel<2, DenseWriter>, job, stream);
  if (layout == Layout::paired) return launch(pack_kernel<2, PairedWriter>, job, stream);
  return ecco::planar::dispatch(codec, [&](auto planes) {
    constexpr int kPlanes = decltype(planes)::value;
    return launch(pack_kernel<kPlanes, FastWriter<kPlanes>>, job, stream);
  });
}

cudaError_t repack_to_blocks(Codec codec, Layout layout, const RepackJob& job,
                             cudaStream_t stream) {
  if (layout == Layout::dense) return launch(unpack_kernel<2, DenseLane>, job, stream);
  if (layout == Layout::paired) return launch(unpack_kernel<2, PairedLane>, job, stream);
  return ecco::planar::dispatch(codec, [&](auto planes) {
    constexpr int kPlanes = decltype(planes)::value;
    return launch(unpack_kernel<kPlanes, FastLane<kPlanes>>, job, stream);
  });
}

}  // namespace ecco::cuda::detail
