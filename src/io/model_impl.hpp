// SPDX-License-Identifier: MIT
// What a Model knows beyond its public interface: files, checksums, metadata.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ecco/model.hpp"
#include "ecco/safetensors.hpp"
#include "io/ecco_metadata.hpp"
#include "io/file_map.hpp"
#include "io/model_files.hpp"

namespace ecco {

/// One file of the model.
struct Shard {
  std::string name;  ///< file name
  std::string path;
  FileMap map;
  Container container;

  [[nodiscard]] std::span<const std::uint8_t> bytes(const SafetensorsEntry& entry) const noexcept {
    return map.bytes().subspan(container.header.header_bytes + entry.begin,
                               entry.end - entry.begin);
  }
};

struct Model::Impl {
  ModelFiles files;
  std::vector<Shard> shards;  ///< in the order of files.shards
  std::vector<ModelTensor> tensors;
  std::map<std::string, PatternTable> tables;
  double bits_per_weight = 0.0;

  static const Impl& of(const Model& model) noexcept { return *model.impl_; }
};

/// One checksum of a file, and what it covers.
struct ChecksumRecord {
  std::string_view tensor;
  const Shard* shard;
  std::span<const std::uint8_t> bytes;
  std::uint64_t expected;
};

/// Those of all tensors and tables of the files that ecco wrote, in the order of their data.
std::vector<ChecksumRecord> checksum_records(const Model::Impl& model);

/// "FILE: TENSOR"
std::string shown_place(std::string_view path, std::string_view tensor);

}  // namespace ecco
