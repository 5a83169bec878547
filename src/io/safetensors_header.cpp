// SPDX-License-Identifier: MIT
#include "io/safetensors_header.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <tuple>
#include <utility>

#include "io/json.hpp"
#include "io/text.hpp"

namespace ecco {
namespace {

constexpr std::string_view kMetadataKey = "__metadata__";
constexpr auto kMaxSize = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

/// The JSON text, after the checks of the length in front of it.
Result<std::string_view> header_text(std::span<const std::uint8_t> file) {
  if (file.size() < kHeaderLengthBytes) {
    return fail(StatusCode::corrupt,
                fmt::format("truncated: {} bytes do not hold the header's length", file.size()));
  }
  std::uint64_t length = 0;
  for (std::size_t i = kHeaderLengthBytes; i-- > 0;) length = length << 8 | file[i];
  if (length > kLongestHeader) {
    return fail(StatusCode::corrupt,
                fmt::format("header of {} bytes, more than {}", length, kLongestHeader));
  }
  const std::uint64_t room = file.size() - kHeaderLengthBytes;
  if (length > room) {
    return fail(StatusCode::corrupt,
                fmt::format("truncated: header of {} bytes in a file of {}", length, file.size()));
  }
  const auto* begin = reinterpret_cast<const char*>(file.data() + kHeaderLengthBytes);
  const std::string_view text(begin, static_cast<std::size_t>(length));
  if (!text.starts_with('{')) {
    return fail(StatusCode::corrupt, "not a safetensors file: the header does not begin with '{'");
  }
  return text;
}

/// The strings of `__metadata__`.
class MetadataTarget final : public JsonTarget {
 public:
  void value(Json value) override {
    if (!value.is_object()) status = corrupt_tensor(kMetadataKey, "not a JSON object");
  }
  JsonTarget* member(const std::string& name) override {
    name_ = name;
    return &string_.emplace();
  }
  void member_read() override {
    if (!status) return;
    if (std::string* text = string_->text()) {
      strings.emplace(std::move(name_), std::move(*text));
      return;
    }
    status = corrupt_tensor(kMetadataKey,
                            fmt::format("the value of \"{}\" is not a string", shown_name(name_)));
  }

  std::map<std::string, std::string> strings;
  Status status;

 private:
  std::string name_;
  std::optional<JsonScalar> string_;
};

/// Checks that shape and dtype give the size of the byte range.
Status check_size(const SafetensorsEntry& entry) {
  const auto values = shape_values(entry.shape);
  if (!values) {
    return corrupt_tensor(entry.name,
                          fmt::format("the shape {} overflows", shown_shape(entry.shape)));
  }
  const auto bits = dtype_bits(entry.dtype);
  if (!bits) return {};  // unknown to us: carried by its byte range
  std::uint64_t needed_bits = 0;
  if (__builtin_mul_overflow(*values, std::uint64_t{*bits}, &needed_bits)) {
    return corrupt_tensor(entry.name,
                          fmt::format("the shape {} overflows", shown_shape(entry.shape)));
  }
  const std::uint64_t size = entry.end - entry.begin;
  if (needed_bits % 8 != 0 || needed_bits / 8 != size) {
    return corrupt_tensor(entry.name, fmt::format("{} of shape {} takes {} bytes, not {}",
                                                  entry.dtype, shown_shape(entry.shape),
                                                  static_cast<double>(needed_bits) / 8.0, size));
  }
  return {};
}

/// One tensor's entry.
class EntryTarget final : public JsonTarget {
 public:
  void value(Json value) override { is_object_ = value.is_object(); }
  JsonTarget* member(const std::string& name) override {
    if (name == "dtype") return &dtype_;
    if (name == "shape") return &shape_;
    return name == "data_offsets" ? &offsets_ : nullptr;
  }

  /// The entry, once it is read to its end.
  Result<SafetensorsEntry> take(std::string name) {
    if (!is_object_) return fail(corrupt_tensor(name, "not a JSON object"));
    if (dtype_.text() == nullptr) {
      return fail(corrupt_tensor(name, "no dtype, which must be a string"));
    }
    auto shape = shape_.take();
    if (!shape) {
      return fail(corrupt_tensor(name, "no shape, which must be integers in 0..2^63-1"));
    }
    const auto range = offsets_.take();
    if (!range || range->size() != 2) {
      return fail(
          corrupt_tensor(name, "no data_offsets, which must be two integers in 0..2^63-1"));
    }
    SafetensorsEntry entry{std::move(name), std::move(*dtype_.text()), std::move(*shape),
                           (*range)[0], (*range)[1]};
    if (entry.begin > entry.end) {
      return fail(corrupt_tensor(
          entry.name, fmt::format("data_offsets [{}, {}] descend", entry.begin, entry.end)));
    }
    if (Status status = check_size(entry); !status) return fail(std::move(status));
    return entry;
  }

