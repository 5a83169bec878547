// SPDX-License-Identifier: MIT
// Any bytes as a matrix: the compiled functions equal the scalar reference bit for bit.
#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "ecco/decode.hpp"
#include "ecco/gemv.hpp"
#include "ecco/standard_tables.hpp"
#include "fuzz/fuzz.hpp"

namespace {

using namespace ecco;

template <typename T>
bool equal_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <typename T>
void compare_decode(const TensorView& tensor) {
  std::vector<T> fast(tensor.rows() * tensor.cols());
  std::vector<T> slow(fast.size());
  const auto view = [&](std::vector<T>& out) {
    return dense_view(out.data(), tensor.rows(), tensor.cols());
  };
  FUZZ_ASSERT(decode_rows(tensor, 0, view(fast)));
  FUZZ_ASSERT(reference::decode_rows(tensor, 0, view(slow)));
  FUZZ_ASSERT(equal_bits(fast, slow));
}

void compare_int8(const TensorView& tensor) {
  const std::size_t factors = tensor.rows() * tensor.blocks_per_row();
  std::vector<std::int8_t> fast(tensor.rows() * tensor.cols()), slow(fast.size());
  std::vector<float> fast_factors(factors), slow_factors(factors);
  FUZZ_ASSERT(
      decode_rows(tensor, 0, dense_view(fast.data(), tensor.rows(), tensor.cols()),
                  dense_view(fast_factors.data(), tensor.rows(), tensor.blocks_per_row())));
  FUZZ_ASSERT(reference::decode_rows(
      tensor, 0, dense_view(slow.data(), tensor.rows(), tensor.cols()),
      dense_view(slow_factors.data(), tensor.rows(), tensor.blocks_per_row())));
  FUZZ_ASSERT(equal_bits(fast, slow) && equal_bits(fast_factors, slow_factors));
}

template <typename Activations>
void compare_gemv(const TensorView& tensor, const Activations& x) {
  std::vector<float> fast(tensor.rows()), slow(tensor.rows());
  FUZZ_ASSERT(gemv(tensor, x, fast));
  FUZZ_ASSERT(reference::gemv(tensor, x, slow));
  FUZZ_ASSERT(equal_bits(fast, slow));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const Codec codec = kStoredCodecs[data[0] % kStoredCodecs.size()];
  const std::size_t cols = 1 + std::size_t{data[1]} * 5 % 700;
  const int patterns = codec == Codec::h4 ? 16 + data[2] % 49 : 1 + data[2];
  const std::size_t row_bytes = blocks_per_row(cols) * block_bytes(codec);
  std::vector<std::uint8_t> blocks(data + 3, data + size);
  const std::size_t rows = std::min<std::size_t>(blocks.size() / row_bytes, 20);
  blocks.resize(rows * row_bytes);
  PatternTableView table = standard_table(codec);
  table.centroids =
      table.centroids.first(static_cast<std::size_t>(patterns * centroids_per_pattern(codec)));
  const auto tensor = TensorView::parse(codec, rows, cols, 0.75f, table, blocks);
  FUZZ_ASSERT(tensor);

  compare_decode<float>(*tensor);
  compare_decode<half>(*tensor);
  compare_decode<bfloat16>(*tensor);
  if (is_planar(codec)) compare_int8(*tensor);
  std::vector<float> x(cols);
  for (std::size_t k = 0; k < cols; ++k) x[k] = static_cast<float>(k * 37 % 101) - 50.0f;
  compare_gemv(*tensor, std::span<const float>(x));
  compare_gemv(*tensor, Int8Activations::quantize(x).value());
  return 0;
}
