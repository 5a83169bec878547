// SPDX-License-Identifier: MIT
#include "llama/config.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "llama/files.hpp"

namespace llama {
namespace {

using ecco::StatusCode;
using nlohmann::json;

constexpr std::uint64_t kMaxSize = 1u << 24;  // products of three sizes still fit 64 bits (almost)
constexpr std::size_t kMaxConfigBytes = 1 << 20;

struct ConfigError {
  StatusCode code;
  std::string message;
};

[[noreturn]] void refuse(StatusCode code, std::string message) {
  throw ConfigError{code, std::move(message)};
}

std::string text_of(const json& value) {
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

/// The value of a key, or nullptr when it is absent or null.
const json* find(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::size_t size_of(const json& object, const char* key, std::optional<std::size_t> absent = {}) {
  const json* value = find(object, key);
  if (value == nullptr) {
    if (!absent) refuse(StatusCode::corrupt, fmt::format("{} is missing", key));
    return *absent;
  }
  if (!value->is_number_unsigned() || *value == 0 || *value > kMaxSize) {
    refuse(StatusCode::corrupt, fmt::format("{} is {}, not a whole number from 1 to {}", key,
                                            text_of(*value), kMaxSize));
  }
  return value->get<std::size_t>();
}

double positive_number(const json& object, const char* key, std::optional<double> absent = {}) {
  const json* value = find(object, key);
  if (value == nullptr) {
    if (!absent) refuse(StatusCode::corrupt, fmt::format("{} is missing", key));
    return *absent;
  }
  if (!value->is_number() || !(value->get<double>() > 0.0) ||
      !std::isfinite(value->get<double>())) {
    refuse(StatusCode::corrupt,
           fmt::format("{} is {}, not a positive number", key, text_of(*value)));
  }
  return value->get<double>();
}

bool flag(const json& object, const char* key) {
  const json* value = find(object, key);
  if (value == nullptr) return false;
  if (!value->is_boolean()) {
    refuse(StatusCode::corrupt, fmt::format("{} is {}, not true or false", key, text_of(*value)));
  }
  return value->get<bool>();
}

/// A token id, a list of them, or none; ids outside the vocabulary are never produced and ignored.
std::vector<std::uint32_t> token_ids(const json& object, const char* key, std::size_t vocab_size) {
  std::vector<std::uint32_t> ids;
  const json* value = find(object, key);
  if (value == nullptr) return ids;
  for (const json& id : value->is_array() ? *value : json::array({*value})) {
    if (!id.is_number_integer()) {
      refuse(StatusCode::corrupt,
             fmt::format("{} is {}, not a token id or a list of them", key, text_of(*value)));
    }
    if (id >= 0 && id < vocab_size) ids.push_back(id.get<std::uint32_t>());
  }
  return ids;
}

void refuse_other_models(const json& object) {
  const json* type = find(object, "model_type");
  if (type == nullptr) refuse(StatusCode::corrupt, "model_type is missing");
  if (*type != "llama") {
    refuse(StatusCode::unsupported,
           fmt::format("model_type is {}; only \"llama\" is supported", text_of(*type)));
  }
  const json* activation = find(object, "hidden_act");
  if (activation != nullptr && *activation != "silu") {
    refuse(StatusCode::unsupported,
           fmt::format("hidden_act is {}; only \"silu\" is supported", text_of(*activation)));
  }
  for (const char* key : {"attention_bias", "mlp_bias"}) {
    if (flag(object, key)) {
      refuse(StatusCode::unsupported, fmt::format("{} is true; biases are not supported", key));
    }
  }
}

/// Older files have rope_theta beside an optional rope_scaling, newer ones both in
/// rope_parameters.
double rope_theta(const json& object) {
  const json* place = &object;
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const json* rope = find(object, key);
    if (rope == nullptr) continue;
    if (!rope->is_object()) {
      refuse(StatusCode::corrupt, fmt::format("{} is {}, not an object", key, text_of(*rope)));
    }
    for (const char* name : {"rope_type", "type"}) {
      const json* type = find(*rope, name);
      if (type == nullptr || *type == "default") continue;
      refuse(
          StatusCode::unsupported,
          fmt::format("{} is of the type {}; only \"default\" is supported", key, text_of(*type)));
    }
    if (find(*rope, "rope_theta") != nullptr) place = rope;
  }
  return positive_number(*place, "rope_theta", 10000.0);
}

Config read(const json& object) {
  if (!object.is_object()) refuse(StatusCode::corrupt, "not a JSON object");
  refuse_other_models(object);
  Config config;
  config.hidden_size = size_of(object, "hidden_size");
  config.intermediate_size = size_of(object, "intermediate_size");
  config.layers = size_of(object, "num_hidden_layers");
  config.heads = size_of(object, "num_attention_heads");
  config.kv_heads = size_of(object, "num_key_value_heads", config.heads);
  if (config.heads % config.kv_heads != 0) {
    refuse(StatusCode::corrupt,
           fmt::format("num_attention_heads {} is not a multiple of num_key_value_heads {}",
                       config.heads, config.kv_heads));
  }
  if (find(object, "head_dim") == nullptr && config.hidden_size % config.heads != 0) {
    refuse(StatusCode::corrupt,
           fmt::format("hidden_size {} is not a multiple of num_attention_heads {}, and head_dim "
                       "is missing",
                       config.hidden_size, config.heads));
  }
  config.head_dim = size_of(object, "head_dim", config.hidden_size / config.heads);
  if (config.head_dim % 2 != 0) {
    refuse(StatusCode::corrupt,
           fmt::format("head_dim is {}, which RoPE cannot halve", config.head_dim));
  }
  config.vocab_size = size_of(object, "vocab_size");
  config.context = size_of(object, "max_position_embeddings");
  config.rms_norm_eps = static_cast<float>(positive_number(object, "rms_norm_eps"));
  config.rope_theta = rope_theta(object);
  config.tied_head = flag(object, "tie_word_embeddings");
  const std::vector<std::uint32_t> bos = token_ids(object, "bos_token_id", config.vocab_size);
  if (!bos.empty()) config.bos = bos.front();
  config.eos = token_ids(object, "eos_token_id", config.vocab_size);
  return config;
}

}  // namespace

ecco::Result<Config> parse_config(std::string_view text, const std::string& path) {
  const json object = json::parse(text, nullptr, false);
  if (object.is_discarded()) return ecco::fail(StatusCode::corrupt, path + ": not valid JSON");
  try {
    return read(object);
  } catch (const ConfigError& error) {
    return ecco::fail(error.code, path + ": " + error.message);
  }
}

ecco::Result<Config> read_config(const std::string& directory) {
  const std::string path = directory + "/config.json";
  const auto text = read_file(path, kMaxConfigBytes);
  if (!text) return ecco::fail(text.error());
  return parse_config(*text, path);
}

}  // namespace llama
