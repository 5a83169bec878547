// SPDX-License-Identifier: MIT
// What the program asked the runtime for, for ptxvm_count_calls.
#pragma once
#include <cstdint>
#include <unordered_map>

#include "ptxvm/ptxvm.h"

namespace ptxvm {

class CallCounter {
 public:
  void allocate() { ++allocations_; }
  void wait() { ++waits_; }
  void operate(const void* stream) {
    ++operations_;
    ++byStream_[stream];
  }
  // Another stream may get the handle of one that is gone.
  void forget(const void* stream) { byStream_.erase(stream); }

  ptxvm_calls of(const void* stream) const {
    const auto own = byStream_.find(stream);
    const uint64_t here = own == byStream_.end() ? 0 : own->second;
    return {allocations_, waits_, here, operations_ - here};
  }

 private:
  uint64_t allocations_ = 0, waits_ = 0, operations_ = 0;
  std::unordered_map<const void*, uint64_t> byStream_;
};

}  // namespace ptxvm
