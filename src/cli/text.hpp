// SPDX-License-Identifier: MIT
// Text for people: escaped names, numbers with units, aligned tables; checked standard output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ecco/status.hpp"

namespace ecco::cli {

/// The text with every control character (C0, DEL, C1) as \xHH: always one line, and nothing that
/// a terminal obeys.
std::string printable(std::string_view text);

/// "2560 B", "11.55 MB": decimal units, four digits at most.
std::string format_bytes(std::uint64_t bytes);
/// "18.6 M" for 18.6 million; of things per second, of values.
std::string format_count(double count);
/// "1:02:03" or "0:07".
std::string format_duration(double seconds);
/// "2 x 3 x 256", "scalar" for rank 0.
std::string format_shape(std::span<const std::uint64_t> shape);
/// "1 tensor", "3 tensors".
std::string format_number_of(std::size_t count, std::string_view thing);

/// Rows of cells under a heading, columns aligned by display width.
class TextTable {
 public:
  enum class Align : std::uint8_t { left, right };
  struct Column {
    std::string heading;
    Align align = Align::left;
  };

  explicit TextTable(std::vector<Column> columns);
  /// Precondition: as many cells as columns.
  void add_row(std::vector<std::string> cells);
  /// Heading and rows, each ended by a newline, without trailing spaces.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Writes all of it to standard output. Error: io_error, with the reason.
Status write_output(std::string_view text);
/// Writes to standard error, as far as that can be written: nobody is left to be told otherwise.
void write_error(std::string_view text) noexcept;

/// XXH3, 64 bits, seed 0, as 16 lower-case hex digits.
std::string xxh3_hex(std::span<const std::uint8_t> bytes);

}  // namespace ecco::cli
