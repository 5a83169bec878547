// SPDX-License-Identifier: MIT
// The host API of encoding: tables, checks of arguments, launches.
#include "ecco/cuda/encode.hpp"

#include <cuda_runtime_api.h>

#include <limits>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "block_rows.hpp"
#include "copy_to_device.hpp"
#include "device_checks.hpp"
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
  if (Status status = detail::check_device(codec.device, "the codec"); !status) return status;
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

/// The table, checked; where it is empty, the standard one, of a8 none.
Result<PatternTableView> table_of(Codec codec, const PatternTableView& table) {
  if (table.centroids.empty()) {
    if (codec == Codec::a8) return table;
    return codec == Codec::h4 ? standard_kv_table() : standard_table(codec);
  }
  if (table.codec != codec) {
    return fail(StatusCode::invalid_argument, "a table of " +
                                                  std::string(codec_name(table.codec)) +
                                                  " for codec " + std::string(codec_name(codec)));
  }
  if (Status status = validate(table); !status) return fail(std::move(status));
  return table;
}

/// Tables of decoders, and from word `encoding_at` on those of the encoder.
struct EncoderTables {
  detail::HostTables tables;
  std::size_t encoding_at;
};

EncoderTables encoder_tables(const PatternTableView& table) {
  detail::HostTables tables = detail::host_tables(table);
  const std::size_t encoding_at = (tables.words.size() + 3) / 4 * 4;
  tables.words.resize(encoding_at, 0);
  const std::vector<std::uint32_t> encoding = table.codec == Codec::h4
                                                  ? detail::h4_encode_tables(table.h4())
                                                  : detail::planar_encode_tables(table);
  tables.words.insert(tables.words.end(), encoding.begin(), encoding.end());
  return {std::move(tables), encoding_at};
}

}  // namespace

Result<DeviceCodec> DeviceCodec::create(Codec codec, const PatternTableView& table,
                                        Stream stream) noexcept try {
  const auto device = detail::usable_device();
  if (!device) return fail(device.error());
  DeviceCodec out;
  DeviceCodecView& view = out.view_.value;
  view.codec = codec;
  view.device = *device;
  const auto patterns = table_of(codec, table);
  if (!patterns) return fail(patterns.error());
  if (codec == Codec::a8) return out;
  const auto [tables, encoding_at] = encoder_tables(*patterns);
  auto memory = detail::copy_to_device(std::span<const std::uint32_t>(tables.words), stream);
  if (!memory) return fail(memory.error());
  Status status = check("cudaStreamSynchronize", cudaStreamSynchronize(stream));
  if (!status) return fail(std::move(status));
  const auto* words = reinterpret_cast<const std::uint32_t*>(memory->data());
  view.patterns = memory->data();
  view.codes = words + tables.codes_at;
  view.encoding = words + encoding_at;
  view.pattern_count = patterns->patterns();
  view.codebook_count = tables.codebooks;
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
