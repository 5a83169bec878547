// SPDX-License-Identifier: MIT
#include "io/side_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include "io/file_map.hpp"
#include "io/json.hpp"
#include "io/text.hpp"

namespace ecco {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kConfigName = "config.json";
constexpr std::size_t kLongestConfig = 1'000'000;  // keeping keys in order takes quadratic time
constexpr const char* kQuantizationKey = "quantization_config";

/// Configuration, tokenizer, chat template, custom code and licence; never weights.
bool belongs_to_model(const fs::path& path) {
  constexpr std::array<std::string_view, 6> kExtensions = {".json",  ".model",    ".txt",
                                                           ".jinja", ".tiktoken", ".py"};
  constexpr std::array<std::string_view, 2> kStems = {"LICENSE", "NOTICE"};
  const std::string name = path.filename().string();
  if (name.starts_with('.') || is_index_path(name)) return false;
  const std::string extension = path.extension().string();
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end() ||
         std::find(kStems.begin(), kStems.end(), path.stem().string()) != kStems.end();
}

Result<std::vector<std::string>> side_file_names(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code ignored;
    if (belongs_to_model(at->path()) && at->is_regular_file(ignored)) {
      names.push_back(at->path().filename().string());
    }
  }
  if (error) {
    return fail(StatusCode::io_error,
                fmt::format("{}: {}", escape_controls(directory), error.message()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

Status write_text(const std::string& name, std::string_view text, OutputSet& out) {
  auto file = out.create(name);
  if (!file) return file.error();
  Status status = file->append(text);
  return status ? file->close() : status;
}

/// The text of config.json with the change made; the same text where there is nothing to change.
Result<std::string> changed_config(const std::string& text, ConfigChange change) {
  auto json = parse_ordered_json(text);
  if (!json) return fail(json.error());
  if (!json->is_object()) return fail(StatusCode::corrupt, "not a JSON object");
  const auto existing = json->find(kQuantizationKey);
  if (change == ConfigChange::add_quantization) {
    if (existing != json->end()) {
      return fail(StatusCode::invalid_argument,
                  fmt::format("has \"{}\" already: the model is quantized in another way",
                              kQuantizationKey));
    }
    (*json)[kQuantizationKey] = {{"quant_method", "ecco"}, {"format", 1}};
  } else {
    if (existing == json->end() || !existing->is_object() ||
        existing->value("quant_method", OrderedJson()) != "ecco") {
      return text;
    }
    json->erase(kQuantizationKey);
  }
  return json->dump(2) + '\n';
}

Status copy_side_file(const std::string& path, const std::string& name, ConfigChange change,
                      OutputSet& out) {
  const std::string subject = escape_controls(path);
  auto map = FileMap::open(path);
  if (!map) return prefixed(subject, map.error());
  if (name != kConfigName) {
    auto file = out.create(name);
    if (!file) return file.error();
    Status status = file->append(map->bytes());
    return status ? file->close() : status;
  }
  if (map->bytes().size() > kLongestConfig) {
    return {StatusCode::corrupt, fmt::format("{}: {} bytes, more than {}", subject,
                                             map->bytes().size(), kLongestConfig)};
  }
  const std::string text(map->bytes().begin(), map->bytes().end());
  const auto config = changed_config(text, change);
  if (!config) return prefixed(subject, config.error());
  return write_text(name, *config, out);
}

}  // namespace

Status copy_side_files(const ModelFiles& files, ConfigChange change, OutputSet& out) {
  const auto names = side_file_names(files.directory);
  if (!names) return names.error();
  for (const std::string& name : *names) {
    Status status = copy_side_file((fs::path(files.directory) / name).string(), name, change, out);
    if (!status) return status;
  }
  return {};
}

Status write_index(const std::string& name, std::uint64_t total_size,
                   const std::map<std::string, std::string>& weight_map, OutputSet& out) {
  const OrderedJson index = {{"metadata", {{"total_size", total_size}}},
                             {"weight_map", Json(weight_map)}};
  return write_text(name, index.dump(2) + '\n', out);
}

}  // namespace ecco
