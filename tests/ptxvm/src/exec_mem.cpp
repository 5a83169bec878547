// SPDX-License-Identifier: MIT
// Loads, stores, atomics, address conversion, asynchronous copies and mbarriers.
#include <algorithm>
#include <cmath>

#include "exec.hpp"

namespace ptxvm {
namespace {

uint64_t laneAddress(Warp& w, const Operand& o, int l) {
  return (o.bytes ? laneValue(w, {.kind = Operand::Reg, .bytes = o.bytes, .off = o.off}, l) : 0) +
         o.imm;
}

// The space an address really points to, with the window bits removed.
Space resolve(Space s, uint64_t& a) {
  if (s == Space::Shared || s == Space::Local) {
    if ((a & kWindowMask) == kSharedWindow || (a & kWindowMask) == kLocalWindow)
      a &= ~kWindowMask;
    else
      a &= 0xffffffffu;
    return s;
  }
  if (s != Space::Generic) return s;
  switch (a & kWindowMask) {
    case kSharedWindow:
      a &= ~kWindowMask;
      return Space::Shared;
    case kLocalWindow:
      a &= ~kWindowMask;
      return Space::Local;
    case kParamWindow:
      a &= ~kWindowMask;
      return Space::Param;
    default:
      return Space::Global;
  }
}

char* paramPlace(Machine& m, Warp& w, int l, const Ins& i, uint64_t a, int bytes) {
  if (i.space == Space::FrameParam) {
    const size_t size = w.frame->f->frameParamBytes;
    if (a + static_cast<uint64_t>(bytes) > size)
      m.fault(w, l, i, "OUT OF BOUNDS: parameter access");
    return w.frame->params + size * static_cast<size_t>(l) + a;
  }
  a &= ~kWindowMask;
  if (a + static_cast<uint64_t>(bytes) > m.params().size())
    m.fault(w, l, i, "OUT OF BOUNDS: kernel parameter access");
  return const_cast<char*>(m.params().data()) + a;
}

char* place(Machine& m, Warp& w, int l, const Ins& i, Space s, uint64_t a, int bytes,
            Machine::Access access, const char* value) {
  switch (s) {
    case Space::Shared:
      return m.shared(w, l, i, a, bytes, access, value);
    case Space::Local:
      return m.local(w, l, i, a, bytes);
    case Space::Param:
    case Space::FrameParam:
      return paramPlace(m, w, l, i, a, bytes);
    default:
      return m.global(w, l, i, a, bytes, access == Machine::Write || value != nullptr);
  }
}

// Addresses of all lanes; counts the request. All lanes of one instruction normally point to one
// space.
struct Request {
  uint64_t address[32];
  Space space[32];
  Request(Machine& m, Warp& w, const Ins& i, const Operand& o, uint32_t mask, int bytes,
          bool write, bool atomic) {
    uint32_t global = 0, shared = 0;
    forLanes(mask, [&](int l) {
      address[l] = laneAddress(w, o, l);
      space[l] = resolve(i.space, address[l]);
      if (space[l] == Space::Shared)
        shared |= 1u << l;
      else if (space[l] == Space::Global || space[l] == Space::Const)
        global |= 1u << l;
    });
    if (atomic) {
      ++m.stats.atomic_requests;
      return;
    }
    if (global) m.countGlobal(address, global, bytes, write);
    if (shared) m.countShared(address, shared, bytes);
  }
};

const Operand& element(const Warp& w, const Operand& o, int k) {
  return o.kind == Operand::Vec ? w.frame->f->vec[static_cast<size_t>(o.off + k)] : o;
}

void putValue(Warp& w, const Operand& o, int l, const char* from, int bytes, bool sign) {
  if (o.bytes == 16) {
    std::memset(w.base[o.kind] + o.off + 16 * l, 0, 16);
    std::memcpy(w.base[o.kind] + o.off + 16 * l, from, static_cast<size_t>(bytes));
    return;
  }
  uint64_t v = 0;
  std::memcpy(&v, from, static_cast<size_t>(bytes));
  if (sign && bytes < 8) {
    const int s = 64 - 8 * bytes;
    v = static_cast<uint64_t>(static_cast<int64_t>(v << s) >> s);
  }
  setLane(w, o, l, v);
}

void load(Machine& m, Warp& w, const Ins& i, uint32_t mask) {
  const int each = typeBytes(i.t), total = each * i.vec;
  const Request r(m, w, i, i.o[1], mask, total, false, false);
  char buffer[32 *
              64];  // all lanes read before any register changes: the address may be overwritten
  forLanes(mask, [&](int l) {
    const char* p = place(m, w, l, i, r.space[l], r.address[l], total,
                          i.strong ? Machine::Strong : Machine::Read, nullptr);
    std::memcpy(buffer + 64 * l, p, static_cast<size_t>(total));
  });
  for (int k = 0; k < i.vec; ++k) {
    const Operand& d = element(w, i.o[0], k);
    forLanes(mask,
             [&](int l) { putValue(w, d, l, buffer + 64 * l + each * k, each, isSigned(i.t)); });
  }
}

// The commonest loads: one element of global memory, address in a 64-bit register.
template <class T>
void loadGlobal(Machine& m, Warp& w, const Ins& i, uint32_t mask) {
  const auto* base = slot<uint64_t>(w, {.kind = Operand::Reg, .off = i.o[1].off});
  using Wide = std::conditional_t<std::is_signed_v<T> && sizeof(T) < 4, int32_t, T>;
  auto* d = slot<SlotOf<T>>(w, i.o[0]);
  uint64_t address[32];
  T value[32];
  for (int l = 0; l < 32; ++l) address[l] = base[l] + i.o[1].imm;
  m.countGlobal(address, mask, sizeof(T), false);
  forLanes(mask, [&](int l) {
    std::memcpy(&value[l], m.global(w, l, i, address[l], sizeof(T), false), sizeof(T));
  });
  forLanes(mask, [&](int l) { d[l] = static_cast<SlotOf<T>>(static_cast<Wide>(value[l])); });
}
template <class T>
void storeGlobal(Machine& m, Warp& w, const Ins& i, uint32_t mask) {
  const auto* base = slot<uint64_t>(w, {.kind = Operand::Reg, .off = i.o[0].off});
  const auto* s = slot<SlotOf<T>>(w, i.o[1]);
  uint64_t address[32];
  for (int l = 0; l < 32; ++l) address[l] = base[l] + i.o[0].imm;
  m.countGlobal(address, mask, sizeof(T), true);
  forLanes(mask, [&](int l) {
    const T v = static_cast<T>(s[l]);
    std::memcpy(m.global(w, l, i, address[l], sizeof(T), true), &v, sizeof(T));
  });
}

// ld.param of a kernel parameter: the same value for every lane.
void loadParam(Machine& m, Warp& w, const Ins& i, uint32_t mask) {
  const int each = typeBytes(i.t);
  const uint64_t a = i.o[1].imm;
  if (a + static_cast<uint64_t>(each * i.vec) > m.params().size())
    m.fault(w, __builtin_ctz(mask), i, "OUT OF BOUNDS: kernel parameter");
  for (int k = 0; k < i.vec; ++k) {
    const Operand& d = element(w, i.o[0], k);
    forLanes(mask, [&](int l) {
      putValue(w, d, l, m.params().data() + a + static_cast<size_t>(each * k), each,
               isSigned(i.t));
    });
  }
}

void store(Machine& m, Warp& w, const Ins& i, uint32_t mask) {
  const int each = typeBytes(i.t), total = each * i.vec;
  const Request r(m, w, i, i.o[0], mask, total, true, false);
  forLanes(mask, [&](int l) {
    char value[32];
    for (int k = 0; k < i.vec; ++k) {
      const Operand& s = element(w, i.o[1], k);
      if (s.bytes == 16) {
        std::memcpy(value + each * k, w.base[s.kind] + s.off + 16 * l, static_cast<size_t>(each));
      } else {
        const uint64_t v = laneValue(w, s, l);
        std::memcpy(value + each * k, &v, static_cast<size_t>(each));
      }
    }
    if (r.space[l] == Space::Param && i.space != Space::FrameParam)
      m.fault(w, l, i, "write to a kernel parameter");
    char* p = place(m, w, l, i, r.space[l], r.address[l], total,
                    i.strong ? Machine::Strong : Machine::Write, value);
    std::memcpy(p, value, static_cast<size_t>(total));
  });
}

// ------------------------------------------------------------------------------------------
// atomics

enum AtomicOp : uint8_t { kAdd, kMin, kMax, kInc, kDec, kAnd, kOr, kXor, kExch, kCas };

int64_t extend(uint64_t v, int bytes) {
  const int s = 64 - 8 * bytes;
  return s <= 0 ? static_cast<int64_t>(v) : static_cast<int64_t>(v << s) >> s;
}
float flush(float f) { return std::fabs(f) < 0x1p-126f ? std::copysign(0.0f, f) : f; }

uint64_t addHalves(uint64_t a, uint64_t b, Type t, int op) {
  auto one = [&](uint16_t x, uint16_t y) -> uint16_t {
    const bool bf = t == Type::BF16 || t == Type::BF16x2;
    const float p = bf ? bfloatToFloat(x) : halfToFloat(x),
                q = bf ? bfloatToFloat(y) : halfToFloat(y);
    float r = op == kAdd   ? p + q
              : p != p     ? q
              : q != q     ? p
              : op == kMin ? std::min(p, q)
                           : std::max(p, q);
    return bf ? floatToBfloat(r) : floatToHalf(r);
  };
  uint64_t r = one(static_cast<uint16_t>(a), static_cast<uint16_t>(b));
  if (typeBytes(t) == 4)
    r |= static_cast<uint64_t>(one(static_cast<uint16_t>(a >> 16), static_cast<uint16_t>(b >> 16)))
         << 16;
  return r;
}

uint64_t atomicResult(const Ins& i, uint64_t v, uint64_t y, uint64_t z, bool global) {
  const int bytes = typeBytes(i.t);
  switch (i.sub) {
    case kAdd:
      if (i.t == Type::F32) {
        const float a = asFloat(static_cast<uint32_t>(v)), b = asFloat(static_cast<uint32_t>(y));
        // Documented: in global memory atom.add.f32 flushes subnormals, in shared memory it does
        // not.
        const float r = global ? flush(flush(a) + flush(b)) : a + b;
        return r != r ? 0x7fffffffu : asBits(r);
      }
      if (i.t == Type::F64) return asBits(asDouble(v) + asDouble(y));
      if (isHalf(i.t)) return addHalves(v, y, i.t, kAdd);
      return v + y;
    case kMin:
      if (isHalf(i.t)) return addHalves(v, y, i.t, kMin);
      return isSigned(i.t) ? (extend(y, bytes) < extend(v, bytes) ? y : v) : std::min(v, y);
    case kMax:
      if (isHalf(i.t)) return addHalves(v, y, i.t, kMax);
      return isSigned(i.t) ? (extend(y, bytes) > extend(v, bytes) ? y : v) : std::max(v, y);
    case kInc:
      return v >= y ? 0 : v + 1;
    case kDec:
      return v == 0 || v > y ? y : v - 1;
    case kAnd:
      return v & y;
    case kOr:
      return v | y;
    case kXor:
      return v ^ y;
    case kExch:
      return y;
    default:
      return v == y ? z : v;
  }
}

void atomic(Machine& m, Warp& w, const Ins& i, uint32_t mask) {
  const bool returns = !i.hi;
  const int at = returns ? 1 : 0, each = typeBytes(i.t), total = each * i.vec;
  const uint64_t keep = each == 8 ? ~0ull : (1ull << (8 * each)) - 1;
  const Request r(m, w, i, i.o[at], mask, total, true, true);
  forLanes(mask, [&](int l) {  // in lane order; hardware may use another
    char old[16], fresh[16];
    if (each == 16) {
      char* p = place(m, w, l, i, r.space[l], r.address[l], 16, Machine::Strong, nullptr);
      auto reg = [&](int k) { return w.base[i.o[k].kind] + i.o[k].off + 16 * l; };
      std::memcpy(old, p, 16);
      if (i.sub == kExch)
        std::memcpy(p, reg(at + 1), 16);
      else if (std::memcmp(old, reg(at + 1), 16) == 0)
        std::memcpy(p, reg(at + 2), 16);
      if (returns) std::memcpy(reg(0), old, 16);
      return;
    }
    char* p = place(m, w, l, i, r.space[l], r.address[l], total, Machine::Strong, nullptr);
    std::memcpy(old, p, static_cast<size_t>(total));
    for (int k = 0; k < i.vec; ++k) {
      uint64_t v = 0;
      std::memcpy(&v, old + each * k, static_cast<size_t>(each));
      const uint64_t y = laneValue(w, element(w, i.o[at + 1], k), l) & keep;
      const uint64_t z = i.sub == kCas ? laneValue(w, i.o[at + 2], l) & keep : 0;
      const uint64_t n = atomicResult(i, v, y, z, r.space[l] == Space::Global);
      std::memcpy(fresh + each * k, &n, static_cast<size_t>(each));
    }
    place(m, w, l, i, r.space[l], r.address[l], total, Machine::Strong,
          fresh);  // checks that it is writable
    std::memcpy(p, fresh, static_cast<size_t>(total));
    if (returns)
      for (int k = 0; k < i.vec; ++k)
        putValue(w, element(w, i.o[0], k), l, old + each * k, each, false);
  });
}

// ------------------------------------------------------------------------------- address
// conversion

void cvta(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const uint64_t window = i.space == Space::Shared  ? kSharedWindow
                          : i.space == Space::Local ? kLocalWindow
                          : i.space == Space::Param ? kParamWindow
                                                    : 0;
  forLanes(mask, [&](int l) {
    const uint64_t a = laneValue(w, i.o[1], l);
    if (!i.hi)
      setLane(w, i.o[0], l, a | window);
    else
      setLane(w, i.o[0], l, window && (a & kWindowMask) == window ? a & ~kWindowMask : a);
  });
}
void isspacep(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  uint32_t r = 0;
  forLanes(mask, [&](int l) {
    uint64_t a = laneValue(w, i.o[1], l);
    const Space s = resolve(Space::Generic, a);
    r |= static_cast<uint32_t>(s == (i.space == Space::Const ? Space::Param : i.space)) << l;
  });
  if (i.space == Space::Const) r = 0;
  setPredicate(w, i.o[0].off, mask, r);
}

// --------------------------------------------------------------------------------------------
// cp.async

// The copy happens when its group is waited for; until then the destination counts as unwritten.
void cpAsync(Machine& m, Warp& w, const Ins& i, uint32_t mask) {
  const int bytes = static_cast<int>(i.o[2].imm);
  if (bytes != 4 && bytes != 8 && bytes != 16)
    fail("cp.async of " + std::to_string(bytes) + " bytes");
  uint64_t from[32] = {}, to[32] = {};
  forLanes(mask, [&](int l) {
    from[l] = laneAddress(w, i.o[1], l);
    to[l] = laneAddress(w, i.o[0], l);
    resolve(Space::Shared, to[l]);
  });
  m.countGlobal(from, mask, bytes, false);
  m.countShared(to, mask, bytes);
  forLanes(mask, [&](int l) {
    uint64_t valid = static_cast<uint64_t>(bytes);
    if (i.nops > 3) {
      if (i.o[3].kind == Operand::Pred)
        valid = predicate(w, i.o[3]) >> l & 1 ? 0 : valid;  // ignore-src
      else
        valid = std::min<uint64_t>(static_cast<uint32_t>(laneValue(w, i.o[3], l)), valid);
    }
    if (from[l] % static_cast<uint64_t>(bytes)) m.fault(w, l, i, "MISALIGNED: cp.async source");
    char zero[16] = {};
    m.shared(w, l, i, to[l], bytes, Machine::Write, zero);
    if (options.init) {
      const size_t at = m.sharedPlace(to[l], static_cast<size_t>(bytes));
      std::memset(w.block->written.data() + at, 2, static_cast<size_t>(bytes));
    }
    if (valid && valid == static_cast<uint64_t>(bytes)) m.global(w, l, i, from[l], bytes, false);
    w.open.push_back({to[l], from[l], static_cast<uint8_t>(bytes), static_cast<uint8_t>(valid),
                      static_cast<uint8_t>(l), &i});
  });
}

// Groups belong to threads. A warp's lanes commit together here, so a group holds the copies of
// several lanes; waiting finishes the copies of the lanes that wait.
void cpCommit(Machine&, Warp& w, const Ins&, uint32_t mask) {
  std::vector<AsyncCopy> group, rest;
  for (auto& c : w.open) (mask >> c.lane & 1 ? group : rest).push_back(c);
  w.open.swap(rest);
  w.groups.push_back(std::move(group));
}
void cpWait(Machine& m, Warp& w, const Ins& i, uint32_t mask) {
  const size_t leave = i.sub ? 0 : static_cast<size_t>(i.o[0].imm);
  const size_t done = w.groups.size() > leave ? w.groups.size() - leave : 0;
  for (size_t k = 0; k < done; ++k) {
    std::vector<AsyncCopy> now, later;
    for (auto& c : w.groups[k]) (mask >> c.lane & 1 ? now : later).push_back(c);
    m.finishCopies(w, now);
    w.groups[k].swap(later);
  }
  if (i.sub) {  // wait_all also covers copies not committed
    std::vector<AsyncCopy> now, later;
    for (auto& c : w.open) (mask >> c.lane & 1 ? now : later).push_back(c);
    m.finishCopies(w, now);
    w.open.swap(later);
  }
  while (!w.groups.empty() && w.groups.front().empty()) w.groups.erase(w.groups.begin());
}

// ---------------------------------------------------------------------------------------------
// mbarrier

// Layout of the 64-bit object, private to this machine: bits 0-19 expected arrivals, 20-39 pending
// arrivals, 40-61 pending bytes (biased), 63 phase.
struct MBarrier {
  static constexpr int64_t kBias = 1 << 21;
  uint32_t expected, pending;
  int64_t bytes;
  bool phase;
  explicit MBarrier(uint64_t v)
      : expected(v & 0xfffff),
        pending(v >> 20 & 0xfffff),
        bytes(int64_t(v >> 40 & 0x3fffff) - kBias),
        phase(v >> 63) {}
  uint64_t code() const {
    return expected | uint64_t(pending) << 20 | uint64_t(bytes + kBias) << 40 |
           uint64_t(phase) << 63;
  }
  bool settle() {  // begins the next phase when everything arrived
    if (pending || bytes) return false;
    pending = expected;
    phase = !phase;
    return true;
  }
};
enum MOp : uint8_t {
  kInit,
  kInval,
  kArrive,
  kArriveDrop,
  kExpect,
  kComplete,
  kTest,
  kTestParity,
  kCount
};

void mbarrier(Machine& m, Warp& w, const Ins& i, uint32_t mask) {
  const bool hasResult = i.sub == kTest || i.sub == kTestParity ||
                         ((i.sub == kArrive || i.sub == kArriveDrop) && i.hi);
  const int at = hasResult ? 1 : 0;
  if (i.sub == kCount) {
    forLanes(mask,
             [&](int l) { setLane(w, i.o[0], l, MBarrier(laneValue(w, i.o[1], l)).pending); });
    return;
  }
  uint32_t result = 0;
  bool blocked = false;
  forLanes(mask, [&](int l) {
    uint64_t a = laneAddress(w, i.o[at], l);
    if (resolve(i.space, a) != Space::Shared)
      m.fault(w, l, i, "mbarrier object outside shared memory");
    uint64_t v = 0;
    char* p = m.shared(w, l, i, a, 8, Machine::Strong,
                       i.sub == kInit ? reinterpret_cast<char*>(&v) : nullptr);
    if (i.sub == kInit) {
      const auto n = static_cast<uint32_t>(laneValue(w, i.o[1], l));
      if (n == 0 || n >= (1u << 20)) m.fault(w, l, i, "mbarrier.init with a bad count");
      MBarrier b(0);
      b.expected = b.pending = n;
      b.bytes = 0;
      b.phase = false;
      v = b.code();
      std::memcpy(p, &v, 8);
      return;
    }
    std::memcpy(&v, p, 8);
    MBarrier b(v);
    const uint64_t before = v;
    switch (i.sub) {
      case kInval:
        v = 0xBADBADBADBADBADull;
        std::memcpy(p, &v, 8);
        return;
      case kArrive:
      case kArriveDrop: {
        uint32_t n = 1;
        if (i.carryIn)
          b.bytes += static_cast<int64_t>(laneValue(w, i.o[at + 1], l));  // .expect_tx
        else if (i.nops > at + 1)
          n = static_cast<uint32_t>(laneValue(w, i.o[at + 1], l));
        if (n > b.pending) m.fault(w, l, i, "mbarrier: more arrivals than expected in this phase");
        b.pending -= n;
        if (i.sub == kArriveDrop) b.expected -= n;
        if (i.hi) setLane(w, i.o[0], l, before);
        break;
      }
      case kExpect:
        b.bytes += static_cast<int64_t>(laneValue(w, i.o[1], l));
        break;
      case kComplete:
        b.bytes -= static_cast<int64_t>(laneValue(w, i.o[1], l));
        break;
      default: {
        const bool waits =
            i.sub == kTest ? MBarrier(laneValue(w, i.o[2], l)).phase : laneValue(w, i.o[2], l) & 1;
        const bool done = b.phase != waits;
        result |= uint32_t(done) << l;
        blocked |= !done;
        return;
      }
    }
    if (b.settle()) m.ordered(*w.block);
    v = b.code();
    std::memcpy(p, &v, 8);
  });
  if (i.sub == kTest || i.sub == kTestParity) {
    setPredicate(w, i.o[0].off, mask, result);
    if (blocked) m.yielded = true;
  }
}

// cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [dst], [src], size, [mbar]:
// done at once.
void cpBulk(Machine& m, Warp& w, const Ins& i, uint32_t mask) {
  forLanes(mask, [&](int l) {
    uint64_t to = laneAddress(w, i.o[0], l), from = laneAddress(w, i.o[1], l);
    const auto size = static_cast<uint32_t>(laneValue(w, i.o[2], l));
    const bool intoShared = i.sub == 0;
    resolve(Space::Shared, intoShared ? to : from);
    if (size % 16 || to % 16 || from % 16)
      m.fault(w, l, i, "MISALIGNED: cp.async.bulk needs multiples of 16 bytes");
    for (uint32_t k = 0; k < size; k += 16) {
      if (intoShared) {
        const char* s = m.global(w, l, i, from + k, 16, false);
        std::memcpy(m.shared(w, l, i, to + k, 16, Machine::Strong, s), s, 16);
      } else {
        const char* s = m.shared(w, l, i, from + k, 16, Machine::Strong, nullptr);
        std::memcpy(m.global(w, l, i, to + k, 16, true), s, 16);
      }
    }
    if (!intoShared) return;
    uint64_t bar = laneAddress(w, i.o[3], l), v;
    resolve(Space::Shared, bar);
    char* p = m.shared(w, l, i, bar, 8, Machine::Strong, nullptr);
    std::memcpy(&v, p, 8);
    MBarrier b(v);
    b.bytes -= size;
    if (b.settle()) m.ordered(*w.block);
    v = b.code();
    std::memcpy(p, &v, 8);
  });
}

void nothing(Machine&, Warp&, const Ins&, uint32_t) {}

// ---------------------------------------------------------------------------------------------
// decoding

void takeSpace(Build& b) {
  Ins& i = b.i;
  if (b.take("global"))
    i.space = Space::Global;
  else if (b.take("shared") || b.take("shared::cta"))
    i.space = Space::Shared;
  else if (b.take("local"))
    i.space = Space::Local;
  else if (b.take("param") || b.take("param::entry") || b.take("param::func"))
    i.space = Space::Param;
  else if (b.take("const"))
    i.space = Space::Const;
}
Class spaceClass(Space s) {
  return s == Space::Global || s == Space::Generic ? Class::Global
         : s == Space::Shared                      ? Class::Shared
                                                   : Class::Other;
}
void takeOrdering(Build& b) {
  Ins& i = b.i;
  for (const char* word : {"volatile", "relaxed", "acquire", "release", "acq_rel", "mmio"})
    i.strong |= b.take(word);
  b.ignore({"weak", "cta", "cluster", "gpu", "sys"});
}

void buildLoadStore(Build& b) {
  Ins& i = b.i;
  const bool isStore = b.words[0] == "st";
  takeOrdering(b);
  takeSpace(b);
  b.ignore({"nc",
            "ca",
            "cg",
            "cs",
            "lu",
            "cv",
            "wb",
            "wt",
            "L1::evict_normal",
            "L1::evict_unchanged",
            "L1::evict_first",
            "L1::evict_last",
            "L1::no_allocate",
            "L2::64B",
            "L2::128B",
            "L2::256B",
            "L2::evict_first",
            "L2::evict_last",
            "L2::evict_normal",
            "unified"});
  i.vec = b.take("v2") ? 2 : b.take("v4") ? 4 : b.take("v8") ? 8 : 1;
  const Type t = i.t = b.needType();
  if (typeBytes(t) * i.vec > 32 || typeBytes(t) == 0) b.unsupported("size");
  i.cls = spaceClass(i.space);
  const int value = i.vec > 1 ? Build::Vector : Build::AnyWidth;
  if (isStore) {
    b.want = {Build::Address, value};
    i.fn = store;
  } else {
    b.want = {value, Build::Address};
    i.fn = load;
  }
}

void buildAtomic(Build& b) {
  static const std::pair<const char*, int> names[] = {
      {"add", kAdd}, {"min", kMin}, {"max", kMax}, {"inc", kInc},   {"dec", kDec},
      {"and", kAnd}, {"or", kOr},   {"xor", kXor}, {"exch", kExch}, {"cas", kCas}};
  Ins& i = b.i;
  takeOrdering(b);
  takeSpace(b);
  b.ignore({"noftz"});
  i.vec = b.take("v2") ? 2 : b.take("v4") ? 4 : b.take("v8") ? 8 : 1;
  bool known = false;
  for (auto& [name, op] : names)
    if (!known && b.take(name)) i.sub = static_cast<uint8_t>(op), known = true;
  if (!known) b.unsupported("operation");
  const Type t = i.t = b.needType();
  const bool isFloatType = isFloat(t);
  const bool legal = isFloatType ? i.sub == kAdd || (isHalf(t) && (i.sub == kMin || i.sub == kMax))
                     : i.sub == kInc || i.sub == kDec ? t == Type::U32
                                                      : true;
  if (!legal) b.unsupported("operation for this type");
  i.hi = b.words[0] == "red";
  i.cls = Class::Atomic;
  const int value = i.vec > 1 ? int(Build::Vector) : slotBytes(t);
  if (i.hi)
    b.want = {Build::Address, value};
  else
    b.want = {value, Build::Address, value};
  if (i.sub == kCas) b.want.push_back(value);
  i.fn = atomic;
}

void buildCvta(Build& b) {
  b.i.hi = b.take("to");
  takeSpace(b);
  b.needType();
  b.want = {Build::AnyWidth, Build::AnyWidth};
  b.i.fn = cvta;
}
void buildIsspacep(Build& b) {
  takeSpace(b);
  b.take("shared::cluster") ? void(b.i.space = Space::Shared) : void();
  b.want = {Build::Predicate, Build::AnyWidth};
  b.i.fn = isspacep;
}

void buildCp(Build& b) {
  Ins& i = b.i;
  if (!b.take("async")) b.unsupported();
  i.cls = Class::Global;
  if (b.take("bulk")) {
    if (b.take("commit_group") || b.take("wait_group")) {
      b.ignore({"read"});
      i.fn = nothing;
      b.want = {Build::AnyWidth};
      b.optional = 1;
      return;
    }
    const bool mbar = b.take("mbarrier::complete_tx::bytes");
    const bool intoShared = b.words.size() > 3 && b.words[3].rfind("shared", 0) == 0;
    if (intoShared != mbar) b.unsupported();
    b.ignore({"shared::cluster", "shared::cta", "global", "bulk_group"});
    i.sub = intoShared ? 0 : 1;
    b.want = {Build::Address, Build::Address, Build::AnyWidth};
    if (intoShared) b.want.push_back(Build::Address);
    i.fn = cpBulk;
    return;
  }
  if (b.take("commit_group")) {
    i.fn = cpCommit;
    i.cls = Class::Control;
    return;
  }
  if (b.take("wait_group")) {
    i.fn = cpWait;
    i.cls = Class::Control;
    b.want = {Build::AnyWidth};
    return;
  }
  if (b.take("wait_all")) {
    i.fn = cpWait;
    i.sub = 1;
    i.cls = Class::Control;
    return;
  }
  if (b.take("mbarrier")) b.unsupported("cp.async.mbarrier.arrive");
  if (!b.take("ca") && !b.take("cg")) b.unsupported();
  b.ignore({"shared", "shared::cta", "global", "L2::64B", "L2::128B", "L2::256B"});
  b.want = {Build::Address, Build::Address, Build::AnyWidth, Build::Flexible};
  b.optional = 1;
  i.fn = cpAsync;
}

void buildMbarrier(Build& b) {
  Ins& i = b.i;
  i.cls = Class::Atomic;
  const bool init = b.take("init"), inval = b.take("inval"), arrive = b.take("arrive"),
             drop = b.take("arrive_drop");
  const bool expectOnly = !arrive && !drop && b.take("expect_tx"),
             complete = b.take("complete_tx");
  const bool test = b.take("test_wait"), attempt = b.take("try_wait"), parity = b.take("parity"),
             count = b.take("pending_count");
  i.carryIn = (arrive || drop) && b.take("expect_tx");
  b.ignore({"release", "acquire", "relaxed", "cta", "cluster"});
  if (b.take("noComplete")) b.unsupported(".noComplete");
  takeSpace(b);
  b.needType();
  i.fn = mbarrier;
  if (init) {
    i.sub = kInit;
    b.want = {Build::Address, 4};
  } else if (inval) {
    i.sub = kInval;
    b.want = {Build::Address};
  } else if (count) {
    i.sub = kCount;
    b.want = {4, 8};
  } else if (expectOnly || complete) {
    i.sub = complete ? kComplete : kExpect;
    b.want = {Build::Address, 4};
  } else if (test || attempt) {
    i.sub = parity ? kTestParity : kTest;
    i.ctl = Ctl::Yield;
    b.want = {Build::Predicate, Build::Address, parity ? 4 : 8, 4};
    b.optional = 1;
  } else if (arrive || drop) {
    i.sub = drop ? kArriveDrop : kArrive;
    i.hi = true;  // returns a state; "_" as the result goes to the sink register
    b.want = {8, Build::Address, 4};
    b.optional = i.carryIn ? 0 : 1;
  } else {
    b.unsupported();
  }
}

}  // namespace

const OpTable& memoryOps() {
  static const OpTable table = {
      {"ld", buildLoadStore},      {"ldu", buildLoadStore}, {"st", buildLoadStore},
      {"atom", buildAtomic},       {"red", buildAtomic},    {"cvta", buildCvta},
      {"isspacep", buildIsspacep}, {"cp", buildCp},         {"mbarrier", buildMbarrier}};
  return table;
}

// Picks the handler for a load or store whose operands are now known; called by bindOperands.
void chooseMemoryHandler(Ins& i) {
  if (i.fn == load && i.space == Space::Param && i.o[1].bytes == 0) i.fn = loadParam;
  if (i.space != Space::Global || i.vec != 1) return;
  const Operand &address = i.fn == load ? i.o[1] : i.o[0], &value = i.fn == load ? i.o[0] : i.o[1];
  const int bytes = typeBytes(i.t);
  if (address.bytes != 8 || bytes > 8 || value.bytes != (bytes == 8 ? 8 : 4) ||
      value.kind == Operand::Vec)
    return;
  if (i.fn == load) {
    const bool sign = isSigned(i.t);
    i.fn = bytes == 8   ? loadGlobal<uint64_t>
           : bytes == 4 ? loadGlobal<uint32_t>
           : bytes == 2 ? (sign ? loadGlobal<int16_t> : loadGlobal<uint16_t>)
           : sign       ? loadGlobal<int8_t>
                        : loadGlobal<uint8_t>;
  } else if (i.fn == store) {
    i.fn = bytes == 8   ? storeGlobal<uint64_t>
           : bytes == 4 ? storeGlobal<uint32_t>
           : bytes == 2 ? storeGlobal<uint16_t>
                        : storeGlobal<uint8_t>;
  }
}

}  // namespace ptxvm
