// SPDX-License-Identifier: MIT
// Compressed matrices on a GPU: upload, decode, multiply. Compiles without nvcc and without CUDA
// headers; link ecco::cuda. Every function works on the current device; `stream` = nullptr is the
// default stream. Compute calls neither allocate nor wait: their errors are those of arguments and
// of the launch; what fails later on the device, the caller's next synchronisation reports.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "ecco/codec.hpp"
#include "ecco/config.hpp"
#include "ecco/cuda/layout.hpp"
#include "ecco/status.hpp"
#include "ecco/tensor.hpp"
#include "ecco/types.hpp"

struct CUstream_st;

namespace ecco::cuda {

/// cudaStream_t.
using Stream = CUstream_st*;

namespace detail {
/// A value that a move leaves as new, so that what was moved from refers to nothing.
template <typename T>
struct Moved {
  T value{};

  Moved() noexcept = default;
  Moved(Moved&& other) noexcept : value(std::exchange(other.value, T{})) {}
  Moved& operator=(Moved&& other) noexcept {
    value = std::exchange(other.value, T{});
    return *this;
  }
  ~Moved() = default;
};
}  // namespace detail

/// Device memory; movable: what was moved from is empty. Freed by the destructor and by
/// assignment, which wait as cudaFree does.
class DeviceMemory {
 public:
  DeviceMemory() noexcept = default;
  DeviceMemory(DeviceMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    DeviceMemory moved(std::move(other));  // frees what this one held
    std::swap(data_, moved.data_);
    std::swap(bytes_, moved.bytes_);
    return *this;
  }
  ~DeviceMemory();

  /// Errors: out_of_memory, device_error.
  static Result<DeviceMemory> allocate(std::size_t bytes) noexcept;

  [[nodiscard]] std::uint8_t* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// What kernels need of a tensor; all pointers are to device memory. docs/cuda.md describes the
/// tables.
struct DeviceTensorView {
  Codec codec = Codec::p4;
  Layout layout = Layout::raw;
  std::size_t rows = 0;
  std::size_t cols = 0;
  float tensor_scale = 1.0f;
  int device = 0;
  const std::uint8_t* blocks = nullptr;    ///< as in TensorView, or tiles; aligned to 16 bytes
  const std::uint8_t* patterns = nullptr;  ///< table of values, aligned to 16 bytes
  const std::uint32_t* gated = nullptr;    ///< planar: values for tiles, aligned to 16 bytes
  const std::uint32_t* codes = nullptr;    ///< h4, p4: table of codes
  /// h4, fast: where the sparse corrections of each row begin in `sparse`, and the last one's end.
  const std::uint32_t* row_begins = nullptr;
  const std::uint32_t* sparse = nullptr;  ///< SparseValue of tiles_h4.hpp, aligned to 8 bytes
  int pattern_count = 0;
  int codebook_count = 0;  ///< h4
};

/// Owning tensor on a device; movable: what was moved from is a tensor without rows.
class DeviceTensor {
 public:
  [[nodiscard]] const DeviceTensorView& view() const noexcept { return view_.value; }
  [[nodiscard]] std::size_t device_bytes() const noexcept {
    return blocks_.bytes() + tables_.bytes();
  }

 private:
  friend Result<DeviceTensor> upload(const TensorView&, Layout, Stream) noexcept;
  DeviceTensor() = default;

