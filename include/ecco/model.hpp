// SPDX-License-Identifier: MIT
// A model on disk: one safetensors file, an index with its shards, or a directory; compressed or
// not.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ecco/config.hpp"
#include "ecco/encode.hpp"
#include "ecco/h4_statistics.hpp"
#include "ecco/parallel.hpp"
#include "ecco/status.hpp"
#include "ecco/tensor.hpp"

namespace ecco {

/// What the model knows of one tensor without reading its data. Table tensors are not listed.
struct ModelTensor {
  std::string name;
  std::string dtype;                     ///< of the source: "F16", "BF16", "F32", "I64", ...
  std::vector<std::uint64_t> shape;      ///< of the source
  std::string file;                      ///< path of the shard that holds it
  std::span<const std::uint8_t> stored;  ///< its bytes as stored (blocks, or the carried values)
  std::optional<Codec> codec;            ///< empty: carried unchanged
  std::string table;  ///< name of a standard table or of a table tensor; "" if carried
  float tensor_scale = 1.0f;
  double bits_per_weight = 0.0;  ///< stored bytes and its share of its table, per value

  [[nodiscard]] std::uint64_t values() const noexcept;
  /// Leading dimensions folded (1 for rank 0 and 1), and the last dimension.
  [[nodiscard]] std::uint64_t rows() const noexcept;
  [[nodiscard]] std::uint64_t cols() const noexcept;
};

/// Whether opening also reads all data to compare the checksums.
enum class Checksums : std::uint8_t { skip, check };

/// A model opened for reading; data stays memory-mapped. Cheap to copy (shared).
class ECCO_API Model {
 public:
  /// `path` is a file, an index (*.index.json) or a directory with either. Headers and layout are
  /// validated completely. Errors: io_error, corrupt; one line naming file, tensor, reason.
  static Result<Model> open(const std::string& path, Checksums checksums = Checksums::skip);

  [[nodiscard]] const std::vector<ModelTensor>& tensors() const noexcept;  ///< sorted by name
  [[nodiscard]] const ModelTensor* find(std::string_view name) const noexcept;
  /// View of a compressed tensor: rows() x cols() values. Precondition: tensor.codec has a value.
  [[nodiscard]] TensorView view(const ModelTensor& tensor) const;
  [[nodiscard]] bool compressed() const noexcept;             ///< any file has the "ecco" key
  [[nodiscard]] std::uint64_t file_bytes() const noexcept;    ///< of all shards
  [[nodiscard]] std::uint64_t header_bytes() const noexcept;  ///< of all shards
  /// Over all compressed tensors: stored bytes and tables, per value; 0 if there is none.
  [[nodiscard]] double bits_per_weight() const noexcept;
  /// The tables that the file itself holds, by tensor name.
  [[nodiscard]] const std::map<std::string, PatternTable>& tables() const noexcept;
  /// Hint that the data of this tensor is not needed soon (bounds resident memory).
  void release(const ModelTensor& tensor) const noexcept;

  struct Impl;

 private:
  explicit Model(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

/// Decodes or widens rows of any F16, BF16, F32 or compressed tensor to binary32. Errors:
/// unsupported (dtype), shape_mismatch.
ECCO_API Status read_rows(const Model& model, const ModelTensor& tensor, std::size_t first_row,
                          MatrixView<float> out);

/// Where the pattern tables come from.
enum class TableSource : std::uint8_t { standard, tensor, file };

/// Called as work proceeds, never from two threads at once; return false to stop (cancelled).
using Progress = std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes,
                                    std::string_view tensor)>;

struct ModelCompressOptions {
  Codec codec = Codec::p4;
  Effort effort = Effort::default_;
  H4Mode mode = H4Mode::rate_aware;  ///< of h4
  TableSource table = TableSource::standard;
  /// Of a trained h4 table; 0 = the paper's 64 and 4, or fewer where the tensors are too small to
  /// pay for as many. Planar tables have as many patterns as pay.
  int patterns = 0;        ///< 16..256
  int codebooks = 0;       ///< 1..16
  std::string importance;  ///< path of a safetensors file of F32 vectors, or ""
  std::string include;     ///< ECMAScript regex, searched in the name; "" = all
  std::string exclude;     ///< the same; "" = none
  bool overwrite = false;
  bool dry_run = false;  ///< decide and report, write nothing
};

/// What became of one tensor.
struct TensorOutcome {
  std::string name;
  std::vector<std::uint64_t> shape;
  std::string dtype;
  std::optional<Codec> codec;  ///< empty: carried
  std::string reason;          ///< why it was carried, with the numbers; "" if compressed
  bool included = false;       ///< --include names it or was not given, and --exclude does not
  bool excluded = false;       ///< --exclude names it
  std::uint64_t source_bytes = 0;
  std::uint64_t stored_bytes = 0;
};

struct CompressReport {
  std::vector<TensorOutcome> tensors;  ///< sorted by name
  std::uint64_t source_bytes = 0;      ///< of the files
  std::uint64_t stored_bytes = 0;      ///< of the files; 0 in a dry run
  double bits_per_weight = 0.0;        ///< of the compressed tensors, tables included
};

/// Compresses a model: a file to a file, an index or a directory to a directory. The output
/// appears under its name only when complete. Streams: memory beyond the mapping is at most 256 MB
/// + 64 MB per thread. Errors: those of Model::open, not_finite (tensor, row, column),
/// already_exists, unsupported (codec; values too large for h4), invalid_argument (regex,
/// importance, patterns, codebooks), io_error, cancelled.
ECCO_API Result<CompressReport> compress_model(const std::string& in, const std::string& out,
                                               const ModelCompressOptions& options,
                                               const ParallelFor& parallel = serial,
                                               const Progress& progress = {});

struct ModelDecompressOptions {
  std::string dtype;  ///< "F32", "F16", "BF16"; "" = the dtypes of the source
  bool overwrite = false;
};

/// Inverse of compress_model, checksums checked.
ECCO_API Status decompress_model(const std::string& in, const std::string& out,
                                 const ModelDecompressOptions& options,
                                 const ParallelFor& parallel = serial,
                                 const Progress& progress = {});

/// Error of a compressed tensor against its original.
struct TensorError {
  std::string name;
  double squared_error = 0.0;
  double squared_signal = 0.0;
  [[nodiscard]] double rmse() const noexcept;    ///< relative: sqrt(error / signal)
  [[nodiscard]] double snr_db() const noexcept;  ///< 10 log10(signal / error)
};

/// Compares every compressed tensor with the one of the same name. Errors: shape_mismatch,
/// invalid_argument (a name that `original` lacks).
ECCO_API Result<std::vector<TensorError>> compare_models(const Model& model, const Model& original,
                                                         const ParallelFor& parallel = serial,
                                                         const Progress& progress = {});

/// One finding of verify_model.
struct Defect {
  std::string tensor;
  std::string reason;
};

struct Verification {
  std::vector<Defect> defects;
  std::map<std::string, h4::Statistics> h4;  ///< what the blocks of each h4 tensor hold
};

/// Reads everything: checksums and validity of every block. Errors: those of Model::open.
ECCO_API Result<Verification> verify_model(const std::string& path,
                                           const ParallelFor& parallel = serial,
                                           const Progress& progress = {});

}  // namespace ecco
