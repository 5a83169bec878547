// SPDX-License-Identifier: MIT
#include "ecco/safetensors.hpp"
#include "guarded.hpp"

#include "io/file_map.hpp"
#include "io/safetensors_header.hpp"
#include "io/text.hpp"

namespace ecco {

struct SafetensorsFile::Impl {
  std::string path;
  FileMap map;
  SafetensorsHeader header;
};

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  return guarded([&]() -> Result<SafetensorsFile> {
    const std::string subject = escape_controls(path);
    auto map = FileMap::open(path);
    if (!map) return fail(prefixed(subject, map.error()));
    auto header = parse_safetensors_header(map->bytes());
    if (!header) return fail(prefixed(subject, header.error()));
    return SafetensorsFile(
        std::make_shared<const Impl>(Impl{path, std::move(*map), std::move(*header)}));
  });
}

const std::string& SafetensorsFile::path() const noexcept { return impl_->path; }

const std::vector<SafetensorsEntry>& SafetensorsFile::entries() const noexcept {
  return impl_->header.entries;
}

const SafetensorsEntry* SafetensorsFile::find(std::string_view name) const noexcept {
  return impl_->header.find(name);
}

std::span<const std::uint8_t> SafetensorsFile::bytes(
    const SafetensorsEntry& entry) const noexcept {
  return impl_->map.bytes().subspan(impl_->header.header_bytes + entry.begin,
                                    entry.end - entry.begin);
}

const std::map<std::string, std::string>& SafetensorsFile::metadata() const noexcept {
  return impl_->header.metadata;
}

std::uint64_t SafetensorsFile::file_bytes() const noexcept { return impl_->map.bytes().size(); }

std::uint64_t SafetensorsFile::header_bytes() const noexcept { return impl_->header.header_bytes; }

void SafetensorsFile::release(std::span<const std::uint8_t> bytes) const noexcept {
  release_pages(bytes);
}

}  // namespace ecco
