// SPDX-License-Identifier: MIT
// The host API: checks arguments, launches, and turns errors of the runtime into Status.
#include "ecco/cuda/device.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "block_rows.hpp"
#include "copy_to_device.hpp"
#include "device_checks.hpp"
#include "ecco/cuda/tiles.hpp"
#include "ecco/cuda/tiles_h4.hpp"
#include "errors.hpp"
#include "gemv_job.hpp"
#include "launch.hpp"
#include "layout_choice.hpp"
#include "products.hpp"
#include "tables.hpp"

namespace ecco::cuda {
namespace {

using detail::check;
using detail::guarded;
using detail::kAlignment;

/// Checks a matrix of output and describes the blocks that fill it.
template <typename T>
Result<detail::DecodeJob> decode_job(const std::uint8_t* blocks, std::size_t per_row,
                                     float tensor_scale, const MatrixView<T>& out) {
  const bool empty = out.rows == 0 || out.cols == 0;
  Status status = detail::check_matrix("output", out);
  if (status) status = detail::check_address("blocks", blocks, kAlignment, empty);
  detail::DecodeJob job{};
  job.blocks = blocks;
  if (status) status = detail::describe_rows(out, per_row, tensor_scale, job);
  if (!status) return fail(status);
  return job;
}

/// `job` = what decode_job says of the output.
template <typename T>
cudaError_t decode_tiles(const DeviceTensorView& tensor, const detail::DecodeJob& job, T* out,
                         Stream stream) {
  detail::DecodeTilesJob tiles{};
  detail::describe_tiles(tensor, tiles);
  tiles.cols = job.cols;
  tiles.tile_count = static_cast<unsigned>(row_tiles_of(tensor.rows)) * tiles.column_tiles;
  tiles.row_stride = job.row_stride;
  tiles.vector = job.vector;
  if (tensor.codec == Codec::h4) return detail::decode_nibbles(tiles, out, stream);
  if (tensor.layout == Layout::dense) return detail::decode_dense(tiles, out, stream);
  if (tensor.layout == Layout::paired) return detail::decode_paired(tiles, out, stream);
  return detail::decode_fast(tensor.codec, tiles, out, stream);
}

template <typename T>
Status decode_tensor(const DeviceTensorView& tensor, MatrixView<T> out, Stream stream,
                     H4Decoder decoder) {
  if (out.rows != tensor.rows || out.cols != tensor.cols) {
    return {StatusCode::shape_mismatch, "the output is " + std::to_string(out.rows) + " x " +
                                            std::to_string(out.cols) + ", the tensor " +
                                            std::to_string(tensor.rows) + " x " +
                                            std::to_string(tensor.cols)};
  }
  if (Status status = detail::check_view(tensor); !status) return status;
  const auto job =
      decode_job(tensor.blocks, blocks_per_row(tensor.cols), tensor.tensor_scale, out);
  if (!job) return job.error();
  if (job->block_count == 0) return {};
  if (tensor.layout != Layout::raw) {
    return check("decode", decode_tiles(tensor, *job, out.data, stream));
  }
  if (is_planar(tensor.codec)) {
    const auto* table = reinterpret_cast<const std::uint32_t*>(tensor.patterns);
    return check("decode", detail::decode_planar(tensor.codec, *job, table, out.data, stream));
  }
  return check("decode",
               detail::decode_h4(*job, tensor, decoder == H4Decoder::parallel, out.data, stream));
}

template <typename T>
Status decode_activations(const std::uint8_t* blocks, float tensor_scale, MatrixView<T> out,
                          Stream stream) {
  if (Status status = detail::check_scale(tensor_scale); !status) return status;
  const auto job = decode_job(blocks, detail::blocks_of(Codec::a8, out.cols), tensor_scale, out);
  if (!job) return job.error();
  if (job->block_count == 0) return {};
  return check("decode_a8", detail::decode_a8(*job, out.data, stream));
}

}  // namespace

DeviceMemory::~DeviceMemory() {
  if (data_ != nullptr) cudaFree(data_);
}

Result<DeviceMemory> DeviceMemory::allocate(std::size_t bytes) noexcept {
  DeviceMemory memory;
  void* data = nullptr;
  Status status = check("cudaMalloc", cudaMalloc(&data, std::max<std::size_t>(bytes, 1)));
  if (!status) return fail(std::move(status));
  memory.data_ = static_cast<std::uint8_t*>(data);
  memory.bytes_ = bytes;
  return memory;
}

namespace {

Result<Layout> automatic_layout(Codec codec, int device) {
  if (codec != Codec::p4) return Layout::fast;
  int memory_khz = 0;
  int bus_bits = 0;
  int clock_khz = 0;
  int count = 0;
  const std::pair<cudaDeviceAttr, int*> wanted[] = {{cudaDevAttrMemoryClockRate, &memory_khz},
                                                    {cudaDevAttrGlobalMemoryBusWidth, &bus_bits},
                                                    {cudaDevAttrClockRate, &clock_khz},
                                                    {cudaDevAttrMultiProcessorCount, &count}};
  for (const auto& [attribute, value] : wanted) {
    const cudaError_t error = cudaDeviceGetAttribute(value, attribute, device);
    if (Status status = check("cudaDeviceGetAttribute", error); !status) return fail(status);
  }
  const double gigabytes = 2e-6 * memory_khz * bus_bits / 8;
  return detail::fastest_tiles(gigabytes / (count * (1e-6 * clock_khz)));
}

/// Blocks or tiles of a layout, and the tables that belong to them.
struct Image {
  Layout layout;
  std::vector<std::uint8_t> tiles;  ///< empty for layout raw
  detail::HostTables tables;
};

Result<Image> image_of(const TensorView& tensor, Layout layout) {
  detail::HostTables tables = detail::host_tables(tensor.table());
  if (layout == Layout::raw) return Image{layout, {}, std::move(tables)};
  if (tensor.codec() == Codec::h4 && layout == Layout::fast) {
    auto nibbles = pack_nibble_tiles(tensor);
    if (!nibbles) return fail(nibbles.error());
    detail::append_sparse(*nibbles, tables);
    return Image{layout, std::move(nibbles->tiles), std::move(tables)};
  }
  auto tiles = pack_tiles(tensor, layout);
  if (!tiles) return fail(tiles.error());
  return Image{layout, std::move(*tiles), std::move(tables)};
}

/// The image of the wanted layout, or of the one that is taken where the tensor does not fit it.
Result<Image> fitting_image(const TensorView& tensor, Layout wanted, int device) {
  const bool automatic = wanted == Layout::automatic;
  if (automatic) {
    const auto chosen = automatic_layout(tensor.codec(), device);
    if (!chosen) return fail(chosen.error());
    wanted = *chosen;
  }
  auto image = image_of(tensor, wanted);
  const auto unfit = [&] { return !image && image.error().code() == StatusCode::unsupported; };
  if (unfit() && wanted == Layout::dense && tensor.codec() == Codec::p4) {
    image = image_of(tensor, Layout::paired);  // the codes of some half do not fit
  }
  if (unfit() && automatic) image = image_of(tensor, Layout::raw);  // nor patterns nibble tiles
  return image;
}

/// The view of a tensor whose image lies in device memory.
DeviceTensorView view_of(const TensorView& tensor, const Image& image, int device,
                         const DeviceMemory& blocks, const DeviceMemory& table) {
  const detail::HostTables& tables = image.tables;
  const auto* words = reinterpret_cast<const std::uint32_t*>(table.data());
  const bool sparse = tables.row_begins_at != 0;
  return {.codec = tensor.codec(),
          .layout = image.layout,
          .rows = tensor.rows(),
          .cols = tensor.cols(),
          .tensor_scale = tensor.tensor_scale(),
          .device = device,
          .blocks = blocks.data(),
          .patterns = table.data(),
          .gated = words + tables.gated_at,
          .codes = words + tables.codes_at,
          .row_begins = sparse ? words + tables.row_begins_at : nullptr,
          .sparse = sparse ? words + tables.sparse_at : nullptr,
          .pattern_count = tensor.table().patterns(),
          .codebook_count = tables.codebooks};
}

}  // namespace

Result<DeviceTensor> upload(const TensorView& tensor, Layout layout, Stream stream) noexcept try {
  const auto device = detail::usable_device();
  if (!device) return fail(device.error());
  if (detail::too_large(tensor.rows(), tensor.cols())) {
    return fail(StatusCode::unsupported, "a tensor of 2^31 rows, columns or blocks, or more");
  }
  const auto image = fitting_image(tensor, layout, *device);
  if (!image) return fail(image.error());
  const auto bytes =
      image->layout == Layout::raw ? tensor.blocks() : std::span<const std::uint8_t>(image->tiles);
  auto blocks = detail::copy_to_device(bytes, stream);
  if (!blocks) return fail(blocks.error());
  auto table = detail::copy_to_device(std::span<const std::uint32_t>(image->tables.words), stream);
  if (!table) return fail(table.error());
  Status status = check("cudaStreamSynchronize", cudaStreamSynchronize(stream));
  if (!status) return fail(status);
  DeviceTensor out;
  out.view_.value = view_of(tensor, *image, *device, *blocks, *table);
  out.blocks_ = std::move(*blocks);
  out.tables_ = std::move(*table);
  return out;
} catch (const std::bad_alloc&) {
  return fail(StatusCode::out_of_memory, "the tiles or tables of a tensor");
}

Status decode(const DeviceTensorView& tensor, MatrixView<half> out, Stream stream,
              H4Decoder decoder) noexcept {
  return guarded([&] { return decode_tensor(tensor, out, stream, decoder); });
}
Status decode(const DeviceTensorView& tensor, MatrixView<bfloat16> out, Stream stream,
              H4Decoder decoder) noexcept {
  return guarded([&] { return decode_tensor(tensor, out, stream, decoder); });
}
Status decode(const DeviceTensorView& tensor, MatrixView<float> out, Stream stream,
              H4Decoder decoder) noexcept {
  return guarded([&] { return decode_tensor(tensor, out, stream, decoder); });
}

Status decode_a8(const std::uint8_t* blocks, float tensor_scale, MatrixView<half> out,
                 Stream stream) noexcept {
  return guarded([&] { return decode_activations(blocks, tensor_scale, out, stream); });
}
Status decode_a8(const std::uint8_t* blocks, float tensor_scale, MatrixView<bfloat16> out,
                 Stream stream) noexcept {
  return guarded([&] { return decode_activations(blocks, tensor_scale, out, stream); });
}
Status decode_a8(const std::uint8_t* blocks, float tensor_scale, MatrixView<float> out,
                 Stream stream) noexcept {
  return guarded([&] { return decode_activations(blocks, tensor_scale, out, stream); });
}

}  // namespace ecco::cuda
