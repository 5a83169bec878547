// SPDX-License-Identifier: MIT
#include "io/output.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <random>
#include <system_error>
#include <utility>

#include "io/text.hpp"

namespace ecco {
namespace {

namespace fs = std::filesystem;

Status system_error(std::string_view path, std::string_view doing, int number) {
  return {StatusCode::io_error, fmt::format("{}: {}: {}", escape_controls(path), doing,
                                            std::generic_category().message(number))};
}

std::string join(const std::string& directory, const std::string& name) {
  return directory == "." ? name : (fs::path(directory) / name).string();
}

std::string parent_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

/// Calls make(path), which returns -1 and sets errno on failure, with names that are not in use.
template <typename Make>
Result<std::string> make_temporary(const std::string& directory, const std::string& target,
                                   Make&& make) {
  constexpr int kAttempts = 100;
  std::random_device random;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::string path = join(directory, fmt::format(".ecco-{:08x}", random()));
    if (make(path.c_str()) >= 0) return path;
    if (errno != EEXIST) break;
  }
  return fail(system_error(target, "cannot create a temporary beside it", errno));
}

/// Whether `path` may become the name of an output file.
Status check_target(const std::string& path, bool overwrite) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? Status() : system_error(path, "cannot write", errno);
  }
  if (!S_ISREG(info.st_mode)) {
    return {StatusCode::invalid_argument,
            fmt::format("{}: exists and is no regular file, so it is not overwritten",
                        escape_controls(path))};
  }
  if (!overwrite) {
    return {StatusCode::already_exists,
            fmt::format("{}: exists already and is only overwritten on request (--force)",
                        escape_controls(path))};
  }
  return {};
}

/// rename() that, unless overwriting, fails where the target has appeared in the meantime.
int rename_to(const std::string& from, const std::string& to, bool overwrite) {
  if (!overwrite) {
    const int result = renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE);
    if (result == 0 || (errno != EINVAL && errno != ENOSYS)) return result;
  }
  return std::rename(from.c_str(), to.c_str());
}

}  // namespace

Status OutputFile::error(int number) const {
  return system_error(target_, "cannot write", number);
}

Status OutputFile::append(std::span<const std::uint8_t> bytes) {
  Status status = write_at(position_, bytes);
  if (status) position_ += bytes.size();
  return status;
}

Status OutputFile::append(std::string_view text) {
  return append(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

Status OutputFile::write_at(std::uint64_t offset, std::span<const std::uint8_t> bytes) const {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      return error(errno);
    }
    offset += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Status OutputFile::reserve(std::uint64_t bytes) const {
  if (bytes == 0 || fallocate(fd_, 0, 0, static_cast<off_t>(bytes)) == 0) return {};
  // Not every file system can; only what writing would run into as well counts.
  return errno == ENOSPC || errno == EFBIG || errno == EDQUOT ? error(errno) : Status();
}

Status OutputFile::close() {
  const int fd = std::exchange(fd_, -1);
  return fd < 0 || ::close(fd) == 0 ? Status() : error(errno);
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      target_(std::move(other.target_)),
      position_(other.position_) {}

Result<OutputSet> OutputSet::directory(const std::string& path, bool overwrite) {
  // A trailing slash would make the last component empty.
  std::string clean = path;
  while (clean.size() > 1 && clean.back() == '/') clean.pop_back();
  OutputSet set(clean, overwrite);
  struct stat info {};
  if (lstat(clean.c_str(), &info) == 0) {
    if (!S_ISDIR(info.st_mode)) {
      return fail(StatusCode::invalid_argument,
                  fmt::format("{}: exists and is no directory, which a model needs",
                              escape_controls(clean)));
    }
    std::error_code error;
    if (!overwrite && !fs::is_empty(clean, error)) {
      return fail(
          StatusCode::already_exists,
          fmt::format("{}: exists already and its files are only overwritten on request (--force)",
                      escape_controls(clean)));
    }
    return set;
  }
  if (errno != ENOENT) return fail(system_error(clean, "cannot write", errno));
  auto work =
      make_temporary(parent_of(clean), clean, [](const char* name) { return mkdir(name, 0777); });
  if (!work) return fail(work.error());
  set.staging_ = std::move(*work);
  return set;
}

Result<OutputSet> OutputSet::file(const std::string& path, bool overwrite) {
  if (Status status = check_target(path, overwrite); !status) return fail(std::move(status));
  return OutputSet(parent_of(path), overwrite);
}

Result<OutputFile> OutputSet::create(const std::string& name) {
  const std::string target = path_of(name);
  if (staging_.empty()) {
    if (Status status = check_target(target, overwrite_); !status) {
      return fail(std::move(status));
    }
  }
  int fd = -1;
  auto temporary = make_temporary(work_directory(), target, [&](const char* path) {
    return fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  });
  if (!temporary) return fail(temporary.error());
  OutputFile file(fd, target);
  entries_.push_back({std::move(*temporary), name});
  return file;
}

Status OutputSet::commit() {
  // No fsync: checksums tell of a file that a power failure cut short, and it would cost seconds.
  for (Entry& entry : entries_) {
    const std::string target = join(work_directory(), entry.name);
    if (rename_to(entry.temporary, target, overwrite_) != 0) {
      return system_error(path_of(entry.name), "cannot put the new file there", errno);
    }
    entry.temporary.clear();
  }
  if (!staging_.empty()) {
    if (std::rename(staging_.c_str(), directory_.c_str()) != 0) {
      return system_error(directory_, "cannot put the new directory there", errno);
    }
    staging_.clear();
  }
  return {};
}

std::string OutputSet::path_of(const std::string& name) const { return join(directory_, name); }

const std::string& OutputSet::work_directory() const noexcept {
  return staging_.empty() ? directory_ : staging_;
}

OutputSet::~OutputSet() {
  for (const Entry& entry : entries_) {
    if (!entry.temporary.empty()) unlink(entry.temporary.c_str());
  }
  if (!staging_.empty()) {
    std::error_code ignored;
    fs::remove_all(staging_, ignored);
  }
}

OutputSet::OutputSet(OutputSet&& other) noexcept
    : directory_(std::move(other.directory_)),
      staging_(std::exchange(other.staging_, {})),
      overwrite_(other.overwrite_),
      entries_(std::exchange(other.entries_, {})) {}

}  // namespace ecco
