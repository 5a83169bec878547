// SPDX-License-Identifier: MIT
// Any finite floats: compressing gives valid blocks whose error is bounded; others are refused.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "ecco/block.hpp"
#include "ecco/decode.hpp"
#include "ecco/encode.hpp"
#include "fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ecco;
  if (size < 6) return 0;
  CompressOptions options;
  options.codec = kPlanarCodecs[data[0] % kPlanarCodecs.size()];
  // One effort per codec: preparing an encoder takes seconds under sanitizers.
  const bool searched = options.codec == Codec::p2 || options.codec == Codec::p4;
  options.effort = searched ? Effort::default_ : Effort::fast;
  std::vector<float> weights(std::min<std::size_t>((size - 2) / sizeof(float), 600));
  std::memcpy(weights.data(), data + 2, weights.size() * sizeof(float));
  const std::size_t cols = 1 + data[1] % weights.size();
  const std::size_t rows = weights.size() / cols;
  weights.resize(rows * cols);
  const bool finite =
      std::all_of(weights.begin(), weights.end(), [](float w) { return std::isfinite(w); });

  const auto tensor = compress(dense_view<const float>(weights.data(), rows, cols), options);
  if (!finite) {
    FUZZ_ASSERT(!tensor && tensor.error().code() == StatusCode::not_finite);
    return 0;
  }
  FUZZ_ASSERT(tensor);
  const TensorView view = tensor->view();
  std::vector<float> back(weights.size());
  FUZZ_ASSERT(decode_rows(view, 0, dense_view(back.data(), rows, cols)));
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t k = 0; k < view.blocks_per_row(); ++k) {
      const auto count = static_cast<int>(std::min<std::size_t>(kGroup, cols - k * kGroup));
      FUZZ_ASSERT(block_fault(view, view.row(r) + k * block_bytes(view.codec()), count) ==
                  nullptr);
      double error = 0.0, signal = 0.0;
      for (int e = 0; e < count; ++e) {
        const std::size_t at = r * cols + k * kGroup + static_cast<std::size_t>(e);
        FUZZ_ASSERT(std::isfinite(back[at]));
        error += std::pow(double{weights[at]} - double{back[at]}, 2);
        signal += std::pow(double{weights[at]}, 2);
      }
      FUZZ_ASSERT(error <= signal);  // never worse than zeros
    }
  }
  return 0;
}
