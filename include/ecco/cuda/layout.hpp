// SPDX-License-Identifier: MIT
// How the blocks of a tensor lie on a device.
#pragma once

#include <cstdint>
#include <string_view>

namespace ecco::cuda {

/// Blocks as they are, or rearranged without loss into tiles of 16 rows x 128 columns
/// (tiles.hpp; docs/cuda.md, "Tiles").
enum class Layout : std::uint8_t {
  raw,        ///< as in the file; products take several times the instructions
  dense,      ///< tiles of 4.25 bits per value, P4; a code table in shared memory
  paired,     ///< tiles of 4.625 bits per value, P4; fewer instructions than dense ones
  fast,       ///< tiles of P2..P5, 1.125 bits per value more than the codec, and of H4, 0.125 bits
              ///< and 64 for each outlier or clipped element more
  automatic,  ///< fast; P4: dense, paired or fast by the ratio of memory bandwidth to arithmetic
};

/// "raw", "dense", "paired", "fast", "automatic".
constexpr std::string_view layout_name(Layout layout) noexcept {
  constexpr std::string_view kNames[] = {"raw", "dense", "paired", "fast", "automatic"};
  return kNames[static_cast<std::uint8_t>(layout)];
}

}  // namespace ecco::cuda
