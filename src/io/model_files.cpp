// SPDX-License-Identifier: MIT
#include "io/model_files.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

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

/// The object under "weight_map": a shard's name for each tensor.
class WeightMapTarget final : public JsonTarget {
 public:
  explicit WeightMapTarget(std::map<std::string, std::string>& out) : out_(out) {}
  void value(Json value) override { is_object_ = value.is_object(); }
  JsonTarget* member(const std::string& tensor) override {
    if (!status_) return nullptr;
    tensor_ = tensor;
    return &shard_.emplace();
  }
  void member_read() override {
    if (!status_) return;
    std::string* name = shard_->text();
    if (name == nullptr) {
      status_ = corrupt_tensor(tensor_, "its shard's name is not a string");
    } else if (!is_plain_file_name(*name)) {
      status_ = corrupt_tensor(
          tensor_, fmt::format("the shard {} is not in the index's directory", shown_name(*name)));
    } else {
      out_.emplace(std::move(tensor_), std::move(*name));
    }
  }

  [[nodiscard]] Status status() const {
    if (is_object_) return status_;
    return {StatusCode::corrupt, "no \"weight_map\", which must be an object"};
  }

 private:
  std::map<std::string, std::string>& out_;
  std::string tensor_;
  std::optional<JsonScalar> shard_;
  bool is_object_ = false;
  Status status_;
};

/// An index, of which only the map is read.
class IndexTarget final : public JsonTarget {
 public:
  explicit IndexTarget(JsonTarget& weight_map) : weight_map_(weight_map) {}
  void value(Json /*value*/) override {}
  JsonTarget* member(const std::string& key) override {
    return key == "weight_map" ? &weight_map_ : nullptr;
  }

 private:
  JsonTarget& weight_map_;
};

Status parse_index(std::string_view text, ModelFiles& files) {
  WeightMapTarget weight_map(files.weight_map);
  IndexTarget index(weight_map);
  Status status = read_json(text, index);
  if (status) status = weight_map.status();
  if (!status) return status;
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : files.weight_map) shards.insert(shard);
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
  if (Status status = parse_index(*text, files); !status) return fail(prefixed(subject, status));
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
