// SPDX-License-Identifier: MIT
// The library throws nothing across its interface.
#pragma once

#include <exception>
#include <functional>
#include <new>
#include <string_view>
#include <system_error>
#include <type_traits>

#include "ecco/status.hpp"

namespace ecco {

/// Calls a function that returns Status or Result and turns its exceptions, and those of the
/// caller's ParallelFor in it, into errors: out_of_memory, io_error, invalid_argument.
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
  } catch (const std::bad_function_call&) {
    return failure(StatusCode::invalid_argument, "the ParallelFor is empty");
  } catch (const std::system_error& error) {
    return failure(StatusCode::io_error, error.what());
  } catch (const std::exception& error) {
    return failure(StatusCode::invalid_argument, error.what());
  } catch (...) {
    return failure(StatusCode::invalid_argument, "the ParallelFor threw");
  }
}

}  // namespace ecco
