// SPDX-License-Identifier: MIT
// Strict JSON: no duplicate keys, no deep nesting, nothing after the document.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ecco/status.hpp"

namespace ecco {

using Json = nlohmann::json;
/// Keeps the order of keys: for files that people read.
using OrderedJson = nlohmann::ordered_json;

inline constexpr std::size_t kDeepestJson = 64;

/// Takes one value of a document as it is read, so that no more of the text is held in memory than
/// what someone asked for: a document in whole takes up to 30 times its text.
class JsonTarget {
 public:
  virtual ~JsonTarget() = default;
  /// The value itself, or an empty array or object whose content follows.
  virtual void value(Json value) = 0;
  /// Who takes the next element of the array or the member of the object; nobody for nullptr.
  virtual JsonTarget* element() { return nullptr; }
  virtual JsonTarget* member(const std::string& /*name*/) { return nullptr; }
  /// The member asked for last is read to its end.
  virtual void member_read() {}
};

/// Reads one document of less than 2^32 bytes into `root`. Error: corrupt, with the position or
/// the duplicate key. Memory: what the targets keep, and up to three times the text.
Status read_json(std::string_view text, JsonTarget& root);

/// The whole document; for short ones. Error: corrupt.
Result<OrderedJson> parse_ordered_json(std::string_view text);

/// Keeps a value; of arrays and objects only that it is one. Until then it is "discarded".
class JsonScalar final : public JsonTarget {
 public:
  void value(Json value) override { value_ = std::move(value); }
  [[nodiscard]] bool missing() const { return value_.is_discarded(); }
  [[nodiscard]] const Json& get() const { return value_; }
  /// Its text, or nullptr where it is missing or no string.
  [[nodiscard]] std::string* text() { return value_.get_ptr<std::string*>(); }

 private:
  Json value_ = Json::value_t::discarded;
};

/// Keeps an array of integers in 0..2^63-1, written without fraction, exponent or sign.
class JsonIntegers final : public JsonTarget {
 public:
  void value(Json value) override;
  JsonTarget* element() override { return this; }
  /// The integers, moved out; nothing where the value is missing or anything else.
  [[nodiscard]] std::optional<std::vector<std::uint64_t>> take();

 private:
  std::vector<std::uint64_t> integers_;
  bool opened_ = false;  // the array itself has been seen
  bool valid_ = false;
};

}  // namespace ecco
