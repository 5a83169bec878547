// SPDX-License-Identifier: MIT
// compare_models: the error of every compressed tensor against its original.
#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "ecco/model.hpp"
#include "guarded.hpp"
#include "io/convert.hpp"
#include "io/job.hpp"
#include "io/model_impl.hpp"
#include "io/text.hpp"

namespace ecco {
namespace {

/// Values of a chunk of any tensor of a known dtype, compressed or not.
Status read_chunk(const Model& model, const ModelTensor& tensor, const Chunks& chunks,
                  const Chunk& chunk, std::vector<float>& out) {
  out.resize(chunk.values());
  if (tensor.codec) return decode_chunk(model.view(tensor), chunks, chunk, out.data());
  const FloatDtype dtype = *parse_float_dtype(tensor.dtype);
  widen(dtype, tensor.stored.data() + chunks.first_value(chunk) * float_bytes(dtype), out);
  return {};
}

/// Lets go of the stored bytes of chunks begin .. end - 1.
void release_chunks(const ModelTensor& tensor, const Chunks& chunks, std::uint64_t begin,
                    std::uint64_t end) {
  const bool blocks = tensor.codec.has_value();
  const std::uint64_t unit_bytes =
      blocks ? block_bytes(*tensor.codec) : float_bytes(*parse_float_dtype(tensor.dtype));
  release_pages(
      bytes_of_chunks(tensor.stored, chunks, begin, end, unit_bytes, [&](const Chunk& chunk) {
        return blocks ? chunks.first_block(chunk) : chunks.first_value(chunk);
      }));
}

/// The tensor that `tensor` is compared with.
Result<const ModelTensor*> counterpart(const Model& original, const ModelTensor& tensor) {
  const ModelTensor* found = original.find(tensor.name);
  if (found == nullptr) {
    return fail(StatusCode::invalid_argument,
                fmt::format("{}: the original has no tensor of this name",
                            shown_place(tensor.file, tensor.name)));
  }
  if (found->shape != tensor.shape) {
    return fail(StatusCode::shape_mismatch,
                fmt::format("{}: shape {} where the original has {}",
                            shown_place(tensor.file, tensor.name), shown_shape(tensor.shape),
                            shown_shape(found->shape)));
  }
  if (!found->codec && !parse_float_dtype(found->dtype)) {
    return fail(StatusCode::unsupported,
                fmt::format("{}: dtype {} is not F16, BF16 or F32",
                            shown_place(found->file, found->name), shown_name(found->dtype)));
  }
  return found;
}

Result<TensorError> compare(const Model& model, const ModelTensor& tensor, const Model& original,
                            Job& job) {
  const auto other = counterpart(original, tensor);
  if (!other) return fail(other.error());
  const Chunks chunks(tensor.rows(), tensor.cols());
  std::vector<TensorError> parts(Chunks::kWindow);
  TensorError sum{tensor.name};
  Status status = job.run_windows(
      chunks,
      [&](std::uint64_t index) {
        const Chunk chunk = chunks[index];
        std::vector<float> restored;
        std::vector<float> expected;
        Status read = read_chunk(model, tensor, chunks, chunk, restored);
        if (read) read = read_chunk(original, **other, chunks, chunk, expected);
        if (!read) return prefixed(shown_place(tensor.file, tensor.name), read);
        TensorError& part = parts[index % Chunks::kWindow];
        part = {};
        for (std::size_t i = 0; i < restored.size(); ++i) {
          const double signal = static_cast<double>(expected[i]);
          const double error = static_cast<double>(restored[i]) - signal;
          part.squared_error += error * error;
          part.squared_signal += signal * signal;
        }
        return job.advance(Chunks::blocks(chunk) * block_bytes(*tensor.codec), tensor.name);
      },
      [&](std::uint64_t begin, std::uint64_t end) -> Status {
        for (std::uint64_t i = begin; i < end; ++i) {
          sum.squared_error += parts[i % Chunks::kWindow].squared_error;
          sum.squared_signal += parts[i % Chunks::kWindow].squared_signal;
        }
        release_chunks(tensor, chunks, begin, end);
        release_chunks(**other, chunks, begin, end);
        return {};
      });
  if (!status) return fail(std::move(status));
  return sum;
}

}  // namespace

double TensorError::rmse() const noexcept { return std::sqrt(squared_error / squared_signal); }

double TensorError::snr_db() const noexcept {
  return 10.0 * std::log10(squared_signal / squared_error);
}

Result<std::vector<TensorError>> compare_models(const Model& model, const Model& original,
                                                const ParallelFor& parallel,
                                                const Progress& progress) {
  return guarded([&]() -> Result<std::vector<TensorError>> {
    std::uint64_t total_bytes = 0;
    for (const ModelTensor& tensor : model.tensors()) {
      if (tensor.codec) total_bytes += tensor.stored.size();
    }
    Job job(parallel, progress, total_bytes);
    std::vector<TensorError> out;
    for (const ModelTensor& tensor : model.tensors()) {
      if (!tensor.codec) continue;
      auto error = compare(model, tensor, original, job);
      if (!error) return fail(error.error());
      out.push_back(std::move(*error));
    }
    return out;
  });
}

}  // namespace ecco