  detail::Moved<DeviceTensorView> view_;
  DeviceMemory blocks_;
  DeviceMemory tables_;
};

/// Copies a tensor to the current device; the source may go away when it returns. Allocates and
/// may wait for the stream. Tiles are made on the host; a tensor whose classes do not fit dense
/// tiles gets paired ones. Errors: unsupported (no GPU, compute capability below 8.0, tiles of a
/// codec that has none, 2^31 rows, columns or blocks), corrupt (tiles take valid blocks only),
/// out_of_memory, device_error.
Result<DeviceTensor> upload(const TensorView& tensor, Layout layout = Layout::raw,
                            Stream stream = nullptr) noexcept;

/// Bytes of the blocks or tiles of a rows x cols tensor, without the sparse corrections of h4; 0
/// if the codec has no such layout, for Layout::automatic, and from 2^31 rows, columns or blocks
/// on.
std::size_t layout_bytes(Codec codec, Layout layout, std::size_t rows, std::size_t cols) noexcept;

/// Converts planar blocks to tiles or back on the device, byte for byte as pack_tiles and
/// unpack_tiles of tiles.hpp do, into `out`, layout_bytes(...) of device memory aligned to 16
/// bytes. Returns the view of the result: `from` with another layout and other blocks; its tables
/// stay those of `from`, and `out` must not overlap its blocks. Nothing waits for the device, so
/// what is found there goes to the device word `faults`: it rises by the number of blocks that are
/// not valid, whose class codes do not fit a dense tile, or that a tile's row does not make; these
/// become rows of zeros, or blocks of zeros. Errors: unsupported (a pair of layouts of which not
/// exactly one is raw, a codec without tiles), shape_mismatch, invalid_argument, device_error.
Result<DeviceTensorView> repack(const DeviceTensorView& from, Layout to,
                                std::span<std::uint8_t> out, std::uint32_t* faults,
                                Stream stream) noexcept;

/// How H4 blocks are decoded; the results are the same.
enum class H4Decoder : std::uint8_t {
  lane,      ///< a lane per block: fast
  parallel,  ///< the paper's parallel Huffman decoder, a warp per block
};

/// Decodes all rows of a tensor of any layout to `out`, device memory of tensor.rows x tensor.cols
/// values; padding is not written. Bit-identical to ecco::decode_rows on any block bytes. Fastest
/// when rows, their stride and their length are aligned to four values. Errors: shape_mismatch,
/// invalid_argument (an address that is not a multiple of the value's size, a view without what
/// its layout needs, another device), unsupported (2^31 rows, columns or blocks), device_error.
Status decode(const DeviceTensorView& tensor, MatrixView<half> out, Stream stream,
              H4Decoder decoder = H4Decoder::lane) noexcept;
Status decode(const DeviceTensorView& tensor, MatrixView<bfloat16> out, Stream stream,
              H4Decoder decoder = H4Decoder::lane) noexcept;
Status decode(const DeviceTensorView& tensor, MatrixView<float> out, Stream stream,
              H4Decoder decoder = H4Decoder::lane) noexcept;

/// Decodes rows of A8 blocks, ceil(out.cols / 64) each, `blocks` aligned to 16 bytes.
/// Bit-identical to a8::decode. Errors as decode.
Status decode_a8(const std::uint8_t* blocks, float tensor_scale, MatrixView<half> out,
                 Stream stream) noexcept;
Status decode_a8(const std::uint8_t* blocks, float tensor_scale, MatrixView<bfloat16> out,
                 Stream stream) noexcept;
Status decode_a8(const std::uint8_t* blocks, float tensor_scale, MatrixView<float> out,
                 Stream stream) noexcept;

/// Rows of A8 blocks, ceil(cols / 64) each, one row after the other in device memory aligned to 16
/// bytes.
struct A8View {
  const std::uint8_t* blocks = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;
  float tensor_scale = 1.0f;
};

/// How activations are rounded, per vector and group of 128 values.
enum class Activations : std::uint8_t {
  int8,   ///< as Int8Activations: |error| <= max / 254
  int16,  ///< two int8 digits, |error| <= max / 65278, twice the columns
};

inline constexpr std::size_t kMaxBatch = 16;  ///< vectors of one gemv

/// Bytes of workspace that gemv needs on the current device; 0 if it has no GPU, and for a tensor
/// or a batch that gemv refuses.
std::size_t gemv_workspace_bytes(const DeviceTensorView& tensor, std::size_t batch,
                                 Activations activations) noexcept;

/// y[i][r] = sum over k of W[r][k] * x[i][k] for a tensor of any codec and layout; x = batch x
/// cols, y = batch x rows, batch 0..16, all in device memory. Weights enter exactly; the sum of a
/// group of 128 is an exact integer, and the order of the binary32 sums depends only on the shape
/// and the number of multiprocessors: results repeat bit for bit (docs/cuda.md, "Products"). A
/// group of x with a NaN or an infinity makes its vector's results NaN; one without a magnitude of
/// 2^-100 or more counts as zeros. `workspace` is aligned to 16 bytes and not used by other work
/// at the same time. Errors: shape_mismatch, invalid_argument, unsupported (2^31 rows, columns or
/// blocks), device_error.
Status gemv(const DeviceTensorView& tensor, MatrixView<const half> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream) noexcept;
Status gemv(const DeviceTensorView& tensor, MatrixView<const bfloat16> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream) noexcept;
Status gemv(const DeviceTensorView& tensor, MatrixView<const float> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream) noexcept;
/// The same result as for what decode_a8 makes of x in float.
Status gemv(const DeviceTensorView& tensor, const A8View& x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream) noexcept;

/// How gemm multiplies.
enum class GemmPath : std::uint8_t {
  gemv,  ///< up to 16 vectors at a time, activations as int8 digits
  half,  ///< tensor cores, in half, weights decoded in registers
  blas,  ///< cuBLAS, in half, panels of weights decoded to memory
};

/// Smallest batch that gemm multiplies in half; smaller ones are left to gemv. By counts of
/// instructions, and times of 16 and 64 vectors on an H200 (docs/cuda.md, "Prefill").
inline constexpr std::size_t kGemmFrom = kMaxBatch + 1;

/// Smallest batch that gemm leaves to cuBLAS where it may choose. Interpolated between times of 64
/// and 512 vectors on an H200, for fast and paired tiles of P4: up to three blocks of 64 vectors,
/// own kernels take less time than decoding to memory and cuBLAS (docs/cuda.md, "Prefill").
inline constexpr std::size_t kBlasFrom = 3 * 64 + 1;

namespace detail {
struct HalfProduct;
using HalfProductCall = Status (*)(void* handle, const HalfProduct& product, Stream stream);
}  // namespace detail

/// A cuBLAS handle of one device; movable: what was moved from holds nullptr, and gemm refuses it.
/// Programs that create none call nothing of cuBLAS, but link it, too, if the library was built
/// with it.
class Blas {
 public:
  Blas(Blas&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)),
        call_(other.call_),
        device_(other.device_),
        from_(other.from_) {}
  Blas& operator=(Blas&& other) noexcept {
    Blas moved(std::move(other));  // destroys what this one held
    std::swap(handle_, moved.handle_);
    std::swap(call_, moved.call_);
    std::swap(device_, moved.device_);
    std::swap(from_, moved.from_);
    return *this;
  }
  ~Blas();

