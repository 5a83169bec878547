// SPDX-License-Identifier: MIT
// Strict JSON: no duplicate keys, no deep nesting, nothing after the document.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "ecco/status.hpp"

namespace ecco {

using Json = nlohmann::json;
/// Keeps the order of keys: for files that people read.
using OrderedJson = nlohmann::ordered_json;

inline constexpr std::size_t kDeepestJson = 64;

/// Parses one document. Error: corrupt, with the position or the duplicate key.
Result<Json> parse_json(std::string_view text);
Result<OrderedJson> parse_ordered_json(std::string_view text);

/// The number if it is an integer in 0..2^63-1, written without fraction, exponent or sign.
std::optional<std::uint64_t> json_integer(const Json& value);

/// An array of such integers.
std::optional<std::vector<std::uint64_t>> json_integers(const Json& value);

/// Member of an object, or nullptr where it (or the object) is missing.
const Json* json_member(const Json& object, std::string_view key);

}  // namespace ecco
