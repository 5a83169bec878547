// SPDX-License-Identifier: MIT
// Messages: names made printable, errors prefixed with the thing they are about, exceptions
// caught.
#pragma once

#include <exception>
#include <new>
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

/// Calls a function that returns Status or Result and turns its exceptions into errors: the
/// library throws nothing across its interface.
template <typename Function>
auto guarded(Function&& function) noexcept -> decltype(function()) {
  using Outcome = decltype(function());
  const auto failure = [](StatusCode code, std::string_view message) -> Outcome {
    if constexpr (std::is_same_v<Outcome, Status>) {
      return Status(code, message);
    } else {
      return fail(code, message);
    }
  };
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return failure(StatusCode::out_of_memory, "out of memory");
  } catch (const std::exception& error) {
    return failure(StatusCode::io_error, error.what());
  }
}

}  // namespace ecco