 private:
  bool is_object_ = false;
  JsonScalar dtype_;
  JsonIntegers shape_;
  JsonIntegers offsets_;
};

/// The header; what follows the first error in it is read as JSON only.
class HeaderTarget final : public JsonTarget {
 public:
  void value(Json /*object*/) override {}  // the text begins with '{'
  JsonTarget* member(const std::string& name) override {
    if (!status) return nullptr;
    name_ = name;
    if (name == kMetadataKey) return &metadata;
    return &entry_.emplace();
  }
  void member_read() override {
    if (!status) return;
    if (name_ == kMetadataKey) {
      status = metadata.status;
      return;
    }
    auto entry = entry_->take(std::move(name_));
    if (entry) {
      entries.push_back(std::move(*entry));
    } else {
      status = entry.error();
    }
  }

  std::vector<SafetensorsEntry> entries;
  MetadataTarget metadata;
  Status status;

 private:
  std::string name_;
  std::optional<EntryTarget> entry_;
};

/// Checks that the entries, in the order of their data, tile it. Subtracts only, so nothing
/// overflows.
Status check_tiling(const std::vector<SafetensorsEntry>& entries, std::uint64_t data_bytes) {
  std::uint64_t end = 0;
  for (const SafetensorsEntry& entry : entries) {
    const auto range = fmt::format("bytes {}..{}", entry.begin, entry.end);
    if (entry.end > data_bytes) {
      return corrupt_tensor(entry.name, fmt::format("truncated: {} pass the end of the data at {}",
                                                    range, data_bytes));
    }
    if (entry.begin < end) {
      return corrupt_tensor(
          entry.name, fmt::format("{} overlap the tensor before, which ends at {}", range, end));
    }
    if (entry.begin > end) {
      return corrupt_tensor(entry.name, fmt::format("{} leave a hole after {}", range, end));
    }
    end = entry.end;
  }
  if (end != data_bytes) {
    return {StatusCode::corrupt, fmt::format("{} bytes after the last tensor, which ends at {}",
                                             data_bytes - end, end)};
  }
  return {};
}

void index_by_name(SafetensorsHeader& header) {
  header.by_name.resize(header.entries.size());
  std::iota(header.by_name.begin(), header.by_name.end(), 0u);
  std::sort(header.by_name.begin(), header.by_name.end(), [&](std::uint32_t a, std::uint32_t b) {
    return header.entries[a].name < header.entries[b].name;
  });
}

}  // namespace

const SafetensorsEntry* SafetensorsHeader::find(std::string_view name) const noexcept {
  const auto found = std::lower_bound(
      by_name.begin(), by_name.end(), name,
      [&](std::uint32_t index, std::string_view wanted) { return entries[index].name < wanted; });
  if (found == by_name.end() || entries[*found].name != name) return nullptr;
  return &entries[*found];
}

Result<SafetensorsHeader> parse_safetensors_header(std::span<const std::uint8_t> file) {
  const auto text = header_text(file);
  if (!text) return fail(text.error());
  HeaderTarget target;
  Status status = read_json(*text, target);
  if (!status) return fail(prefixed("header", status));
  if (!target.status) return fail(target.status);

  SafetensorsHeader header;
  header.header_bytes = kHeaderLengthBytes + text->size();
  header.entries = std::move(target.entries);
  header.metadata = std::move(target.metadata.strings);
  std::sort(header.entries.begin(), header.entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  status = check_tiling(header.entries, file.size() - header.header_bytes);
  if (!status) return fail(std::move(status));
  index_by_name(header);
  return header;
}

std::optional<unsigned> dtype_bits(std::string_view dtype) noexcept {
  constexpr std::pair<std::string_view, unsigned> kBits[] = {
      {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"BOOL", 8},    {"U8", 8},
      {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"U16", 16},
      {"I16", 16}, {"F16", 16},    {"BF16", 16},   {"U32", 32},    {"I32", 32},
      {"F32", 32}, {"U64", 64},    {"I64", 64},    {"F64", 64},    {"C64", 64},
  };
  for (const auto& [name, bits] : kBits) {
    if (name == dtype) return bits;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> shape_values(std::span<const std::uint64_t> shape) noexcept {
  std::uint64_t values = 1;
  for (const std::uint64_t extent : shape) {
    if (__builtin_mul_overflow(values, extent, &values) || values > kMaxSize) return std::nullopt;
  }
  return values;
}

std::string shown_shape(std::span<const std::uint64_t> shape) {
  constexpr std::size_t kMostShown = 8;
  const auto shown = shape.first(std::min(shape.size(), kMostShown));
  return fmt::format("[{}{}]", fmt::join(shown, ", "), shown.size() < shape.size() ? ", ..." : "");
}

}  // namespace ecco
