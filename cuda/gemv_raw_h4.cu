// SPDX-License-Identifier: MIT
// Products on raw blocks of H4: the same partition and order of sums as gemv_tiles.cuh, without
// sparse corrections; the outliers of a block are added right after it.
#include "ecco/cuda/gemv_raw_h4.cuh"

#include "ecco/cuda/h4_tables.cuh"
#include "gemv_tiles.cuh"

namespace ecco::cuda::detail {
namespace {

/// The int8 of all patterns' symbols, int8_of_symbols of h4.hpp.
__device__ __forceinline__ void load_int8(uint4* values, const h4::Tables& tables) {
  const auto* numerators = reinterpret_cast<const float*>(tables.patterns);
  auto* bytes = reinterpret_cast<std::int8_t*>(values);
  for (int i = static_cast<int>(threadIdx.x); i < huffman::kSymbols * (tables.pattern_count + 1);
       i += kThreads) {
    bytes[i] = static_cast<std::int8_t>(__float2int_rn(-128.0f * numerators[i]));
  }
}

/// What a row tile's blocks need, then its sums.
template <int NT>
union RowTileMemory {
  h4::TileScratch scratches[kWarps];
  float sums[NT][4][kThreads];
};

template <int NB, int NT>
__global__ void __launch_bounds__(kThreads, 2) gemv_raw_h4_kernel(GemvJob job, h4::Tables tables) {
  extern __shared__ std::uint32_t dynamic[];
  __shared__ uint4 values[kMaxPatterns + 1];
  __shared__ RowTileMemory<NT> memory;
  __shared__ float none[1][NT][8];
  load_int8(values, tables);
  const std::uint32_t* codes = h4::load_codes(dynamic, tables);
  const int lane = lane_index();
  const int warp = warp_index();
  const int g = lane / 4;
  const int t = lane % 4;
  h4::TileScratch& scratch = memory.scratches[warp];
  const unsigned end = min((blockIdx.y + 1) * job.slice, job.column_tiles);
  for (unsigned row_tile = blockIdx.x; row_tile < job.row_tiles; row_tile += gridDim.x) {
    Accumulators<NT> acc = {};
    h4::clear_gaps(scratch);
    const unsigned row =
        min(row_tile * kTileRows + static_cast<unsigned>(lane % kTileRows), job.rows - 1);
    for (unsigned column = blockIdx.y * job.slice + static_cast<unsigned>(warp); column < end;
         column += kWarps) {
      const std::size_t block = static_cast<std::size_t>(row) * job.column_tiles + column;
      h4::walk_tile(scratch, job.tiles + block * 4, tables, codes);
      const h4::Header headers[2] = {scratch.headers[g], scratch.headers[g + 8]};
      float row_factor[2];
      uint4 table[2];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        row_factor[half] = job.tensor_scale * h4::fp8_value(headers[half].scale) * -0x1p-7f;
        table[half] = values[headers[half].pattern];
      }
      const auto decode = [&](int q, std::uint32_t(&parts)[1][4]) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int r = g + 8 * half;
          const h4::Selectors symbols =
              h4::selectors_of(scratch.symbols[r * h4::kRowWords + 4 * q + t]);
          const std::uint32_t marks = scratch.apart[r][q] >> 4 * t;
          parts[0][half] = h4::clear_marked(h4::look_up(table[half], symbols.part(0)), marks);
          parts[0][half + 2] =
              h4::clear_marked(h4::look_up(table[half], symbols.part(1)), marks >> 16);
        }
      };
      const std::size_t first = static_cast<std::size_t>(column) * NT * 8;
      multiply_rows<1>(
          decode, row_factor,
          load_fragments<NB, NT>(job.x + first * NB + g % NB * 4 + t, job.factors + first + 2 * t),
          acc);
      const h4::BlockActivations x{reinterpret_cast<const std::int8_t*>(job.x + first * NB),
                                   job.factors + first};
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        h4::multiply_outliers<NB, NT>(scratch, g + 8 * half, t, job.tensor_scale, x, acc, half);
      }
      __syncwarp();
    }
    __syncthreads();
#pragma unroll
    for (int n = 0; n < NT; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) memory.sums[n][i][threadIdx.x] = acc[n][i];
    }
    __syncthreads();
    reduce<false, NT>(memory.sums, none, job, row_tile);
    __syncthreads();
  }
}

template <int NB, int NT>
cudaError_t launch(const GemvJob& job, const h4::Tables& tables, unsigned slices,
                   cudaStream_t stream) {
  const auto kernel = gemv_raw_h4_kernel<NB, NT>;
  const std::size_t shared = h4::code_bytes(tables);
  unsigned grid = 0;
  const cudaError_t error = grid_size(kernel, job.row_tiles, 1, kThreads, shared, grid);
  if (error != cudaSuccess) return error;
  return launch_kernel(kernel, dim3(grid, slices), kThreads, shared, stream, job, tables);
}

}  // namespace

cudaError_t gemv_raw_h4(const GemvJob& job, const DeviceTensorView& tensor, unsigned slices,
                        cudaStream_t stream) {
  const h4::Tables tables = h4::decode_tables(tensor);
  switch (stored_columns(job.columns)) {
    case 2:
      return launch<2, 1>(job, tables, slices, stream);
    case 4:
      return launch<4, 1>(job, tables, slices, stream);
    case 8:
      return launch<8, 1>(job, tables, slices, stream);
    default:
      return launch<8, 2>(job, tables, slices, stream);
  }
}

}  // namespace ecco::cuda::detail
