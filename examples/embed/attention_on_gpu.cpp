// SPDX-License-Identifier: MIT
// Attention of one token over compressed keys and values on a GPU: 2 heads of 64 values with 2
// queries each. The softmax is the host's here; an engine has a kernel for it.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <span>
#include <vector>

#include "ecco/cuda/kv_page.hpp"
#include "ecco/ecco.hpp"

namespace {

constexpr std::size_t kHeads = 2, kHeadValues = 64, kWidth = kHeads * kHeadValues;
constexpr std::size_t kQueries = 4, kTokens = 300;
constexpr std::size_t kPageBytes = kTokens * 64;  // H4: one block per token

/// Floats in device memory.
struct Floats {
  explicit Floats(const std::vector<float>& values)
      : memory(ecco::cuda::DeviceMemory::allocate(values.size() * sizeof(float))) {
    if (memory) cudaMemcpy(memory->data(), values.data(), memory->bytes(), cudaMemcpyHostToDevice);
  }
  ecco::MatrixView<float> rows(std::size_t count, std::size_t cols) const {
    return ecco::dense_view(reinterpret_cast<float*>(memory->data()), count, cols);
  }
  ecco::MatrixView<const float> input(std::size_t count, std::size_t cols) const {
    return ecco::dense_view(reinterpret_cast<const float*>(memory->data()), count, cols);
  }
  std::vector<float> values() const {
    std::vector<float> out(memory->bytes() / sizeof(float));
    cudaMemcpy(out.data(), memory->data(), memory->bytes(), cudaMemcpyDeviceToHost);
    return out;
  }
  ecco::Result<ecco::cuda::DeviceMemory> memory;
};

void softmax(std::span<float> scores) {
  const float most = *std::max_element(scores.begin(), scores.end());
  float sum = 0.0f;
  for (float& score : scores) {
    score = std::exp((score - most) / std::sqrt(static_cast<float>(kHeadValues)));
    sum += score;
  }
  for (float& score : scores) score /= sum;
}

}  // namespace

int main() {
  using ecco::cuda::DeviceKvPage;
  using ecco::cuda::DeviceMemory;
  const auto codec = ecco::cuda::DeviceCodec::create(ecco::Codec::h4);
  if (!codec) {  // no GPU, for example
    std::printf("no attention: %s\n", codec.error().message().c_str());
    return 0;
  }
  std::vector<float> values(kTokens * kWidth);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
  const Floats tokens(values), queries(std::vector<float>(kQueries * kHeadValues, 0.5f));
  const Floats scores(std::vector<float>(kQueries * kTokens));
  const Floats outputs(std::vector<float>(kQueries * kHeadValues));
  const auto memory = DeviceMemory::allocate(2 * kPageBytes);
  const auto workspace = DeviceMemory::allocate(
      ecco::cuda::weighted_sums_workspace_bytes(kQueries, kTokens, kHeadValues));
  if (!tokens.memory || !queries.memory || !scores.memory || !outputs.memory || !memory ||
      !workspace) {
    return 1;
  }
  auto k = DeviceKvPage::create(codec->view(), kWidth, 1.0f, {memory->data(), kPageBytes});
  auto v =
      DeviceKvPage::create(codec->view(), kWidth, 1.0f, {memory->data() + kPageBytes, kPageBytes});
  if (!k || !v) return 1;
  if (!k->append(tokens.input(kTokens, kWidth), nullptr)) return 1;  // while the model runs
  if (!v->append(tokens.input(kTokens, kWidth), nullptr)) return 1;

  if (!k->scores(0, queries.input(kQueries, kHeadValues), scores.rows(kQueries, kTokens),
                 nullptr)) {
    return 1;
  }
  std::vector<float> weights = scores.values();
  for (std::size_t i = 0; i < kQueries; ++i) {
    softmax(std::span(weights).subspan(i * kTokens, kTokens));
  }
  const Floats probabilities(weights);
  if (!probabilities.memory) return 1;
  if (!v->weighted_sums(0, probabilities.input(kQueries, kTokens),
                        outputs.rows(kQueries, kHeadValues),
                        {workspace->data(), workspace->bytes()}, nullptr)) {
    return 1;
  }
  std::printf("output[0] = %g\n", outputs.values()[0]);
}
