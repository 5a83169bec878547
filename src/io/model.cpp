// SPDX-License-Identifier: MIT
// Opening a model: every file checked, tensors of all shards gathered.
#include "ecco/model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ecco/decode.hpp"
#include "ecco/standard_tables.hpp"
#include "guarded.hpp"
#include "io/checksum.hpp"
#include "io/convert.hpp"
#include "io/model_impl.hpp"
#include "io/text.hpp"

namespace ecco {
namespace {

Result<Shard> open_shard(const ModelFiles& files, const std::string& name) {
  Shard shard{name, files.path_of(name), {}, {}};
  const std::string subject = escape_controls(shard.path);
  auto map = FileMap::open(shard.path);
  if (!map) return fail(prefixed(subject, map.error()));
  auto container = parse_container(map->bytes());
  if (!container) return fail(prefixed(subject, container.error()));
  shard.map = std::move(*map);
  shard.container = std::move(*container);
  return shard;
}

/// The index names exactly the tensors of the shards, each in its shard.
Status check_index(const Model::Impl& model) {
  if (model.files.index.empty()) return {};
  const std::string subject = escape_controls(model.files.path_of(model.files.index));
  std::size_t found = 0;
  for (const Shard& shard : model.shards) {
    for (const SafetensorsEntry& entry : shard.container.header.entries) {
      const auto mapped = model.files.weight_map.find(entry.name);
      if (mapped == model.files.weight_map.end() || mapped->second != shard.name) {
        return prefixed(
            subject, corrupt_tensor(entry.name, fmt::format("in the shard {}, but not so in the "
                                                            "weight_map",
                                                            shown_name(shard.name))));
      }
      ++found;
    }
  }
  if (found == model.files.weight_map.size()) return {};
  for (const auto& [tensor, name] : model.files.weight_map) {
    const auto shard = std::find_if(model.shards.begin(), model.shards.end(),
                                    [&wanted = name](const Shard& s) { return s.name == wanted; });
    if (shard->container.header.find(tensor) == nullptr) {
      return prefixed(subject, corrupt_tensor(tensor, fmt::format("missing from the shard {}",
                                                                  shown_name(name))));
    }
  }
  return {};
}

/// Values that the compressed tensors of a shard share each of its tables with, by table name.
std::map<std::string, double> table_users(const EccoMetadata& ecco) {
  std::map<std::string, double> values;
  for (const auto& [name, entry] : ecco.tensors) {
    values[entry.table] += static_cast<double>(shape_values(entry.shape).value_or(0));
  }
  return values;
}

std::size_t stored_bytes(const PatternTable& table) {
  return table.centroids.size() + table.codebooks.size();
}

void gather_tensors(const Shard& shard, std::vector<ModelTensor>& out) {
  const Container& container = shard.container;
  const auto users =
      container.ecco ? table_users(*container.ecco) : std::map<std::string, double>();
  for (const SafetensorsEntry& entry : container.header.entries) {
    if (container.ecco && container.ecco->tables.contains(entry.name)) continue;
    ModelTensor tensor;
    tensor.name = entry.name;
    tensor.dtype = entry.dtype;
    tensor.shape = entry.shape;
    tensor.file = shard.path;
    tensor.stored = shard.bytes(entry);
    if (container.ecco) {
      const auto found = container.ecco->tensors.find(entry.name);
      if (found != container.ecco->tensors.end()) {
        const CompressedEntry& compressed = found->second;
        tensor.dtype = compressed.dtype;
        tensor.shape = compressed.shape;
        tensor.codec = compressed.codec;
        tensor.table = compressed.table;
        tensor.tensor_scale = compressed.tensor_scale;
      }
    }
    if (const double values = static_cast<double>(tensor.values()); values > 0.0) {
      tensor.bits_per_weight = 8.0 * static_cast<double>(tensor.stored.size()) / values;
      const auto table = container.tables.find(tensor.table);
      if (table != container.tables.end()) {
        tensor.bits_per_weight +=
            8.0 * static_cast<double>(stored_bytes(table->second)) / users.at(tensor.table);
      }
    }
    out.push_back(std::move(tensor));
  }
}

double pooled_bits_per_weight(const std::vector<ModelTensor>& tensors) {
  double bits = 0.0;
  double values = 0.0;
  for (const ModelTensor& tensor : tensors) {
    if (!tensor.codec) continue;
    bits += tensor.bits_per_weight * static_cast<double>(tensor.values());
    values += static_cast<double>(tensor.values());
  }
  return values > 0.0 ? bits / values : 0.0;
}

Status check_checksums(const Model::Impl& model) {
  for (const ChecksumRecord& record : checksum_records(model)) {
    const std::uint64_t found = xxh3(record.bytes);
    release_pages(record.bytes);
    if (found != record.expected) {
      return {StatusCode::corrupt, shown_place(record.shard->path, record.tensor) + ": " +
                                       checksum_mismatch(found, record.expected)};
    }
  }
  return {};
}

}  // namespace

std::uint64_t ModelTensor::values() const noexcept { return rows() * cols(); }
std::uint64_t ModelTensor::rows() const noexcept { return fold_shape(shape).rows; }
std::uint64_t ModelTensor::cols() const noexcept { return fold_shape(shape).cols; }

Result<Model> Model::open(const std::string& path, Checksums checksums) {
  return guarded([&]() -> Result<Model> {
    auto files = find_model_files(path);
    if (!files) return fail(files.error());
    auto impl = std::make_shared<Impl>();
    impl->files = std::move(*files);
    for (const std::string& name : impl->files.shards) {
      auto shard = open_shard(impl->files, name);
      if (!shard) return fail(shard.error());
      impl->shards.push_back(std::move(*shard));
    }
    if (Status status = check_index(*impl); !status) return fail(std::move(status));
    for (const Shard& shard : impl->shards) {
      gather_tensors(shard, impl->tensors);
      impl->tables.insert(shard.container.tables.begin(), shard.container.tables.end());
    }
    std::sort(impl->tensors.begin(), impl->tensors.end(),
              [](const ModelTensor& a, const ModelTensor& b) { return a.name < b.name; });
    impl->bits_per_weight = pooled_bits_per_weight(impl->tensors);
    if (checksums == Checksums::check) {
      if (Status status = check_checksums(*impl); !status) return fail(std::move(status));
    }
    return Model(std::move(impl));
  });
}

const std::vector<ModelTensor>& Model::tensors() const noexcept { return impl_->tensors; }

const ModelTensor* Model::find(std::string_view name) const noexcept {
  const auto found = std::lower_bound(
      impl_->tensors.begin(), impl_->tensors.end(), name,
      [](const ModelTensor& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return found != impl_->tensors.end() && found->name == name ? &*found : nullptr;
}

TensorView Model::view(const ModelTensor& tensor) const {
  const auto table = impl_->tables.find(tensor.table);
  // Opening has checked all that parse checks.
  return *TensorView::parse(*tensor.codec, tensor.rows(), tensor.cols(), tensor.tensor_scale,
                            table == impl_->tables.end()
                                ? *find_standard_table(*tensor.codec, tensor.table)
                                : table->second.view(),
                            tensor.stored);
}

bool Model::compressed() const noexcept {
  return std::any_of(impl_->shards.begin(), impl_->shards.end(),
                     [](const Shard& shard) { return shard.container.ecco.has_value(); });
}

std::uint64_t Model::file_bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const Shard& shard : impl_->shards) bytes += shard.map.bytes().size();
  return bytes;
}

std::uint64_t Model::header_bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const Shard& shard : impl_->shards) bytes += shard.container.header.header_bytes;
  return bytes;
}

