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

/// Normal values in blocks: 2^20 distinct ones, in whole row tiles, or all where that is less.
inline CompressedTensor normal_matrix(Codec codec, const Shape& shape) {
  constexpr std::size_t kTile = 16;
  const std::size_t rows = std::max<std::size_t>((1u << 20) / shape.cols / kTile, 1) * kTile;
  const std::size_t distinct_rows = std::min(shape.rows, rows);
  const std::vector<float> values = normal_values(distinct_rows * shape.cols);
  CompressOptions options;
  options.codec = codec;
  options.effort = Effort::fast;
  return value_or_throw(compress(dense_view(values.data(), distinct_rows, shape.cols), options));
}

/// The same rows again until there are as many as `shape` has.
inline CompressedTensor repeated(const CompressedTensor& some, const Shape& shape) {
  const std::span<const std::uint8_t> distinct = some.view().blocks();
  std::vector<std::uint8_t> blocks(shape.rows * blocks_per_row(shape.cols) *
                                   block_bytes(some.view().codec()));
  for (std::size_t at = 0; at < blocks.size(); at += distinct.size()) {
    std::copy_n(distinct.data(), std::min(distinct.size(), blocks.size() - at),
                blocks.data() + at);
  }
  return value_or_throw(CompressedTensor::create(
      shape.rows, shape.cols, some.view().tensor_scale(), some.table(), std::move(blocks)));
}

/// Some rows are uploaded, and repeated on the device, where copies of all are made, too. Nibble
/// tiles are repeated on the host, since each row says where its sparse values begin; copies share
/// those.
class DeviceMatrix {
 public:
  DeviceMatrix(Codec codec, cuda::Layout layout, const Shape& shape)
      : tensor_(upload(codec, layout, shape)),
        bytes_(cuda::layout_bytes(codec, tensor_.view().layout, shape.rows, shape.cols)),
        copies_(copies_beyond_l2(bytes_)),
        memory_(allocate(copies_ * stride())),
        view_(tensor_.view()) {
    const std::size_t distinct = cuda::layout_bytes(codec, view_.layout, view_.rows, shape.cols);
    for (std::size_t copy = 0; copy < copies_; ++copy) {
      for (std::size_t at = 0; at < bytes_; at += distinct) {
        check(cudaMemcpyAsync(memory_.data() + copy * stride() + at, view_.blocks,
                              std::min(distinct, bytes_ - at), cudaMemcpyDeviceToDevice, nullptr),
              "cudaMemcpyAsync");
      }
    }
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    view_.rows = shape.rows;
  }

  [[nodiscard]] std::size_t bytes() const {
    return view_.sparse == nullptr ? bytes_ : tensor_.device_bytes();
  }
  [[nodiscard]] std::size_t copies() const { return copies_; }
  [[nodiscard]] cuda::DeviceTensorView view(std::size_t copy) const {
    cuda::DeviceTensorView view = view_;
    view.blocks = memory_.data() + copy * stride();
    return view;
  }

 private:
  [[nodiscard]] std::size_t stride() const { return (bytes_ + 255) / 256 * 256; }

  static cuda::DeviceTensor upload(Codec codec, cuda::Layout layout, const Shape& shape) {
    const CompressedTensor some = normal_matrix(codec, shape);
    const bool sparse = codec == Codec::h4 && layout == cuda::Layout::fast;
    cuda::DeviceTensor tensor =
        value_or_throw(cuda::upload(sparse ? repeated(some, shape).view() : some.view(), layout));
    if (tensor.view().layout != layout) throw std::runtime_error("the codes do not fit the tiles");
    return tensor;
  }

  cuda::DeviceTensor tensor_;
  std::size_t bytes_;
  std::size_t copies_;
  cuda::DeviceMemory memory_;
  cuda::DeviceTensorView view_;
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
