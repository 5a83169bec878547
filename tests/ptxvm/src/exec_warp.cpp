// SPDX-License-Identifier: MIT
// Instructions that exchange values between the lanes of a warp, and the tensor-core matrix
// product.
//
// Handlers here run once all named lanes have arrived (Machine::warpSync); `mask` is that group.
#include <algorithm>
#include <cmath>

#include "exec.hpp"

namespace ptxvm {
namespace {

enum ShflMode : uint8_t { kUp, kDown, kBfly, kIdx };

void shfl(Machine& m, Warp& w, const Ins& i, uint32_t mask) {
  const auto *a = slot<uint32_t>(w, i.o[1]), *b = slot<uint32_t>(w, i.o[2]),
             *c = slot<uint32_t>(w, i.o[3]);
  auto* d = slot<uint32_t>(w, i.o[0]);
  uint32_t result[32], valid = 0;
  forLanes(mask, [&](int l) {
    const int step = b[l] & 31, clampTo = c[l] & 31, segment = c[l] >> 8 & 31;
    const int most = (l & segment) | (clampTo & ~segment), least = l & segment;
    int j = 0;
    bool p = false;
    switch (i.sub) {
      case kUp:
        j = l - step;
        p = j >= most;
        break;
      case kDown:
        j = l + step;
        p = j <= most;
        break;
      case kBfly:
        j = l ^ step;
        p = j <= most;
        break;
      default:
        j = least | (step & ~segment);
        p = j <= most;
        break;
    }
    if (!p) j = l;
    if (!(mask >> j & 1)) {
      if (options.strict)
        m.fault(w, l, i,
                "ABSENT LANE: shuffle reads lane " + std::to_string(j) + ", which " +
                    (!(w.exists >> j & 1) ? "does not exist in this block"
                     : !(w.live >> j & 1) ? "has exited"
                                          : "is not in the member mask"));
      result[l] = 0xDEADDEADu;
    } else {
      result[l] = a[j];
    }
    valid |= static_cast<uint32_t>(p) << l;
  });
  forLanes(mask, [&](int l) { d[l] = result[l]; });
  if (i.o[0].pair >= 0) setPredicate(w, i.o[0].pair, mask, valid);
}

void vote(Machine&, Warp& w, const Ins& i, uint32_t mask) {  // sub: 0 ballot, 1 all, 2 any, 3 uni
  const uint32_t p = predicate(w, i.o[1]) & mask;
  if (i.sub == 0) {
    auto* d = slot<uint32_t>(w, i.o[0]);
    forLanes(mask, [&](int l) { d[l] = p; });
    return;
  }
  const bool r = i.sub == 1 ? p == mask : i.sub == 2 ? p != 0 : p == 0 || p == mask;
  setPredicate(w, i.o[0].off, mask, r ? ~0u : 0);
}

template <class T>
void match(Machine&, Warp& w, const Ins& i, uint32_t mask) {  // sub: 1 all
  const T* a = slot<T>(w, i.o[1]);
  uint32_t result[32];
  bool same = true;
  forLanes(mask, [&](int l) {
    uint32_t r = 0;
    forLanes(mask, [&](int k) { r |= static_cast<uint32_t>(a[k] == a[l]) << k; });
    result[l] = r;
    same &= r == mask;
  });
  auto* d = slot<uint32_t>(w, i.o[0]);
  forLanes(mask, [&](int l) { d[l] = i.sub ? (same ? mask : 0) : result[l]; });
  if (i.o[0].pair >= 0) setPredicate(w, i.o[0].pair, mask, same ? ~0u : 0);
}

void redux(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto* a = slot<uint32_t>(w, i.o[1]);
  const bool isS = i.t == Type::S32;
  uint32_t r = a[__builtin_ctz(mask)];
  forLanes(mask & (mask - 1), [&](int l) {
    const uint32_t v = a[l];
    const bool less = isS ? static_cast<int32_t>(v) < static_cast<int32_t>(r) : v < r;
    switch (i.sub) {
      case 0:
        r += v;
        break;
      case 1:
        r = less ? v : r;
        break;
      case 2:
        r = less || v == r ? r : v;
        break;
      case 3:
        r &= v;
        break;
      case 4:
        r |= v;
        break;
      default:
        r ^= v;
        break;
    }
  });
  auto* d = slot<uint32_t>(w, i.o[0]);
  forLanes(mask, [&](int l) { d[l] = r; });
}

void activemask(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  auto* d = slot<uint32_t>(w, i.o[0]);
  forLanes(mask, [&](int l) { d[l] = mask; });
}
void elect(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const int leader = __builtin_ctz(mask);
  auto* d = slot<uint32_t>(w, i.o[0]);
  forLanes(mask, [&](int l) { d[l] = static_cast<uint32_t>(leader); });
  if (i.o[0].pair >= 0) setPredicate(w, i.o[0].pair, mask, 1u << leader);
}

const Operand& element(const Warp& w, const Operand& o, int k) {
  return w.frame->f->vec[static_cast<size_t>(o.off + k)];
}
uint32_t* vecSlot(Warp& w, const Operand& o, int k) {
  return o.kind == Operand::Vec ? slot<uint32_t>(w, element(w, o, k)) : slot<uint32_t>(w, o);
}

// ldmatrix: lane 8 n + r gives the address of row r of 8x8 matrix n; each lane gets two
// neighbouring halves.
void ldmatrix(Machine& m, Warp& w, const Ins& i, uint32_t mask) {
  const int count = i.vec;
  uint16_t matrix[4][8][8];
  uint64_t address[32];
  for (int k = 0; k < count * 8; ++k) {
    uint64_t a =
        (i.o[1].bytes
             ? laneValue(w, {.kind = Operand::Reg, .bytes = i.o[1].bytes, .off = i.o[1].off}, k)
             : 0) +
        i.o[1].imm;
    if ((a & kWindowMask) == kSharedWindow)
      a &= ~kWindowMask;
    else
      a &= 0xffffffffu;
    address[k] = a;
    const char* p = m.shared(w, k, i, a, 16, Machine::Read);
    std::memcpy(matrix[k / 8][k % 8], p, 16);
  }
  for (int n = 0; n < count; ++n) {  // eight rows of 16 bytes are one quarter-warp access each
    uint64_t rows[32] = {};
    for (int r = 0; r < 8; ++r) rows[r] = address[n * 8 + r];
    m.countShared(rows, 0xff, 16);
    if (n) --m.stats.shared_requests;
  }
  for (int n = 0; n < count; ++n) {
    auto* d = vecSlot(w, i.o[0], n);
    forLanes(mask, [&](int l) {
      const int row = l / 4, column = l % 4 * 2;
      d[l] =
          i.hi ? matrix[n][column][row] | static_cast<uint32_t>(matrix[n][column + 1][row]) << 16
               : matrix[n][row][column] | static_cast<uint32_t>(matrix[n][row][column + 1]) << 16;
    });
  }
}
void stmatrix(Machine& m, Warp& w, const Ins& i, uint32_t) {
  for (int n = 0; n < i.vec; ++n) {
    const auto* s = vecSlot(w, i.o[1], n);
    for (int r = 0; r < 8; ++r) {
      const int lane = n * 8 + r;
      uint64_t a =
          (i.o[0].bytes
               ? laneValue(w, {.kind = Operand::Reg, .bytes = i.o[0].bytes, .off = i.o[0].off},
                           lane)
               : 0) +
          i.o[0].imm;
      if ((a & kWindowMask) == kSharedWindow)
        a &= ~kWindowMask;
      else
        a &= 0xffffffffu;
      uint16_t row[8];
      for (int c = 0; c < 8; ++c)
        row[c] = i.hi ? static_cast<uint16_t>(s[c * 4 + r / 2] >> (r % 2 * 16))
                      : static_cast<uint16_t>(s[r * 4 + c / 2] >> (c % 2 * 16));
      std::memcpy(m.shared(w, lane, i, a, 16, Machine::Write, reinterpret_cast<char*>(row)), row,
                  16);
    }
  }
}

// mma.sync.m16n8kK: fragment layouts as in the PTX manual. Products are exact; sums are made in
// double (halves) or int32. Hardware adds in an order and width of its own, so float results may
// differ in the last bits.
struct MmaShape {
  int k;
  int bitsA;
};

void mma(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const int k = i.sub;  // 8, 16, 32, 64
  const bool isInt = i.t == Type::S32;
  const int elementBits = isInt ? (i.t2 == Type::None ? 4 : 8) : i.t2 == Type::TF32 ? 32 : 16;
  const int perReg = 32 / elementBits, group = 4;
  // A: 16 x k, register r: row = lane/4 + 8 (r & 1), columns (lane % 4) perReg .. + 8... (r / 2)
  std::vector<double> a(static_cast<size_t>(16 * k)), b(static_cast<size_t>(k * 8));
  auto value = [&](uint32_t bits, Type t) -> double {
    switch (t) {
      case Type::F16:
        return halfToFloat(static_cast<uint16_t>(bits));
      case Type::BF16:
        return bfloatToFloat(static_cast<uint16_t>(bits));
      case Type::TF32:
        return asFloat(bits & 0xffffe000u);
      case Type::S8:
        return static_cast<int8_t>(bits);
      default:
        return static_cast<uint8_t>(bits);
    }
  };
  const int regsA = 16 * k / (32 * perReg), regsB = k * 8 / (32 * perReg);
  const int block = group * perReg;  // columns of A covered by one register pair
  const uint32_t ones = elementBits == 32 ? ~0u : (1u << elementBits) - 1;
  for (int r = 0; r < regsA; ++r) {
    const auto* s = vecSlot(w, i.o[1], r);
    for (int l = 0; l < 32; ++l)
      for (int e = 0; e < perReg; ++e) {
        const int row = l / 4 + 8 * (r & 1), column = l % 4 * perReg + e + block * (r / 2);
        a[static_cast<size_t>(row * k + column)] = value(s[l] >> (elementBits * e) & ones, i.t2);
      }
  }
  for (int r = 0; r < regsB; ++r) {
    const auto* s = vecSlot(w, i.o[2], r);
    for (int l = 0; l < 32; ++l)
      for (int e = 0; e < perReg; ++e) {
        const int row = l % 4 * perReg + e + block * r, column = l / 4;
        b[static_cast<size_t>(row * 8 + column)] = value(s[l] >> (elementBits * e) & ones, i.t3);
      }
  }
  auto dot = [&](int row, int column) {
    double sum = 0;
    for (int q = 0; q < k; ++q)
      sum += a[static_cast<size_t>(row * k + q)] * b[static_cast<size_t>(q * 8 + column)];
    return sum;
  };
  const bool halfOut = i.t == Type::F16, halfIn = i.t4 == Type::F16;
  uint32_t out[4][32];
  for (int l = 0; l < 32; ++l)
    for (int e = 0; e < 4; ++e) {
      const int row = l / 4 + 8 * (e / 2), column = l % 4 * 2 + e % 2;
      if (isInt) {
        const int64_t c = static_cast<int32_t>(vecSlot(w, i.o[3], e)[l]);
        int64_t s = c + static_cast<int64_t>(dot(row, column));
        if (i.sat) s = std::clamp<int64_t>(s, INT32_MIN, INT32_MAX);
        out[e][l] = static_cast<uint32_t>(s);
        continue;
      }
      const double c =
          halfIn
              ? halfToFloat(static_cast<uint16_t>(vecSlot(w, i.o[3], e / 2)[l] >> (16 * (e % 2))))
              : asFloat(vecSlot(w, i.o[3], e)[l]);
      const double s = dot(row, column) + c;
      out[e][l] = halfOut ? roundTo(kHalf, s, Rnd::RN) : roundTo(kSingle, s, Rnd::RN);
    }
  forLanes(mask, [&](int l) {
    if (halfOut)
      for (int e = 0; e < 2; ++e)
        vecSlot(w, i.o[0], e)[l] = out[2 * e][l] | out[2 * e + 1][l] << 16;
    else
      for (int e = 0; e < 4; ++e) vecSlot(w, i.o[0], e)[l] = out[e][l];
  });
}

// ---------------------------------------------------------------------------------------------
// decoding

void sync(Build& b) {
  if (!b.take("sync")) b.unsupported("without .sync");
  b.i.ctl = Ctl::WarpSync;
  b.i.cls = Class::Shuffle;
}
void buildShfl(Build& b) {
  sync(b);
  const std::pair<const char*, int> modes[] = {
      {"up", kUp}, {"down", kDown}, {"bfly", kBfly}, {"idx", kIdx}};
  bool known = false;
  for (auto& [name, mode] : modes)
    if (b.take(name)) b.i.sub = static_cast<uint8_t>(mode), known = true;
  if (!known || b.needType() != Type::B32) b.unsupported();
  b.want = {4, 4, 4, 4, 4};
  b.i.fn = shfl;
}
void buildVote(Build& b) {
  sync(b);
  if (b.take("ballot")) {
    b.i.sub = 0;
    b.needType();
    b.want = {4, Build::Predicate, 4};
  } else {
    b.i.sub = b.take("all") ? 1 : b.take("any") ? 2 : b.take("uni") ? 3 : 0;
    if (!b.i.sub) b.unsupported();
    b.needType();
    b.want = {Build::Predicate, Build::Predicate, 4};
  }
  b.i.fn = vote;
}
void buildMatch(Build& b) {
  b.i.sub = b.take("all");
  if (!b.i.sub && !b.take("any")) b.unsupported();
  sync(b);
  const int s = slotBytes(b.needType());
  b.want = {4, s, 4};
  b.i.fn = s == 8 ? match<uint64_t> : match<uint32_t>;
}
void buildRedux(Build& b) {
  sync(b);
  const char* names[] = {"add", "min", "max", "and", "or", "xor"};
  bool known = false;
  for (int k = 0; k < 6; ++k)
    if (!known && b.take(names[k])) b.i.sub = static_cast<uint8_t>(k), known = true;
  const Type t = b.i.t = b.needType();
  if (!known || (t != Type::U32 && t != Type::S32 && t != Type::B32)) b.unsupported();
  b.want = {4, 4, 4};
  b.i.fn = redux;
}
void buildActivemask(Build& b) {
  b.needType();
  b.want = {4};
  b.i.fn = activemask;
  b.i.cls = Class::Shuffle;
}
void buildElect(Build& b) {
  sync(b);
  b.want = {4, 4};
  b.i.fn = elect;
}

void buildMatrixMove(Build& b) {
  Ins& i = b.i;
  const bool isLoad = b.words[0] == "ldmatrix";
  sync(b);
  i.cls = Class::Shared;
  i.aligned = b.take("aligned");
  if (!i.aligned) b.unsupported();
  if (!b.take("m8n8")) b.unsupported("shape");
  i.vec = b.take("x4") ? 4 : b.take("x2") ? 2 : b.take("x1") ? 1 : 0;
  if (!i.vec) b.unsupported();
  i.hi = b.take("trans");
  if (!b.take("shared")) b.take("shared::cta");
  if (b.needType() != Type::B16) b.unsupported("type");
  if (isLoad) {
    b.want = {Build::AnyOrVector, Build::Address};
    i.fn = ldmatrix;
  } else {
    b.want = {Build::Address, Build::AnyOrVector};
    i.fn = stmatrix;
  }
  i.t = Type::B32;
}

void buildMma(Build& b) {
  Ins& i = b.i;
  sync(b);
  i.cls = Class::Mma;
  i.aligned = b.take("aligned");
  const std::pair<const char*, int> shapes[] = {
      {"m16n8k4", 4}, {"m16n8k8", 8}, {"m16n8k16", 16}, {"m16n8k32", 32}};
  for (auto& [name, k] : shapes)
    if (b.take(name)) i.sub = static_cast<uint8_t>(k);
  if (!i.sub) b.unsupported("shape");
  if (!b.take("row") || !b.take("col")) b.unsupported("layout");
  i.sat = b.take("satfinite");
  i.t = b.needType();
  i.t2 = b.needType();
  i.t3 = b.needType();
  i.t4 = b.needType();
  const bool floats = (i.t == Type::F32 || i.t == Type::F16) && i.t4 == i.t && i.t2 == i.t3;
  const bool ok =
      (floats && i.t2 == Type::F16 && (i.sub == 8 || i.sub == 16)) ||
      (floats && i.t == Type::F32 && i.t2 == Type::BF16 && (i.sub == 8 || i.sub == 16)) ||
      (floats && i.t == Type::F32 && i.t2 == Type::TF32 && (i.sub == 4 || i.sub == 8)) ||
      (i.t == Type::S32 && i.t4 == Type::S32 && (i.t2 == Type::S8 || i.t2 == Type::U8) &&
       (i.t3 == Type::S8 || i.t3 == Type::U8) && (i.sub == 16 || i.sub == 32));
  if (!ok) b.unsupported("shape and types");
  b.want = {Build::Vector, Build::Vector, Build::AnyOrVector, Build::Vector};
  i.fn = mma;
}

}  // namespace

const OpTable& warpOps() {
  static const OpTable table = {{"shfl", buildShfl},
                                {"vote", buildVote},
                                {"match", buildMatch},
                                {"redux", buildRedux},
                                {"activemask", buildActivemask},
                                {"elect", buildElect},
                                {"ldmatrix", buildMatrixMove},
                                {"stmatrix", buildMatrixMove},
                                {"mma", buildMma}};
  return table;
}

}  // namespace ptxvm
