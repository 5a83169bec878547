// SPDX-License-Identifier: MIT
// The allocations kernels may touch.  Device pointers are host pointers; every access is looked up
// here.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ptxvm {

enum class MemoryKind : uint8_t { Device, Pinned, Managed, Symbol, Heap };

struct Range {
  uint64_t begin = 1, end = 0;
  MemoryKind kind = MemoryKind::Device;
};

void* allocate(size_t bytes,
               MemoryKind kind);  // poisoned with 0xCD, padded so that neighbours never touch
bool release(void* pointer);      // false: not the start of an allocation
void registerRange(void* pointer, size_t bytes, MemoryKind kind);
bool findRange(uint64_t address, Range& out);  // the allocation that holds this byte
size_t allocatedBytes();

// The allocation an address lies in or lies nearest behind, in words, for error messages.
const char* describeNearest(uint64_t address, char* buffer, size_t size);

}  // namespace ptxvm
