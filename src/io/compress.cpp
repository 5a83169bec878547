// SPDX-License-Identifier: MIT
// compress_model: select, scan, train, then encode and write shard by shard.
#include <fmt/format.h>

#include <optional>
#include <utility>

#include "ecco/encode.hpp"
#include "ecco/standard_tables.hpp"
#include "io/checksum.hpp"
#include "io/compress_plan.hpp"
#include "io/model_output.hpp"
#include "io/selection.hpp"
#include "io/text.hpp"

namespace ecco {
namespace {

/// Encoders, each built when the first tensor needs it; of trained tables the last one stays.
class EncoderCache {
 public:
  EncoderCache(Codec codec, Effort effort) : codec_(codec), effort_(effort) {}

  Result<Encoder> get(const PatternTable* table) {
    if (table == nullptr) return Encoder::standard(codec_, effort_);
    if (table != table_ || !encoder_) {
      encoder_.reset();
      auto encoder = Encoder::create(table->view(), effort_);
      if (!encoder) return fail(encoder.error());
      encoder_ = std::move(*encoder);
      table_ = table;
    }
    return *encoder_;
  }

 private:
  Codec codec_;
  Effort effort_;
  const PatternTable* table_ = nullptr;
  std::optional<Encoder> encoder_;
};

/// Encodes one tensor and appends its blocks; returns their checksum.
class TensorEncoder {
 public:
  TensorEncoder(const PlannedTensor& tensor, Codec codec, Encoder encoder) noexcept
      : tensor_(tensor),
        encoder_(std::move(encoder)),
        block_bytes_(block_bytes(codec)),
        chunks_(tensor.source->rows(), tensor.source->cols()) {}

  Result<std::uint64_t> run(OutputFile& file, Job& job) {
    Checksum checksum;
    Status status = job.run_windows(
        chunks_,
        [&](std::uint64_t index) {
          const Chunk chunk = chunks_[index];
          Status encoded = encode(chunk, index);
          return encoded ? job.advance(chunk.values() * float_bytes(tensor_.dtype),
                                       tensor_.source->name)
                         : encoded;
        },
        [&](std::uint64_t begin, std::uint64_t end) {
          release_pages(value_bytes(tensor_, chunks_, begin, end));
          const Chunk last = chunks_[end - 1];
          const std::uint64_t blocks = chunks_.first_block(last) + Chunks::blocks(last) -
                                       chunks_.first_block(chunks_[begin]);
          const auto bytes = std::span(window_).first(blocks * block_bytes_);
          checksum.update(bytes);
          return file.append(bytes);
        });
    if (!status) return fail(std::move(status));
    return checksum.digest();
  }

 private:
  /// Writes the blocks of a chunk to their place in the window.
  Status encode(const Chunk& chunk, std::uint64_t index) {
    std::vector<float> values(chunk.values());
    widen(tensor_.dtype,
          tensor_.source->stored.data() + chunks_.first_value(chunk) * float_bytes(tensor_.dtype),
          values);
    const auto importance = tensor_.importance.empty()
                                ? tensor_.importance
                                : tensor_.importance.subspan(chunk.col, chunk.cols);
    const Chunk window_begin = chunks_[index / Chunks::kWindow * Chunks::kWindow];
    const std::uint64_t block = chunks_.first_block(chunk) - chunks_.first_block(window_begin);
    const Status status = encoder_.encode_rows(
        dense_view<const float>(values.data(), chunk.rows, chunk.cols), importance,
        tensor_.tensor_scale, largest_value(tensor_.dtype),
        std::span(window_).subspan(block * block_bytes_, Chunks::blocks(chunk) * block_bytes_));
    return prefixed(shown_place(tensor_.source->file, tensor_.source->name), status);
  }

  const PlannedTensor& tensor_;
  Encoder encoder_;
  std::uint64_t block_bytes_;
  Chunks chunks_;
  std::vector<std::uint8_t> window_ = std::vector<std::uint8_t>(
      std::min(Chunks::kWindow, chunks_.size()) * (Chunks::kValues / kGroup) * block_bytes_);
};

/// Writes one shard.
class ShardWriter {
 public:
  ShardWriter(const Shard& shard, std::size_t shard_number, const CompressPlan& plan,
              TableSource table_source)
      : shard_(shard), plan_(plan) {
    const auto& entries = shard.container.header.entries;
    for (std::size_t i = 0; i < entries.size(); ++i) add_tensor(i);
    name_tables(table_source, shard_number);
    data_bytes_ = lay_out(entries_);
  }

  Status write(ModelOutput& output, EncoderCache& encoders, Job& job) {
    auto file = output.create_shard(shard_);
    if (!file) return file.error();
    const std::string placeholder = header_text();
    Status status = file->reserve(placeholder.size() + data_bytes_);
    if (status) status = file->append(placeholder);
    for (const LaidOutEntry& entry : entries_) {
      if (status) status = write_entry(entry, *file, encoders, job);
    }
    if (!status) return status;
    // The checksums have their digits now, last of all that of the header; no length changes.
    metadata_.header_xxh3 = header_checksum(header_text().substr(kHeaderLengthBytes), 0);
    const std::string header = header_text();
    file_bytes_ = header.size() + data_bytes_;
    status = file->write_at(
        0, std::span(reinterpret_cast<const std::uint8_t*>(header.data()), header.size()));
    if (status) status = file->close();
    output.add_to_index(shard_, entries_);
    return status;
  }

