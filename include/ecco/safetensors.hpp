// SPDX-License-Identifier: MIT
// One safetensors file: memory-mapped, validated once on open. docs/format.md, section 7.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ecco/config.hpp"
#include "ecco/status.hpp"

namespace ecco {

/// One entry of a safetensors header.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;                 ///< as written: "F16", "BF16", "F32", "U8", ...
  std::vector<std::uint64_t> shape;  ///< row-major
  std::uint64_t begin = 0;           ///< byte range inside the data section
  std::uint64_t end = 0;
};

/// A mapped file whose header has been checked completely: names unique, ranges inside the file,
/// without overlap or hole, sizes that match shape and dtype. Movable; spans live as long as it.
class ECCO_API SafetensorsFile {
 public:
  /// Errors: io_error, corrupt; the message names file, tensor and reason.
  static Result<SafetensorsFile> open(const std::string& path);

  [[nodiscard]] const std::string& path() const noexcept;
  /// Entries in the order of their data.
  [[nodiscard]] const std::vector<SafetensorsEntry>& entries() const noexcept;
  /// Entry of that name, or nullptr. O(log n).
  [[nodiscard]] const SafetensorsEntry* find(std::string_view name) const noexcept;
  [[nodiscard]] std::span<const std::uint8_t> bytes(const SafetensorsEntry& entry) const noexcept;
  /// The strings of `__metadata__`.
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const noexcept;
  [[nodiscard]] std::uint64_t file_bytes() const noexcept;
  /// Bytes before the data section: length field and JSON.
  [[nodiscard]] std::uint64_t header_bytes() const noexcept;
  /// Tells the kernel that the pages of these bytes are not needed soon (bounds resident memory).
  void release(std::span<const std::uint8_t> bytes) const noexcept;

  struct Impl;

 private:
  explicit SafetensorsFile(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace ecco
