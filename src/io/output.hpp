// SPDX-License-Identifier: MIT
// Files that appear under their names only when complete, all of a model together.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ecco/status.hpp"

namespace ecco {

/// A file being written under a temporary name. Errors: io_error with the target's path.
class OutputFile {
 public:
  /// Appends; never from two threads at once.
  Status append(std::span<const std::uint8_t> bytes);
  Status append(std::string_view text);
  /// Leaves room for bytes that write_at has written or will write.
  void skip(std::uint64_t bytes) noexcept { position_ += bytes; }
  /// Writes at a place of the caller's choice; safe from several threads at different places.
  Status write_at(std::uint64_t offset, std::span<const std::uint8_t> bytes) const;
  /// Claims room on the disk, so that a full one is noticed before the work is done.
  Status reserve(std::uint64_t bytes) const;
  Status close();

  ~OutputFile();
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;

 private:
  friend class OutputSet;
  OutputFile(int fd, std::string target) noexcept : fd_(fd), target_(std::move(target)) {}
  [[nodiscard]] Status error(int number) const;

  int fd_ = -1;
  std::string target_;
  std::uint64_t position_ = 0;
};

/// The files of one output, made in a directory and renamed together by commit(). Whatever was not
/// committed is removed by the destructor; a process that is killed leaves names that begin with
/// ".ecco-" behind and nothing else.
class OutputSet {
 public:
  /// Files of a directory that exists, or is made by commit() when it does not. Errors: io_error;
  /// already_exists for a directory with entries unless overwriting; invalid_argument for anything
  /// else of that name.
  static Result<OutputSet> directory(const std::string& path, bool overwrite);
  /// The file `path`, and more beside it. Errors: already_exists, invalid_argument (no regular
  /// file).
  static Result<OutputSet> file(const std::string& path, bool overwrite);

  /// Starts the file `name`. Errors: as file() for a name that exists; io_error.
  Result<OutputFile> create(const std::string& name);
  /// Renames everything, in the order of creation. Precondition: all files are closed.
  Status commit();
  /// Path that the file `name` will have.
  [[nodiscard]] std::string path_of(const std::string& name) const;

  ~OutputSet();
  OutputSet(OutputSet&& other) noexcept;
  OutputSet& operator=(OutputSet&&) = delete;

 private:
  struct Entry {
    std::string temporary;
    std::string name;
  };
  [[nodiscard]] const std::string& work_directory() const noexcept;
  OutputSet(std::string directory, bool overwrite) noexcept
      : directory_(std::move(directory)), overwrite_(overwrite) {}

  std::string directory_;  ///< where the files will be
  std::string staging_;    ///< directory that will be renamed to directory_; "": that exists
  bool overwrite_;
  std::vector<Entry> entries_;
};

}  // namespace ecco
