// SPDX-License-Identifier: MIT
#include "compute/h4_standard_codes.hpp"

#include <algorithm>

#include "ecco/standard_tables.hpp"

namespace ecco::h4 {

const CodeTables* standard_code_tables(std::span<const std::uint8_t> codebooks) {
  const auto are = [&](const PatternTableView& table) {
    return std::equal(codebooks.begin(), codebooks.end(), table.codebooks.begin(),
                      table.codebooks.end());
  };
  if (are(standard_table(Codec::h4))) {
    static const CodeTables weights(standard_table(Codec::h4).codebooks);
    return &weights;
  }
  if (are(standard_kv_table())) {
    static const CodeTables kv(standard_kv_table().codebooks);
    return &kv;
  }
  return nullptr;
}

}  // namespace ecco::h4
