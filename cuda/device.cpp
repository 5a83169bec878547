// SPDX-License-Identifier: MIT
// The host API: checks arguments, launches, and turns errors of the runtime into Status.
#include "ecco/cuda/device.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <limits>
#include <new>
#include <string>
#include <vector>

#include "launch.hpp"
#include "tables.hpp"

namespace ecco::cuda {
namespace {

constexpr std::size_t kMostBlocks = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t kAlignment = 16;  ///< of blocks and tables

/// Status of a failed call of the runtime, which `what` names.
Status failure(const char* what, cudaError_t error) noexcept {
  StatusCode code = StatusCode::device_error;
  if (error == cudaErrorMemoryAllocation) code = StatusCode::out_of_memory;
  if (error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver ||
      error == cudaErrorNoKernelImageForDevice) {
    code = StatusCode::unsupported;
  }
  try {
    return {code, std::string(what) + ": " + cudaGetErrorString(error)};
  } catch (const std::bad_alloc&) {
    return {code, ""};
  }
}

Status check(const char* what, cudaError_t error) noexcept {
  return error == cudaSuccess ? Status() : failure(what, error);
}

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

bool aligned(const void* address, std::size_t bytes) noexcept {
  return reinterpret_cast<std::uintptr_t>(address) % bytes == 0;
}

/// Checks a matrix of output and describes the blocks that fill it.
template <typename T>
Result<detail::DecodeJob> decode_job(const std::uint8_t* blocks, std::size_t per_row,
                                     float tensor_scale, const MatrixView<T>& out) {
  if (!aligned(out.data, sizeof(T))) {
    return fail(StatusCode::invalid_argument,
                "the output is not aligned to its " + std::to_string(sizeof(T)) + "-byte values");
  }
  if (!aligned(blocks, kAlignment)) {
    return fail(StatusCode::invalid_argument, "the blocks are not aligned to 16 bytes");
  }
  if (out.rows > 1 && out.row_stride < out.cols) {
    return fail(StatusCode::invalid_argument, "rows of " + std::to_string(out.cols) +
                                                  " values lie " + std::to_string(out.row_stride) +
                                                  " values apart");
  }
  if (out.cols > kMostBlocks || (per_row > 0 && out.rows > kMostBlocks / per_row)) {
    return fail(StatusCode::unsupported, "a matrix of 2^31 blocks or columns or more");
  }
  detail::DecodeJob job{};
  job.blocks = blocks;
  job.block_count = static_cast<std::uint32_t>(out.rows * per_row);
  job.blocks_per_row = static_cast<std::uint32_t>(per_row);
  job.cols = static_cast<std::uint32_t>(out.cols);
  job.row_stride = out.row_stride;
  job.tensor_scale = tensor_scale;
  job.vector = out.cols % 4 == 0 && (out.row_stride % 4 == 0 || out.rows == 1) &&
               aligned(out.data, 4 * sizeof(T));
  return job;
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
  int device = 0;
  if (Status status = check("cudaGetDevice", cudaGetDevice(&device)); !status) return status;
  if (device != tensor.device) {
    return {StatusCode::invalid_argument, "the tensor lies on device " +
                                              std::to_string(tensor.device) + ", current is " +
                                              std::to_string(device)};
  }
  const auto job =
      decode_job(tensor.blocks, blocks_per_row(tensor.cols), tensor.tensor_scale, out);
  if (!job) return job.error();
  if (job->block_count == 0) return {};
  if (is_planar(tensor.codec)) {
    const auto* table = reinterpret_cast<const std::uint32_t*>(tensor.patterns);
    return check("decode", detail::decode_planar(tensor.codec, *job, table, tensor.pattern_count,
                                                 out.data, stream));
  }
  const detail::H4Tables tables{tensor.patterns, tensor.codes, tensor.pattern_count,
                                tensor.codebook_count};
  return check("decode",
               detail::decode_h4(*job, tables, decoder == H4Decoder::parallel, out.data, stream));
}

template <typename T>
Status decode_activations(const std::uint8_t* blocks, float tensor_scale, MatrixView<T> out,
                          Stream stream) {
  constexpr std::size_t kValues = 64;
  const std::size_t per_row = out.cols / kValues + (out.cols % kValues != 0 ? 1 : 0);
  const auto job = decode_job(blocks, per_row, tensor_scale, out);
  if (!job) return job.error();
  if (job->block_count == 0) return {};
  return check("decode_a8", detail::decode_a8(*job, out.data, stream));
}

/// Runs a function that may lack memory for its messages.
template <typename Function>
Status guarded(Function&& function) noexcept {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return {StatusCode::out_of_memory, ""};
  }
}

}  // namespace

