// SPDX-License-Identifier: MIT
#include "memory.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

namespace ptxvm {
namespace {

constexpr size_t kPadding = 512;

struct Registry {
  std::map<uint64_t, Range> ranges;
  size_t bytes = 0;
};
Registry& registry() {
  static Registry* r =
      new Registry;  // never destroyed: programs free device memory in static destructors
  return *r;
}

}  // namespace

void registerRange(void* pointer, size_t bytes, MemoryKind kind) {
  const uint64_t begin = reinterpret_cast<uint64_t>(pointer);
  registry().ranges[begin] = {begin, begin + bytes, kind};
}

void* allocate(size_t bytes, MemoryKind kind) {
  const size_t total = (bytes + kPadding + 255) & ~size_t{255};
  void* p = std::aligned_alloc(256, total);
  if (!p) return nullptr;
  std::memset(p, 0xCD, total);
  registerRange(p, bytes, kind);
  registry().bytes += bytes;
  return p;
}

bool release(void* pointer) {
  auto& r = registry();
  auto it = r.ranges.find(reinterpret_cast<uint64_t>(pointer));
  if (it == r.ranges.end() || it->second.kind == MemoryKind::Symbol) return false;
  const size_t bytes = it->second.end - it->second.begin;
  r.bytes -= bytes;
  std::memset(pointer, 0xDD, bytes);
  r.ranges.erase(it);
  std::free(pointer);
  return true;
}

bool findRange(uint64_t address, Range& out) {
  auto& ranges = registry().ranges;
  auto it = ranges.upper_bound(address);
  if (it == ranges.begin()) return false;
  --it;
  if (address >= it->second.end) return false;
  out = it->second;
  return true;
}

size_t allocatedBytes() { return registry().bytes; }

const char* describeNearest(uint64_t address, char* buffer, size_t size) {
  auto& ranges = registry().ranges;
  auto it = ranges.upper_bound(address);
  if (it == ranges.begin()) {
    std::snprintf(buffer, size, "below every allocation");
  } else {
    --it;
    const Range& r = it->second;
    const auto length = static_cast<unsigned long long>(r.end - r.begin);
    if (address < r.end)
      std::snprintf(buffer, size, "runs past the end of an allocation of %llu bytes", length);
    else if (address - r.end < (1u << 20))
      std::snprintf(buffer, size, "%llu bytes past the end of an allocation of %llu bytes",
                    static_cast<unsigned long long>(address - r.end), length);
    else
      std::snprintf(buffer, size, "in no allocation");
  }
  return buffer;
}

}  // namespace ptxvm
