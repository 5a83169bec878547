// SPDX-License-Identifier: MIT
// H4 blocks -> half, bfloat16, float: a lane per block, or the paper's decoder, a warp per block.
#include "ecco/cuda/h4_store.cuh"
#include "ecco/cuda/h4_tables.cuh"
#include "ecco/cuda/h4_warp.cuh"
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
  const std::uint32_t* codes = h4::load_codes(dynamic, tables);
  const int lane = lane_index();
  const int warp = warp_index();
  for_warp_blocks<kWarps>(job, [&](std::uint32_t block, const BlockPlace& place) {
    float values[4];
    h4::decode_warp(job.blocks + static_cast<std::size_t>(block) * 64, tables, codes,
                    job.tensor_scale, scratch[warp], values);
    const std::uint32_t at = place.column * kGroup + 4 * static_cast<unsigned>(lane);
    store_four<kVector>(out + place.row * job.row_stride + at, values, at, job.cols);
  });
}

template <typename T, bool kVector>
__global__ void __launch_bounds__(kLaneThreads)
    lane_kernel(DecodeJob job, h4::Tables tables, T* __restrict__ out) {
  extern __shared__ std::uint32_t dynamic[];
  __shared__ h4::LaneScratch<T> scratches[kLaneWarps];
  const std::uint32_t* codes = h4::load_codes(dynamic, tables);
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
    h4::write_rows<kVector>(scratch, 0, kWarpLanes);
    __syncwarp();
    h4::correct_block(own, walked, header.is_zero(), job.tensor_scale, to);
    __syncwarp();
  }
}

template <bool kVector, typename T>
cudaError_t launch(const DecodeJob& job, const h4::Tables& tables, bool parallel, T* out,
                   cudaStream_t stream) {
  const std::size_t shared = h4::code_bytes(tables);
  const auto kernel = parallel ? parallel_kernel<T, kVector> : lane_kernel<T, kVector>;
  const std::uint32_t per_block = parallel ? kWarps : kLaneThreads;
  const int threads = parallel ? kThreads : kLaneThreads;
  unsigned grid = 0;
  const cudaError_t error = grid_size(kernel, job.block_count, per_block, threads, shared, grid);
  if (error != cudaSuccess) return error;
  return launch_kernel(kernel, grid, threads, shared, stream, job, tables, out);
}

}  // namespace

template <typename T>
cudaError_t decode_h4(const DecodeJob& job, const DeviceTensorView& tensor, bool parallel, T* out,
                      cudaStream_t stream) {
  const h4::Tables tables = h4::decode_tables(tensor);
  return job.vector ? launch<true>(job, tables, parallel, out, stream)
                    : launch<false>(job, tables, parallel, out, stream);
}

template cudaError_t decode_h4(const DecodeJob&, const DeviceTensorView&, bool, half*,
                               cudaStream_t);
template cudaError_t decode_h4(const DecodeJob&, const DeviceTensorView&, bool, bfloat16*,
                               cudaStream_t);
template cudaError_t decode_h4(const DecodeJob&, const DeviceTensorView&, bool, float*,
                               cudaStream_t);

}  // namespace ecco::cuda::detail