double Model::bits_per_weight() const noexcept { return impl_->bits_per_weight; }

const std::map<std::string, PatternTable>& Model::tables() const noexcept { return impl_->tables; }

void Model::release(const ModelTensor& tensor) const noexcept { release_pages(tensor.stored); }

Status read_rows(const Model& model, const ModelTensor& tensor, std::size_t first_row,
                 MatrixView<float> out) {
  return guarded([&]() -> Status {
    const std::string subject = shown_place(tensor.file, tensor.name);
    if (tensor.codec) {
      return prefixed(subject, decode_rows(model.view(tensor), first_row, out));
    }
    const auto dtype = parse_float_dtype(tensor.dtype);
    if (!dtype) {
      return {StatusCode::unsupported, fmt::format("{}: dtype {} is not F16, BF16 or F32", subject,
                                                   shown_name(tensor.dtype))};
    }
    if (first_row > tensor.rows() || out.rows > tensor.rows() - first_row ||
        out.cols != tensor.cols()) {
      return {StatusCode::shape_mismatch,
              fmt::format("{}: {} x {} values from row {} on asked of {} x {}", subject, out.rows,
                          out.cols, first_row, tensor.rows(), tensor.cols())};
    }
    const std::size_t row_bytes = out.cols * float_bytes(*dtype);
    for (std::size_t r = 0; r < out.rows; ++r) {
      widen(*dtype, tensor.stored.data() + (first_row + r) * row_bytes, {out.row(r), out.cols});
    }
    return {};
  });
}

std::vector<ChecksumRecord> checksum_records(const Model::Impl& model) {
  std::vector<ChecksumRecord> out;
  for (const Shard& shard : model.shards) {
    if (!shard.container.ecco) continue;
    const EccoMetadata& ecco = *shard.container.ecco;
    for (const SafetensorsEntry& entry : shard.container.header.entries) {
      std::uint64_t expected = 0;
      if (const auto found = ecco.tensors.find(entry.name); found != ecco.tensors.end()) {
        expected = found->second.xxh3;
      } else if (const auto table = ecco.tables.find(entry.name); table != ecco.tables.end()) {
        expected = table->second.xxh3;
      } else {
        expected = ecco.carried.at(entry.name);
      }
      out.push_back({entry.name, &shard, shard.bytes(entry), expected});
    }
  }
  return out;
}

std::string shown_place(std::string_view path, std::string_view tensor) {
  return escape_controls(path) + ": " + shown_name(tensor);
}

}  // namespace ecco
