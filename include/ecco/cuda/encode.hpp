// SPDX-License-Identifier: MIT
// Encoding on a GPU while a model runs: rows of values -> H4 blocks (KV mode), planar blocks
// (effort fast) or A8 blocks, bit-identical to the encoders on the CPU. Compiles without nvcc and
// CUDA headers. The rules of device.hpp on streams, allocation and errors hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "ecco/codec.hpp"
#include "ecco/cuda/device.hpp"
#include "ecco/pattern_table.hpp"
#include "ecco/status.hpp"
#include "ecco/types.hpp"

namespace ecco::cuda {

/// What kernels need of a codec; all pointers are to device memory. {Codec::a8} is complete as it
/// is: a8 has no tables.
struct DeviceCodecView {
  Codec codec = Codec::a8;
  int device = -1;                          ///< -1: any
  const std::uint8_t* patterns = nullptr;   ///< as in DeviceTensorView
  const std::uint32_t* codes = nullptr;     ///< as in DeviceTensorView
  const std::uint32_t* encoding = nullptr;  ///< tables of the encoder
  int pattern_count = 0;
  int codebook_count = 0;
};

/// A codec with its tables on a device, prepared once for all rows and pages; movable: what was
/// moved from has no tables.
class DeviceCodec {
 public:
  /// Copies the tables to the current device; allocates and may wait for the stream. An empty
  /// table means the standard one: "standard-kv-1" for h4, "standard-1" for planar codecs, whose
  /// encoder takes some tenths of a second to prepare and 2 MB. Errors: corrupt, invalid_argument
  /// (a table of another codec), unsupported
  /// (no GPU, or compute capability below 8.0), out_of_memory, device_error.
  static Result<DeviceCodec> create(Codec codec, const PatternTableView& table = {},
                                    Stream stream = nullptr) noexcept;

  [[nodiscard]] const DeviceCodecView& view() const noexcept { return view_.value; }

 private:
  DeviceCodec() = default;

  detail::Moved<DeviceCodecView> view_;
  DeviceMemory tables_;
};

/// Encodes rows of values in device memory, each into ceil(cols / group) blocks, the last partly
/// padding: h4 as KvEncoder::encode_row, a8 as encode_a8, planar codecs as Encoder::encode_rows at
/// effort fast with neither importances nor a limit on the error, of values widened to float, byte
/// for byte. NaN counts as 0, infinity as the largest finite value. `blocks` has exactly the bytes
/// of all rows and is aligned to 16 bytes. Fastest when the first row's address, the stride and
/// the length of rows are multiples of four values. Errors: shape_mismatch (bytes of `blocks`),
/// invalid_argument (tensor_scale not in (0, 1e34], an address that is not a multiple of the
/// value's size, rows that overlap, a codec without tables, another device), unsupported (2^31
/// blocks or columns), device_error.
Status encode(const DeviceCodecView& codec, MatrixView<const half> rows, float tensor_scale,
              std::span<std::uint8_t> blocks, Stream stream) noexcept;
Status encode(const DeviceCodecView& codec, MatrixView<const bfloat16> rows, float tensor_scale,
              std::span<std::uint8_t> blocks, Stream stream) noexcept;
Status encode(const DeviceCodecView& codec, MatrixView<const float> rows, float tensor_scale,
              std::span<std::uint8_t> blocks, Stream stream) noexcept;

}  // namespace ecco::cuda
