// SPDX-License-Identifier: MIT
// XXH3, 64 bits, seed 0, and its 16 hex digits.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ecco {

/// Incremental XXH3.
class Checksum {
 public:
  Checksum();
  ~Checksum();
  Checksum(Checksum&&) noexcept;
  Checksum& operator=(Checksum&&) noexcept;

  void update(std::span<const std::uint8_t> bytes) noexcept;
  [[nodiscard]] std::uint64_t digest() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::uint64_t xxh3(std::span<const std::uint8_t> bytes) noexcept;

/// 16 lower-case hex digits of the number.
std::string hex_digits(std::uint64_t checksum);
/// Inverse of hex_digits.
std::optional<std::uint64_t> parse_hex_digits(std::string_view digits) noexcept;

/// "damaged: checksum 0123456789abcdef where 0123456789abcdef is recorded"
std::string checksum_mismatch(std::uint64_t found, std::uint64_t recorded);

}  // namespace ecco
