// SPDX-License-Identifier: MIT
// The SIMT machine: blocks, warps, scheduling, barriers, shared-memory checks.
//
// Each lane has its own program counter. A warp runs the group of lanes with the lowest one (in
// the innermost function), so that lanes meet again after a branch; now and then another group
// gets a turn, so that lanes that spin on each other make progress. Blocks start in index order, a
// few at a time, and take turns.
#pragma once
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ir.hpp"
#include "memory.hpp"
#include "ptxvm/ptxvm.h"

namespace ptxvm {

struct Options {
  unsigned seed = 0;  // 0: fixed order; others shuffle warps, blocks and time slices
  int resident = 4;   // blocks that run at the same time
  int quantum = 512;  // warp instructions per turn
  uint64_t maxSteps = 2'000'000'000;  // warp instructions per launch
  bool strict = true;                 // shuffles from absent lanes, divergent barriers
  bool race = true;
  bool init = true;  // reads of shared memory nobody wrote
  int sm = 80;
  int sms = 4;  // multiprocessors, and the most blocks that each says it holds
  int blocksPerSm = 16;
  bool verbose = false;
};
extern constinit Options
    options;  // set before any constructor runs: nvcc registers kernels in one

struct Dim {
  unsigned x = 1, y = 1, z = 1;
};

struct Frame {
  const Function* f = nullptr;
  char* regs = nullptr;       // slots of 32 lanes, see Operand
  uint32_t* preds = nullptr;  // one bit per lane
  char* params = nullptr;     // frameParamBytes per lane
  uint64_t localBase = 0;
  Frame* parent = nullptr;
  const CallSite* site = nullptr;
  int returnPc = 0, depth = 0;
  uint32_t lanes = 0;
};

struct AsyncCopy {
  uint64_t to = 0, from = 0;
  uint8_t bytes = 0, valid = 0, lane = 0;
  const Ins* ins = nullptr;
};

struct Block;
struct Warp {
  char* base[2] = {};  // registers and constants of the current frame, indexed by Operand::kind
  uint32_t* preds = nullptr;
  Frame* frame = nullptr;
  Block* block = nullptr;
  int id = 0;
  uint32_t exists = 0, live = 0, waitSync = 0, waitBar = 0;
  uint32_t carry = 0;  // condition code of add.cc and friends
  int innerFrames = 0;
  uint32_t lastSync = 0;  // Block::time of the latest __syncwarp
  uint64_t schedules = 0;
  int32_t pc[32] = {};
  Frame* at[32] = {};
  uint32_t syncMask[32] = {};
  uint8_t barId[32] = {};
  std::vector<AsyncCopy> open;                 // cp.async not yet committed
  std::vector<std::vector<AsyncCopy>> groups;  // committed, oldest first
};

struct Barrier {
  bool used = false, aligned = false;
  unsigned expected = 0;  // 0: every thread of the block
  struct Reduction {
    Warp* warp;
    uint32_t lanes, values;
  };
  std::vector<Reduction> reductions;
  std::vector<uint32_t> arrivals;  // bar.arrive: lanes per warp
  void clear() {
    used = false;
    expected = 0;
    reductions.clear();
    std::fill(arrivals.begin(), arrivals.end(), 0);
  }
};

// Who touched a word (or a byte) of shared memory last. Times are Block::time.
struct Shadow {
  uint32_t writeTime = 0, readTime = 0;
  uint16_t writer = 0xffff, reader = 0xffff;
  uint8_t readers = 0;  // 0: one thread, 1: several of one warp, 2: several warps
  bool split = false;   // of a word: look at its four bytes instead
};

struct Block {
  unsigned index = 0;
  Dim id;
  unsigned threads = 0, liveThreads = 0;
  std::vector<char> shared, local;
  std::vector<uint8_t> written;  // per byte: 1 once initialised, 2 while a cp.async is under way
  std::vector<Shadow> words, bytes;
  std::vector<std::unique_ptr<Warp>> warps;
  Barrier barriers[16];
  uint32_t time = 1, lastBarrier = 1;
};

struct LaunchConfig {
  Dim grid, block;
  size_t dynamicShared = 0;
};

struct Counter {
  uint64_t warp = 0, lane = 0, divergent = 0;
};

struct Machine {
  Machine(Module& m, const Function& kernel, const LaunchConfig& config,
          const std::vector<char>& params);
  ~Machine();
  void run();

