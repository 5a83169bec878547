// SPDX-License-Identifier: MIT
// Which tiles of P4 are the fastest on a GPU.
#pragma once

#include "ecco/cuda/layout.hpp"

namespace ecco::cuda::detail {

/// By GB/s of memory per multiprocessor and GHz. Larger tiles take fewer instructions: the limits
/// are where a multiprocessor's ALU instructions for the smaller ones begin to take longer than
/// the bytes of the larger ones (modelled: docs/cuda.md, "Counts").
constexpr Layout fastest_tiles(double ratio) noexcept {
  constexpr double kPairedFrom = 12.0;
  constexpr double kFastFrom = 17.5;
  return ratio > kFastFrom ? Layout::fast : ratio > kPairedFrom ? Layout::paired : Layout::dense;
}

}  // namespace ecco::cuda::detail
