// SPDX-License-Identifier: MIT
// The host API of encoding: tables, checks of arguments, launches.
#include "ecco/cuda/encode.hpp"

#include <cuda_runtime_api.h>

#include <limits>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "block_rows.hpp"
#include "ecco/standard_tables.hpp"
#include "encode_planar_tables.hpp"
#include "encode_tables.hpp"
#include "errors.hpp"
#include "launch.hpp"
#include "tables.hpp"

namespace ecco::cuda {
namespace {

using detail::check;

/// Checks rows and describes the blocks that they become.
template <typename T>
Result<detail::EncodeJob> encode_job(Codec codec, const MatrixView<const T>& rows,
                                     float tensor_scale, std::span<std::uint8_t> blocks) {
  const bool empty = rows.rows == 0 || rows.cols == 0;
  Status status = detail::check_scale(tensor_scale);
  if (status) status = detail::check_matrix("rows", rows);
  if (status) status = detail::check_address("blocks", blocks.data(), detail::kAlignment, empty);
  const std::size_t per_row = detail::blocks_of(codec, rows.cols);
  detail::EncodeJob job{};
  job.blocks = blocks.data();
  if (status) status = detail::describe_rows(rows, per_row, tensor_scale, job);
  if (!status) return fail(status);
  const std::size_t bytes = rows.rows * per_row * block_bytes(codec);
  if (blocks.size() != bytes) {
    return fail(StatusCode::shape_mismatch, std::to_string(rows.rows) + " rows of " +
                                                std::to_string(rows.cols) + " values take " +
                                                std::to_string(bytes) + " bytes of blocks, not " +
                                                std::to_string(blocks.size()));
  }
  return job;
}

template <typename T>
Status encode_rows(const DeviceCodecView& codec, MatrixView<const T> rows, float tensor_scale,
                   std::span<std::uint8_t> blocks, Stream stream) {
  if (Status status = detail::check_device(codec.device); !status) return status;
  const auto job = encode_job(codec.codec, rows, tensor_scale, blocks);
  if (!job) return job.error();
  if (job->block_count == 0) return {};
  if (codec.codec == Codec::a8) return check("encode", detail::encode_a8(*job, rows.data, stream));
  if (codec.encoding == nullptr) return detail::no_tables(codec.codec);
  if (is_planar(codec.codec)) {
    const rd::ScaleRange range = rd::scale_range(tensor_scale, std::numeric_limits<float>::max());
    return check("encode", detail::encode_planar(*job, codec, range.lowest, range.highest,
                                                 rows.data, detail::kInputType<T>, stream));
  }
  return check("encode", detail::encode_h4(*job, codec, rows.data, stream));
}

}  // namespace

Result<DeviceCodec> DeviceCodec::create(Codec codec, const PatternTableView& table,
                                        Stream stream) noexcept try {
  DeviceCodec out;
  out.view_.codec = codec;
  Status status = check("cudaGetDevice", cudaGetDevice(&out.view_.device));
  if (!status) return fail(std::move(status));
  const bool standard = table.centroids.empty();
  if (!standard && table.codec != codec) {
    return fail(StatusCode::invalid_argument, "a table of " +
                                                  std::string(codec_name(table.codec)) +
                                                  " for codec " + std::string(codec_name(codec)));
  }
  if (codec == Codec::a8) return out;
  const PatternTableView view = !standard            ? table
                                : codec == Codec::h4 ? standard_kv_table()
                                                     : standard_table(codec);
  if (status = validate(view); !status) return fail(std::move(status));
  detail::HostTables tables = detail::host_tables(view);
  const std::size_t encoding_at = (tables.words.size() + 3) / 4 * 4;
  tables.words.resize(encoding_at, 0);
  const std::vector<std::uint32_t> encoding = codec == Codec::h4
                                                  ? detail::h4_encode_tables(view.h4())
                                                  : detail::planar_encode_tables(view);
  tables.words.insert(tables.words.end(), encoding.begin(), encoding.end());
  const std::size_t bytes = 4 * tables.words.size();
  auto memory = DeviceMemory::allocate(bytes);
  if (!memory) return fail(memory.error());
  status = check("cudaMemcpyAsync", cudaMemcpyAsync(memory->data(), tables.words.data(), bytes,
                                                    cudaMemcpyHostToDevice, stream));
  if (status) status = check("cudaStreamSynchronize", cudaStreamSynchronize(stream));
  if (!status) return fail(std::move(status));
  const auto* words = reinterpret_cast<const std::uint32_t*>(memory->data());
  out.view_.patterns = memory->data();
  out.view_.codes = words + tables.codes_at;
  out.view_.encoding = words + encoding_at;
  out.view_.pattern_count = view.patterns();
  out.view_.codebook_count = tables.codebooks;
  out.tables_ = std::move(*memory);
  return out;
} catch (const std::bad_alloc&) {
  return fail(StatusCode::out_of_memory, "the tables of a codec");
}

Status encode(const DeviceCodecView& codec, MatrixView<const half> rows, float tensor_scale,
              std::span<std::uint8_t> blocks, Stream stream) noexcept {
  return detail::guarded([&] { return encode_rows(codec, rows, tensor_scale, blocks, stream); });
}
Status encode(const DeviceCodecView& codec, MatrixView<const bfloat16> rows, float tensor_scale,
              std::span<std::uint8_t> blocks, Stream stream) noexcept {
  return detail::guarded([&] { return encode_rows(codec, rows, tensor_scale, blocks, stream); });
}
Status encode(const DeviceCodecView& codec, MatrixView<const float> rows, float tensor_scale,
              std::span<std::uint8_t> blocks, Stream stream) noexcept {
  return detail::guarded([&] { return encode_rows(codec, rows, tensor_scale, blocks, stream); });
}

}  // namespace ecco::cuda
