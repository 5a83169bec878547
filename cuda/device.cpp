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
using detail::check_device;
using detail::guarded;
using detail::kAlignment;
using detail::kMostBlocks;

/// The current device, if the kernels run on it.
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
  if (Status status = check_device(tensor.device); !status) return status;
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
  const detail::H4Tables tables{tensor.patterns, tensor.codes, tensor.pattern_count,
                                tensor.codebook_count};
  return check("decode",
               detail::decode_h4(*job, tables, decoder == H4Decoder::parallel, out.data, stream));
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

/// Blocks as they are, or as tiles, and the tables that belong to them.
struct Image {
  std::vector<std::uint8_t> tiles;  ///< empty for layout raw
  detail::HostTables tables;
};

Result<Image> image_of(const TensorView& tensor, Layout layout) {
  detail::HostTables tables = detail::host_tables(tensor.table());
  if (layout == Layout::raw) return Image{{}, std::move(tables)};
  if (tensor.codec() == Codec::h4 && layout == Layout::fast) {
    auto nibbles = pack_nibble_tiles(tensor);
    if (!nibbles) return fail(nibbles.error());
    detail::append_sparse(*nibbles, tables);
    return Image{std::move(nibbles->tiles), std::move(tables)};
  }
  auto tiles = pack_tiles(tensor, layout);
  if (!tiles) return fail(tiles.error());
  return Image{std::move(*tiles), std::move(tables)};
}

}  // namespace

Result<DeviceTensor> upload(const TensorView& tensor, Layout layout, Stream stream) noexcept try {
  const auto device = usable_device();
  if (!device) return fail(device.error());
  const std::size_t block_count = tensor.rows() * tensor.blocks_per_row();
  if (block_count > kMostBlocks || tensor.cols() > kMostBlocks || tensor.rows() > kMostBlocks) {
    return fail(StatusCode::unsupported, "a tensor of 2^31 rows, columns or blocks, or more");
  }
  const bool automatic = layout == Layout::automatic;
  if (automatic) {
    const auto chosen = automatic_layout(tensor.codec(), *device);
    if (!chosen) return fail(chosen.error());
    layout = *chosen;
  }
  auto image = image_of(tensor, layout);
  if (!image && layout == Layout::dense && tensor.codec() == Codec::p4 &&
      image.error().code() == StatusCode::unsupported) {
    layout = Layout::paired;  // the codes of some half do not fit
    image = image_of(tensor, layout);
  }
  if (!image && automatic && image.error().code() == StatusCode::unsupported) {
    layout = Layout::raw;  // patterns that do not fit nibble tiles
    image = image_of(tensor, layout);
  }
  if (!image) return fail(image.error());
  const std::span<const std::uint8_t> bytes =
      layout == Layout::raw ? tensor.blocks() : std::span<const std::uint8_t>(image->tiles);
  const detail::HostTables& tables = image->tables;
  auto blocks = DeviceMemory::allocate(bytes.size());
  if (!blocks) return fail(blocks.error());
  auto table = DeviceMemory::allocate(4 * tables.words.size());
  if (!table) return fail(table.error());
  const auto copy = [stream](std::uint8_t* to, const void* from, std::size_t count) {
    return check("cudaMemcpyAsync",
                 cudaMemcpyAsync(to, from, count, cudaMemcpyHostToDevice, stream));
  };
  Status status = copy(blocks->data(), bytes.data(), bytes.size());
  if (status) status = copy(table->data(), tables.words.data(), 4 * tables.words.size());
  if (status) status = check("cudaStreamSynchronize", cudaStreamSynchronize(stream));
  if (!status) return fail(status);
  const auto* words = reinterpret_cast<const std::uint32_t*>(table->data());
  DeviceTensor out;
  out.view_ = {tensor.codec(),
               layout,
               tensor.rows(),
               tensor.cols(),
               tensor.tensor_scale(),
               *device,
               blocks->data(),
               table->data(),
               words + tables.gated_at,
               words + tables.codes_at,
               tables.row_begins_at != 0 ? words + tables.row_begins_at : nullptr,
               tables.row_begins_at != 0 ? words + tables.sparse_at : nullptr,
               tensor.table().patterns(),
               tables.codebooks};
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
