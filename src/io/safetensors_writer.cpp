// SPDX-License-Identifier: MIT
#include "io/safetensors_writer.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <tuple>

#include "io/json.hpp"
#include "io/safetensors_header.hpp"

namespace ecco {
namespace {

constexpr std::size_t kAlignment = 64;

/// Larger elements first, unknown dtypes (0 bits) last.
unsigned element_bits(const LaidOutEntry& entry) {
  if (entry.layout_class != LayoutClass::carried) return 0;
  return dtype_bits(entry.entry.dtype).value_or(0);
}

std::string quoted(const std::string& text) { return Json(text).dump(); }

}  // namespace

std::uint64_t lay_out(std::vector<LaidOutEntry>& entries) {
  std::sort(entries.begin(), entries.end(), [](const LaidOutEntry& a, const LaidOutEntry& b) {
    const unsigned a_bits = element_bits(a);
    const unsigned b_bits = element_bits(b);
    return std::tie(a.layout_class, b_bits, a.entry.name) <
           std::tie(b.layout_class, a_bits, b.entry.name);
  });
  std::uint64_t end = 0;
  for (LaidOutEntry& entry : entries) {
    entry.entry.begin = end;
    end += entry.bytes;
    entry.entry.end = end;
  }
  return end;
}

std::string safetensors_header_text(const std::vector<LaidOutEntry>& entries,
                                    const std::map<std::string, std::string>& metadata) {
  std::string json = "{";
  const auto out = std::back_inserter(json);
  if (!metadata.empty()) fmt::format_to(out, "\"__metadata__\":{}", Json(metadata).dump());
  for (const LaidOutEntry& laid_out : entries) {
    const SafetensorsEntry& entry = laid_out.entry;
    fmt::format_to(out, "{}{}:{{\"dtype\":{},\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                   json.size() > 1 ? "," : "", quoted(entry.name), quoted(entry.dtype),
                   fmt::join(entry.shape, ","), entry.begin, entry.end);
  }
  json += '}';
  const std::size_t unpadded = kHeaderLengthBytes + json.size();
  json.append((unpadded + kAlignment - 1) / kAlignment * kAlignment - unpadded, ' ');
  std::string text;
  for (unsigned i = 0; i < kHeaderLengthBytes; ++i) {
    text += static_cast<char>(static_cast<std::uint64_t>(json.size()) >> (8 * i) & 0xffu);
  }
  return text + json;
}

}  // namespace ecco
