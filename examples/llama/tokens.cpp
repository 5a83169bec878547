// SPDX-License-Identifier: MIT
#include "llama/tokens.hpp"

#include <fmt/format.h>

#include "llama/files.hpp"

namespace llama {

using ecco::StatusCode;

ecco::Result<std::vector<std::uint32_t>> read_tokens(const std::string& path,
                                                     std::size_t vocab_size) {
  constexpr std::size_t kMaxTokenBytes = std::size_t{1} << 30;
  const auto bytes = read_file(path, kMaxTokenBytes);
  if (!bytes) return ecco::fail(bytes.error());
  if (bytes->empty()) return ecco::fail(StatusCode::corrupt, path + ": empty, no token ids");
  if (bytes->size() % 2 != 0) {
    return ecco::fail(
        StatusCode::corrupt,
        fmt::format("{}: {} bytes, not a whole number of 16-bit token ids", path, bytes->size()));
  }
  std::vector<std::uint32_t> tokens(bytes->size() / 2);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto low = static_cast<unsigned char>((*bytes)[2 * i]);
    const auto high = static_cast<unsigned char>((*bytes)[2 * i + 1]);
    tokens[i] = low | static_cast<std::uint32_t>(high) << 8;
    if (tokens[i] >= vocab_size) {
      return ecco::fail(StatusCode::corrupt,
                        fmt::format("{}: token {} has the id {}, but the vocabulary has {}", path,
                                    i, tokens[i], vocab_size));
    }
  }
  return tokens;
}

}  // namespace llama
