// SPDX-License-Identifier: MIT
// Errors as values: the library never throws across its interface, never prints, never aborts.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace ecco {

/// Kind of failure; the numeric values are stable.
enum class StatusCode : std::int32_t {
  ok = 0,
  invalid_argument = 1,  ///< an argument is outside its documented domain
  shape_mismatch = 2,    ///< dimensions of the operands do not fit each other
  unsupported = 3,       ///< a codec, dtype or instruction set that is not available here
  not_finite = 4,        ///< NaN or infinity in the values to be compressed
  corrupt = 5,           ///< bytes that the format does not allow
  io_error = 6,          ///< the operating system refused a file operation
  already_exists = 7,    ///< the output exists and may not be overwritten
  out_of_memory = 8,
  cancelled = 9,      ///< the caller's progress function asked to stop
  device_error = 10,  ///< the CUDA runtime or the GPU reported a failure
};

/// Outcome of an operation: a code and, unless ok, one line that names the thing, the reason and
/// the numbers. Converts to true when ok.
class [[nodiscard]] Status {
 public:
  Status() noexcept = default;

  /// Precondition: code is not StatusCode::ok. Keeps the code alone if memory for the text lacks.
  Status(StatusCode code, std::string_view message) noexcept : code_(code) {
    try {
      message_ = message;
    } catch (const std::exception&) {
    }
  }

  [[nodiscard]] bool ok() const noexcept { return code_ == StatusCode::ok; }
  explicit operator bool() const noexcept { return ok(); }
  [[nodiscard]] StatusCode code() const noexcept { return code_; }
  [[nodiscard]] const std::string& message() const noexcept { return message_; }

 private:
  StatusCode code_ = StatusCode::ok;
  std::string message_;
};

/// A value, or the Status that explains its absence.
template <typename T>
using Result = tl::expected<T, Status>;

/// Failure in the form that a function returning Result<T> returns.
inline tl::unexpected<Status> fail(StatusCode code, std::string_view message) {
  return tl::unexpected<Status>(Status(code, message));
}
inline tl::unexpected<Status> fail(Status status) {
  return tl::unexpected<Status>(std::move(status));
}

}  // namespace ecco
