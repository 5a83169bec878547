// SPDX-License-Identifier: MIT
#include "io/train_tables.hpp"

#include <algorithm>

#include "ecco/fit.hpp"
#include "ecco/h4_fit.hpp"
#include "ecco/standard_tables.hpp"
#include "io/file_map.hpp"

namespace ecco {
namespace {

/// Whole blocks, padding as zeros of importance 0.
struct Samples {
  std::vector<float> values;
  std::vector<float> importance;  ///< empty where all of it is 1
};

std::uint64_t blocks_of(const TrainingTensor& tensor) {
  return tensor.rows * blocks_per_row(tensor.cols);
}

/// Factor that gives the importances of a tensor the mean 1, so that tensors with strong inputs do
/// not outweigh the others; 0 for a tensor whose importances are all 0.
double importance_factor(const TrainingTensor& tensor) {
  double sum = 0.0;
  for (const float value : tensor.importance) sum += static_cast<double>(value);
  return sum > 0.0 ? static_cast<double>(tensor.importance.size()) / sum : 0.0;
}

/// Every sample maps its neighbourhood as well.
constexpr std::uint64_t kSamplesPerRelease = 256;

std::uint64_t first_value(const TrainingTensor& tensor, std::uint64_t block) {
  const std::uint64_t per_row = blocks_per_row(tensor.cols);
  return block / per_row * tensor.cols + block % per_row * kGroup;
}

std::span<const std::uint8_t> values_before(const TrainingTensor& tensor, std::uint64_t block) {
  return tensor.stored.first(first_value(tensor, block) * float_bytes(tensor.dtype));
}

/// Adds block `index` of the tensor.
void add_block(const TrainingTensor& tensor, std::uint64_t index, double factor, bool weighted,
               Samples& samples) {
  const std::uint64_t col = index % blocks_per_row(tensor.cols) * kGroup;
  const std::uint64_t count = std::min<std::uint64_t>(kGroup, tensor.cols - col);

  const std::size_t at = samples.values.size();
  samples.values.resize(at + kGroup, 0.0f);
  widen(tensor.dtype,
        tensor.stored.data() + first_value(tensor, index) * float_bytes(tensor.dtype),
        {samples.values.data() + at, count});
  if (!weighted) return;
  samples.importance.resize(at + kGroup, 0.0f);
  for (std::uint64_t e = 0; e < count; ++e) {
    samples.importance[at + e] =
        tensor.importance.empty()
            ? 1.0f
            : static_cast<float>(static_cast<double>(tensor.importance[col + e]) * factor);
  }
}

std::uint64_t blocks_of(std::span<const TrainingTensor> tensors) {
  std::uint64_t blocks = 0;
  for (const TrainingTensor& tensor : tensors) blocks += blocks_of(tensor);
  return blocks;
}

Samples sample(std::span<const TrainingTensor> tensors, std::uint64_t most) {
  const std::uint64_t blocks = blocks_of(tensors);
  const std::uint64_t size = fit_sample_size(blocks, most);
  bool weighted = false;
  for (const TrainingTensor& tensor : tensors) {
    weighted |= !tensor.importance.empty() || tensor.cols % kGroup != 0;
  }
  Samples samples;
  std::size_t t = 0;
  std::uint64_t first = 0;  // index of the first block of tensors[t]
  double factor = tensors.empty() ? 0.0 : importance_factor(tensors[0]);
  for (std::uint64_t i = 0; i < size; ++i) {
    const std::uint64_t block = fit_sample_block(i, size, blocks);
    while (block - first >= blocks_of(tensors[t])) {
      release_pages(tensors[t].stored);
      first += blocks_of(tensors[t++]);
      factor = importance_factor(tensors[t]);
    }
    add_block(tensors[t], block - first, factor, weighted, samples);
    if (i % kSamplesPerRelease == 0) release_pages(values_before(tensors[t], block - first));
  }
  return samples;
}

Result<std::optional<PatternTable>> train_planar(const Samples& samples, Codec codec, int patterns,
                                                 const ParallelFor& parallel) {
  FitOptions options;
  options.codec = codec;
  options.patterns = patterns;
  options.start = standard_table(codec);
  options.importance = samples.importance;
  auto trained = fit_table(samples.values, options, parallel);
  if (!trained) return fail(trained.error());
  const auto error = fit_error(samples.values, trained->view(), samples.importance, parallel);
  if (!error) return fail(error.error());
  const auto standard_error =
      fit_error(samples.values, standard_table(codec), samples.importance, parallel);
  if (!standard_error) return fail(standard_error.error());
  if (*standard_error <= *error) return std::nullopt;
  return std::move(*trained);
}

/// Patterns of an h4 table: as chosen, or the paper's, or as many as the blocks can pay for.
/// Chosen codebooks ask for a table, however few blocks there are.
int h4_patterns(const TrainingOptions& options, std::uint64_t blocks) {
  constexpr int kPaperPatterns = 64;
  if (options.patterns != 0) return options.patterns;
  const int paid = std::min(fit_patterns(Codec::h4, blocks), kPaperPatterns);
  return options.codebooks == 0 ? paid : std::max(paid, h4::kMinPatterns);
}

Result<std::optional<PatternTable>> train_h4(const Samples& samples, const TrainingOptions& chosen,
                                             int patterns, const ParallelFor& parallel) {
  constexpr int kPaperCodebooks = 4;
  H4FitOptions options;
  options.patterns = patterns;
  options.codebooks = chosen.codebooks == 0 ? kPaperCodebooks : chosen.codebooks;
  if (chosen.mode == H4Mode::faithful) options.rounds = 0;
  options.importance = samples.importance;
  auto trained = fit_h4_table(samples.values, options, parallel);
  if (!trained) return fail(trained.error());
  return std::move(*trained);
}

}  // namespace

Result<std::optional<PatternTable>> train_table(std::span<const TrainingTensor> tensors,
                                                const TrainingOptions& options,
                                                const ParallelFor& parallel) {
  const std::uint64_t blocks = blocks_of(tensors);
  const bool is_h4 = options.codec == Codec::h4;
  const int patterns = is_h4 ? h4_patterns(options, blocks) : fit_patterns(options.codec, blocks);
  if (is_h4 && patterns < h4::kMinPatterns) return std::nullopt;
  const Samples samples =
      sample(tensors, is_h4 ? kH4FitBlocksPerPattern * static_cast<std::uint64_t>(patterns)
                            : kFitSampleBlocks);
  const bool all_zero = std::all_of(samples.values.begin(), samples.values.end(),
                                    [](float value) { return value == 0.0f; });
  if (all_zero) return std::nullopt;
  return is_h4 ? train_h4(samples, options, patterns, parallel)
               : train_planar(samples, options.codec, patterns, parallel);
}

}  // namespace ecco
