// SPDX-License-Identifier: MIT
#include "device_checks.hpp"

#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

#include "ecco/cuda/tiles.hpp"
#include "errors.hpp"

namespace ecco::cuda::detail {
namespace {

Status check_layout(const DeviceTensorView& tensor) {
  if (tensor.layout == Layout::automatic) {
    return {StatusCode::invalid_argument,
            "a tensor on a device of layout automatic: it has the one that upload chose"};
  }
  if (!has_layout(tensor.codec, tensor.layout))
    return no_tiles(tensor.codec, tensor.layout).value();
  if (!too_large(tensor.rows, tensor.cols)) return {};
  return {StatusCode::unsupported, "a tensor of " + std::to_string(tensor.rows) + " x " +
                                       std::to_string(tensor.cols) +
                                       ": 2^31 rows, columns or blocks or more"};
}

/// Addresses of blocks and of the tables that the layout needs.
Status check_memory(const DeviceTensorView& tensor) {
  constexpr std::size_t kWord = sizeof(std::uint32_t);
  const bool raw = tensor.layout == Layout::raw;
  const bool fast_h4 = !raw && tensor.codec == Codec::h4;
  const bool codes = tensor.layout == Layout::dense || (raw && tensor.codec == Codec::h4);
  Status status = check_address("blocks of the tensor", tensor.blocks, kAlignment, false);
  const auto need = [&](bool needed, const char* what, const void* address, std::size_t bytes) {
    if (status && needed) status = check_address(what, address, bytes, false);
  };
  need(raw, "patterns of the tensor", tensor.patterns, kAlignment);
  need(!raw, "gated tables of the tensor", tensor.gated, kAlignment);
  need(codes, "codes of the tensor", tensor.codes, kWord);
  need(fast_h4, "row_begins of the tensor", tensor.row_begins, kWord);
  need(fast_h4, "sparse values of the tensor", tensor.sparse, 2 * kWord);
  return status;
}

/// Sizes of the tables of raw h4.
Status check_tables(const DeviceTensorView& tensor) {
  if (tensor.codec != Codec::h4 || tensor.layout != Layout::raw) return {};
  if (tensor.pattern_count > 0 && tensor.codebook_count > 0) return {};
  return {StatusCode::invalid_argument,
          "a tensor of h4 with " + std::to_string(tensor.pattern_count) + " patterns and " +
              std::to_string(tensor.codebook_count) + " codebooks"};
}

}  // namespace

Result<int> usable_device() {
  int device = 0;
  int major = 0;
  if (Status status = check("cudaGetDevice", cudaGetDevice(&device)); !status) return fail(status);
  const cudaError_t error =
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  if (Status status = check("cudaDeviceGetAttribute", error); !status) return fail(status);
  if (major < 8) {
    return fail(StatusCode::unsupported, "the GPU has compute capability " +
                                             std::to_string(major) +
                                             ".x, but the kernels need 8.0 or more");
  }
  return device;
}

bool has_layout(Codec codec, Layout layout) noexcept {
  if (layout == Layout::raw) return stores_tensors(codec);
  return has_tiles(codec, layout) || (codec == Codec::h4 && layout == Layout::fast);
}

bool too_large(std::size_t rows, std::size_t cols) noexcept {
  if (rows > kMostBlocks || cols > kMostBlocks) return true;
  return rows * blocks_per_row(cols) > kMostBlocks;
}

Status check_view(const DeviceTensorView& tensor) {
  Status status = check_layout(tensor);
  if (status) status = check_scale(tensor.tensor_scale);
  const bool empty = tensor.rows == 0 || tensor.cols == 0;
  if (status && !empty) status = check_memory(tensor);
  if (status && !empty) status = check_tables(tensor);
  return status ? check_device(tensor.device) : status;
}

}  // namespace ecco::cuda::detail
