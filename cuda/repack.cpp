// SPDX-License-Identifier: MIT
// Host side of conversions between layouts.
#include <cuda_runtime_api.h>

#include <string>

#include "device_checks.hpp"
#include "ecco/cuda/device.hpp"
#include "ecco/cuda/tiles.hpp"
#include "ecco/cuda/tiles_h4.hpp"
#include "errors.hpp"
#include "launch.hpp"

namespace ecco::cuda {
namespace {

bool is_tiles(Layout layout) { return layout != Layout::raw && layout != Layout::automatic; }

/// The blocks or tiles of a tensor.
std::span<const std::uint8_t> blocks_of(const DeviceTensorView& tensor) {
  return {tensor.blocks, layout_bytes(tensor.codec, tensor.layout, tensor.rows, tensor.cols)};
}

bool overlaps(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
  const auto at = [](const std::uint8_t* p) { return reinterpret_cast<std::uintptr_t>(p); };
  return at(a.data()) < at(b.data()) + b.size() && at(b.data()) < at(a.data()) + a.size();
}

Result<DeviceTensorView> convert(const DeviceTensorView& from, Layout to,
                                 std::span<std::uint8_t> out, std::uint32_t* faults,
                                 Stream stream) {
  const bool pack = from.layout == Layout::raw && is_tiles(to);
  if (!pack && !(is_tiles(from.layout) && to == Layout::raw)) {
    return fail(StatusCode::unsupported, "repack from " + std::string(layout_name(from.layout)) +
                                             " to " + std::string(layout_name(to)) +
                                             ": only from raw to tiles and back");
  }
  const Layout tiles = pack ? to : from.layout;
  const std::size_t bytes = layout_bytes(from.codec, to, from.rows, from.cols);
  if (!has_tiles(from.codec, tiles)) return detail::no_tiles(from.codec, tiles);
  if (Status status = detail::check_view(from); !status) return fail(status);
  if (out.size() != bytes) {
    return fail(StatusCode::shape_mismatch, "an output of " + std::to_string(out.size()) +
                                                " bytes, needed are " + std::to_string(bytes));
  }
  const bool empty = bytes == 0;
  Status status = detail::check_address("output", out.data(), detail::kAlignment, empty);
  if (status) status = detail::check_address("faults", faults, sizeof(*faults), false);
  DeviceTensorView result = from;
  result.layout = to;
  result.blocks = out.data();
  if (status) status = detail::check_view(result);
  if (status && overlaps(blocks_of(from), out)) {
    status = {StatusCode::invalid_argument, "the output overlaps the blocks of the tensor"};
  }
  if (!status) return fail(status);
  if (empty) return result;
  const std::size_t column_tiles = blocks_per_row(from.cols);
  const std::size_t row_tiles = row_tiles_of(from.rows);
  const detail::RepackJob job{from.blocks,
                              out.data(),
                              from.codes,
                              faults,
                              static_cast<unsigned>(from.pattern_count),
                              static_cast<unsigned>(from.rows),
                              static_cast<unsigned>(column_tiles),
                              static_cast<unsigned>(row_tiles * column_tiles)};
  const cudaError_t error = pack ? detail::repack_to_tiles(from.codec, tiles, job, stream)
                                 : detail::repack_to_blocks(from.codec, tiles, job, stream);
  status = detail::check("repack", error);
  if (!status) return fail(status);
  return result;
}

}  // namespace

std::size_t layout_bytes(Codec codec, Layout layout, std::size_t rows, std::size_t cols) noexcept {
  if (!detail::has_layout(codec, layout) || detail::too_large(rows, cols)) return 0;
  const std::size_t columns = blocks_per_row(cols);
  const std::size_t tiles = row_tiles_of(rows) * columns;
  if (layout == Layout::raw) return rows * columns * block_bytes(codec);
  return tiles * (codec == Codec::h4 ? sizeof(NibbleTile) : tile_bytes(codec, layout));
}

Result<DeviceTensorView> repack(const DeviceTensorView& from, Layout to,
                                std::span<std::uint8_t> out, std::uint32_t* faults,
                                Stream stream) noexcept try {
  return convert(from, to, out, faults, stream);
} catch (const std::bad_alloc&) {
  return fail(StatusCode::out_of_memory, "");
}

}  // namespace ecco::cuda
