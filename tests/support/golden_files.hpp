// SPDX-License-Identifier: MIT
// Where the golden files are, and their bytes.
#pragma once

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace ecco::test {

inline std::string golden(const std::string& name) {
  return std::string(ECCO_TEST_GOLDEN) + "/" + name;
}

inline std::vector<std::uint8_t> read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace ecco::test
