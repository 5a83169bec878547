// SPDX-License-Identifier: MIT
// Messages: names made printable, errors prefixed with the thing they are about, exceptions
// caught.
#pragma once

#include <string>
#include <string_view>

#include "ecco/status.hpp"

namespace ecco {

/// The text with every control character (C0, DEL, C1) as \xHH.
std::string escape_controls(std::string_view text);

/// A tensor's name for a message: escaped, its middle left out where it has over 120 bytes.
std::string shown_name(std::string_view name);

/// The status with "subject: " before its message; ok stays ok.
Status prefixed(std::string_view subject, const Status& status);

/// StatusCode::corrupt with the message "NAME: reason".
Status corrupt_tensor(std::string_view name, std::string_view reason);

}  // namespace ecco