cudaError_t detail::multiprocessors(int& count) {
  int device = 0;
  if (const cudaError_t error = cudaGetDevice(&device); error != cudaSuccess) return error;
  return cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
}

DeviceMemory::~DeviceMemory() {
  if (data_ != nullptr) cudaFree(data_);
}

Result<DeviceMemory> DeviceMemory::allocate(std::size_t bytes) noexcept {
  DeviceMemory memory;
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, std::max<std::size_t>(bytes, 1));
  if (error != cudaSuccess) {
    cudaGetLastError();  // not to be reported again by the caller's next call
    return fail(failure("cudaMalloc", error));
  }
  memory.data_ = static_cast<std::uint8_t*>(data);
  memory.bytes_ = bytes;
  return memory;
}

Result<DeviceTensor> upload(const TensorView& tensor, Stream stream) noexcept try {
  const auto device = usable_device();
  if (!device) return fail(device.error());
  const std::size_t block_count = tensor.rows() * tensor.blocks_per_row();
  if (block_count > kMostBlocks || tensor.cols() > kMostBlocks) {
    return fail(StatusCode::unsupported, "a tensor of 2^31 blocks or columns or more");
  }
  const detail::HostTables tables = detail::host_tables(tensor.table());
  auto blocks = DeviceMemory::allocate(tensor.blocks().size());
  if (!blocks) return fail(blocks.error());
  auto table = DeviceMemory::allocate(4 * tables.words.size());
  if (!table) return fail(table.error());
  const auto copy = [stream](std::uint8_t* to, const void* from, std::size_t bytes) {
    return check("cudaMemcpyAsync",
                 cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream));
  };
  Status status = copy(blocks->data(), tensor.blocks().data(), tensor.blocks().size());
  if (status) status = copy(table->data(), tables.words.data(), 4 * tables.words.size());
  if (status) status = check("cudaStreamSynchronize", cudaStreamSynchronize(stream));
  if (!status) return fail(status);
  DeviceTensor out;
  out.view_.codec = tensor.codec();
  out.view_.rows = tensor.rows();
  out.view_.cols = tensor.cols();
  out.view_.tensor_scale = tensor.tensor_scale();
  out.view_.device = *device;
  out.view_.blocks = blocks->data();
  out.view_.patterns = table->data();
  out.view_.codes = reinterpret_cast<const std::uint32_t*>(table->data()) + tables.codes_at;
  out.view_.pattern_count = tensor.table().patterns();
  out.view_.codebook_count = tables.codebooks;
  out.blocks_ = std::move(*blocks);
  out.tables_ = std::move(*table);
  return out;
} catch (const std::bad_alloc&) {
  return fail(StatusCode::out_of_memory, "the tables of a tensor");
}

#define ECCO_DEFINE_DECODE(T)                                                              \
  Status decode(const DeviceTensorView& tensor, MatrixView<T> out, Stream stream,          \
                H4Decoder decoder) noexcept {                                              \
    return guarded([&] { return decode_tensor(tensor, out, stream, decoder); });           \
  }                                                                                        \
  Status decode_a8(const std::uint8_t* blocks, float tensor_scale, MatrixView<T> out,      \
                   Stream stream) noexcept {                                               \
    return guarded([&] { return decode_activations(blocks, tensor_scale, out, stream); }); \
  }
ECCO_DEFINE_DECODE(half)
ECCO_DEFINE_DECODE(bfloat16)
ECCO_DEFINE_DECODE(float)
#undef ECCO_DEFINE_DECODE

}  // namespace ecco::cuda
