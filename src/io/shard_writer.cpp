// SPDX-License-Identifier: MIT
#include "io/shard_writer.hpp"

#include <fmt/format.h>

#include <utility>

#include "ecco/standard_tables.hpp"
#include "io/checksum.hpp"
#include "io/text.hpp"

namespace ecco {

ShardWriter::ShardWriter(const Shard& shard, std::size_t shard_number, const CompressPlan& plan,
                         TableSource table_source)
    : shard_(shard), plan_(plan) {
  const auto& entries = shard.container.header.entries;
  for (std::size_t i = 0; i < entries.size(); ++i) add_tensor(i);
  name_tables(table_source, shard_number);
  data_bytes_ = lay_out(entries_);
}

Status ShardWriter::write(ModelOutput& output, EncoderCache& encoders, Job& job) {
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

std::uint64_t ShardWriter::table_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& [name, bytes] : tables_) sum += bytes.size();
  return sum;
}

void ShardWriter::add_tensor(std::size_t index) {
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
    metadata_.tensors.emplace(source.name, CompressedEntry{plan_.codec, tensor.shape, tensor.dtype,
                                                           planned->second.tensor_scale, "", 0});
  }
  entries_.push_back(std::move(out));
}

/// Gives the tables of this shard's tensors names that no other shard uses, and a place.
void ShardWriter::name_tables(TableSource source, std::size_t shard_number) {
  std::map<const PatternTable*, std::string> names;
  for (auto& [name, entry] : metadata_.tensors) {
    const PatternTable* table = plan_.tensors.find(name)->second.table;
    if (table == nullptr) {
      entry.table = kStandardTableName;
      continue;
    }
    auto [named, added] = names.emplace(table, "");
    if (added) {
      const std::string id =
          source == TableSource::file
              ? fmt::format("file-{:05}", shard_number + 1)
              : fmt::format("tensor-{:05}-{:05}", shard_number + 1, names.size());
      named->second = std::string(kTablePrefix) + id;
      add_table(id, *table);
    }
    entry.table = named->second;
  }
}

void ShardWriter::add_table(const std::string& id, const PatternTable& table) {
  add_table_part(
      std::string(kTablePrefix) + id, "I8",
      static_cast<std::size_t>(centroids_per_pattern(table.codec)), table.codec,
      {reinterpret_cast<const std::uint8_t*>(table.centroids.data()), table.centroids.size()});
  if (table.codebooks.empty()) return;
  add_table_part(std::string(kCodebookPrefix) + id, "U8", huffman::kSymbols, table.codec,
                 table.codebooks);
}

void ShardWriter::add_table_part(std::string name, std::string dtype, std::size_t row_bytes,
                                 Codec codec, std::span<const std::uint8_t> bytes) {
  LaidOutEntry out;
  out.entry.name = name;
  out.entry.dtype = std::move(dtype);
  out.entry.shape = {bytes.size() / row_bytes, row_bytes};
  out.bytes = bytes.size();
  out.layout_class = LayoutClass::table;
  entries_.push_back(std::move(out));
  metadata_.tables.emplace(name, TableEntry{codec, xxh3(bytes)});
  tables_.emplace(std::move(name), bytes);
}

Status ShardWriter::write_entry(const LaidOutEntry& entry, OutputFile& file,
                                EncoderCache& encoders, Job& job) {
  const std::string& name = entry.entry.name;
  if (entry.layout_class == LayoutClass::table) {
    return file.append(tables_.at(name));
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

std::string ShardWriter::header_text() const {
  auto strings = shard_.container.header.metadata;
  strings[std::string(kEccoKey)] = ecco_metadata_text(metadata_);
  return safetensors_header_text(entries_, strings);
}

}  // namespace ecco
