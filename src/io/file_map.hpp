// SPDX-License-Identifier: MIT
// A regular file mapped for reading.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "ecco/status.hpp"

namespace ecco {

/// Owns the mapping of a whole file; move-only. The size is that at the time of opening: a file
/// that someone shortens while it is mapped cannot be read safely by any means short of a copy.
class FileMap {
 public:
  /// Errors: io_error, without the path.
  static Result<FileMap> open(const std::string& path);

  FileMap() noexcept = default;
  FileMap(FileMap&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  FileMap& operator=(FileMap&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~FileMap();

  [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept { return bytes_; }

 private:
  std::span<const std::uint8_t> bytes_;
};

/// Tells the kernel that whole pages inside `bytes` of a mapping are not needed soon.
void release_pages(std::span<const std::uint8_t> bytes) noexcept;

}  // namespace ecco
