// SPDX-License-Identifier: MIT
#include "io/text.hpp"

#include <fmt/format.h>

namespace ecco {
namespace {

constexpr std::size_t kLongestName = 120;

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0u) == 0x80u; }

}  // namespace

std::string escape_controls(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\x{:02X}", byte);
    } else if (byte == 0xC2 && i + 1 < text.size() &&
               static_cast<unsigned char>(text[i + 1]) < 0xA0) {
      out += fmt::format("\\x{:02X}", static_cast<unsigned char>(text[++i]));  // C1 in UTF-8
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string shown_name(std::string_view name) {
  if (name.empty()) return "''";
  if (name.size() <= kLongestName) return escape_controls(name);
  std::size_t head = 80;
  std::size_t tail = name.size() - (kLongestName - 83);
  while (head > 0 && is_continuation(name[head])) --head;
  while (tail < name.size() && is_continuation(name[tail])) ++tail;
  return escape_controls(name.substr(0, head)) + "..." + escape_controls(name.substr(tail));
}

Status prefixed(std::string_view subject, const Status& status) {
  if (status.ok()) return status;
  return {status.code(), std::string(subject) + ": " + status.message()};
}

Status corrupt_tensor(std::string_view name, std::string_view reason) {
  return {StatusCode::corrupt, shown_name(name) + ": " + std::string(reason)};
}

}  // namespace ecco
