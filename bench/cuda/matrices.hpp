// SPDX-License-Identifier: MIT
// Matrices on a GPU in a layout of the library, in copies that exceed L2 together.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "../support.hpp"
#include "ecco/encode.hpp"
#include "timing.hpp"

namespace ecco::bench {

struct Shape {
  std::size_t rows;
  std::size_t cols;

  [[nodiscard]] double values() const {
    return static_cast<double>(rows) * static_cast<double>(cols);
  }
  [[nodiscard]] std::string name() const {
    return std::to_string(rows) + "x" + std::to_string(cols);
  }
};

template <typename T>
T value_or_throw(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return std::move(*result);
}

/// Normal values in blocks: up to 2^20 distinct ones, then the same rows again.
inline CompressedTensor normal_matrix(Codec codec, const Shape& shape) {
  const std::size_t distinct_rows =
      std::min(shape.rows, std::max<std::size_t>((1u << 20) / shape.cols, 16));
  const std::vector<float> values = normal_values(distinct_rows * shape.cols);
  CompressOptions options;
  options.codec = codec;
  options.effort = Effort::fast;
  const CompressedTensor some =
      value_or_throw(compress(dense_view(values.data(), distinct_rows, shape.cols), options));
  const std::span<const std::uint8_t> distinct = some.view().blocks();
  std::vector<std::uint8_t> blocks(shape.rows * blocks_per_row(shape.cols) * block_bytes(codec));
  for (std::size_t at = 0; at < blocks.size(); at += distinct.size()) {
    std::copy_n(distinct.data(), std::min(distinct.size(), blocks.size() - at),
                blocks.data() + at);
  }
  return value_or_throw(CompressedTensor::create(
      shape.rows, shape.cols, some.view().tensor_scale(), some.table(), std::move(blocks)));
}

/// Uploaded once; further copies of the blocks are made on the device.
class DeviceMatrix {
 public:
  DeviceMatrix(Codec codec, cuda::Layout layout, const Shape& shape)
      : tensor_(value_or_throw(cuda::upload(normal_matrix(codec, shape).view(), layout))),
        bytes_(cuda::layout_bytes(codec, tensor_.view().layout, shape.rows, shape.cols)),
        copies_(copies_beyond_l2(bytes_)),
        memory_(allocate((copies_ - 1) * stride())) {
    for (std::size_t copy = 1; copy < copies_; ++copy) {
      check(cudaMemcpy(memory_.data() + (copy - 1) * stride(), tensor_.view().blocks, bytes_,
                       cudaMemcpyDeviceToDevice),
            "cudaMemcpy");
    }
  }

  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t copies() const { return copies_; }
  [[nodiscard]] cuda::DeviceTensorView view(std::size_t copy) const {
    cuda::DeviceTensorView view = tensor_.view();
    if (copy > 0) view.blocks = memory_.data() + (copy - 1) * stride();
    return view;
  }

 private:
  [[nodiscard]] std::size_t stride() const { return (bytes_ + 255) / 256 * 256; }

  cuda::DeviceTensor tensor_;
  std::size_t bytes_;
  std::size_t copies_;
  cuda::DeviceMemory memory_;
};

/// Normal values in half on the device.
inline cuda::DeviceMemory normal_half(std::size_t count) {
  std::vector<half> values(std::min<std::size_t>(count, 1u << 20));
  const std::vector<float> normal = normal_values(values.size());
  std::transform(normal.begin(), normal.end(), values.begin(), from_float<half>);
  cuda::DeviceMemory memory = allocate(count * sizeof(half));
  for (std::size_t at = 0; at < count; at += values.size()) {
    check(cudaMemcpy(memory.data() + at * sizeof(half), values.data(),
                     std::min(values.size(), count - at) * sizeof(half), cudaMemcpyHostToDevice),
          "cudaMemcpy");
  }
  return memory;
}

}  // namespace ecco::bench
