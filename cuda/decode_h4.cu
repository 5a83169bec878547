// SPDX-License-Identifier: MIT
// H4 blocks -> half, bfloat16, float: a lane per block, or the paper's decoder, a warp per block.
#include "ecco/cuda/h4_lane.cuh"
#include "ecco/cuda/h4_warp.cuh"
#include "h4_tables.cuh"
#include "launch.cuh"

namespace ecco::cuda::detail {
namespace {

constexpr int kWarps = kThreads / kWarpLanes;
constexpr int kLaneThreads = 128;  ///< of the lane decoder, whose warps take much shared memory
constexpr int kLaneWarps = kLaneThreads / kWarpLanes;

template <typename T, bool kVector>
__global__ void __launch_bounds__(kThreads)
    parallel_kernel(DecodeJob job, h4::Tables tables, T* __restrict__ out) {
  extern __shared__ std::uint32_t dynamic[];
  __shared__ h4::WarpScratch scratch[kWarps];
  const std::uint32_t* codes = load_codes(dynamic, tables);
  const int lane = lane_index();
  const int warp = warp_index();
  const std::uint32_t step = gridDim.x * kWarps;
  const BlockPlace advance(step, job.blocks_per_row);
  std::uint32_t block = blockIdx.x * kWarps + static_cast<unsigned>(warp);
  BlockPlace place(block, job.blocks_per_row);
  for (; block < job.block_count; block += step, place.advance(advance, job.blocks_per_row)) {
    float values[4];
    h4::decode_warp(job.blocks + static_cast<std::size_t>(block) * 64, tables, codes,
                    job.tensor_scale, scratch[warp], values);
    const std::uint32_t at = place.column * kGroup + 4 * static_cast<unsigned>(lane);
    store_four<kVector>(out + place.row * job.row_stride + at, values, at, job.cols);
  }
}

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

/// Writes the values of the 32 blocks that the warp has walked: 8 lanes per block, each of them
/// four times 4 values.
template <bool kVector, typename T>
__device__ __forceinline__ void write_blocks(const h4::LaneScratch<T>& scratch) {
  constexpr int kPlanes = h4::LaneScratch<T>::kPlanes;
  const int lane = lane_index();
  const int part = lane % 8;
  const int first = part / 4 * 32 + part % 4 * 4;
#pragma unroll 1
  for (int row = lane / 8; row < kWarpLanes; row += 4) {
    const h4::Destination<T> to = scratch.destinations[row];
    T* values = to.values + first;
    const int room = to.count - first;
    uint4 table[kPlanes];
#pragma unroll
    for (int p = 0; p < kPlanes; ++p) table[p] = scratch.values[row * kPlanes + p];
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const std::uint32_t symbols = scratch.symbols[row * h4::kRowWords + part + 8 * k];
      const h4::Selectors selectors = h4::selectors_of(symbols);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        std::uint32_t words[sizeof(T)];
        h4::values_of<T>(table, selectors.part(half), words);
        const int ahead = 64 * k + 16 * half;
        store_words<kVector>(values + ahead, words, ahead, room);
      }
    }
  }
}

/// Clears what was clipped and stores the outliers of the lane's own block, the last one at each
/// place last.
template <typename T>
__device__ __forceinline__ void correct_block(const std::uint32_t* block,
                                              const h4::LaneBlock& walked, bool zero,
                                              float tensor_scale, const h4::Destination<T>& to) {
#pragma unroll 1
  for (int e = walked.coded; e < to.count; ++e) to.values[e] = from_float<T>(0.0f);
#pragma unroll 1
  for (int at = zero ? h4::kBlockBits : walked.end; at <= h4::kBlockBits - h4::kOutlierBits;
       at += h4::kOutlierBits) {
    const std::uint32_t bits = __funnelshift_r(block[at / 32], block[at / 32 + 1], at);
    const int place = static_cast<int>(bits & 127u);
    const float value = tensor_scale * h4::fp8_value(bits >> 7 & 255u);
    if (place < to.count) to.values[place] = from_float<T>(value);
  }
}

