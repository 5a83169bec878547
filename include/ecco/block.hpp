// SPDX-License-Identifier: MIT
// One block of a tensor of any codec: decode, check. The one place where the run-time codec
// becomes the functions of planar.hpp or h4.hpp.
#pragma once

#include <cstdint>

#include "ecco/codec.hpp"
#include "ecco/h4.hpp"
#include "ecco/planar.hpp"
#include "ecco/tensor.hpp"

namespace ecco {

/// Integers of a block, their factor and, in h4, outliers apart.
using Int8Block = h4::Int8Block;

/// Decodes any block of the tensor to 128 binary32 values. Complexity: O(128).
inline void decode_block(const TensorView& tensor, const std::uint8_t* block,
                         float* out) noexcept {
  const PatternTableView& table = tensor.table();
  if (tensor.codec() == Codec::h4) {
    h4::decode(block, table.h4(), tensor.tensor_scale(), out);
    return;
  }
  planar::dispatch(tensor.codec(), [&](auto planes) {
    planar::decode<decltype(planes)::value>(block, table.centroids.data(), table.patterns(),
                                            tensor.tensor_scale(), out);
  });
}

/// Decodes any block of the tensor to int8. Complexity: O(128).
inline void decode_block(const TensorView& tensor, const std::uint8_t* block,
                         Int8Block& out) noexcept {
  const PatternTableView& table = tensor.table();
  if (tensor.codec() == Codec::h4) {
    h4::decode_int8(block, table.h4(), tensor.tensor_scale(), out);
    return;
  }
  out.outliers = 0;
  planar::dispatch(tensor.codec(), [&](auto planes) {
    out.factor = planar::decode_int8<decltype(planes)::value>(
        block, table.centroids.data(), table.patterns(), tensor.tensor_scale(), out.values);
  });
}

/// What makes the block invalid, or nullptr. `values` = elements that are no padding, 1..128.
inline const char* block_fault(const TensorView& tensor, const std::uint8_t* block,
                               int values) noexcept {
  const PatternTableView& table = tensor.table();
  if (tensor.codec() == Codec::h4) {
    const h4::Fault fault = h4::check(block, table.h4(), values);
    return fault == h4::Fault::none ? nullptr : h4::fault_name(fault);
  }
  return planar::dispatch(tensor.codec(), [&](auto planes) -> const char* {
    const planar::Fault fault = planar::check<decltype(planes)::value>(block, table.patterns());
    return fault == planar::Fault::none ? nullptr : planar::fault_name(fault);
  });
}

}  // namespace ecco
