// SPDX-License-Identifier: MIT
// Which files make up a model: one file, an index with its shards, or a directory with either.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ecco/status.hpp"

namespace ecco {

inline constexpr const char* kModelFileName = "model.safetensors";
inline constexpr const char* kIndexFileName = "model.safetensors.index.json";

enum class ModelKind : std::uint8_t { file, index, directory };

struct ModelFiles {
  ModelKind kind = ModelKind::file;
  std::string directory;                          ///< that holds the files; "." if none is named
  std::string index;                              ///< file name of the index; "" without one
  std::vector<std::string> shards;                ///< file names, ascending, each once
  std::map<std::string, std::string> weight_map;  ///< tensor -> shard; empty without an index

  [[nodiscard]] std::string path_of(const std::string& file_name) const;
};

/// Looks at the file system and reads the index, but no shard. Errors: io_error, corrupt; one line
/// naming the file.
Result<ModelFiles> find_model_files(const std::string& path);

/// True for paths that commands take for an index.
bool is_index_path(const std::string& path) noexcept;

/// Text of a small file. Errors: io_error, corrupt (over kLongestHeader bytes), without the path.
Result<std::string> read_text(const std::string& path);

}  // namespace ecco
