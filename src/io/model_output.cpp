// SPDX-License-Identifier: MIT
#include "io/model_output.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "io/checksum.hpp"
#include "io/file_map.hpp"
#include "io/text.hpp"

namespace ecco {
namespace {

namespace fs = std::filesystem;

bool same_file(const std::string& a, const std::string& b) {
  struct stat first {};
  struct stat second {};
  return stat(a.c_str(), &first) == 0 && stat(b.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/// Error where the output would replace a file of the input.
Status refuse_input(const ModelFiles& files, const std::string& out, bool to_index) {
  const fs::path parent = fs::path(out).parent_path();
  const std::string out_directory = to_index ? (parent.empty() ? "." : parent.string()) : out;
  bool same =
      same_file(out_directory, files.directory) || same_file(out, files.path_of(files.index));
  for (const std::string& shard : files.shards) same |= same_file(out, files.path_of(shard));
  if (!same) return {};
  return {StatusCode::invalid_argument,
          fmt::format("{}: would replace the input; choose another output", escape_controls(out))};
}

}  // namespace

Result<ModelOutput> ModelOutput::create(const Model& model, const std::string& out,
                                        bool overwrite) {
  if (out.empty()) return fail(StatusCode::invalid_argument, "no output is named");
  const ModelFiles& files = Model::Impl::of(model).files;
  const bool single = files.kind == ModelKind::file;
  const bool to_index = files.kind == ModelKind::index && is_index_path(out);
  if (Status status = refuse_input(files, out, to_index); !status) return fail(std::move(status));
  if ((single || to_index) && fs::path(out).filename().empty()) {
    return fail(StatusCode::invalid_argument,
                fmt::format("{}: names a directory, but the output of one file is a file",
                            escape_controls(out)));
  }
  auto set =
      single || to_index ? OutputSet::file(out, overwrite) : OutputSet::directory(out, overwrite);
  if (!set) return fail(set.error());

  ModelOutput output(model, std::move(*set));
  output.side_files_ = !single && !to_index;
  if (single) output.file_name_ = fs::path(out).filename().string();
  if (!files.index.empty()) {
    output.index_name_ = to_index ? fs::path(out).filename().string() : kIndexFileName;
  }
  const std::string hides = output.files_.path_of(kModelFileName);
  std::error_code ignored;
  if (output.side_files_ && !files.index.empty() && fs::exists(hides, ignored)) {
    return fail(StatusCode::already_exists,
                fmt::format("{}: would hide the new {} from readers; remove it first",
                            escape_controls(hides), kIndexFileName));
  }
  return output;
}

const std::string& ModelOutput::shard_name(const Shard& shard) const {
  return file_name_.empty() ? shard.name : file_name_;
}

Result<OutputFile> ModelOutput::create_shard(const Shard& shard) {
  return files_.create(shard_name(shard));
}

void ModelOutput::add_to_index(const Shard& shard, const std::vector<LaidOutEntry>& entries) {
  for (const LaidOutEntry& entry : entries) {
    weight_map_.emplace(entry.entry.name, shard_name(shard));
    total_size_ += entry.bytes;
  }
}

Status ModelOutput::finish(ConfigChange change) {
  if (side_files_) {
    if (Status status = copy_side_files(model_.files, change, files_); !status) return status;
  }
  if (!index_name_.empty()) {
    Status status = write_index(index_name_, total_size_, weight_map_, files_);
    if (!status) return status;
  }
  return files_.commit();
}

Result<std::uint64_t> copy_bytes(std::span<const std::uint8_t> bytes, std::string_view tensor,
                                 OutputFile& file, Job& job) {
  constexpr std::size_t kPiece = 8 << 20;
  Checksum checksum;
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), kPiece));
    checksum.update(piece);
    Status status = file.append(piece);
    if (status) status = job.advance(piece.size(), tensor);
    if (!status) return fail(std::move(status));
    release_pages(piece);
    bytes = bytes.subspan(piece.size());
  }
  return checksum.digest();
}

}  // namespace ecco
