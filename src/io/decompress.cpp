// SPDX-License-Identifier: MIT
// decompress_model: decode and write shard by shard, checksums checked on the way.
#include <fmt/format.h>

#include <array>
#include <optional>
#include <utility>

#include "ecco/model.hpp"
#include "guarded.hpp"
#include "io/checksum.hpp"
#include "io/convert.hpp"
#include "io/job.hpp"
#include "io/model_output.hpp"
#include "io/text.hpp"

namespace ecco {
namespace {

Status compare_checksums(std::uint64_t found, std::uint64_t recorded) {
  if (found == recorded) return {};
  return {StatusCode::corrupt, checksum_mismatch(found, recorded)};
}

/// Index of the first infinity, or values.size(): decoded values are finite, so that one comes
/// from rounding to a dtype that is too narrow.
std::size_t first_overflow(std::span<const half> values) noexcept {
  std::size_t at = 0;
  while (at < values.size() && (values[at].bits & 0x7fffu) != 0x7c00u) ++at;
  return at;
}
std::size_t first_overflow(std::span<const bfloat16> values) noexcept {
  std::size_t at = 0;
  while (at < values.size() && (values[at].bits & 0x7fffu) != 0x7f80u) ++at;
  return at;
}
std::size_t first_overflow(std::span<const float> values) noexcept {
  return first_not_finite(values);
}

/// Decodes one tensor into its place in the output.
template <typename T>
class TensorDecoder {
 public:
  TensorDecoder(const TensorView& tensor, std::string_view name, FloatDtype target) noexcept
      : tensor_(tensor), name_(name), target_(target), chunks_(tensor.rows(), tensor.cols()) {}

  /// Errors: corrupt (the checksum), invalid_argument (a value overflows the dtype), io_error.
  Status run(std::uint64_t offset, std::uint64_t checksum, const OutputFile& file,
             Job& job) const {
    Checksum found;
    const std::uint64_t unit = block_bytes(tensor_.codec());
    Status status = job.run_windows(
        chunks_, [&](std::uint64_t index) { return decode(chunks_[index], offset, file, job); },
        [&](std::uint64_t begin, std::uint64_t end) -> Status {
          const auto bytes =
              bytes_of_chunks(tensor_.blocks(), chunks_, begin, end, unit,
                              [&](const Chunk& chunk) { return chunks_.first_block(chunk); });
          found.update(bytes);
          release_pages(bytes);
          return {};
        });
    return status ? compare_checksums(found.digest(), checksum) : status;
  }

 private:
  Status decode(const Chunk& chunk, std::uint64_t offset, const OutputFile& file, Job& job) const {
    std::vector<T> values(chunk.values());
    Status status = decode_chunk(tensor_, chunks_, chunk, values.data());
    if (!status) return status;
    if (const std::size_t at = first_overflow(std::span<const T>(values)); at < values.size()) {
      return {StatusCode::invalid_argument,
              fmt::format("the value at row {}, column {} overflows {}, whose largest is {}",
                          chunk.row + at / chunk.cols, chunk.col + at % chunk.cols,
                          float_dtype_name(target_), largest_value(target_))};
    }
    const std::span bytes(reinterpret_cast<const std::uint8_t*>(values.data()),
                          values.size() * sizeof(T));
    status = file.write_at(offset + chunks_.first_value(chunk) * sizeof(T), bytes);
    if (!status) return status;
    return job.advance(Chunks::blocks(chunk) * block_bytes(tensor_.codec()), name_);
  }

  const TensorView& tensor_;
  std::string_view name_;
  FloatDtype target_;
  Chunks chunks_;
};

Status decode_tensor(const TensorView& tensor, std::string_view name, FloatDtype target,
                     std::uint64_t offset, std::uint64_t checksum, const OutputFile& file,
                     Job& job) {
  switch (target) {
    case FloatDtype::f16:
      return TensorDecoder<half>(tensor, name, target).run(offset, checksum, file, job);
    case FloatDtype::bf16:
      return TensorDecoder<bfloat16>(tensor, name, target).run(offset, checksum, file, job);
    case FloatDtype::f32:
      return TensorDecoder<float>(tensor, name, target).run(offset, checksum, file, job);
  }
  return {};
}

/// Writes the original of one shard.
class ShardRestorer {
 public:
  ShardRestorer(const Model& model, const Shard& shard, std::optional<FloatDtype> target)
      : model_(model), shard_(shard) {
    const auto& entries = shard.container.header.entries;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (is_table(entries[i].name)) continue;
      LaidOutEntry out{entries[i], entries[i].end - entries[i].begin, LayoutClass::carried, i};
      const ModelTensor& tensor = *model.find(entries[i].name);
      if (tensor.codec) {
        const FloatDtype dtype = target.value_or(*parse_float_dtype(tensor.dtype));
        out.entry.dtype = float_dtype_name(dtype);
        out.entry.shape = tensor.shape;
        out.bytes = tensor.values() * float_bytes(dtype);
      }
      entries_.push_back(std::move(out));
    }
    data_bytes_ = lay_out(entries_);
  }

