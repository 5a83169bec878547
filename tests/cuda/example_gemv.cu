// SPDX-License-Identifier: MIT
// A product fused with what an engine does next, in a kernel of the engine's own: activations are
// quantised in the block, weights decoded in registers. docs/cuda.md, "Kernels of an engine".
#include "ecco/cuda/device.hpp"
#include "ecco/cuda/gemv_fast.cuh"
#include "ecco/cuda/quantize.cuh"
#include "ecco/cuda/tile_row.hpp"

namespace {

using Lane = ecco::cuda::FastLane<2>;  // fast tiles of P4
constexpr int kColumns = 8;            // vectors
constexpr int kWarps = 4;              // of a block, each with a row tile of its own

/// Vectors as B fragments in shared memory, [group][2][column][4], and factors, [group][column].
__device__ void quantize_vectors(const float* x, int batch, unsigned cols, int groups,
                                 uint4* fragments, float* factors) {
  const unsigned lane = threadIdx.x % 32;
  for (int i = threadIdx.x / 32; i < groups * kColumns; i += kWarps) {
    const int group = i / kColumns;
    const int column = i % kColumns;
    const unsigned at = 128 * group + 4 * lane;
    float values[4] = {};
    if (column < batch) ecco::cuda::load_four<false>(x + column * cols + at, at, cols, values);
    const auto four = ecco::cuda::quantize_warp<1>(values);
    auto* words = reinterpret_cast<std::uint32_t*>(fragments + 8 * kColumns * group);
    words[ecco::cuda::fragment_word(lane, column, kColumns)] = four.words[0];
    if (lane == 0) factors[kColumns * group + column] = four.factors[0];
  }
}

/// y = max(0, W x), y = [vector][row].
__global__ void __launch_bounds__(32 * kWarps)
    relu_gemv_kernel(ecco::cuda::DeviceTensorView w, const float* x, int batch, float* y) {
  extern __shared__ uint4 fragments[];
  __shared__ alignas(16) ecco::cuda::GemvTables<Lane> tables;
  const int groups = static_cast<int>(ecco::blocks_per_row(w.cols));
  auto* factors = reinterpret_cast<float*>(fragments + 8 * kColumns * groups);
  quantize_vectors(x, batch, static_cast<unsigned>(w.cols), groups, fragments, factors);
  ecco::cuda::load_tables<Lane>(tables, w.gated, w.codes, w.tensor_scale);  // waits

  const int lane = threadIdx.x % 32;
  const unsigned first_row = 16 * (kWarps * blockIdx.x + threadIdx.x / 32);
  if (first_row >= w.rows) return;  // whole warps multiply
  const auto* tile = reinterpret_cast<const uint4*>(w.blocks) +
                     static_cast<std::size_t>(first_row / 16) * groups * Lane::kWords;
  ecco::cuda::Accumulators<1> acc = {};
  const auto place = Lane::place(lane);
  for (int group = 0; group < groups; ++group, tile += Lane::kWords) {
    Lane share;
    share.load(tile, lane);
    const auto activations = ecco::cuda::load_fragments<kColumns, 1>(
        fragments + 8 * kColumns * group + lane, factors + kColumns * group + lane % 4 * 2);
    ecco::cuda::multiply_tile(share, place, activations, tables, acc);
  }
  for (int i = 0; i < 4; ++i) {  // rows g and g + 8, columns 2 t and 2 t + 1
    const unsigned row = first_row + lane / 4 + i / 2 * 8;
    const int column = lane % 4 * 2 + i % 2;
    if (row < w.rows && column < batch) y[column * w.rows + row] = fmaxf(0.0f, acc[0][i]);
  }
}

}  // namespace

/// `w` = fast tiles of P4; x = batch x cols, batch up to 8.
void relu_gemv(const ecco::cuda::DeviceTensorView& w, const float* x, int batch, float* y) {
  const auto groups = static_cast<unsigned>(ecco::blocks_per_row(w.cols));
  const auto row_tiles = static_cast<unsigned>(ecco::cuda::row_tiles_of(w.rows));
  const unsigned shared = groups * kColumns * (128 + 4);
  relu_gemv_kernel<<<(row_tiles + kWarps - 1) / kWarps, 32 * kWarps, shared>>>(w, x, batch, y);
}
