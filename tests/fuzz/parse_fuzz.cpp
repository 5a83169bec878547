// SPDX-License-Identifier: MIT
// Any bytes as a file: refused with a reason, or laid out so that every view is in bounds.
#include <span>
#include <string>

#include "ecco/tensor.hpp"
#include "fuzz/fuzz.hpp"
#include "io/ecco_metadata.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ecco;
  const auto file = parse_container({data, size});
  if (!file) {
    FUZZ_ASSERT(!file.error().message().empty());
    FUZZ_ASSERT(file.error().message().find('\n') == std::string::npos);
    return 0;
  }
  std::uint64_t at = 0;
  for (const SafetensorsEntry& entry : file->header.entries) {
    FUZZ_ASSERT(entry.begin == at && entry.end >= at);
    at = entry.end;
  }
  FUZZ_ASSERT(file->header.header_bytes + at == size);
  if (!file->ecco) return 0;
  FUZZ_ASSERT(file->ecco->tensors.size() + file->ecco->carried.size() +
                  file->ecco->tables.size() ==
              file->header.entries.size());
  // What was read and is written again reads back the same.
  const auto again = parse_ecco_metadata(ecco_metadata_text(*file->ecco));
  FUZZ_ASSERT(again && ecco_metadata_text(*again) == ecco_metadata_text(*file->ecco));
  return 0;
}
