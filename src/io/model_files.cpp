// SPDX-License-Identifier: MIT
#include "io/model_files.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <set>
#include <string_view>

#include "io/file_map.hpp"
#include "io/json.hpp"
#include "io/safetensors_header.hpp"
#include "io/text.hpp"

namespace ecco {
namespace {

namespace fs = std::filesystem;

/// A shard lies beside its index; anything that could lead elsewhere is refused.
bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

Status read_weight_map(const Json& json, ModelFiles& files) {
  const Json* map = json_member(json, "weight_map");
  if (map == nullptr || !map->is_object()) {
    return {StatusCode::corrupt, "no \"weight_map\", which must be an object"};
  }
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string()) return corrupt_tensor(tensor, "its shard's name is not a string");
    const auto& name = shard.get_ref<const std::string&>();
    if (!is_plain_file_name(name)) {
      return corrupt_tensor(
          tensor, fmt::format("the shard {} is not in the index's directory", shown_name(name)));
    }
    files.weight_map.emplace(tensor, name);
    shards.insert(name);
  }
  files.shards.assign(shards.begin(), shards.end());
  return {};
}

Result<ModelFiles> read_index(const fs::path& path, ModelKind kind) {
  ModelFiles files;
  files.kind = kind;
  files.directory = path.has_parent_path() ? path.parent_path().string() : ".";
  files.index = path.filename().string();
  const std::string subject = escape_controls(path.string());
  const auto text = read_text(path.string());
  if (!text) return fail(prefixed(subject, text.error()));
  const auto json = parse_json(*text);
  if (!json) return fail(prefixed(subject, json.error()));
  if (Status status = read_weight_map(*json, files); !status) {
    return fail(prefixed(subject, status));
  }
  return files;
}

ModelFiles single_file(const fs::path& path, ModelKind kind) {
  ModelFiles files;
  files.kind = kind;
  files.directory = path.has_parent_path() ? path.parent_path().string() : ".";
  files.shards = {path.filename().string()};
  return files;
}

}  // namespace

std::string ModelFiles::path_of(const std::string& file_name) const {
  return directory == "." ? file_name : (fs::path(directory) / file_name).string();
}

bool is_index_path(const std::string& path) noexcept { return path.ends_with(".index.json"); }

Result<ModelFiles> find_model_files(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    return is_index_path(path) ? read_index(path, ModelKind::index)
                               : Result<ModelFiles>(single_file(path, ModelKind::file));
  }
  const fs::path directory(path);
  if (fs::exists(directory / kModelFileName, error)) {
    return single_file(directory / kModelFileName, ModelKind::directory);
  }
  if (fs::exists(directory / kIndexFileName, error)) {
    return read_index(directory / kIndexFileName, ModelKind::directory);
  }
  return fail(StatusCode::io_error,
              fmt::format("{}: a directory without {} or {}", escape_controls(path),
                          kModelFileName, kIndexFileName));
}

Result<std::string> read_text(const std::string& path) {
  const auto map = FileMap::open(path);
  if (!map) return fail(map.error());
  const auto bytes = map->bytes();
  if (bytes.size() > kLongestHeader) {
    return fail(StatusCode::corrupt,
                fmt::format("{} bytes, more than {}", bytes.size(), kLongestHeader));
  }
  return std::string(bytes.begin(), bytes.end());
}

}  // namespace ecco
