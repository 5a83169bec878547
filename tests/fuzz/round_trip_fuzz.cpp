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

namespace {

using namespace ecco;

// One effort per codec: preparing an encoder that makes shortlists takes long under sanitizers.
Effort effort_of(Codec codec) {
  if (codec == Codec::p3) return Effort::fast;
  return codec == Codec::p4 || codec == Codec::h4 ? Effort::default_ : Effort::best;
}

}  // namespace

// Prepares the encoders before libFuzzer's clock runs, which would take the first for a hang.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  for (const Codec codec : kStoredCodecs) FUZZ_ASSERT(Encoder::standard(codec, effort_of(codec)));
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 6) return 0;
  CompressOptions options;
  options.codec = kStoredCodecs[data[0] % kStoredCodecs.size()];
  options.effort = effort_of(options.codec);
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
  if (!tensor) {  // magnitudes that h4 has no scale for
    FUZZ_ASSERT(options.codec == Codec::h4 && tensor.error().code() == StatusCode::unsupported);
    return 0;
  }
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