  // Handlers use what follows.
  const Function& kernel() const { return kernel_; }
  std::string where(const Warp& w, int lane, const Ins& ins) const;
  [[noreturn]] void fault(const Warp& w, int lane, const Ins& ins, const std::string& what) const;
  char* global(const Warp& w, int lane, const Ins& ins, uint64_t address, int bytes, bool write);
  enum Access { Read, Write, Strong };
  char* shared(Warp& w, int lane, const Ins& ins, uint64_t offset, int bytes, Access access,
               const char* value = nullptr);
  char* local(Warp& w, int lane, const Ins& ins, uint64_t offset, int bytes);
  // Physical place of a shared offset; SIZE_MAX if it is in no variable.
  size_t sharedPlace(uint64_t offset, size_t bytes) const {
    if (offset + bytes <= kernel_.sharedBytes) return offset;
    if (offset >= kDynamicBase && offset + bytes <= kDynamicBase + config_.dynamicShared)
      return dynamicPlace_ + (offset - kDynamicBase);
    return SIZE_MAX;
  }
  void countGlobal(const uint64_t* address, uint32_t mask, int bytes, bool write);
  void countShared(const uint64_t* address, uint32_t mask, int bytes);
  void finishCopies(Warp& w, std::vector<AsyncCopy>& copies);
  void ordered(Block& b) { b.lastBarrier = ++b.time; }

  ptxvm_stats stats{};
  uint64_t steps = 0;
  const std::vector<char>& params() const { return params_; }
  Module& module() { return module_; }
  const LaunchConfig& config() const { return config_; }
  bool yielded = false;  // a handler sets it to end the warp's turn

 private:
  struct Group {
    uint32_t mask;
    int32_t pc, stopAt;
    Frame* frame;
  };
  std::unique_ptr<Block> makeBlock(unsigned index);
  Frame* newFrame(const Function& f, const Warp& w);
  void freeFrame(Frame* f);
  void enter(Warp& w, Frame* f) {
    w.frame = f;
    w.base[0] = f->regs;
    w.base[1] = const_cast<char*>(f->f->consts.data());
    w.preds = f->preds;
  }
  bool pick(Warp& w, Group& g);
  bool runWarp(Warp& w, int quantum);
  void call(Warp& w, const Ins& ins, uint32_t mask, int pc);
  void builtin(Warp& w, const Ins& ins, const Function& callee, const CallSite& site,
               uint32_t mask);
  void leaveFunction(Warp& w, uint32_t mask);
  void exitLanes(Warp& w, uint32_t mask);
  bool warpSync(Warp& w, const Ins& ins, uint32_t mask, int pc);
  bool tryWarpSync(Warp& w);
  void runSync(Warp& w, const Ins& ins, uint32_t group);
  void blockBarrier(Warp& w, const Ins& ins, uint32_t mask, int pc);
  bool tryBarrier(Block& b, int id);
  void raceCheck(Block& b, const Warp& w, int lane, const Ins& ins, size_t place, int bytes,
                 bool write, bool changes);
  void raceCell(Block& b, const Warp& w, int lane, const Ins& ins, Shadow& cell, bool write,
                bool changes);
  [[noreturn]] void deadlock();
  void collect();

  Module& module_;
  const Function& kernel_;
  LaunchConfig config_;
  const std::vector<char>& params_;
  size_t dynamicPlace_, sharedTotal_, localPerLane_;
  std::mt19937 rng_;
  std::vector<std::unique_ptr<Block>> active_, spare_;
  std::vector<std::vector<Frame*>> freeFrames_;
  std::vector<std::vector<Counter>> counters_;  // per function index, per instruction
  Range lastRange_;
};

// A register or constant operand as an array over the lanes.
template <class T>
inline T* slot(Warp& w, const Operand& o) {
  return reinterpret_cast<T*>(w.base[o.kind] + o.off);
}

// Calls f(lane) for each set bit.
template <class F>
inline void forLanes(uint32_t mask, F&& f) {
  for (; mask; mask &= mask - 1) f(__builtin_ctz(mask));
}

// Reads a slot of either width.
inline uint64_t laneValue(Warp& w, const Operand& o, int lane) {
  return o.bytes == 8 ? slot<uint64_t>(w, o)[lane] : slot<uint32_t>(w, o)[lane];
}
inline void setLane(Warp& w, const Operand& o, int lane, uint64_t value) {
  if (o.bytes == 8)
    slot<uint64_t>(w, o)[lane] = value;
  else
    slot<uint32_t>(w, o)[lane] = static_cast<uint32_t>(value);
}
inline uint32_t predicate(const Warp& w, const Operand& o) {
  return o.negate ? ~w.preds[o.off] : w.preds[o.off];
}
inline void setPredicate(Warp& w, int index, uint32_t mask, uint32_t value) {
  if (index >= 2) w.preds[index] = (w.preds[index] & ~mask) | (value & mask);
}

void launch(Module& m, const Function& kernel, const LaunchConfig& config,
            const std::vector<char>& params, ptxvm_stats& stats);
std::string sourceFile(const Module& m, int file);

}  // namespace ptxvm
