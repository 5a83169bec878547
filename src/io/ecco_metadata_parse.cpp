// SPDX-License-Identifier: MIT
// The metadata string, entry by entry: no more of it is held than what is kept.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "ecco/tensor.hpp"
#include "io/checksum.hpp"
#include "io/ecco_metadata.hpp"
#include "io/json.hpp"
#include "io/text.hpp"

namespace ecco {
namespace {

/// One entry of "tensors", "carried" or "tables"; its keys are read one by one afterwards, and the
/// first error stays.
class EntryTarget final : public JsonTarget {
 public:
  explicit EntryTarget(const std::string& name) : name_(name) {}

  void value(Json value) override {
    if (!value.is_object()) refuse("its metadata is not a JSON object");
  }
  JsonTarget* member(const std::string& key) override {
    if (key == "shape") return &shape_;
    if (key == "tensor_scale") return &tensor_scale_;
    const auto string = std::find(kStrings.begin(), kStrings.end(), key);
    if (string == kStrings.end()) return nullptr;
    return &strings_[static_cast<std::size_t>(string - kStrings.begin())];
  }

  [[nodiscard]] const Status& status() const { return status_; }
  void refuse(std::string_view reason) {
    if (status_) status_ = corrupt_tensor(name_, reason);
  }

  /// Precondition: the key is one of kStrings.
  std::string string(std::string_view key) {
    const auto place = std::find(kStrings.begin(), kStrings.end(), key) - kStrings.begin();
    std::string* text = strings_[static_cast<std::size_t>(place)].text();
    if (text != nullptr) return std::move(*text);
    refuse(fmt::format("no \"{}\" in its metadata, which must be a string", key));
    return {};
  }

  std::uint64_t checksum() {
    const std::string digits = string("xxh3");
    const auto value = parse_hex_digits(digits);
    if (!value) {
      refuse(fmt::format("its xxh3 \"{}\" is not 16 lower-case hex digits", shown_name(digits)));
    }
    return value.value_or(0);
  }

  Codec codec() {
    const std::string name = string("codec");
    const auto codec = parse_codec(name);
    if (!codec) refuse(fmt::format("unknown codec \"{}\"", shown_name(name)));
    return codec.value_or(Codec::p4);
  }

  std::vector<std::uint64_t> shape() {
    auto extents = shape_.take();
    if (!extents) {
      refuse("no \"shape\" in its metadata that is a list of integers in 0..2^63-1");
      return {};
    }
    if (extents->size() < 2) {
      refuse(fmt::format("compressed, but its rank is {}", extents->size()));
    } else if (!shape_values(*extents)) {
      refuse(fmt::format("the shape {} overflows", shown_shape(*extents)));
    }
    return std::move(*extents);
  }

  std::string dtype() {
    std::string name = string("dtype");
    if (name != "F16" && name != "BF16" && name != "F32") {
      refuse(fmt::format("compressed from dtype \"{}\", not F16, BF16 or F32", shown_name(name)));
    }
    return name;
  }

  float tensor_scale() {
    const Json& value = tensor_scale_.get();
    if (!value.is_number()) {
      refuse("no \"tensor_scale\" in its metadata, which must be a number");
      return 1.0f;
    }
    const double wide = value.get<double>();
    const auto scale = wide <= 1e35 ? static_cast<float>(wide) : 2e34f;
    if (!(scale > 0.0f && scale <= kMaxTensorScale)) {
      refuse(fmt::format("tensor_scale {} is not a binary32 in (0, 1e34]", wide));
    }
    return scale;
  }

 private:
  static constexpr std::array<std::string_view, 4> kStrings = {"codec", "dtype", "table", "xxh3"};