  /// Of the current device; `from` = the smallest batch that gemm shall leave to it. Allocates.
  /// Errors: unsupported (a library built without cuBLAS), out_of_memory, device_error.
  static Result<Blas> create(std::size_t from = kBlasFrom) noexcept;

  [[nodiscard]] void* handle() const noexcept { return handle_; }  ///< cublasHandle_t
  [[nodiscard]] int device() const noexcept { return device_; }
  [[nodiscard]] std::size_t from() const noexcept { return from_; }
  /// For gemm.
  [[nodiscard]] detail::HalfProductCall call() const noexcept { return call_; }

 private:
  Blas() = default;

  void* handle_ = nullptr;
  detail::HalfProductCall call_ = nullptr;
  int device_ = 0;
  std::size_t from_ = 0;
};

/// What gemm chooses for so many vectors: from blas->from() on cuBLAS, if there is a handle; below
/// kGemmFrom, and for raw h4, gemv; else half.
GemmPath gemm_path(const DeviceTensorView& tensor, std::size_t batch,
                   const Blas* blas = nullptr) noexcept;

/// Bytes of workspace that are enough for gemm of any type of x and up to so many vectors on the
/// current device; 0 if it has no GPU, and from 2^31 rows, columns, blocks or vectors on. Own
/// kernels need at most those of 512 vectors: x in half, and sums of slices of K; cuBLAS needs x
/// in half and panels of 4096 rows.
std::size_t gemm_workspace_bytes(const DeviceTensorView& tensor, std::size_t batch,
                                 Activations activations, const Blas* blas = nullptr) noexcept;

/// y = x W^T as gemv, for any batch and by the way that gemm_path tells; `activations` are those
/// of gemv. In half: binary32 sums on tensor cores; weights enter exactly, as integers; half
/// enters exactly, bfloat16 and float rounded to half after a power of two per vector and group of
/// 128 (cuBLAS: per vector) brought the largest magnitude to 2^14..2^15, so that nothing
/// overflows. Error of a sum, the rounding of x apart: at most (274 + groups) 2^-24 of the sum of
/// magnitudes, of which a sparse correction of h4 counts twice; cuBLAS: what its sums err by. A
/// group of x with a NaN or an infinity makes its vector's results NaN (cuBLAS and half: or
/// infinities).
/// Results depend on the shapes and the number of multiprocessors only and repeat bit for bit
/// (cuBLAS: as it promises).
///
/// cuBLAS takes as many rows at a time as fit the workspace, at least 16, decoded to half without
/// tensor_scale, which multiplies the sums; weights of blocks of scale 2^-21 or more are exact.
/// The stream of the handle is set. Errors: as gemv; a handle of another device is an
/// invalid_argument.
Status gemm(const DeviceTensorView& tensor, MatrixView<const half> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream,
            const Blas* blas = nullptr) noexcept;
Status gemm(const DeviceTensorView& tensor, MatrixView<const bfloat16> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream,
            const Blas* blas = nullptr) noexcept;
Status gemm(const DeviceTensorView& tensor, MatrixView<const float> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream,
            const Blas* blas = nullptr) noexcept;

}  // namespace ecco::cuda