  Status write(ModelOutput& output, Job& job) const {
    if (Status status = check_tables(); !status) return status;
    auto file = output.create_shard(shard_);
    if (!file) return file.error();
    auto metadata = shard_.container.header.metadata;
    metadata.erase(std::string(kEccoKey));
    const std::string header = safetensors_header_text(entries_, metadata);
    Status status = file->reserve(header.size() + data_bytes_);
    if (status) status = file->append(header);
    for (const LaidOutEntry& entry : entries_) {
      if (status) status = write_entry(entry, header.size(), *file, job);
    }
    if (status) status = file->close();
    output.add_to_index(shard_, entries_);
    return status;
  }

 private:
  [[nodiscard]] bool is_table(const std::string& name) const {
    return shard_.container.ecco && shard_.container.ecco->tables.contains(name);
  }

  Status check_tables() const {
    if (!shard_.container.ecco) return {};
    for (const auto& [name, table] : shard_.container.ecco->tables) {
      const auto bytes = shard_.bytes(*shard_.container.header.find(name));
      Status status = compare_checksums(xxh3(bytes), table.xxh3);
      if (!status) return prefixed(shown_place(shard_.path, name), status);
    }
    return {};
  }

  Status write_entry(const LaidOutEntry& entry, std::uint64_t header_bytes, OutputFile& file,
                     Job& job) const {
    const std::string& name = entry.entry.name;
    const std::string place = shown_place(shard_.path, name);
    const ModelTensor& tensor = *model_.find(name);
    if (tensor.codec) {
      const TensorView view = model_.view(tensor);
      Status status = decode_tensor(view, name, *parse_float_dtype(entry.entry.dtype),
                                    header_bytes + entry.entry.begin,
                                    shard_.container.ecco->tensors.at(name).xxh3, file, job);
      if (status) {
        file.skip(entry.bytes);
        return {};
      }
      // Errors of writing name the output already.
      return status.code() == StatusCode::io_error ? status : prefixed(place, status);
    }
    const auto checksum = copy_bytes(tensor.stored, name, file, job);
    if (!checksum) return checksum.error();
    if (!shard_.container.ecco) return {};
    return prefixed(place, compare_checksums(*checksum, shard_.container.ecco->carried.at(name)));
  }

  const Model& model_;
  const Shard& shard_;
  std::vector<LaidOutEntry> entries_;
  std::uint64_t data_bytes_ = 0;
};

}  // namespace

Status decompress_model(const std::string& in, const std::string& out,
                        const ModelDecompressOptions& options, const ParallelFor& parallel,
                        const Progress& progress) {
  return guarded([&]() -> Status {
    std::optional<FloatDtype> target;
    if (!options.dtype.empty()) {
      target = parse_float_dtype(options.dtype);
      if (!target) {
        return {StatusCode::invalid_argument,
                fmt::format("dtype {} is not F16, BF16 or F32", shown_name(options.dtype))};
      }
    }
    const auto model = Model::open(in);
    if (!model) return model.error();
    if (!model->compressed()) {
      return {StatusCode::invalid_argument,
              fmt::format("{}: not compressed by ecco", escape_controls(in))};
    }
    auto output = ModelOutput::create(*model, out, options.overwrite);
    if (!output) return output.error();
    std::uint64_t total_bytes = 0;
    for (const ModelTensor& tensor : model->tensors()) total_bytes += tensor.stored.size();
    Job job(parallel, progress, total_bytes);
    for (const Shard& shard : Model::Impl::of(*model).shards) {
      Status status = ShardRestorer(*model, shard, target).write(*output, job);
      if (!status) return status;
    }
    return output->finish(ConfigChange::remove_quantization);
  });
}

}  // namespace ecco
