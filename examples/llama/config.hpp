// SPDX-License-Identifier: MIT
// config.json of a Llama-type model, as Hugging Face writes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ecco/status.hpp"

namespace llama {

struct Config {
  std::size_t hidden_size = 0;
  std::size_t intermediate_size = 0;
  std::size_t layers = 0;
  std::size_t heads = 0;     ///< of queries
  std::size_t kv_heads = 0;  ///< of keys and values; divides heads
  std::size_t head_dim = 0;  ///< even
  std::size_t vocab_size = 0;
  std::size_t context = 0;  ///< max_position_embeddings
  float rms_norm_eps = 0.0f;
  double rope_theta = 0.0;
  bool tied_head = false;  ///< the embedding is the output matrix, too
  std::optional<std::uint32_t> bos;
  std::vector<std::uint32_t> eos;  ///< any of them ends a text

  [[nodiscard]] std::size_t q_size() const noexcept { return heads * head_dim; }
  [[nodiscard]] std::size_t kv_size() const noexcept { return kv_heads * head_dim; }
};

/// Reads the text of a config.json; `path` is for the messages. Errors: corrupt (no JSON, a key
/// that is missing or out of range), unsupported (another model type, activation or RoPE scaling;
/// biases), each naming the key and its value.
ecco::Result<Config> parse_config(std::string_view text, const std::string& path);

/// parse_config of `directory`/config.json. Errors: io_error, too.
ecco::Result<Config> read_config(const std::string& directory);

}  // namespace llama
