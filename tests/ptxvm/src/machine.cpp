// SPDX-License-Identifier: MIT
#include "machine.hpp"

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>

namespace ptxvm {

constinit Options options;

namespace {
constexpr size_t kStackBytes = 64 * 1024;  // per thread, for kernels that call functions
constexpr int kMaxDepth = 512;
int bits(uint32_t m) { return __builtin_popcount(m); }

std::string demangledShort(const std::string& name) {
  return name.size() > 100 ? name.substr(0, 100) + "..." : name;
}
}  // namespace

std::string sourceFile(const Module& m, int file) {
  auto it = m.files.find(file);
  if (it == m.files.end()) return "";
  const size_t slash = it->second.rfind('/');
  return slash == std::string::npos ? it->second : it->second.substr(slash + 1);
}

Machine::Machine(Module& m, const Function& kernel, const LaunchConfig& config,
                 const std::vector<char>& params)
    : module_(m),
      kernel_(kernel),
      config_(config),
      params_(params),
      rng_(options.seed ? options.seed : 1) {
  dynamicPlace_ = (kernel.sharedBytes + 15) / 16 * 16;
  sharedTotal_ = dynamicPlace_ + config.dynamicShared;
  localPerLane_ = kernel.localBytes + (kernel.makesCalls ? kStackBytes : 0);
  freeFrames_.resize(m.byIndex.size());
  counters_.resize(m.byIndex.size());
}

Machine::~Machine() {
  for (auto* blocks : {&active_, &spare_})
    for (auto& b : *blocks)
      for (auto& w : b->warps) {
        std::vector<Frame*> frames;
        forLanes(w->live, [&](int l) {
          for (Frame* f = w->at[l]; f; f = f->parent)
            if (std::find(frames.begin(), frames.end(), f) == frames.end()) frames.push_back(f);
        });
        for (Frame* f : frames) {
          std::free(f->regs);
          delete f;
        }
      }
  for (auto& list : freeFrames_)
    for (Frame* f : list) {
      std::free(f->regs);
      delete f;
    }
}

// -------------------------------------------------------------------------------------------
// errors

std::string Machine::where(const Warp& w, int lane, const Ins& ins) const {
  const Function* f = w.frame ? w.frame->f : &kernel_;
  const Block& b = *w.block;
  const unsigned t = static_cast<unsigned>(w.id * 32 + lane);
  const Dim d = config_.block;
  char text[512];
  const auto at = static_cast<size_t>(&ins - f->code.data());
  const InsInfo none;
  const InsInfo& info = at < f->info.size() ? f->info[at] : none;
  std::snprintf(
      text, sizeof text,
      "\n  kernel %s, block (%u,%u,%u), thread (%u,%u,%u) = lane %d of warp %d\n  PTX line "
      "%d%s%s: %s",
      demangledShort(kernel_.name).c_str(), b.id.x, b.id.y, b.id.z, t % d.x, t / d.x % d.y,
      t / (d.x * d.y), lane, w.id, info.line, f == &kernel_ ? "" : " in function ",
      f == &kernel_ ? "" : f->name.substr(0, 60).c_str(), info.text.substr(0, 120).c_str());
  std::string out = text;
  if (info.srcLine) {
    out += "\n  source " + sourceFile(module_, info.file) + ":" + std::to_string(info.srcLine);
    if (info.callerLine)
      out += ", inlined at " + sourceFile(module_, info.callerFile) + ":" +
             std::to_string(info.callerLine);
  } else
    out += "\n  source line unknown (compile with nvcc -lineinfo)";
  return out;
}

void Machine::fault(const Warp& w, int lane, const Ins& ins, const std::string& what) const {
  fail(what + where(w, lane, ins));
}

void Machine::deadlock() {
  // Name the first thread that waits and count what all of them wait for.
  std::map<const Ins*, std::pair<unsigned, std::string>> waits;
  std::string first;
  unsigned blocks = 0;
  for (auto& b : active_) {
    ++blocks;
    for (auto& w : b->warps)
      forLanes(w->live, [&](int l) {
        const Ins& ins = w->at[l]->f->code[w->pc[l]];
        w->frame = w->at[l];
        if (first.empty()) first = where(*w, l, ins);
        auto& entry = waits[&ins];
        ++entry.first;
        const InsInfo& info = w->at[l]->f->info[w->pc[l]];
        entry.second = "PTX line " + std::to_string(info.line) + ": " + info.text;
      });
  }
  std::string text = "DEADLOCK: no thread can run; waiting at";
  for (auto& [ins, e] : waits)
    text += "\n    " + e.second + "  (" + std::to_string(e.first) + " threads)";
  fail(text + "\n  first of them:" + first);
}

// -------------------------------------------------------------------------------------------
// blocks

Frame* Machine::newFrame(const Function& f, const Warp& w) {
  auto& list = freeFrames_[f.index];
  Frame* frame;
  const size_t predBytes = static_cast<size_t>(f.predicates) * 4;
  const size_t total = (f.regBytes + predBytes + f.frameParamBytes * 32 + 127) / 64 * 64;
  if (!list.empty()) {
    frame = list.back();
    list.pop_back();
  } else {
    frame = new Frame;
    frame->regs = static_cast<char*>(std::aligned_alloc(64, total));
    frame->preds = reinterpret_cast<uint32_t*>(frame->regs + f.regBytes);
    frame->params = frame->regs + f.regBytes + predBytes;
  }
  std::memset(frame->regs, 0xBA, f.regBytes);
  std::memset(frame->preds, 0, predBytes);
  frame->preds[1] = ~0u;
  frame->f = &f;
  frame->parent = nullptr;
  frame->site = nullptr;
  frame->depth = 0;
  frame->lanes = 0;
  frame->localBase = 0;
  const Dim bd = config_.block, gd = config_.grid;
  const unsigned threads = bd.x * bd.y * bd.z;
  for (int s = 0; s < SpCount; ++s) {
    if (f.special[s] < 0) continue;
    auto* out = reinterpret_cast<uint32_t*>(frame->regs + f.special[s]);
    for (unsigned l = 0; l < 32; ++l) {
      const unsigned t = static_cast<unsigned>(w.id) * 32 + l;
      uint32_t v = 0;
      switch (s) {
        case SpTidX:
          v = t % bd.x;
          break;
        case SpTidY:
          v = t / bd.x % bd.y;
          break;
        case SpTidZ:
          v = t / (bd.x * bd.y);
          break;
        case SpNtidX:
          v = bd.x;
          break;
        case SpNtidY:
          v = bd.y;
          break;
        case SpNtidZ:
          v = bd.z;
          break;
        case SpCtaX:
          v = w.block->id.x;
          break;
        case SpCtaY:
          v = w.block->id.y;
          break;
        case SpCtaZ:
          v = w.block->id.z;
          break;
        case SpNctaX:
          v = gd.x;
          break;
        case SpNctaY:
          v = gd.y;
          break;
        case SpNctaZ:
          v = gd.z;
          break;
        case SpLane:
          v = l;
          break;
        case SpWarp:
          v = static_cast<uint32_t>(w.id);
          break;
        case SpNwarp:
          v = (threads + 31) / 32;
          break;
        case SpMaskEq:
          v = 1u << l;
          break;
        case SpMaskLt:
          v = (1u << l) - 1;
          break;
        case SpMaskLe:
          v = static_cast<uint32_t>((2ull << l) - 1);
          break;
        case SpMaskGt:
          v = ~static_cast<uint32_t>((2ull << l) - 1);
          break;
        case SpMaskGe:
          v = ~((1u << l) - 1);
          break;
        case SpSmid:
          v = w.block->index % 4;
          break;
        case SpNsmid:
          v = 4;
          break;
        case SpDynShared:
          v = static_cast<uint32_t>(config_.dynamicShared);
          break;
        case SpTotalShared:
          v = static_cast<uint32_t>(sharedTotal_);
          break;
        case SpClusterOne:
          v = 1;
          break;
        default:
          v = 0;
          break;
      }
      out[l] = v;
    }
  }
  return frame;
}

void Machine::freeFrame(Frame* f) { freeFrames_[f->f->index].push_back(f); }

std::unique_ptr<Block> Machine::makeBlock(unsigned index) {
  std::unique_ptr<Block> b;
  if (spare_.empty())
    b = std::make_unique<Block>();
  else
    b = std::move(spare_.back()), spare_.pop_back();
  const Dim g = config_.grid, bd = config_.block;
  b->index = index;
  b->id = {index % g.x, index / g.x % g.y, index / (g.x * g.y)};
  b->threads = b->liveThreads = bd.x * bd.y * bd.z;
  b->shared.assign(sharedTotal_, static_cast<char>(0xCD));
  b->written.assign(options.init ? sharedTotal_ : 0, 0);
  b->words.assign(options.race ? (sharedTotal_ + 3) / 4 : 0, Shadow{});
  b->bytes.clear();
  b->local.assign(localPerLane_ * b->threads, static_cast<char>(0xCD));
  b->time = b->lastBarrier = 1;
  const unsigned warps = (b->threads + 31) / 32;
  b->warps.resize(warps);
  for (auto& bar : b->barriers) {
    bar.arrivals.assign(warps, 0);
    bar.clear();
  }
  for (unsigned k = 0; k < warps; ++k) {
    auto fresh = std::make_unique<Warp>();
    Warp& w = *fresh;
    w.block = b.get();
    w.id = static_cast<int>(k);
    const unsigned lanes = std::min(32u, b->threads - k * 32);
    w.exists = w.live = lanes == 32 ? ~0u : (1u << lanes) - 1;
    Frame* f = newFrame(kernel_, w);
    f->lanes = w.live;
    for (auto& init : kernel_.localSymbols)
      for (int l = 0; l < 32; ++l)
        reinterpret_cast<uint64_t*>(f->regs + init.off)[l] = init.localOffset;
    for (int l = 0; l < 32; ++l) w.at[l] = f;
    b->warps[k] = std::move(fresh);
  }
  return b;
}

void Machine::run() {
  const uint64_t total = static_cast<uint64_t>(config_.grid.x) * config_.grid.y * config_.grid.z;
  uint64_t next = 0;
  try {
    for (;;) {
      while (active_.size() < static_cast<size_t>(options.resident) && next < total)
        active_.push_back(makeBlock(static_cast<unsigned>(next++)));
      if (active_.empty()) break;
      bool progress = false;
      if (options.seed) std::shuffle(active_.begin(), active_.end(), rng_);
      for (auto& b : active_) {
        const size_t warps = b->warps.size(), first = options.seed ? rng_() % warps : 0;
        for (size_t k = 0; k < warps; ++k) {
          Warp& w = *b->warps[(k + first) % warps];
          if (w.live)
            progress |= runWarp(w, options.seed ? 1 + static_cast<int>(rng_() % options.quantum)
                                                : options.quantum);
        }
      }
      for (size_t k = 0; k < active_.size();) {
        if (active_[k]->liveThreads) {
          ++k;
          continue;
        }
        progress = true;
        spare_.push_back(std::move(active_[k]));
        active_.erase(active_.begin() + static_cast<long>(k));
      }
      if (!progress) deadlock();
      if (steps > options.maxSteps) {
        for (auto& b : active_)
          for (auto& w : b->warps) {
            const uint32_t running = w->live & ~w->waitBar & ~w->waitSync;
            if (!running) continue;
            const int l = __builtin_ctz(running);
            w->frame = w->at[l];
            fault(*w, l, w->at[l]->f->code[w->pc[l]],
                  "STEP BUDGET: more than " + std::to_string(options.maxSteps) +
                      " warp instructions in one launch, an endless loop? (PTXVM_MAX_STEPS)");
          }
      }
    }
  } catch (...) {
    collect();
    throw;
  }
  collect();
}

void Machine::collect() {
  for (Function* f : module_.byIndex) {
    auto& list = counters_[f->index];
    for (size_t k = 0; k < list.size(); ++k) {
      const Counter& c = list[k];
      if (!c.warp) continue;
      stats.warp_instructions += c.warp;
      stats.lane_instructions += c.lane;
      stats.divergent_instructions += c.divergent;
      switch (f->code[k].cls) {
        case Class::Int:
          stats.lane_int += c.lane;
          break;
        case Class::F16:
          stats.lane_f16 += c.lane;
          break;
        case Class::F32:
          stats.lane_f32 += c.lane;
          break;
        case Class::F64:
          stats.lane_f64 += c.lane;
          break;
        case Class::Mma:
          stats.lane_mma += c.lane;
          break;
        case Class::Global:
          stats.lane_ldst_global += c.lane;
          break;
        case Class::Shared:
          stats.lane_ldst_shared += c.lane;
          break;
        case Class::Other:
          stats.lane_ldst_other += c.lane;
          break;
        case Class::Shuffle:
          stats.lane_shuffle += c.lane;
          break;
        case Class::Atomic:
          stats.lane_atomic += c.lane;
          break;
        default:
          stats.lane_control += c.lane;
          break;
      }
    }
    list.clear();
  }
  stats.launches = 1;
  stats.registers_live_max = static_cast<uint64_t>(kernel_.liveRegisters);
}

// ---------------------------------------------------------------------------------------
// scheduling

bool Machine::pick(Warp& w, Group& g) {
  const uint32_t run = w.live & ~w.waitSync & ~w.waitBar;
  if (!run) return false;
  const int first = __builtin_ctz(run);
  Frame* frame = w.at[first];
  uint32_t pool = run;
  if (w.innerFrames) {  // the deepest function goes first, so that its callers meet again
                        // afterwards
    forLanes(run, [&](int l) {
      if (w.at[l]->depth > frame->depth) frame = w.at[l];
    });
    pool = 0;
    forLanes(run, [&](int l) {
      if (w.at[l] == frame) pool |= 1u << l;
    });
  }
  int32_t key[32];
  for (int l = 0; l < 32; ++l) key[l] = (pool >> l & 1) ? w.pc[l] : INT_MAX;
  int32_t best = INT_MAX;
  for (int l = 0; l < 32; ++l) best = std::min(best, key[l]);
  bool fair = false;
  if ((++w.schedules & 127) == 0) {  // somebody else's turn
    const int n = static_cast<int>(rng_() % static_cast<unsigned>(bits(run)));
    uint32_t r = run;
    for (int k = 0; k < n; ++k) r &= r - 1;
    const int lane = __builtin_ctz(r);
    frame = w.at[lane];
    best = w.pc[lane];
    fair = true;
    for (int l = 0; l < 32; ++l) key[l] = (run >> l & 1) && w.at[l] == frame ? w.pc[l] : INT_MAX;
  }
  int32_t other = INT_MAX;
  uint32_t mask = 0;
  for (int l = 0; l < 32; ++l) {
    mask |= static_cast<uint32_t>(key[l] == best) << l;
    other = std::min(other, key[l] > best ? key[l] : INT_MAX);
  }
  g.mask = mask;
  g.pc = best;
  g.frame = frame;
  g.stopAt = fair ? INT_MAX : other;
  return true;
}

bool Machine::runWarp(Warp& w, int quantum) {
  bool progress = false;
  Group g;
  while (quantum > 0 && pick(w, g)) {
    enter(w, g.frame);
    const Function& f = *g.frame->f;
    const Ins* code = f.code.data();
    auto& list = counters_[f.index];
    if (list.empty()) list.resize(f.code.size());
    Counter* counters = list.data();
    const uint32_t mask = g.mask, live = w.live;
    const bool divergent = mask != live;
    int pc = g.pc;
    bool keep = true;  // the group is still together at pc
    const int before = quantum;
    const int limit = g.stopAt == INT_MAX && divergent ? std::max(0, quantum - 64) : 0;
    while (keep) {
      const Ins& ins = code[pc];
      uint32_t m = mask;
      if (ins.pred >= 0) m &= ins.predNegate ? ~w.preds[ins.pred] : w.preds[ins.pred];
      Counter& c = counters[pc];
      ++c.warp;
      c.lane += static_cast<unsigned>(bits(m));
      c.divergent += divergent;
      --quantum;
      switch (ins.ctl) {
        case Ctl::Plain:
          if (m) ins.fn(*this, w, ins, m);
          ++pc;
          break;
        case Ctl::Branch:
          if (m == mask) {
            pc = ins.target;
          } else if (m == 0) {
            ++pc;
          } else {
            ++stats.divergent_branches;
            forLanes(mask & ~m, [&](int l) { w.pc[l] = pc + 1; });
            forLanes(m, [&](int l) { w.pc[l] = ins.target; });
            keep = false;
          }
          break;
        case Ctl::BranchIndexed: {
          const auto& table = f.tables[ins.target];
          forLanes(mask & ~m, [&](int l) { w.pc[l] = pc + 1; });
          forLanes(m, [&](int l) {
            const uint64_t k = laneValue(w, ins.o[0], l);
            if (k >= table.size())
              fault(w, l, ins, "brx.idx index " + std::to_string(k) + " is outside its table");
            w.pc[l] = table[k];
          });
          keep = false;
          break;
        }
        case Ctl::Return:
        case Ctl::Exit:
          forLanes(mask & ~m, [&](int l) { w.pc[l] = pc + 1; });
          if (m) {
            if (ins.ctl == Ctl::Return && g.frame->parent)
              leaveFunction(w, m);
            else
              exitLanes(w, m);
          }
          keep = false;
          break;
        case Ctl::Call:
          if (!m) {
            ++pc;
            break;
          }
          forLanes(mask & ~m, [&](int l) { w.pc[l] = pc + 1; });
          call(w, ins, m, pc);
          keep = false;
          break;
        case Ctl::WarpSync:
          if (!m) {
            ++pc;
            break;
          }
          forLanes(mask & ~m, [&](int l) { w.pc[l] = pc + 1; });
          if (warpSync(w, ins, m, pc)) {
            if (m == mask) {
              ++pc;
              break;
            }
            forLanes(m, [&](int l) { w.pc[l] = pc + 1; });
          }
          keep = false;
          break;
        case Ctl::BlockBarrier:
          if (!m) {
            ++pc;
            break;
          }
          forLanes(mask & ~m, [&](int l) { w.pc[l] = pc + 1; });
          blockBarrier(w, ins, m, pc);
          keep = false;
          break;
        case Ctl::Yield:
          yielded = false;
          if (m) ins.fn(*this, w, ins, m);
          ++pc;
          if (yielded) {
            forLanes(mask, [&](int l) { w.pc[l] = pc; });
            steps += static_cast<uint64_t>(before - quantum);
            return true;
          }
          break;
      }
      if (keep && (pc >= g.stopAt || quantum <= limit)) {
        forLanes(mask, [&](int l) { w.pc[l] = pc; });
        keep = false;
      }
    }
    steps += static_cast<uint64_t>(before - quantum);
    progress = true;
  }
  return progress;
}

// -------------------------------------------------------------------------------------------
// calls

void Machine::call(Warp& w, const Ins& ins, uint32_t mask, int pc) {
  const CallSite& site = w.frame->f->calls[ins.target];
  Frame* caller = w.frame;
  while (mask) {
    const Function* callee = nullptr;
    uint32_t group = mask;
    if (!site.callee.empty()) {
      callee = module_.functions.at(site.callee).get();
    } else {
      const int first = __builtin_ctz(mask);
      const uint64_t target = laneValue(w, ins.o[0], first);
      const uint64_t index = target & ~kWindowMask;
      if ((target & kWindowMask) != kFunctionWindow || index >= module_.byIndex.size())
        fault(w, first, ins, "indirect call through a value that is no function");
      callee = module_.byIndex[index];
      group = 0;
      forLanes(mask, [&](int l) {
        if (laneValue(w, ins.o[0], l) == target) group |= 1u << l;
      });
    }
    mask &= ~group;
    if (callee->builtin != Builtin::None) {
      builtin(w, ins, *callee, site, group);
      forLanes(group, [&](int l) { w.pc[l] = pc + 1; });
      continue;
    }
    const int lane = __builtin_ctz(group);
    if (!callee->defined)
      fault(w, lane, ins, "call of '" + callee->name + "', which this module does not define");
    Frame* f = newFrame(*callee, w);
    f->parent = caller;
    f->site = &site;
    f->returnPc = pc + 1;
    f->depth = caller->depth + 1;
    f->lanes = group;
    f->localBase = caller->localBase + caller->f->localBytes;
    ++w.innerFrames;
    if (f->depth > kMaxDepth || f->localBase + callee->localBytes > localPerLane_)
      fault(w, lane, ins, "stack overflow: " + std::to_string(f->depth) + " calls deep");
    for (auto& init : callee->localSymbols)
      for (int l = 0; l < 32; ++l)
        reinterpret_cast<uint64_t*>(f->regs + init.off)[l] = f->localBase + init.localOffset;
    if (site.argOff.size() != callee->params.size())
      fault(w, lane, ins, "call of '" + callee->name + "' with a wrong number of arguments");
    for (size_t k = 0; k < site.argOff.size(); ++k)
      forLanes(group, [&](int l) {
        std::memcpy(
            f->params + callee->frameParamBytes * static_cast<size_t>(l) + callee->params[k].addr,
            caller->params + caller->f->frameParamBytes * static_cast<size_t>(l) + site.argOff[k],
            std::min<size_t>(callee->params[k].bytes, static_cast<size_t>(site.argBytes[k])));
      });
    forLanes(group, [&](int l) {
      w.at[l] = f;
      w.pc[l] = 0;
    });
  }
}

void Machine::leaveFunction(Warp& w, uint32_t mask) {
  Frame* f = w.frame;
  Frame* caller = f->parent;
  const auto& returns = f->f->returns;
  for (size_t k = 0; k < returns.size() && k < f->site->retOff.size(); ++k)
    forLanes(mask, [&](int l) {
      std::memcpy(caller->params + caller->f->frameParamBytes * static_cast<size_t>(l) +
                      f->site->retOff[k],
                  f->params + f->f->frameParamBytes * static_cast<size_t>(l) + returns[k].addr,
                  std::min<size_t>(returns[k].bytes, static_cast<size_t>(f->site->retBytes[k])));
    });
  forLanes(mask, [&](int l) {
    w.at[l] = caller;
    w.pc[l] = f->returnPc;
  });
  f->lanes &= ~mask;
  if (!f->lanes) {
    --w.innerFrames;
    freeFrame(f);
  }
}

void Machine::exitLanes(Warp& w, uint32_t mask) {
  forLanes(mask, [&](int l) {
    for (Frame* f = w.at[l]; f;) {
      Frame* parent = f->parent;
      f->lanes &= ~(1u << l);
      if (!f->lanes) {
        if (parent) --w.innerFrames;
        freeFrame(f);
      }
      f = parent;
    }
  });
  w.live &= ~mask;
  w.block->liveThreads -= static_cast<unsigned>(bits(mask));
  if (!w.live) {  // copies nobody waited for still happen
    for (auto& group : w.groups) finishCopies(w, group);
    finishCopies(w, w.open);
    w.groups.clear();
    w.open.clear();
  }
  while (w.waitSync && tryWarpSync(w)) {
  }
  for (int k = 0; k < 16; ++k)
    if (w.block->barriers[k].used) tryBarrier(*w.block, k);
}

// vprintf, __assertfail, malloc and free: what the runtime provides on a device.
void Machine::builtin(Warp& w, const Ins& ins, const Function& callee, const CallSite& site,
                      uint32_t mask) {
  Frame* f = w.frame;
  auto argument = [&](int lane, size_t k) {
    uint64_t v = 0;
    if (k < site.argOff.size())
      std::memcpy(&v,
                  f->params + f->f->frameParamBytes * static_cast<size_t>(lane) + site.argOff[k],
                  std::min<size_t>(8, static_cast<size_t>(site.argBytes[k])));
    return v;
  };
  auto result = [&](int lane, uint64_t v) {
    if (!site.retOff.empty())
      std::memcpy(f->params + f->f->frameParamBytes * static_cast<size_t>(lane) + site.retOff[0],
                  &v, std::min<size_t>(8, static_cast<size_t>(site.retBytes[0])));
  };
  auto byteAt = [&](int lane, uint64_t address, int bytes) -> char* {
    if ((address & kWindowMask) == kLocalWindow)
      return local(w, lane, ins, address & ~kWindowMask, bytes);
    if ((address & kWindowMask) == kSharedWindow)
      return shared(w, lane, ins, address & ~kWindowMask, bytes, Strong);
    return global(w, lane, ins, address, bytes, false);
  };
  auto text = [&](int lane, uint64_t address) {
    std::string s;
    if (!address) return s;
    for (; s.size() < 65536; ++address) {
      const char c = *byteAt(lane, address, 1);
      if (!c) break;
      s += c;
    }
    return s;
  };
  forLanes(mask, [&](int l) {
    switch (callee.builtin) {
      case Builtin::Printf: {
        const std::string format = text(l, argument(l, 0));
        uint64_t at = argument(l, 1);
        std::string out;
        int converted = 0;
        for (size_t k = 0; k < format.size(); ++k) {
          if (format[k] != '%') {
            out += format[k];
            continue;
          }
          if (format[k + 1] == '%') {
            out += '%';
            ++k;
            continue;
          }
          std::string spec = "%";
          std::string length;
          char conversion = 0;
          for (++k; k < format.size(); ++k) {
            const char c = format[k];
            if (std::strchr("hlLqjzt", c)) {
              length += c;
              continue;
            }
            if (c == '*') {
              at = (at + 3) & ~3ull;
              int32_t v;
              std::memcpy(&v, byteAt(l, at, 4), 4);
              at += 4;
              spec += std::to_string(v);
              continue;
            }
            if (std::strchr("diouxXcsfFeEgGaAp", c)) {
              conversion = c;
              break;
            }
            spec += c;
          }
          if (!conversion) {
            out += spec;
            break;
          }
          char buffer[512];
          ++converted;
          if (std::strchr("fFeEgGaA", conversion)) {
            at = (at + 7) & ~7ull;
            double v;
            std::memcpy(&v, byteAt(l, at, 8), 8);
            at += 8;
            std::snprintf(buffer, sizeof buffer, (spec + conversion).c_str(), v);
            out += buffer;
          } else if (conversion == 's' || conversion == 'p' ||
                     length.find('l') != std::string::npos ||
                     length.find_first_of("jztq") != std::string::npos) {
            at = (at + 7) & ~7ull;
            uint64_t v;
            std::memcpy(&v, byteAt(l, at, 8), 8);
            at += 8;
            if (conversion == 's') {
              const std::string s = text(l, v);
              const size_t room = s.size() + 512;
              std::string big(room, 0);
              std::snprintf(big.data(), room, (spec + "s").c_str(), s.c_str());
              out += big.c_str();
            } else if (conversion == 'p') {
              std::snprintf(buffer, sizeof buffer, "%p", reinterpret_cast<void*>(v));
              out += buffer;
            } else {
              std::snprintf(buffer, sizeof buffer, (spec + "ll" + conversion).c_str(),
                            static_cast<unsigned long long>(v));
              out += buffer;
            }
          } else {
            at = (at + 3) & ~3ull;
            uint32_t v;
            std::memcpy(&v, byteAt(l, at, 4), 4);
            at += 4;
            std::snprintf(buffer, sizeof buffer, (spec + length + conversion).c_str(), v);
            out += buffer;
          }
        }
        std::fputs(out.c_str(), stdout);
        result(l, static_cast<uint64_t>(converted));
        break;
      }
      case Builtin::AssertFail: {
        const std::string message = text(l, argument(l, 0)), file = text(l, argument(l, 1)),
                          fn = text(l, argument(l, 3));
        fault(w, l, ins,
              "DEVICE ASSERT: " + file + ":" +
                  std::to_string(static_cast<uint32_t>(argument(l, 2))) + ": " + fn +
                  ": assertion `" + message + "` failed");
      }
      case Builtin::Malloc:
        result(l, reinterpret_cast<uint64_t>(allocate(argument(l, 0), MemoryKind::Heap)));
        break;
      case Builtin::Free: {
        const uint64_t p = argument(l, 0);
        if (p && !release(reinterpret_cast<void*>(p)))
          fault(w, l, ins, "free() of a pointer malloc() did not return");
        lastRange_ = {};
        break;
      }
      default:
        break;
    }
  });
}

// ------------------------------------------------------------------------------------- warp-level
// sync

// Lanes of `mask` arrive at a .sync instruction. True: all of them went through, their pc is not
// stored.
bool Machine::warpSync(Warp& w, const Ins& ins, uint32_t mask, int pc) {
  const bool whole = ins.aligned;  // mma, ldmatrix: the warp as a whole
  const Operand& mo = ins.o[ins.nops - 1];
  const int first = __builtin_ctz(mask);
  if (!w.waitSync) {  // the usual case: everyone named is here and names the same lanes
    const uint32_t named = whole ? ~0u : static_cast<uint32_t>(laneValue(w, mo, first));
    bool same = true;
    if (!whole && mo.kind != Operand::Const)
      forLanes(mask, [&](int l) { same &= static_cast<uint32_t>(laneValue(w, mo, l)) == named; });
    if (same && (named & w.live) == mask && (named & w.exists & ~w.live) == 0) {
      runSync(w, ins, mask);
      return true;
    }
  }
  forLanes(mask, [&](int l) {
    w.pc[l] = pc;
    const uint32_t named = whole ? ~0u : static_cast<uint32_t>(laneValue(w, mo, l));
    if (!(named >> l & 1))
      fault(w, l, ins, "BAD MEMBER MASK: the lane is not in the mask it passes");
    w.syncMask[l] = named;
  });
  w.waitSync |= mask;
  while (w.waitSync && tryWarpSync(w)) {
  }
  return false;
}

// Lets one complete group of waiting lanes through.
bool Machine::tryWarpSync(Warp& w) {
  uint32_t todo = w.waitSync;
  while (todo) {
    const int first = __builtin_ctz(todo);
    const Function* f = w.at[first]->f;
    const Ins& ins = f->code[w.pc[first]];
    const bool barrier = ins.fn == nullptr;  // bar.warp.sync may be reached from different places
    uint32_t group = 0;
    forLanes(w.waitSync, [&](int l) {
      const Ins& other = w.at[l]->f->code[w.pc[l]];
      const bool samePlace = w.at[l]->f == f && w.pc[l] == w.pc[first];
      if (w.syncMask[l] == w.syncMask[first] && (samePlace || (barrier && other.fn == nullptr)))
        group |= 1u << l;
    });
    todo &= ~group;
    const uint32_t named = w.syncMask[first];
    const uint32_t gone = named & w.exists & ~w.live;
    if (options.strict && gone && !barrier) {
      w.frame = w.at[first];
      fault(w, first, ins,
            "ABSENT LANE: the member mask names lane " + std::to_string(__builtin_ctz(gone)) +
                ", which has exited without executing this instruction");
    }
    if ((named & w.live) != group) continue;
    if (ins.aligned && options.strict && group != ~0u) {
      w.frame = w.at[first];
      fault(w, first, ins, "ABSENT LANE: a warp-wide matrix instruction needs all 32 lanes");
    }
    w.waitSync &= ~group;
    // Lanes may have come through different calls of the same function: gather their operands in
    // one frame.
    bool oneFrame = true;
    forLanes(group, [&](int l) { oneFrame &= w.at[l] == w.at[first]; });
    if (oneFrame || barrier) {
      enter(w, w.at[first]);
      runSync(w, ins, group);
    } else {
      Frame* scratch = newFrame(*f, w);
      auto copy = [&](const Operand& o, bool in, auto&& self) -> void {
        if (o.kind == Operand::Vec) {
          for (int k = 0; k < o.count; ++k) self(f->vec[static_cast<size_t>(o.off + k)], in, self);
          return;
        }
        forLanes(group, [&](int l) {
          Frame* from = in ? w.at[l] : scratch;
          Frame* to = in ? scratch : w.at[l];
          if ((o.kind == Operand::Reg || o.kind == Operand::Addr) && o.bytes)
            std::memcpy(to->regs + o.off + o.bytes * l, from->regs + o.off + o.bytes * l, o.bytes);
          for (int p : {o.kind == Operand::Pred ? o.off : -1, o.pair})
            if (p >= 2) to->preds[p] = (to->preds[p] & ~(1u << l)) | (from->preds[p] & 1u << l);
        });
      };
      for (int k = 0; k < ins.nops; ++k) copy(ins.o[k], true, copy);
      enter(w, scratch);
      runSync(w, ins, group);
      for (int k = 0; k < ins.nops; ++k) copy(ins.o[k], false, copy);
      freeFrame(scratch);
      enter(w, w.at[first]);
    }
    forLanes(group, [&](int l) { ++w.pc[l]; });
    return true;
  }
  return false;
}

void Machine::runSync(Warp& w, const Ins& ins, uint32_t group) {
  if (ins.fn)
    ins.fn(*this, w, ins, group);
  else
    w.lastSync = ++w.block->time;
}

// -----------------------------------------------------------------------------------------
// barriers

void Machine::blockBarrier(Warp& w, const Ins& ins, uint32_t mask, int pc) {
  // sub: 0 sync, 1 arrive, 2 red.popc, 3 red.and, 4 red.or
  Block& b = *w.block;
  const bool red = ins.sub >= 2;
  const int at = red ? 1 : 0;
  const int first = __builtin_ctz(mask);
  const auto id = static_cast<uint32_t>(laneValue(w, ins.o[at], first));
  if (id >= 16) fault(w, first, ins, "barrier number " + std::to_string(id) + " (there are 16)");
  uint32_t group = 0;
  forLanes(mask, [&](int l) {
    w.pc[l] = pc;
    if (laneValue(w, ins.o[at], l) == id) group |= 1u << l;
  });
  Barrier& bar = b.barriers[id];
  const unsigned expected =
      ins.counted ? static_cast<unsigned>(laneValue(w, ins.o[at + 1], first)) : 0;
  if (ins.counted && (expected == 0 || expected % 32))
    fault(w, first, ins, "barrier thread count is not a multiple of 32");
  if (bar.used && bar.expected != expected)
    fault(w, first, ins,
          "DIVERGENT BARRIER: threads name different thread counts for barrier " +
              std::to_string(id));
  bar.used = true;
  bar.expected = expected;
  bar.aligned = ins.aligned;
  if (red) {
    const Operand& p = ins.o[ins.nops - 1];
    bar.reductions.push_back({&w, group, predicate(w, p) & group});
  }
  if (ins.sub == 1) {
    bar.arrivals[static_cast<size_t>(w.id)] |= group;
    forLanes(group, [&](int l) { w.pc[l] = pc + 1; });
  } else {
    w.waitBar |= group;
    forLanes(group, [&](int l) { w.barId[l] = static_cast<uint8_t>(id); });
  }
  tryBarrier(b, static_cast<int>(id));
}

bool Machine::tryBarrier(Block& b, int id) {
  Barrier& bar = b.barriers[id];
  unsigned arrived = 0;
  for (auto& w : b.warps) {
    uint32_t here = bar.arrivals[static_cast<size_t>(w->id)];
    if (w->waitBar)
      forLanes(w->waitBar, [&](int l) {
        if (w->barId[l] == id) here |= 1u << l;
      });
    if (bar.expected && here && (here & w->live) == w->live)
      arrived += 32;  // counted barriers count whole warps
    else
      arrived += static_cast<unsigned>(bits(here));
  }
  if (!arrived) {
    bar.clear();
    return false;
  }
  if (bar.expected ? arrived < bar.expected : arrived < b.liveThreads) return false;
  // Everyone is here. In strict mode they must have come to the same instruction.
  const Ins* place = nullptr;
  for (auto& w : b.warps) {
    const Ins* warpPlace = nullptr;
    forLanes(w->waitBar, [&](int l) {
      if (w->barId[l] != id) return;
      const Ins& ins = w->at[l]->f->code[w->pc[l]];
      const bool sameWarp = warpPlace && warpPlace != &ins && ins.aligned;
      const bool sameBlock = place && place != &ins && !bar.expected && ins.aligned;
      if (options.strict && (sameWarp || sameBlock)) {
        w->frame = w->at[l];
        const Ins* other = sameWarp ? warpPlace : place;
        const Function* f = w->at[l]->f;
        const auto k = static_cast<size_t>(other - f->code.data());
        fault(*w, l, ins,
              "DIVERGENT BARRIER: threads of one " + std::string(sameWarp ? "warp" : "block") +
                  " meet at different barrier instructions" +
                  (k < f->info.size()
                       ? " (others at PTX line " + std::to_string(f->info[k].line) + ")"
                       : ""));
      }
      warpPlace = place = &ins;
    });
  }
  if (!bar.reductions.empty()) {
    unsigned count = 0, contributors = 0;
    for (auto& r : bar.reductions) {
      count += static_cast<unsigned>(bits(r.values));
      contributors += static_cast<unsigned>(bits(r.lanes));
    }
    for (auto& w : b.warps)
      forLanes(w->waitBar, [&](int l) {
        if (w->barId[l] != id) return;
        const Ins& ins = w->at[l]->f->code[w->pc[l]];
        if (ins.sub < 2) return;
        enter(*w, w->at[l]);
        if (ins.sub == 2)
          setLane(*w, ins.o[0], l, count);
        else
          setPredicate(*w, ins.o[0].off, 1u << l,
                       (ins.sub == 3 ? count == contributors : count > 0) ? ~0u : 0);
      });
  }
  for (auto& w : b.warps) {
    uint32_t through = 0;
    forLanes(w->waitBar, [&](int l) {
      if (w->barId[l] == id) through |= 1u << l;
    });
    forLanes(through, [&](int l) { ++w->pc[l]; });
    w->waitBar &= ~through;
  }
  bar.clear();
  ordered(b);
  ++stats.block_barriers;
  return true;
}

// ------------------------------------------------------------------------------------- memory
// checks

char* Machine::global(const Warp& w, int lane, const Ins& ins, uint64_t address, int bytes,
                      bool write) {
  if (address & static_cast<uint64_t>(bytes - 1)) {
    char text[96];
    std::snprintf(text, sizeof text, "MISALIGNED: global %s of %d bytes at 0x%llx",
                  write ? "write" : "read", bytes, static_cast<unsigned long long>(address));
    fault(w, lane, ins, text);
  }
  if (address < lastRange_.begin || address + static_cast<uint64_t>(bytes) > lastRange_.end) {
    Range r;
    if (!findRange(address, r) || address + static_cast<uint64_t>(bytes) > r.end) {
      char near[160], text[320];
      std::snprintf(text, sizeof text, "OUT OF BOUNDS: global %s of %d bytes at 0x%llx, %s",
                    write ? "write" : "read", bytes, static_cast<unsigned long long>(address),
                    describeNearest(address, near, sizeof near));
      fault(w, lane, ins, text);
    }
    lastRange_ = r;
  }
  return reinterpret_cast<char*>(address);
}

char* Machine::local(Warp& w, int lane, const Ins& ins, uint64_t offset, int bytes) {
  if (offset & static_cast<uint64_t>(bytes - 1)) fault(w, lane, ins, "MISALIGNED: local access");
  if (offset + static_cast<uint64_t>(bytes) > localPerLane_)
    fault(w, lane, ins, "OUT OF BOUNDS: local access");
  return w.block->local.data() +
         (static_cast<size_t>(w.id) * 32 + static_cast<size_t>(lane)) * localPerLane_ + offset;
}

char* Machine::shared(Warp& w, int lane, const Ins& ins, uint64_t offset, int bytes, Access access,
                      const char* value) {
  const auto n = static_cast<size_t>(bytes);
  if (offset & (n - 1))
    fault(w, lane, ins,
          "MISALIGNED: shared access of " + std::to_string(bytes) + " bytes at offset " +
              std::to_string(offset));
  const size_t place = sharedPlace(offset, n);
  if (place == SIZE_MAX) {
    const bool dynamic = offset >= kDynamicBase;
    fault(w, lane, ins,
          "OUT OF BOUNDS: shared " + std::string(access == Read ? "read" : "write") + " of " +
              std::to_string(bytes) + " bytes at byte " +
              std::to_string(dynamic ? offset - kDynamicBase : offset) + " of " +
              std::to_string(dynamic ? config_.dynamicShared : kernel_.sharedBytes) +
              " bytes of " + (dynamic ? "dynamic" : "static") + " shared memory");
  }
  Block& b = *w.block;
  char* p = b.shared.data() + place;
  if (options.init) {
    uint8_t* written = b.written.data() + place;
    if (access == Read || (access == Strong && !value)) {
      for (size_t k = 0; k < n; ++k)
        if (written[k] != 1)
          fault(w, lane, ins,
                std::string(written[k] == 2
                                ? "UNFINISHED COPY: read of shared memory before cp.async.wait"
                                : "UNINITIALISED: read of shared memory that nobody wrote") +
                    ", offset " +
                    std::to_string(offset >= kDynamicBase ? offset - kDynamicBase : offset) +
                    (offset >= kDynamicBase ? " (dynamic)" : " (static)"));
    } else {
      std::memset(written, 1, n);
    }
  }
  if (options.race && access != Strong)
    raceCheck(b, w, lane, ins, place, bytes, access == Write,
              !value || std::memcmp(p, value, n) != 0);
  return p;
}

void Machine::raceCheck(Block& b, const Warp& w, int lane, const Ins& ins, size_t place, int bytes,
                        bool write, bool changes) {
  for (size_t word = place / 4; word <= (place + static_cast<size_t>(bytes) - 1) / 4; ++word) {
    Shadow& cell = b.words[word];
    if (bytes >= 4 && !cell.split) {
      raceCell(b, w, lane, ins, cell, write, changes);
      continue;
    }
    if (b.bytes.empty()) b.bytes.resize(b.words.size() * 4);
    Shadow* parts = &b.bytes[word * 4];
    if (!cell.split) {
      for (int k = 0; k < 4; ++k) parts[k] = cell;
      cell.split = true;
    }
    const size_t from = bytes >= 4 ? 0 : place % 4,
                 to = bytes >= 4 ? 4 : place % 4 + static_cast<size_t>(bytes);
    for (size_t k = from; k < to; ++k) raceCell(b, w, lane, ins, parts[k], write, changes);
  }
}

// Accesses of different warps are ordered by block barriers, those of lanes of one warp also by
// __syncwarp.
void Machine::raceCell(Block& b, const Warp& w, int lane, const Ins& ins, Shadow& cell, bool write,
                       bool changes) {
  const auto thread = static_cast<uint16_t>(w.id * 32 + lane);
  auto report = [&](const char* what, unsigned other) {
    fault(
        w, lane, ins,
        std::string("SHARED RACE: ") + what + " by thread " + std::to_string(other) +
            (other / 32 == thread / 32u ? " of the same warp with no __syncwarp or barrier between"
                                        : " with no barrier between"));
  };
  auto unordered = [&](uint32_t time, uint16_t other) {
    if (other == thread || time < b.lastBarrier) return false;
    return other / 32 != thread / 32 || time >= w.lastSync;
  };
  if (cell.writer != 0xffff && unordered(cell.writeTime, cell.writer)) {
    if (!write) report("read after write", cell.writer);
    if (changes) report("write after write", cell.writer);
  }
  if (write) {
    if (changes && cell.reader != 0xffff && cell.readTime >= b.lastBarrier) {
      const bool otherWarp = cell.readers == 2 || cell.reader / 32 != thread / 32;
      const bool otherLane =
          cell.readTime >= w.lastSync && (cell.readers == 1 || cell.reader != thread);
      if (otherWarp || otherLane) report("write after read", cell.reader);
    }
    cell.writeTime = b.time;
    cell.writer = thread;
    return;
  }
  if (cell.reader == 0xffff || cell.readTime < b.lastBarrier) {
    cell.readers = 0;
  } else if (cell.reader != thread) {
    if (cell.reader / 32 != thread / 32)
      cell.readers = 2;
    else if (cell.readers == 0 && cell.readTime >= w.lastSync)
      cell.readers = 1;
    else if (cell.readers == 1 && cell.readTime < w.lastSync)
      cell.readers = 0;
  }
  cell.readTime = b.time;
  cell.reader = thread;
}

void Machine::finishCopies(Warp& w, std::vector<AsyncCopy>& copies) {
  for (auto& c : copies) {
    char data[16] = {};
    if (c.valid) {
      uint64_t k = 0;  // a partial copy may be of any length: check it byte by byte
      if ((c.valid & (c.valid - 1)) == 0 && c.from % c.valid == 0)
        std::memcpy(data, global(w, c.lane, *c.ins, c.from, c.valid, false), c.valid);
      else
        for (; k < c.valid; ++k) data[k] = *global(w, c.lane, *c.ins, c.from + k, 1, false);
    }
    std::memcpy(shared(w, c.lane, *c.ins, c.to, c.bytes, Write, data), data, c.bytes);
  }
  copies.clear();
}

// ----------------------------------------------------------------------------------------
// counting

void Machine::countGlobal(const uint64_t* address, uint32_t mask, int bytes, bool write) {
  // Aligned accesses of up to 32 bytes lie in one sector each.
  uint64_t low = ~0ull, high = 0;
  forLanes(mask, [&](int l) {
    low = std::min(low, address[l] >> 5);
    high = std::max(high, address[l] >> 5);
  });
  unsigned sectors;
  if (high - low < 64) {
    uint64_t seen = 0;
    forLanes(mask, [&](int l) { seen |= 1ull << ((address[l] >> 5) - low); });
    sectors = static_cast<unsigned>(__builtin_popcountll(seen));
  } else {
    uint64_t list[32];
    unsigned n = 0;
    forLanes(mask, [&](int l) { list[n++] = address[l] >> 5; });
    std::sort(list, list + n);
    sectors = static_cast<unsigned>(std::unique(list, list + n) - list);
  }
  const auto total = static_cast<uint64_t>(bits(mask)) * static_cast<uint64_t>(bytes);
  if (write) {
    ++stats.global_write_requests;
    stats.global_write_sectors += sectors;
    stats.global_write_bytes += total;
  } else {
    ++stats.global_read_requests;
    stats.global_read_sectors += sectors;
    stats.global_read_bytes += total;
  }
}

// 32 banks of 4 bytes; 8-byte accesses go by half warps, 16-byte ones by quarters, as NVIDIA's
// guides describe.
void Machine::countShared(const uint64_t* address, uint32_t mask, int bytes) {
  ++stats.shared_requests;
  const int parts = bytes <= 4 ? 1 : bytes / 4;
  const int lanes = 32 / parts;
  for (int part = 0; part < parts; ++part) {
    const uint32_t m = mask & (parts == 1 ? ~0u : ((1u << lanes) - 1) << (part * lanes));
    if (!m) continue;
    uint8_t inBank[32] = {};
    uint64_t seen[32]
                 [8];  // distinct words per bank; more than 8 are counted without a second look
    unsigned worst = 1;
    forLanes(m, [&](int l) {
      for (int k = 0; k < (bytes + 3) / 4; ++k) {
        const uint64_t at = address[l] / 4 + static_cast<uint64_t>(k);
        const unsigned bank = at & 31;
        const unsigned n = inBank[bank];
        bool known = false;
        for (unsigned q = 0; q < std::min(n, 8u); ++q) known |= seen[bank][q] == at;
        if (known) continue;
        if (n < 8) seen[bank][n] = at;
        inBank[bank] = static_cast<uint8_t>(n + 1);
        worst = std::max(worst, n + 1);
      }
    });
    stats.shared_wavefronts += worst;
    ++stats.shared_wavefronts_ideal;
  }
}

void launch(Module& m, const Function& kernel, const LaunchConfig& config,
            const std::vector<char>& params, ptxvm_stats& stats) {
  Machine machine(m, kernel, config, params);
  try {
    machine.run();
  } catch (...) {
    stats = machine.stats;
    throw;
  }
  stats = machine.stats;
}

}  // namespace ptxvm