  const std::string& name_;
  std::array<JsonScalar, kStrings.size()> strings_;
  JsonScalar tensor_scale_;
  JsonIntegers shape_;
  Status status_;
};

CompressedEntry read_compressed(EntryTarget& target) {
  CompressedEntry entry;
  entry.codec = target.codec();
  entry.shape = target.shape();
  entry.dtype = target.dtype();
  entry.tensor_scale = target.tensor_scale();
  entry.table = target.string("table");
  entry.xxh3 = target.checksum();
  return entry;
}

std::uint64_t read_carried(EntryTarget& target) { return target.checksum(); }

TableEntry read_table(EntryTarget& target) {
  TableEntry entry;
  entry.codec = target.codec();
  entry.xxh3 = target.checksum();
  return entry;
}

/// The object under a required key, each member of which becomes an element of a map by `read`;
/// what follows the first error in it is read as JSON only.
template <typename Value>
class GroupTarget final : public JsonTarget {
 public:
  using Read = Value (*)(EntryTarget&);
  GroupTarget(std::string_view key, Read read, std::map<std::string, Value>& out)
      : key_(key), read_(read), out_(out) {}

  void value(Json value) override { is_object_ = value.is_object(); }
  JsonTarget* member(const std::string& name) override {
    if (!status_) return nullptr;
    name_ = name;
    return &entry_.emplace(name_);
  }
  void member_read() override {
    if (!status_) return;
    Value value = read_(*entry_);
    status_ = entry_->status();
    if (status_) out_.emplace(name_, std::move(value));
  }

  [[nodiscard]] Status status() const {
    if (is_object_) return status_;
    return {StatusCode::corrupt,
            fmt::format("metadata key \"ecco\": no \"{}\", which must be an object", key_)};
  }

 private:
  std::string_view key_;
  Read read_;
  std::map<std::string, Value>& out_;
  std::string name_;
  std::optional<EntryTarget> entry_;
  bool is_object_ = false;
  Status status_;
};

/// The whole metadata string.
class EccoTarget final : public JsonTarget {
 public:
  void value(Json value) override { is_object_ = value.is_object(); }
  JsonTarget* member(const std::string& key) override {
    if (key == "format") return &format_;
    if (key == "tensors") return &tensors_;
    if (key == "carried") return &carried_;
    if (key == "tables") return &tables_;
    return key == "header_xxh3" ? &header_xxh3_ : nullptr;
  }

  Result<EccoMetadata> take() {
    if (!is_object_) return fail(StatusCode::corrupt, "metadata key \"ecco\": not a JSON object");
    Status status = check_format();  // first: the groups of a newer format may be others
    if (status) status = tensors_.status();
    if (status) status = carried_.status();
    if (status) status = tables_.status();
    if (status) status = read_header_checksum();
    if (!status) return fail(std::move(status));
    return std::move(out_);
  }

 private:
  [[nodiscard]] Status check_format() const {
    const Json& format = format_.get();
    if (format_.missing()) return {StatusCode::corrupt, "metadata key \"ecco\": no \"format\""};
    if (format.is_number_unsigned() && format.get<std::uint64_t>() == 1) return {};
    return {StatusCode::corrupt,
            fmt::format("metadata key \"ecco\": format {} is not 1: a newer format, which this "
                        "version of ecco cannot read",
                        format.is_primitive() ? shown_name(format.dump()) : "of several values")};
  }

  /// Reads "header_xxh3", which may be missing.
  Status read_header_checksum() {
    if (header_xxh3_.missing()) return {};
    if (const std::string* digits = header_xxh3_.text()) {
      out_.header_xxh3 = parse_hex_digits(*digits);
    }
    if (out_.header_xxh3) return {};
    return {StatusCode::corrupt,
            "metadata key \"ecco\": its header_xxh3 is not 16 lower-case hex digits"};
  }

  EccoMetadata out_;
  bool is_object_ = false;
  JsonScalar format_;
  GroupTarget<CompressedEntry> tensors_{"tensors", read_compressed, out_.tensors};
  GroupTarget<std::uint64_t> carried_{"carried", read_carried, out_.carried};
  GroupTarget<TableEntry> tables_{"tables", read_table, out_.tables};
  JsonScalar header_xxh3_;
};

}  // namespace

Result<EccoMetadata> parse_ecco_metadata(std::string_view text) {
  EccoTarget target;
  if (Status status = read_json(text, target); !status) {
    return fail(prefixed("metadata key \"ecco\"", status));
  }
  return target.take();
}

}  // namespace ecco
