// SPDX-License-Identifier: MIT
// Safetensors files made in memory, written as the format says and without the library's writer;
// temporary directories.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numbers>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ecco/types.hpp"

namespace ecco::test {

/// A directory of its own, removed with all it holds.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "ecco-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name);
    path_ = name;
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  [[nodiscard]] std::string operator/(const std::string& name) const {
    return (path_ / name).string();
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Entries in it, hidden ones too.
  [[nodiscard]] std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// A tensor of a file to build.
struct BuiltTensor {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::string bytes;
};

/// The values as F32, F16 or BF16 bytes.
inline std::string to_bytes(const std::vector<float>& values, const std::string& dtype) {
  std::string bytes;
  for (const float value : values) {
    if (dtype == "F32") {
      bytes.append(reinterpret_cast<const char*>(&value), 4);
    } else {
      const std::uint16_t bits = dtype == "F16" ? to_half(value).bits : to_bfloat16(value).bits;
      bytes.append(reinterpret_cast<const char*>(&bits), 2);
    }
  }
  return bytes;
}

/// Gaussian values of the given deviation.
inline std::vector<float> gaussian_values(std::size_t count, unsigned seed,
                                          double deviation = 0.02) {
  std::mt19937 random(seed);
  auto uniform = [&] { return (static_cast<double>(random()) + 0.5) * 0x1p-32; };
  std::vector<float> values(count);
  for (float& value : values) {
    const double radius = std::sqrt(-2.0 * std::log(uniform()));
    value = static_cast<float>(deviation * radius * std::cos(2.0 * std::numbers::pi * uniform()));
  }
  return values;
}

/// A tensor of Gaussian values.
inline BuiltTensor gaussian_tensor(std::string name, std::string dtype,
                                   std::vector<std::uint64_t> shape, unsigned seed) {
  std::size_t count = 1;
  for (const std::uint64_t extent : shape) count *= extent;
  std::string bytes = to_bytes(gaussian_values(count, seed), dtype);
  return {std::move(name), std::move(dtype), std::move(shape), std::move(bytes)};
}

/// "w0", "w1", ... [GCC 12 warns wrongly about "w" + std::to_string(index).]
inline std::string numbered(unsigned index) {
  std::string name = "w";
  name += std::to_string(index);
  return name;
}

/// Length field, JSON header and data, in the given order of tensors.
inline std::string build_safetensors(const std::vector<BuiltTensor>& tensors) {
  auto header = nlohmann::ordered_json::object();
  std::string data;
  for (const BuiltTensor& tensor : tensors) {
    const std::size_t begin = data.size();
    data += tensor.bytes;
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  const std::string json = header.dump();
  const std::uint64_t length = json.size();
  std::string out(sizeof length, '\0');
  std::memcpy(out.data(), &length, sizeof length);
  return out + json + data;
}

}  // namespace ecco::test
