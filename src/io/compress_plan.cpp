// SPDX-License-Identifier: MIT
#include "io/compress_plan.hpp"

#include <fmt/format.h>

#include <utility>

#include "ecco/encode.hpp"
#include "io/model_impl.hpp"
#include "io/text.hpp"
#include "io/train_tables.hpp"

namespace ecco {
namespace {

/// Adds a chunk; error: not_finite with row and column.
Status scan_chunk(const PlannedTensor& tensor, const Chunks& chunks, const Chunk& chunk,
                  ScaleStatistics& statistics) {
  std::vector<float> values(chunk.values());
  widen(tensor.dtype,
        tensor.source->stored.data() + chunks.first_value(chunk) * float_bytes(tensor.dtype),
        values);
  const auto rows = dense_view<const float>(values.data(), chunk.rows, chunk.cols);
  return add_rows(statistics, rows, chunk.row, chunk.col);
}

/// Sets the tensor's scale.
Status scan(PlannedTensor& tensor, Codec codec, Job& job) {
  const Chunks chunks(tensor.source->rows(), tensor.source->cols());
  std::vector<ScaleStatistics> parts(Chunks::kWindow);
  ScaleStatistics statistics;
  Status status = job.run_windows(
      chunks,
      [&](std::uint64_t index) {
        ScaleStatistics& part = parts[index % Chunks::kWindow];
        part = {};
        return scan_chunk(tensor, chunks, chunks[index], part);
      },
      [&](std::uint64_t begin, std::uint64_t end) {
        for (std::uint64_t i = begin; i < end; ++i) statistics.merge(parts[i % Chunks::kWindow]);
        release_pages(value_bytes(tensor, chunks, begin, end));
        return job.advance(0, tensor.source->name);
      });
  if (status) {
    const Result<float> scale = choose_tensor_scale(codec, statistics);
    if (scale) {
      tensor.tensor_scale = *scale;
    } else {
      status = scale.error();
    }
  }
  return prefixed(shown_place(tensor.source->file, tensor.source->name), status);
}

TrainingTensor training_tensor(const PlannedTensor& tensor) {
  return {tensor.dtype, tensor.source->stored, tensor.source->rows(), tensor.source->cols(),
          tensor.importance};
}

/// Trains one table for `tensors` and gives it to them.
Status train(std::span<PlannedTensor* const> tensors, const TrainingOptions& options,
             CompressPlan& plan, Job& job) {
  std::vector<TrainingTensor> training;
  for (const PlannedTensor* tensor : tensors) training.push_back(training_tensor(*tensor));
  auto table = train_table(training, options, job.stoppable(tensors[0]->source->name));
  if (Status status = job.advance(0, tensors[0]->source->name); !status) return status;
  if (!table) {
    return prefixed(shown_place(tensors[0]->source->file, tensors[0]->source->name),
                    prefixed("training a table", table.error()));
  }
  if (*table) {
    plan.tables.push_back(std::make_unique<PatternTable>(std::move(**table)));
    for (PlannedTensor* tensor : tensors) tensor->table = plan.tables.back().get();
  }
  for (const PlannedTensor* tensor : tensors) release_pages(tensor->source->stored);
  return {};
}

Status train_tables(const ModelCompressOptions& options, CompressPlan& plan, Job& job) {
  if (options.table == TableSource::standard || plan.tensors.empty()) return {};
  const TrainingOptions training = {options.codec, options.mode, options.patterns,
                                    options.codebooks};
  std::vector<PlannedTensor*> all;
  for (auto& [name, tensor] : plan.tensors) all.push_back(&tensor);
  if (options.table == TableSource::file) return train(all, training, plan, job);
  for (PlannedTensor* tensor : all) {
    if (Status status = train({&tensor, 1}, training, plan, job); !status) return status;
  }
  return {};
}

}  // namespace

std::span<const std::uint8_t> value_bytes(const PlannedTensor& tensor, const Chunks& chunks,
                                          std::uint64_t begin, std::uint64_t end) {
  const std::uint64_t unit = float_bytes(tensor.dtype);
  return bytes_of_chunks(tensor.source->stored, chunks, begin, end, unit,
                         [&](const Chunk& chunk) { return chunks.first_value(chunk); });
}

Result<CompressPlan> plan_compression(const Model& model,
                                      const std::vector<TensorOutcome>& outcomes,
                                      const ModelCompressOptions& options, Job& job) {
  CompressPlan plan;
  plan.codec = options.codec;
  auto importances = load_importances(options.importance, model);
  if (!importances) return fail(importances.error());
  plan.importances = std::move(*importances);
  for (const TensorOutcome& outcome : outcomes) {
    if (!outcome.codec) continue;
    PlannedTensor tensor;
    tensor.source = model.find(outcome.name);
    tensor.dtype = *parse_float_dtype(tensor.source->dtype);
    const auto importance = plan.importances.find(outcome.name);
    if (importance != plan.importances.end()) tensor.importance = importance->second;
    if (Status status = scan(tensor, plan.codec, job); !status) return fail(std::move(status));
    plan.tensors.emplace(outcome.name, tensor);
  }
  if (Status status = train_tables(options, plan, job); !status) {
    return fail(std::move(status));
  }
  return plan;
}

}  // namespace ecco
