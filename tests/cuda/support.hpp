// SPDX-License-Identifier: MIT
// Device memory, and the fixture of every test of a kernel.
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "ecco/cuda/device.hpp"
#include "ecco/pattern_table.hpp"
#include "ecco/standard_tables.hpp"
#include "ecco/tensor.hpp"
#include "support/compare.hpp"
#include "support/h4_tables.hpp"
#include "support/planar_blocks.hpp"

namespace ecco::test {

/// Skips with the reason where no GPU (nor ptxvm) is; fails when a kernel reported an error.
class CudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess || count == 0) {
      GTEST_SKIP() << "no GPU: " << cudaGetErrorString(error);
    }
  }
  void TearDown() override { EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess); }
};

/// "p4_dense"
inline std::string kind_name(Codec codec, cuda::Layout layout) {
  return std::string(codec_name(codec)) + "_" + std::string(cuda::layout_name(layout));
}

/// An array on the device.
template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<T>& values) : size_(values.size()) {
    void* data = nullptr;
    EXPECT_EQ(cudaMalloc(&data, size_ * sizeof(T)), cudaSuccess);
    data_ = static_cast<T*>(data);
    EXPECT_EQ(cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice),
              cudaSuccess);
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  [[nodiscard]] T* data() const { return data_; }
  [[nodiscard]] std::vector<T> values() const {
    std::vector<T> out(size_);
    EXPECT_EQ(cudaMemcpy(out.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost),
              cudaSuccess);
    return out;
  }

 private:
  T* data_ = nullptr;
  std::size_t size_;
};

/// Workspace of a compute call, aligned to 16 bytes.
class DeviceWorkspace {
 public:
  explicit DeviceWorkspace(std::size_t bytes)
      : memory_(std::vector<uint4>(bytes / 16 + 1)), bytes_(bytes) {}

  [[nodiscard]] std::uint8_t* data() const {
    return reinterpret_cast<std::uint8_t*>(memory_.data());
  }
  [[nodiscard]] std::span<std::uint8_t> span() const { return {data(), bytes_}; }

 private:
  DeviceArray<uint4> memory_;
  std::size_t bytes_;
};

/// Results of a product, [vector][row]. `call(y, workspace)` begins it and returns its Status; y
/// has gaps of 3 values behind each vector's rows, which must stay as they are. The workspace of
/// so many bytes is filled with NaN.
template <typename Call>
std::vector<float> run_product(std::size_t batch, std::size_t rows, std::size_t bytes,
                               Call&& call) {
  const std::size_t stride = rows + 3;
  const DeviceArray<float> y(std::vector<float>(batch * stride, -7.0f));
  const DeviceWorkspace workspace(bytes);
  if (bytes > 0) {
    EXPECT_EQ(cudaMemset(workspace.data(), 0xff, bytes), cudaSuccess);
  }
  const Status status = call(MatrixView<float>{y.data(), batch, rows, stride}, workspace.span());
  EXPECT_TRUE(status) << status.message();
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  std::vector<float> out;
  const std::vector<float> all = y.values();
  for (std::size_t i = 0; i < batch * stride; ++i) {
    if (i % stride < rows) {
      out.push_back(all[i]);
    } else {
      EXPECT_EQ(all[i], -7.0f) << "written past the rows";
    }
  }
  return out;
}

/// Blocks of arbitrary bytes, most of them not valid: dense and sparse bits, planes full of ones,
/// scale 0, and patterns past a short table.
inline std::vector<std::uint8_t> arbitrary_blocks(std::mt19937& random, Codec codec,
                                                  std::size_t count) {
  const std::size_t size = block_bytes(codec);
  std::vector<std::uint8_t> blocks(count * size);
  for (std::size_t b = 0; b < count; ++b) {
    std::uint8_t* block = blocks.data() + b * size;
    for (std::size_t i = 0; i < size; ++i) {
      const auto r = static_cast<std::uint8_t>(random());
      const auto s = static_cast<std::uint8_t>(random());
      block[i] = b % 5 == 0   ? r
                 : b % 5 == 1 ? static_cast<std::uint8_t>(r | s)
                 : b % 5 == 2 ? static_cast<std::uint8_t>(r & s)
                 : b % 5 == 3 ? (i >= 16 && i < 32 ? std::uint8_t{255} : r)
                              : (i >= 2 && i < 16 ? std::uint8_t{255} : r);
    }
    if (b % 23 == 7) block[1] = 0;
    if (b % 29 == 9) std::fill(block, block + size, std::uint8_t{0});
    if (codec == Codec::h4 && b % 2 == 0) {
      fill_adversarial(random, static_cast<int>(b / 2), block);
    }
  }
  return blocks;
}

/// Valid planar blocks of random ranks.
inline std::vector<std::uint8_t> valid_blocks(std::mt19937& random, Codec codec, std::size_t count,
                                              int patterns) {
  const std::size_t size = block_bytes(codec);
  std::vector<std::uint8_t> blocks(count * size);
  for (std::size_t b = 0; b < count; ++b) {
    if (b % 17 == 5) continue;  // all zeros
    fill_valid(random, codec, patterns, std::span(blocks).subspan(b * size, size));
  }
  return blocks;
}

/// A table of random centroids (h4: and codebooks) of the given number of patterns.
inline PatternTable random_tables(std::mt19937& random, Codec codec, int patterns,
                                  int codebooks = 4) {
  PatternTable table;
  table.codec = codec;
  if (codec == Codec::h4) {
    H4Table h4 = random_h4_table(random, patterns, codebooks);
    table.centroids = std::move(h4.centroids);
    table.codebooks = std::move(h4.lengths);
    return table;
  }
  table.centroids = random_table(random, codec, patterns);
  return table;
}

/// A tensor of valid blocks. Of H4 blocks some are clipped, some hold many outliers, and padding
/// holds none.
inline Result<CompressedTensor> random_tensor(std::mt19937& random, PatternTable table,
                                              std::size_t rows, std::size_t cols,
                                              float tensor_scale = 0.73f) {
  const std::size_t blocks = rows * blocks_per_row(cols);
  const int patterns = table.view().patterns();
  if (table.codec != Codec::h4) {
    auto bytes = valid_blocks(random, table.codec, blocks, patterns);
    return CompressedTensor::create(rows, cols, tensor_scale, std::move(table), std::move(bytes));
  }
  std::vector<std::uint8_t> bytes(64 * blocks);
  for (std::size_t b = 0; b < blocks; ++b) {
    if (b % 17 == 5) continue;  // all zeros
    h4::Fields fields = random_h4_fields(random, table.view().h4(), 1 + random() % 16);
    const std::size_t first = b % blocks_per_row(cols) * 128;
    for (h4::Outlier& outlier : fields.outlier) {
      const std::size_t values = std::min<std::size_t>(128, cols - first);
      outlier.position = static_cast<std::uint8_t>(outlier.position % values);
    }
    h4::pack(fields, table.view().h4(), bytes.data() + 64 * b);
  }
  return CompressedTensor::create(rows, cols, tensor_scale, std::move(table), std::move(bytes));
}

}  // namespace ecco::test
