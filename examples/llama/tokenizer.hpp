// SPDX-License-Identifier: MIT
// Text to token ids and back, by the model's tokenizer.model and libsentencepiece.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ecco/status.hpp"
#include "llama/config.hpp"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace llama {

class Tokenizer {
 public:
  /// Reads tokenizer.model and, where it exists, tokenizer_config.json of a model directory.
  /// Errors: io_error; corrupt (no SentencePiece model, more pieces than the vocabulary).
  static ecco::Result<Tokenizer> load(const std::string& directory, const Config& config);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Token ids of a text, after the token that begins a text if tokenizer_config.json asks for it
  /// (add_bos_token).
  [[nodiscard]] ecco::Result<std::vector<std::uint32_t>> encode(std::string_view text) const;
  /// The bytes that a token stands for: a piece of a character where the token is one byte,
  /// nothing where it is a mark such as the end of a text.
  [[nodiscard]] std::string bytes(std::uint32_t token) const;

 private:
  Tokenizer();

  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
  std::vector<std::uint32_t> prefix_;
};

/// Puts bytes that come in any pieces together to whole UTF-8 characters. What is no UTF-8, and
/// control characters but newline and tab, which a terminal would obey, become U+FFFD.
class Utf8Stream {
 public:
  /// The characters that are complete with these bytes.
  std::string append(std::string_view bytes);
  /// What is left of an incomplete character, as U+FFFD.
  std::string finish();

 private:
  std::string pending_;
};

}  // namespace llama
