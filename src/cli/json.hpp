// SPDX-License-Identifier: MIT
// JSON as the commands print it: keys in the documented order, one line, always valid.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

namespace ecco::cli {

using Json = nlohmann::ordered_json;

/// The number, or null for what JSON cannot say (NaN, infinity).
inline Json finite_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(); }

/// One line; bytes that are no UTF-8 (in paths) become U+FFFD.
inline std::string to_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace ecco::cli
