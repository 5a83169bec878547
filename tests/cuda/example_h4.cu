// SPDX-License-Identifier: MIT
// H4 blocks in kernels of an engine: rows of an embedding by the decoder of a warp per block, and
// many blocks by the one of a lane per block. docs/cuda.md, "Kernels of an engine".
#include "ecco/cuda/device.hpp"
#include "ecco/cuda/h4_store.cuh"
#include "ecco/cuda/h4_tables.cuh"
#include "ecco/cuda/h4_warp.cuh"

namespace {

namespace h4 = ecco::cuda::h4;
constexpr int kWarps = 4;

/// out = [token][column]: the rows of a tensor that tokens name, a block of threads per token.
__global__ void embed_kernel(const std::uint8_t* blocks, int cols, h4::Tables tables,
                             float tensor_scale, const int* tokens, float* out) {
  extern __shared__ std::uint32_t dynamic[];
  __shared__ h4::WarpScratch scratch[kWarps];
  const std::uint32_t* codes = h4::load_codes(dynamic, tables);
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int per_row = (cols + 127) / 128;
  const std::uint8_t* row = blocks + std::size_t{64} * tokens[blockIdx.x] * per_row;
  for (int block = warp; block < per_row; block += kWarps) {  // whole warps decode
    float values[4];                                          // elements 4 lane..4 lane + 3
    h4::decode_warp(row + 64 * block, tables, codes, tensor_scale, scratch[warp], values);
    for (int i = 0; i < 4; ++i) {
      const int column = 128 * block + 4 * lane + i;
      if (column < cols) out[blockIdx.x * cols + column] = values[i];
    }
  }
}

/// out = [block][128]: a warp takes 32 blocks, a lane the codes of one; values are half.
__global__ void decode_kernel(const std::uint8_t* blocks, int count, h4::Tables tables,
                              float tensor_scale, ecco::half* out) {
  extern __shared__ std::uint32_t dynamic[];
  __shared__ h4::LaneScratch<ecco::half> scratches[kWarps];
  const std::uint32_t* codes = h4::load_codes(dynamic, tables);
  const int lane = threadIdx.x % 32;
  const int first = 32 * (kWarps * blockIdx.x + threadIdx.x / 32);
  if (first >= count) return;
  auto& scratch = scratches[threadIdx.x / 32];
  h4::stage_rows(scratch, blocks + 64 * first, 64, min(32, count - first));
  __syncwarp();
  const std::uint32_t* own = scratch.blocks + lane * h4::kRowWords;
  const h4::Header header = h4::parse_header(own[0], tables);
  const h4::Destination<ecco::half> to{out + 128 * (first + lane), first + lane < count ? 128 : 0};
  scratch.destinations[lane] = to;
  h4::tabulate_values<ecco::half>(scratch, tables.patterns + 4 * header.pattern,
                                  tensor_scale * h4::fp8_value(header.scale));
  const h4::LaneBlock walked =
      h4::walk_block(scratch, lane, tables.header_bits(), header.codebook, codes);
  __syncwarp();
  h4::write_rows<true>(scratch, 0, 32);
  __syncwarp();
  h4::correct_block(own, walked, header.is_zero(), tensor_scale, to);
}

}  // namespace

void embed(const ecco::cuda::DeviceTensorView& tensor, const int* tokens, int count, float* out) {
  const h4::Tables tables = h4::decode_tables(tensor);
  embed_kernel<<<count, 32 * kWarps, h4::code_bytes(tables)>>>(
      tensor.blocks, static_cast<int>(tensor.cols), tables, tensor.tensor_scale, tokens, out);
}

void decode_blocks(const ecco::cuda::DeviceTensorView& tensor, int count, ecco::half* out) {
  const h4::Tables tables = h4::decode_tables(tensor);
  const int warps = (count + 31) / 32;
  decode_kernel<<<(warps + kWarps - 1) / kWarps, 32 * kWarps, h4::code_bytes(tables)>>>(
      tensor.blocks, count, tables, tensor.tensor_scale, out);
}