template <typename T, bool kVector>
__global__ void __launch_bounds__(kLaneThreads)
    lane_kernel(DecodeJob job, h4::Tables tables, T* __restrict__ out) {
  extern __shared__ std::uint32_t dynamic[];
  __shared__ h4::LaneScratch<T> scratches[kLaneWarps];
  const std::uint32_t* codes = load_codes(dynamic, tables);
  h4::LaneScratch<T>& scratch = scratches[warp_index()];
  h4::clear_gaps(scratch);
  const int lane = pinned(lane_index());
  const std::uint32_t step = gridDim.x * kLaneThreads;
  const BlockPlace advance(step, job.blocks_per_row);
  std::uint32_t block = blockIdx.x * kLaneThreads + threadIdx.x;
  BlockPlace place(block, job.blocks_per_row);
  std::uint32_t first = block - static_cast<unsigned>(lane);
  const auto* from = reinterpret_cast<const uint4*>(job.blocks) + std::size_t{first} * 4;
  for (; first < job.block_count; first += step, from += std::size_t{step} * 4, block += step,
                                  place.advance(advance, job.blocks_per_row)) {
    h4::stage_blocks(scratch, from,
                     min(job.block_count - first, static_cast<unsigned>(kWarpLanes)));
    __syncwarp();
    const std::uint32_t* own = scratch.blocks + lane * h4::kRowWords;
    const h4::Header header = h4::parse_header(own[0], tables);
    const std::uint32_t at = place.column * kGroup;
    const int room = static_cast<int>(job.cols - at);
    const h4::Destination<T> to{out + place.row * job.row_stride + at,
                                block < job.block_count ? min(room, kGroup) : 0};
    scratch.destinations[lane] = to;
    h4::tabulate_values<T>(scratch, tables.patterns + 4 * header.pattern,
                           job.tensor_scale * h4::fp8_value(header.scale));
    const h4::LaneBlock walked = h4::walk_block(scratch, static_cast<unsigned>(lane),
                                                tables.header_bits(), header.codebook, codes);
    __syncwarp();
    write_blocks<kVector>(scratch);
    __syncwarp();
    correct_block(own, walked, header.is_zero(), job.tensor_scale, to);
    __syncwarp();
  }
}

template <bool kVector, typename T>
cudaError_t launch(const DecodeJob& job, const H4Tables& tables, bool parallel, T* out,
                   cudaStream_t stream) {
  const std::size_t shared = code_bytes(tables);
  const auto kernel = parallel ? parallel_kernel<T, kVector> : lane_kernel<T, kVector>;
  const std::uint32_t per_block = parallel ? kWarps : kLaneThreads;
  const int threads = parallel ? kThreads : kLaneThreads;
  unsigned grid = 0;
  const cudaError_t error = grid_size(kernel, job.block_count, per_block, threads, shared, grid);
  if (error != cudaSuccess) return error;
  kernel<<<grid, threads, shared, stream>>>(job, device_tables(tables), out);
  return cudaGetLastError();
}

}  // namespace

template <typename T>
cudaError_t decode_h4(const DecodeJob& job, const H4Tables& tables, bool parallel, T* out,
                      cudaStream_t stream) {
  return job.vector ? launch<true>(job, tables, parallel, out, stream)
                    : launch<false>(job, tables, parallel, out, stream);
}

template cudaError_t decode_h4(const DecodeJob&, const H4Tables&, bool, half*, cudaStream_t);
template cudaError_t decode_h4(const DecodeJob&, const H4Tables&, bool, bfloat16*, cudaStream_t);
template cudaError_t decode_h4(const DecodeJob&, const H4Tables&, bool, float*, cudaStream_t);

}  // namespace ecco::cuda::detail
