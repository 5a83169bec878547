// SPDX-License-Identifier: MIT
// Decode tables of the codebooks of an H4 table: built once, shared by all tensors that use it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ecco/huffman.hpp"

namespace ecco::h4 {

/// Per codebook the single-symbol and the multi-symbol table: 16.5 KiB each.
class CodeTables {
 public:
  /// `codebooks` = rows of 16 code lengths, each complete. Complexity: O(2048) per codebook.
  explicit CodeTables(std::span<const std::uint8_t> codebooks) {
    const std::size_t count = codebooks.size() / huffman::kSymbols;
    steps_.reserve(count);
    multi_.reserve(count);
    for (std::size_t h = 0; h < count; ++h) {
      huffman::Lengths lengths{};
      std::copy_n(codebooks.data() + h * huffman::kSymbols, lengths.size(), lengths.begin());
      steps_.push_back(huffman::step_table(huffman::canonical_codes(lengths)));
      multi_.push_back(huffman::multi_table(steps_.back()));
    }
  }

  [[nodiscard]] const huffman::StepTable* steps() const noexcept { return steps_.data(); }
  [[nodiscard]] const huffman::MultiTable* multi() const noexcept { return multi_.data(); }

 private:
  std::vector<huffman::StepTable> steps_;
  std::vector<huffman::MultiTable> multi_;
};

}  // namespace ecco::h4
