// SPDX-License-Identifier: MIT
#include "io/file_map.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace ecco {
namespace {

Status system_error(int error) {
  return {StatusCode::io_error, std::generic_category().message(error)};
}

Result<std::span<const std::uint8_t>> map(int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return fail(system_error(errno));
  if (S_ISDIR(info.st_mode)) return fail(system_error(EISDIR));
  if (!S_ISREG(info.st_mode)) return fail(StatusCode::io_error, "not a regular file");
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size == 0) return std::span<const std::uint8_t>();
  void* data = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return fail(system_error(errno));
  return std::span(static_cast<const std::uint8_t*>(data), size);
}

}  // namespace

Result<FileMap> FileMap::open(const std::string& path) {
  // Without O_NONBLOCK a FIFO would wait for its writer.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return fail(system_error(errno));
  const auto bytes = map(fd);
  ::close(fd);
  if (!bytes) return fail(bytes.error());
  FileMap file;
  file.bytes_ = *bytes;
  return file;
}

FileMap::~FileMap() {
  if (!bytes_.empty()) munmap(const_cast<std::uint8_t*>(bytes_.data()), bytes_.size());
}

void release_pages(std::span<const std::uint8_t> bytes) noexcept {
  static const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t begin = (address + page - 1) / page * page;
  const std::uintptr_t end = (address + bytes.size()) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace ecco
