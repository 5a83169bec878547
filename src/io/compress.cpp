// SPDX-License-Identifier: MIT
// compress_model: select, scan, train, then encode and write shard by shard.
#include <fmt/format.h>

#include <optional>
#include <utility>

#include "ecco/encode.hpp"
#include "guarded.hpp"
#include "io/compress_plan.hpp"
#include "io/model_output.hpp"
#include "io/selection.hpp"
#include "io/shard_writer.hpp"
#include "io/text.hpp"

namespace ecco {
namespace {

/// Error for a source that ecco wrote, or that uses its names.
Status check_source(const Model& model) {
  for (const Shard& shard : Model::Impl::of(model).shards) {
    if (shard.container.header.metadata.contains(std::string(kEccoKey))) {
      return {StatusCode::invalid_argument,
              fmt::format("{}: compressed by ecco already; decompress it first",
                          escape_controls(shard.path))};
    }
    for (const SafetensorsEntry& entry : shard.container.header.entries) {
      if (!entry.name.starts_with(kReservedPrefix)) continue;
      return {StatusCode::invalid_argument,
              fmt::format("{}: names that begin with {} are reserved for tables",
                          shown_place(shard.path, entry.name), kReservedPrefix)};
    }
  }
  return {};
}

/// Errors: unsupported (codec), invalid_argument (patterns, codebooks).
Status check_options(const ModelCompressOptions& options) {
  if (!stores_tensors(options.codec)) {
    return {StatusCode::unsupported,
            fmt::format("codec {} is for memory only, not for files", codec_name(options.codec))};
  }
  if (options.patterns == 0 && options.codebooks == 0) return {};
  if (options.codec != Codec::h4) {
    return {StatusCode::invalid_argument,
            fmt::format("patterns and codebooks are chosen for codec h4, not for {}",
                        codec_name(options.codec))};
  }
  if (options.table == TableSource::standard) {
    return {StatusCode::invalid_argument,
            "the standard table has its own patterns and codebooks; train one to choose them"};
  }
  if (options.patterns != 0 &&
      (options.patterns < h4::kMinPatterns || options.patterns > kMaxPatterns)) {
    return {StatusCode::invalid_argument, fmt::format("{} patterns, not {}..{}", options.patterns,
                                                      h4::kMinPatterns, kMaxPatterns)};
  }
  if (options.codebooks < 0 || options.codebooks > h4::kMaxCodebooks) {
    return {StatusCode::invalid_argument,
            fmt::format("{} codebooks, not 1..{}", options.codebooks, h4::kMaxCodebooks)};
  }
  return {};
}

double bits_per_weight(const std::vector<TensorOutcome>& outcomes, std::uint64_t table_bytes) {
  double bytes = static_cast<double>(table_bytes);
  double values = 0.0;
  for (const TensorOutcome& outcome : outcomes) {
    if (!outcome.codec) continue;
    bytes += static_cast<double>(outcome.stored_bytes);
    values += static_cast<double>(*shape_values(outcome.shape));
  }
  return values > 0.0 ? 8.0 * bytes / values : 0.0;
}

/// Everything that writes.
Status write_model(const Model& model, const std::string& out, const ModelCompressOptions& options,
                   Job& job, CompressReport& report) {
  auto output = ModelOutput::create(model, out, options.overwrite);
  if (!output) return output.error();
  const auto plan = plan_compression(model, report.tensors, options, job);
  if (!plan) return plan.error();
  EncoderCache encoders(options.codec, options.effort, options.mode);
  std::uint64_t table_bytes = 0;
  const auto& shards = Model::Impl::of(model).shards;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    ShardWriter writer(shards[i], i, *plan, options.table);
    if (Status status = writer.write(*output, encoders, job); !status) return status;
    report.stored_bytes += writer.file_bytes();
    table_bytes += writer.table_bytes();
  }
  report.bits_per_weight = bits_per_weight(report.tensors, table_bytes);
  return output->finish(ConfigChange::add_quantization);
}

}  // namespace

Result<CompressReport> compress_model(const std::string& in, const std::string& out,
                                      const ModelCompressOptions& options,
                                      const ParallelFor& parallel, const Progress& progress) {
  return guarded([&]() -> Result<CompressReport> {
    if (Status status = check_options(options); !status) return fail(std::move(status));
    const auto model = Model::open(in);
    if (!model) return fail(model.error());
    if (Status status = check_source(*model); !status) return fail(std::move(status));
    auto outcomes = select_tensors(*model, options);
    if (!outcomes) return fail(outcomes.error());

    CompressReport report;
    report.tensors = std::move(*outcomes);
    report.source_bytes = model->file_bytes();
    report.bits_per_weight = bits_per_weight(report.tensors, 0);
    std::uint64_t total_bytes = 0;
    for (const TensorOutcome& outcome : report.tensors) total_bytes += outcome.source_bytes;
    if (options.dry_run) {
      const auto importances = load_importances(options.importance, *model);
      if (!importances) return fail(importances.error());
      return report;
    }
    Job job(parallel, progress, total_bytes);
    Status status = write_model(*model, out, options, job, report);
    if (!status) return fail(std::move(status));
    return report;
  });
}

}  // namespace ecco
