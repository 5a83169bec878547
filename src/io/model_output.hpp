// SPDX-License-Identifier: MIT
// Where a command writes a model: which files, under which names.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ecco/model.hpp"
#include "ecco/status.hpp"
#include "io/job.hpp"
#include "io/model_impl.hpp"
#include "io/output.hpp"
#include "io/safetensors_writer.hpp"
#include "io/side_files.hpp"

namespace ecco {

/// The output of a whole run: files are added, then finish() makes them appear.
class ModelOutput {
 public:
  /// `out` is a file for a file; for an index or a directory it is a directory, or, for an index,
  /// a path that ends in .index.json. Errors: already_exists, invalid_argument, io_error.
  static Result<ModelOutput> create(const Model& model, const std::string& out, bool overwrite);

  /// Starts the output of a shard.
  Result<OutputFile> create_shard(const Shard& shard);
  /// Counts a shard's tensors in the index. Precondition: entries are laid out.
  void add_to_index(const Shard& shard, const std::vector<LaidOutEntry>& entries);
  /// Writes what lies beside the shards and renames everything.
  Status finish(ConfigChange change);

 private:
  ModelOutput(const Model& model, OutputSet files) noexcept
      : model_(Model::Impl::of(model)), files_(std::move(files)) {}
  [[nodiscard]] const std::string& shard_name(const Shard& shard) const;

  const Model::Impl& model_;
  OutputSet files_;
  std::string file_name_;   ///< of the only file; "" for a sharded model
  std::string index_name_;  ///< "" without one
  bool side_files_ = false;
  std::uint64_t total_size_ = 0;
  std::map<std::string, std::string> weight_map_;
};

/// Appends bytes of a mapping as they are, hashing and releasing them on the way.
Result<std::uint64_t> copy_bytes(std::span<const std::uint8_t> bytes, std::string_view tensor,
                                 OutputFile& file, Job& job);

}  // namespace ecco
