// SPDX-License-Identifier: MIT
// Safetensors files written and read by hand, independently of the library, in a folder that goes
// away with its test.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "ecco/types.hpp"

namespace ecco::test {

using Bytes = std::vector<std::uint8_t>;

/// A folder of its own for a test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "ecco-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] std::string path(const std::string& name) const { return (path_ / name).string(); }

  /// Names of everything in it, hidden files too.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      out.push_back(entry.path().filename().string());
    }
    std::sort(out.begin(), out.end());
    return out;
  }

 private:
  std::filesystem::path path_;
};

inline void write_file(const std::string& path, const Bytes& bytes) {
  std::filesystem::remove(path);  // ext4 flushes a file that is shortened and written anew
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

inline void write_file(const std::string& path, const std::string& text) {
  write_file(path, Bytes(text.begin(), text.end()));
}

inline Bytes read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

/// Length field, header and data, whatever they say.
inline Bytes raw_safetensors(const std::string& header, const Bytes& data = {}) {
  Bytes out;
  for (unsigned i = 0; i < 8; ++i) {
    out.push_back(static_cast<std::uint8_t>(std::uint64_t{header.size()} >> (8 * i)));
  }
  out.insert(out.end(), header.begin(), header.end());
  out.insert(out.end(), data.begin(), data.end());
  return out;
}

struct RawTensor {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape;
  Bytes bytes;
};

/// A good file with the tensors in the order given.
inline Bytes safetensors(const std::vector<RawTensor>& tensors,
                         const std::map<std::string, std::string>& metadata = {}) {
  nlohmann::json header = nlohmann::json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  Bytes data;
  for (const RawTensor& tensor : tensors) {
    const std::size_t begin = data.size();
    data.insert(data.end(), tensor.bytes.begin(), tensor.bytes.end());
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  return raw_safetensors(header.dump(), data);
}

/// What a plain reader of safetensors sees.
struct ParsedFile {
  nlohmann::json header;
  std::size_t data_begin = 0;
  Bytes file;

  [[nodiscard]] Bytes bytes(const std::string& name) const {
    const auto& offsets = header.at(name).at("data_offsets");
    const auto at = file.begin() + static_cast<std::ptrdiff_t>(data_begin);
    return Bytes(at + offsets[0].get<std::ptrdiff_t>(), at + offsets[1].get<std::ptrdiff_t>());
  }
  [[nodiscard]] nlohmann::json ecco() const {
    return nlohmann::json::parse(header.at("__metadata__").at("ecco").get<std::string>());
  }
};

inline ParsedFile parse_file(const std::string& path) {
  ParsedFile out;
  out.file = read_file(path);
  std::uint64_t length = 0;
  std::memcpy(&length, out.file.data(), 8);
  out.data_begin = 8 + length;
  out.header = nlohmann::json::parse(out.file.begin() + 8,
                                     out.file.begin() + static_cast<std::ptrdiff_t>(8 + length));
  return out;
}

/// Bytes of values in a dtype (F32, F16, BF16).
inline Bytes encode_values(const std::vector<float>& values, const std::string& dtype) {
  Bytes out;
  const auto append = [&](const void* bytes, std::size_t count) {
    const auto* from = static_cast<const std::uint8_t*>(bytes);
    out.insert(out.end(), from, from + count);
  };
  for (const float value : values) {
    if (dtype == "F32") {
      append(&value, 4);
    } else {
      const std::uint16_t bits = dtype == "F16" ? to_half(value).bits : to_bfloat16(value).bits;
      append(&bits, 2);
    }
  }
  return out;
}

/// Inverse of encode_values.
inline std::vector<float> decode_values(const Bytes& bytes, const std::string& dtype) {
  const std::size_t size = dtype == "F32" ? 4 : 2;
  std::vector<float> out(bytes.size() / size);
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (dtype == "F32") {
      std::memcpy(&out[i], bytes.data() + 4 * i, 4);
    } else {
      std::uint16_t bits = 0;
      std::memcpy(&bits, bytes.data() + 2 * i, 2);
      out[i] = dtype == "F16" ? to_float(half{bits}) : to_float(bfloat16{bits});
    }
  }
  return out;
}

/// Gaussian values of the size that weights have.
inline std::vector<float> gaussian(std::size_t count, std::uint32_t seed, float sigma = 0.05f) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, sigma);
  std::vector<float> out(count);
  for (float& value : out) value = normal(random);
  return out;
}

inline RawTensor gaussian_tensor(const std::string& name, const std::string& dtype,
                                 const std::vector<std::uint64_t>& shape, std::uint32_t seed) {
  std::size_t count = 1;
  for (const std::uint64_t extent : shape) count *= extent;
  return {name, dtype, shape, encode_values(gaussian(count, seed), dtype)};
}

}  // namespace ecco::test
