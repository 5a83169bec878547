// SPDX-License-Identifier: MIT
#include "llama/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace llama {
namespace {

using ecco::Status;
using ecco::StatusCode;

Status system_error(const std::string& path, std::string_view what) {
  const std::string reason = std::generic_category().message(errno);
  return {StatusCode::io_error, fmt::format("{}: {}: {}", path, what, reason)};
}

/// A descriptor that closes itself.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

Status write_all(int fd, const std::string& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error(path, "cannot write");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  if (fsync(fd) != 0) return system_error(path, "cannot write");
  return {};
}

/// With the permissions that a newly created file would have; mkstemp gives 0600.
void widen_permissions(int fd) {
  const mode_t mask = umask(0);
  umask(mask);
  (void)fchmod(fd, 0666 & ~mask);
}

}  // namespace

ecco::Result<std::string> read_file(const std::string& path, std::size_t most_bytes) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return ecco::fail(system_error(path, "cannot open"));
  struct stat info {};
  if (fstat(file.fd, &info) != 0) return ecco::fail(system_error(path, "cannot read"));
  if (!S_ISREG(info.st_mode)) {
    return ecco::fail(StatusCode::io_error, path + ": not a regular file");
  }
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size > most_bytes) {
    return ecco::fail(StatusCode::io_error, fmt::format("{}: {} bytes, but at most {} are read",
                                                        path, size, most_bytes));
  }
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(file.fd, bytes.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ecco::fail(system_error(path, "cannot read"));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

Status check_target(const std::string& path, bool overwrite) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? Status() : system_error(path, "cannot write");
  }
  if (!S_ISREG(info.st_mode)) {
    return {StatusCode::invalid_argument,
            path + ": exists and is no regular file, so it is not overwritten"};
  }
  if (!overwrite) {
    return {StatusCode::already_exists, path + ": exists already; --force overwrites it"};
  }
  return {};
}

Status write_file(const std::string& path, std::string_view bytes, bool overwrite) {
  if (Status status = check_target(path, overwrite); !status) return status;
  std::string temporary = path + ".XXXXXX";
  const Descriptor file{mkstemp(temporary.data())};
  if (file.fd < 0) return system_error(path, "cannot create");
  widen_permissions(file.fd);
  Status status = write_all(file.fd, path, bytes);
  if (status && std::rename(temporary.c_str(), path.c_str()) != 0) {
    status = system_error(path, "cannot rename the temporary file");
  }
  if (!status) unlink(temporary.c_str());
  return status;
}

}  // namespace llama