  [[nodiscard]] std::uint64_t file_bytes() const { return file_bytes_; }
  [[nodiscard]] std::uint64_t table_bytes() const {
    std::uint64_t bytes = 0;
    for (const auto& [name, table] : tables_) bytes += table->centroids.size();
    return bytes;
  }

 private:
  void add_tensor(std::size_t index) {
    const SafetensorsEntry& source = shard_.container.header.entries[index];
    LaidOutEntry out{source, source.end - source.begin, LayoutClass::carried, index};
    const auto planned = plan_.tensors.find(source.name);
    if (planned == plan_.tensors.end()) {
      metadata_.carried.emplace(source.name, 0);
    } else {
      const std::uint64_t per_block = block_bytes(plan_.codec);
      const ModelTensor& tensor = *planned->second.source;
      out.entry.dtype = "U8";
      out.entry.shape = {tensor.rows(), blocks_per_row(tensor.cols()), per_block};
      out.bytes = *shape_values(out.entry.shape);
      out.layout_class =
          per_block == 64 ? LayoutClass::cache_line_blocks : LayoutClass::other_blocks;
      metadata_.tensors.emplace(source.name,
                                CompressedEntry{plan_.codec, tensor.shape, tensor.dtype,
                                                planned->second.tensor_scale, "", 0});
    }
    entries_.push_back(std::move(out));
  }

  /// Gives the tables of this shard's tensors names that no other shard uses, and a place.
  void name_tables(TableSource source, std::size_t shard_number) {
    std::map<const PatternTable*, std::string> names;
    for (auto& [name, entry] : metadata_.tensors) {
      const PatternTable* table = plan_.tensors.find(name)->second.table;
      if (table == nullptr) {
        entry.table = kStandardTableName;
        continue;
      }
      auto [named, added] = names.emplace(table, "");
      if (added) {
        named->second = source == TableSource::file
                            ? fmt::format("{}file-{:05}", kTablePrefix, shard_number + 1)
                            : fmt::format("{}tensor-{:05}-{:05}", kTablePrefix, shard_number + 1,
                                          names.size());
        add_table(named->second, *table);
      }
      entry.table = named->second;
    }
  }

  void add_table(const std::string& name, const PatternTable& table) {
    const auto width = static_cast<std::uint64_t>(centroids_per_pattern(table.codec));
    LaidOutEntry out;
    out.entry.name = name;
    out.entry.dtype = "I8";
    out.entry.shape = {table.centroids.size() / width, width};
    out.bytes = table.centroids.size();
    out.layout_class = LayoutClass::table;
    entries_.push_back(std::move(out));
    metadata_.tables.emplace(name, TableEntry{table.codec, xxh3(centroid_bytes(table))});
    tables_.emplace(name, &table);
  }

  static std::span<const std::uint8_t> centroid_bytes(const PatternTable& table) {
    return {reinterpret_cast<const std::uint8_t*>(table.centroids.data()), table.centroids.size()};
  }

  Status write_entry(const LaidOutEntry& entry, OutputFile& file, EncoderCache& encoders,
                     Job& job) {
    const std::string& name = entry.entry.name;
    if (entry.layout_class == LayoutClass::table) {
      return file.append(centroid_bytes(*tables_.at(name)));
    }
    const auto planned = plan_.tensors.find(name);
    if (planned == plan_.tensors.end()) {
      const auto bytes = shard_.bytes(shard_.container.header.entries[entry.source]);
      const auto checksum = copy_bytes(bytes, name, file, job);
      if (!checksum) return checksum.error();
      metadata_.carried.at(name) = *checksum;
      return {};
    }
    auto encoder = encoders.get(planned->second.table);
    if (!encoder) return prefixed(shown_place(shard_.path, name), encoder.error());
    TensorEncoder tensor(planned->second, plan_.codec, std::move(*encoder));
    const auto checksum = tensor.run(file, job);
    if (!checksum) return checksum.error();
    metadata_.tensors.at(name).xxh3 = *checksum;
    return {};
  }

  [[nodiscard]] std::string header_text() const {
    auto strings = shard_.container.header.metadata;
    strings[std::string(kEccoKey)] = ecco_metadata_text(metadata_);
    return safetensors_header_text(entries_, strings);
  }

  const Shard& shard_;
  const CompressPlan& plan_;
  EccoMetadata metadata_ = {{}, {}, {}, 0};
  std::map<std::string, const PatternTable*> tables_;
  std::vector<LaidOutEntry> entries_;
  std::uint64_t data_bytes_ = 0;
  std::uint64_t file_bytes_ = 0;
};

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
  EncoderCache encoders(options.codec, options.effort);
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
    if (!is_planar(options.codec)) {
      return fail(StatusCode::unsupported, fmt::format("codec {} is not supported by this version",
                                                       codec_name(options.codec)));
    }
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
