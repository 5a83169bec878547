// SPDX-License-Identifier: MIT
// Integer arithmetic, logic, comparison and selection.
#include <algorithm>
#include <cstdlib>
#include <limits>

#include "exec.hpp"

namespace ptxvm {
namespace {

// ------------------------------------------------------------------------------- pure functions

template <class D>
using Unsigned = std::make_unsigned_t<D>;
template <class T>
struct Wider;
template <>
struct Wider<uint16_t> {
  using type = uint32_t;
};
template <>
struct Wider<int16_t> {
  using type = int32_t;
};
template <>
struct Wider<uint32_t> {
  using type = uint64_t;
};
template <>
struct Wider<int32_t> {
  using type = int64_t;
};
template <>
struct Wider<uint64_t> {
  using type = unsigned __int128;
};
template <>
struct Wider<int64_t> {
  using type = __int128;
};

struct Add {
  template <class D>
  static D run(D a, D b) {
    return static_cast<D>(Unsigned<D>(a) + Unsigned<D>(b));
  }
};
struct Sub {
  template <class D>
  static D run(D a, D b) {
    return static_cast<D>(Unsigned<D>(a) - Unsigned<D>(b));
  }
};
struct AddSat {
  template <class D>
  static D run(D a, D b) {
    const int64_t r = int64_t{a} + b;
    return static_cast<D>(std::clamp<int64_t>(r, INT32_MIN, INT32_MAX));
  }
};
struct SubSat {
  template <class D>
  static D run(D a, D b) {
    const int64_t r = int64_t{a} - b;
    return static_cast<D>(std::clamp<int64_t>(r, INT32_MIN, INT32_MAX));
  }
};
struct MulLo {
  template <class D>
  static D run(D a, D b) {
    return static_cast<D>(uint64_t(a) * uint64_t(b));
  }
};
struct MulHi {
  template <class D>
  static D run(D a, D b) {
    using W = typename Wider<D>::type;
    return static_cast<D>((static_cast<W>(a) * static_cast<W>(b)) >> (8 * sizeof(D)));
  }
};
struct MulWide {
  template <class D, class A>
  static D run(A a, A b) {
    return static_cast<D>(static_cast<D>(a) * static_cast<D>(b));
  }
};
struct MadLo {
  template <class D>
  static D run(D a, D b, D c) {
    return Add::run<D>(MulLo::run<D>(a, b), c);
  }
};
struct MadHi {
  template <class D>
  static D run(D a, D b, D c) {
    return Add::run<D>(MulHi::run<D>(a, b), c);
  }
};
struct MadHiSat {
  template <class D>
  static D run(D a, D b, D c) {
    return AddSat::run<D>(MulHi::run<D>(a, b), c);
  }
};
struct MadWide {
  template <class D, class A>
  static D run(A a, A b, D c) {
    return Add::run<D>(MulWide::run<D, A>(a, b), c);
  }
};
template <class D>
int64_t low24(D v) {
  return std::is_signed_v<D> ? int64_t(int32_t(uint32_t(v) << 8) >> 8)
                             : int64_t(uint32_t(v) & 0xffffff);
}
struct Mul24Lo {
  template <class D>
  static D run(D a, D b) {
    return static_cast<D>(low24(a) * low24(b));
  }
};
struct Mul24Hi {
  template <class D>
  static D run(D a, D b) {
    return static_cast<D>((low24(a) * low24(b)) >> 16);
  }
};
struct Mad24Lo {
  template <class D>
  static D run(D a, D b, D c) {
    return Add::run<D>(Mul24Lo::run<D>(a, b), c);
  }
};
struct Mad24Hi {
  template <class D>
  static D run(D a, D b, D c) {
    return Add::run<D>(Mul24Hi::run<D>(a, b), c);
  }
};
struct Mad24HiSat {
  template <class D>
  static D run(D a, D b, D c) {
    return AddSat::run<D>(Mul24Hi::run<D>(a, b), c);
  }
};
struct Sad {
  template <class D>
  static D run(D a, D b, D c) {
    const Unsigned<D> difference =
        a > b ? Unsigned<D>(a) - Unsigned<D>(b) : Unsigned<D>(b) - Unsigned<D>(a);
    return static_cast<D>(Unsigned<D>(c) + difference);
  }
};
// Division by zero is unspecified in PTX; the machine answers all ones, as the hardware's routines
// do.
struct Div {
  template <class D>
  static D run(D a, D b) {
    if (b == 0) return static_cast<D>(~uint64_t{0});
    if constexpr (std::is_signed_v<D>)
      if (b == D(-1)) return static_cast<D>(0 - Unsigned<D>(a));
    return static_cast<D>(a / b);
  }
};
struct Rem {
  template <class D>
  static D run(D a, D b) {
    if (b == 0) return a;
    if constexpr (std::is_signed_v<D>)
      if (b == D(-1)) return 0;
    return static_cast<D>(a % b);
  }
};
struct Abs {
  template <class D>
  static D run(D a) {
    return a < 0 ? static_cast<D>(0 - Unsigned<D>(a)) : a;
  }
};
struct Neg {
  template <class D>
  static D run(D a) {
    return static_cast<D>(0 - Unsigned<D>(a));
  }
};
struct Min {
  template <class D>
  static D run(D a, D b) {
    return a < b ? a : b;
  }
};
struct Max {
  template <class D>
  static D run(D a, D b) {
    return a < b ? b : a;
  }
};
struct MinRelu {
  template <class D>
  static D run(D a, D b) {
    return std::max<D>(std::min(a, b), 0);
  }
};
struct MaxRelu {
  template <class D>
  static D run(D a, D b) {
    return std::max<D>(std::max(a, b), 0);
  }
};
template <class Op, class E>
struct Pair {  // two 16-bit halves
  template <class D>
  static D run(D a, D b) {
    const auto lo =
        static_cast<uint16_t>(Op::template run<E>(static_cast<E>(a), static_cast<E>(b)));
    const auto hi = static_cast<uint16_t>(
        Op::template run<E>(static_cast<E>(a >> 16), static_cast<E>(b >> 16)));
    return static_cast<D>(lo | uint32_t(hi) << 16);
  }
};
struct And {
  template <class D>
  static D run(D a, D b) {
    return a & b;
  }
};
struct Or {
  template <class D>
  static D run(D a, D b) {
    return a | b;
  }
};
struct Xor {
  template <class D>
  static D run(D a, D b) {
    return a ^ b;
  }
};
struct Not {
  template <class D>
  static D run(D a) {
    return static_cast<D>(~a);
  }
};
struct Cnot {
  template <class D>
  static D run(D a) {
    return a == 0;
  }
};
struct Copy {
  template <class D>
  static D run(D a) {
    return a;
  }
};
struct Popc {
  template <class D, class A>
  static D run(A a) {
    return static_cast<D>(__builtin_popcountll(a));
  }
};
struct Clz {
  template <class D, class A>
  static D run(A a) {
    return static_cast<D>(a == 0 ? 8 * sizeof(A) : __builtin_clzll(a) - (64 - 8 * sizeof(A)));
  }
};
struct Bfind {
  template <class D, class A>
  static D run(A a) {
    const auto v = static_cast<Unsigned<A>>(std::is_signed_v<A> && a < 0 ? ~a : a);
    return static_cast<D>(v == 0 ? ~0u : 63 - __builtin_clzll(v));
  }
};
struct BfindShift {
  template <class D, class A>
  static D run(A a) {
    const D at = Bfind::run<D, A>(a);
    return at == D(~0u) ? at : static_cast<D>(8 * sizeof(A) - 1 - at);
  }
};
struct Brev {
  template <class D>
  static D run(D v) {
    uint64_t x = v;
    x = (x >> 1 & 0x5555555555555555ull) | (x & 0x5555555555555555ull) << 1;
    x = (x >> 2 & 0x3333333333333333ull) | (x & 0x3333333333333333ull) << 2;
    x = (x >> 4 & 0x0f0f0f0f0f0f0f0full) | (x & 0x0f0f0f0f0f0f0f0full) << 4;
    x = __builtin_bswap64(x);
    return static_cast<D>(x >> (64 - 8 * sizeof(D)));
  }
};
struct Shl {
  template <class D>
  static D run(D a, uint32_t n) {
    return n >= 8 * sizeof(D) ? D(0) : static_cast<D>(a << n);
  }
};
struct Shr {
  template <class D>
  static D run(D a, uint32_t n) {
    const uint32_t top = 8 * sizeof(D) - 1;
    if constexpr (std::is_signed_v<D>)
      return static_cast<D>(a >> (n > top ? top : n));
    else
      return n > top ? D(0) : static_cast<D>(a >> n);
  }
};
template <bool Left, bool Clamp>
struct Shf {
  template <class D>
  static D run(uint32_t a, uint32_t b, uint32_t c) {
    const uint32_t n = Clamp ? std::min(c, 32u) : c & 31;
    const uint64_t v = uint64_t(b) << 32 | a;
    return static_cast<D>(Left ? (v << n) >> 32 : v >> n);
  }
};
struct Bfe {
  template <class D>
  static D run(D a, uint32_t b, uint32_t c) {
    constexpr uint32_t kBits = 8 * sizeof(D);
    const uint32_t pos = b & 0xff, len = c & 0xff;
    const auto u = static_cast<uint64_t>(Unsigned<D>(a));
    const uint64_t field = pos >= kBits ? 0 : u >> pos;
    const uint64_t keep = len >= 64 ? ~0ull : (1ull << len) - 1;
    uint64_t r = field & keep;
    if (std::is_signed_v<D> && len != 0) {
      const uint32_t at = std::min(pos + len - 1, kBits - 1);
      const uint32_t valid = pos >= kBits ? 0 : std::min(len, kBits - pos);
      if (u >> at & 1) r |= valid >= 64 ? 0 : ~0ull << valid;
    }
    return static_cast<D>(r);
  }
};
struct Bmsk {
  template <class D>
  static D run(uint32_t a, uint32_t b) {
    return mask<D>(a, b, true);
  }
  template <class D>
  static D mask(uint32_t a, uint32_t b, bool clamp) {
    if (!clamp) a &= 31, b &= 31;
    if (a >= 32 || b == 0) return 0;
    const uint64_t ones = b >= 32 ? 0xffffffffull : (1ull << b) - 1;
    return static_cast<D>(ones << a);
  }
};
struct BmskWrap {
  template <class D>
  static D run(uint32_t a, uint32_t b) {
    return Bmsk::mask<D>(a, b, false);
  }
};
template <bool Clamp>
struct Szext {
  template <class D>
  static D run(D a, uint32_t n) {
    if (!Clamp) n &= 31;
    if (n >= 32) return a;
    const uint32_t u = uint32_t(a) & ((1u << n) - 1);
    if constexpr (std::is_signed_v<D>) {
      if (n == 0) return 0;
      return static_cast<D>(u >> (n - 1) & 1 ? u | ~((1u << n) - 1) : u);
    }
    return static_cast<D>(u);
  }
};
template <class E, class F>
struct Dp4a {
  template <class D>
  static D run(uint32_t a, uint32_t b, D c) {
    int64_t s = 0;
    for (int k = 0; k < 4; ++k) s += int64_t(E(a >> 8 * k)) * F(b >> 8 * k);
    return static_cast<D>(uint32_t(c) + uint32_t(s));
  }
};
template <class E, class F, int Half>
struct Dp2a {
  template <class D>
  static D run(uint32_t a, uint32_t b, D c) {
    int64_t s = 0;
    for (int k = 0; k < 2; ++k) s += int64_t(E(a >> 16 * k)) * F(b >> (8 * (k + 2 * Half)));
    return static_cast<D>(uint32_t(c) + uint32_t(s));
  }
};

// --------------------------------------------------------------------------------- handlers

template <class T>
void addCarry(Machine&, Warp& w, const Ins& i,
              uint32_t mask) {  // add, sub with .cc and/or carry in
  const auto *a = slot<T>(w, i.o[1]), *b = slot<T>(w, i.o[2]);
  auto* d = slot<T>(w, i.o[0]);
  forLanes(mask, [&](int l) {
    const T in = i.carryIn ? w.carry >> l & 1 : 0;
    T r, t;
    bool out;
    if (i.sub)
      out = __builtin_sub_overflow(a[l], b[l], &t) | __builtin_sub_overflow(t, in, &r);
    else
      out = __builtin_add_overflow(a[l], b[l], &t) | __builtin_add_overflow(t, in, &r);
    d[l] = r;
    if (i.carryOut) w.carry = (w.carry & ~(1u << l)) | uint32_t(out) << l;
  });
}
template <class T>
void madCarry(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  using S = SlotOf<T>;
  const auto *a = slot<S>(w, i.o[1]), *b = slot<S>(w, i.o[2]), *c = slot<S>(w, i.o[3]);
  auto* d = slot<S>(w, i.o[0]);
  forLanes(mask, [&](int l) {
    const S product =
        static_cast<S>(i.hi ? MulHi::run<T>(T(a[l]), T(b[l])) : MulLo::run<T>(T(a[l]), T(b[l])));
    const S in = i.carryIn ? w.carry >> l & 1 : 0;
    S r, t;
    const bool out = __builtin_add_overflow(product, c[l], &t) | __builtin_add_overflow(t, in, &r);
    d[l] = r;
    if (i.carryOut) w.carry = (w.carry & ~(1u << l)) | uint32_t(out) << l;
  });
}

template <class Op, class T>
void checkedBinary(Machine&, Warp& w, const Ins& i,
                   uint32_t mask) {  // div, rem: only where the lanes are active
  const auto *a = slot<SlotOf<T>>(w, i.o[1]), *b = slot<SlotOf<T>>(w, i.o[2]);
  activeLanes<T>(w, i.o[0], mask,
                 [=](int l) { return Op::template run<T>(fromSlot<T>(a[l]), fromSlot<T>(b[l])); });
}

template <class T>
void bfi(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto *a = slot<T>(w, i.o[1]), *b = slot<T>(w, i.o[2]);
  const auto *c = slot<uint32_t>(w, i.o[3]), *e = slot<uint32_t>(w, i.o[4]);
  activeLanes<T>(w, i.o[0], mask, [=](int l) -> T {
    const uint32_t pos = c[l] & 0xff, len = e[l] & 0xff;
    if (pos >= 8 * sizeof(T) || len == 0) return b[l];
    const T field = len >= 8 * sizeof(T) ? ~T{0} : static_cast<T>((T{1} << len) - 1);
    return static_cast<T>((b[l] & ~(field << pos)) | ((a[l] & field) << pos));
  });
}

void fns(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto *a = slot<uint32_t>(w, i.o[1]), *b = slot<uint32_t>(w, i.o[2]),
             *c = slot<uint32_t>(w, i.o[3]);
  activeLanes<uint32_t>(w, i.o[0], mask, [=](int l) -> uint32_t {
    const uint32_t m = a[l], base = b[l];
    const auto offset = static_cast<int32_t>(c[l]);
    if (offset == 0) return base < 32 && (m >> base & 1) ? base : ~0u;
    int32_t pos = static_cast<int32_t>(base), count = std::abs(offset) - 1;
    const int step = offset > 0 ? 1 : -1;
    for (; pos >= 0 && pos < 32; pos += step)
      if ((m >> pos & 1) && count-- == 0) return static_cast<uint32_t>(pos);
    return ~0u;
  });
}

void lop3(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto *a = slot<uint32_t>(w, i.o[1]), *b = slot<uint32_t>(w, i.o[2]),
             *c = slot<uint32_t>(w, i.o[3]);
  const auto table = static_cast<uint32_t>(i.o[4].imm);
  uint32_t on[8];
  for (int k = 0; k < 8; ++k) on[k] = (table >> k & 1) ? ~0u : 0;
  eachLane<uint32_t>(w, i.o[0], mask, [&](int l) {
    const uint32_t x = a[l], y = b[l], z = c[l];
    return (on[0] & ~x & ~y & ~z) | (on[1] & ~x & ~y & z) | (on[2] & ~x & y & ~z) |
           (on[3] & ~x & y & z) | (on[4] & x & ~y & ~z) | (on[5] & x & ~y & z) |
           (on[6] & x & y & ~z) | (on[7] & x & y & z);
  });
}

enum PrmtMode : uint8_t { kPrmt, kF4e, kB4e, kRc8, kEcl, kEcr, kRc16 };
void prmt(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto *a = slot<uint32_t>(w, i.o[1]), *b = slot<uint32_t>(w, i.o[2]),
             *c = slot<uint32_t>(w, i.o[3]);
  activeLanes<uint32_t>(w, i.o[0], mask, [&](int l) {
    const uint64_t v = uint64_t(b[l]) << 32 | a[l];
    const uint32_t s = c[l];
    const int s2 = s & 3;
    uint32_t r = 0;
    for (int k = 0; k < 4; ++k) {
      int from = 0;
      switch (i.sub) {
        case kPrmt:
          from = s >> 4 * k & 15;
          break;
        case kF4e:
          from = s2 + k;
          break;
        case kB4e:
          from = (s2 - k) & 7;
          break;
        case kRc8:
          from = s2;
          break;
        case kEcl:
          from = std::max(k, s2);
          break;
        case kEcr:
          from = std::min(k, s2);
          break;
        case kRc16:
          from = (s2 & 1) * 2 + (k & 1);
          break;
      }
      auto byte = static_cast<uint8_t>(v >> 8 * (from & 7));
      if (i.sub == kPrmt && (from & 8)) byte = byte & 0x80 ? 0xff : 0;  // replicate the sign
      r |= uint32_t(byte) << 8 * k;
    }
    return r;
  });
}

template <class T>
void setpInt(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto *a = slot<SlotOf<T>>(w, i.o[1]), *b = slot<SlotOf<T>>(w, i.o[2]);
  uint32_t r = 0;
  auto where = [&](auto f) {
    return lanesWhere([=](int l) { return f(fromSlot<T>(a[l]), fromSlot<T>(b[l])); });
  };
  switch (i.cmp) {
    case Cmp::EQ:
      r = where([](T x, T y) { return x == y; });
      break;
    case Cmp::NE:
      r = where([](T x, T y) { return x != y; });
      break;
    case Cmp::LT:
      r = where([](T x, T y) { return x < y; });
      break;
    case Cmp::LE:
      r = where([](T x, T y) { return x <= y; });
      break;
    case Cmp::GT:
      r = where([](T x, T y) { return x > y; });
      break;
    default:
      r = where([](T x, T y) { return x >= y; });
      break;
  }
  uint32_t inverse = ~r;
  if (i.boolOp) {
    const uint32_t p = predicate(w, i.o[3]);
    r = i.boolOp == 1 ? r & p : i.boolOp == 2 ? r | p : r ^ p;
    inverse = i.boolOp == 1 ? inverse & p : i.boolOp == 2 ? inverse | p : inverse ^ p;
  }
  if (i.hi) {  // set: a value instead of a predicate
    const uint32_t yes = i.t == Type::F32 ? 0x3f800000u : ~0u;
    eachLane<uint32_t>(w, i.o[0], mask, [=](int l) { return r >> l & 1 ? yes : 0u; });
    return;
  }
  setPredicate(w, i.o[0].off, mask, r);
  if (i.o[0].pair >= 0) setPredicate(w, i.o[0].pair, mask, inverse);
}

template <class T>
void selp(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto *a = slot<T>(w, i.o[1]), *b = slot<T>(w, i.o[2]);
  const uint32_t p = predicate(w, i.o[3]);
  eachLane<T>(w, i.o[0], mask, [=](int l) { return p >> l & 1 ? a[l] : b[l]; });
}
template <class T, bool Float>
void slct(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto *a = slot<T>(w, i.o[1]), *b = slot<T>(w, i.o[2]);
  const auto* c = slot<uint32_t>(w, i.o[3]);
  eachLane<T>(w, i.o[0], mask, [=](int l) {
    return (Float ? asFloat(c[l]) >= 0 : int32_t(c[l]) >= 0) ? a[l] : b[l];
  });
}

// and, or, xor, not and mov of predicates
void predicateLogic(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const uint32_t a = predicate(w, i.o[1]), b = i.nops > 2 ? predicate(w, i.o[2]) : 0;
  uint32_t r = 0;
  switch (i.sub) {
    case 0:
      r = a & b;
      break;
    case 1:
      r = a | b;
      break;
    case 2:
      r = a ^ b;
      break;
    case 3:
      r = ~a;
      break;
    default:
      r = a;
      break;
  }
  setPredicate(w, i.o[0].off, mask, r);
}

// SIMD video: vabsdiff4.u32.u32.u32{.add}, vadd4, vsub4, vmin4, ... in the plain whole-register
// form.
void video(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto *a = slot<uint32_t>(w, i.o[1]), *b = slot<uint32_t>(w, i.o[2]),
             *c = slot<uint32_t>(w, i.o[3]);
  const int width = i.vec;  // bits per element
  activeLanes<uint32_t>(w, i.o[0], mask, [&](int l) {
    uint32_t r = 0;
    int64_t sum = 0;
    for (int k = 0; k < 32; k += width) {
      const uint32_t ones = width == 32 ? ~0u : (1u << width) - 1;
      auto element = [&](uint32_t v, Type t) -> int64_t {
        const uint32_t u = v >> k & ones;
        return isSigned(t) ? int64_t(int32_t(u << (32 - width)) >> (32 - width)) : int64_t(u);
      };
      const int64_t x = element(a[l], i.t2), y = element(b[l], i.t3);
      int64_t v = 0;
      switch (i.sub) {
        case 0:
          v = x + y;
          break;
        case 1:
          v = x - y;
          break;
        case 2:
          v = std::llabs(x - y);
          break;
        case 3:
          v = std::min(x, y);
          break;
        case 4:
          v = std::max(x, y);
          break;
        default:
          v = (x + y + (x + y >= 0 ? 1 : 0)) >> 1;
          break;
      }
      if (i.sat) {
        const int64_t lo = isSigned(i.t) ? -(int64_t{1} << (width - 1)) : 0;
        const int64_t hi = isSigned(i.t) ? (int64_t{1} << (width - 1)) - 1 : int64_t(ones);
        v = std::clamp(v, lo, hi);
      }
      sum += v;
      r |= (uint32_t(v) & ones) << k;
    }
    return i.boolOp ? uint32_t(sum) + c[l] : r;  // .add accumulates
  });
}

// --------------------------------------------------------------------------------- selection by
// type

template <class Op>
Handler binaryFor(Type t) {
  switch (t) {
    case Type::U16:
    case Type::B16:
      return binary<Op, uint16_t, uint16_t>;
    case Type::S16:
      return binary<Op, int16_t, int16_t>;
    case Type::U32:
    case Type::B32:
      return binary<Op, uint32_t, uint32_t>;
    case Type::S32:
      return binary<Op, int32_t, int32_t>;
    case Type::U64:
    case Type::B64:
      return binary<Op, uint64_t, uint64_t>;
    case Type::S64:
      return binary<Op, int64_t, int64_t>;
    default:
      return nullptr;
  }
}
template <class Op>
Handler ternaryFor(Type t) {
  switch (t) {
    case Type::U16:
      return ternary<Op, uint16_t, uint16_t>;
    case Type::S16:
      return ternary<Op, int16_t, int16_t>;
    case Type::U32:
      return ternary<Op, uint32_t, uint32_t>;
    case Type::S32:
      return ternary<Op, int32_t, int32_t>;
    case Type::U64:
      return ternary<Op, uint64_t, uint64_t>;
    case Type::S64:
      return ternary<Op, int64_t, int64_t>;
    default:
      return nullptr;
  }
}
template <class Op>
Handler unarySigned(Type t) {
  switch (t) {
    case Type::S16:
      return unary<Op, int16_t, int16_t>;
    case Type::S32:
      return unary<Op, int32_t, int32_t>;
    case Type::S64:
      return unary<Op, int64_t, int64_t>;
    default:
      return nullptr;
  }
}
template <class Op>
Handler unaryBits(Type t) {
  switch (t) {
    case Type::B16:
      return unary<Op, uint16_t, uint16_t>;
    case Type::B32:
      return unary<Op, uint32_t, uint32_t>;
    case Type::B64:
      return unary<Op, uint64_t, uint64_t>;
    default:
      return nullptr;
  }
}
template <class Op>
Handler checkedFor(Type t) {
  switch (t) {
    case Type::U16:
      return checkedBinary<Op, uint16_t>;
    case Type::S16:
      return checkedBinary<Op, int16_t>;
    case Type::U32:
      return checkedBinary<Op, uint32_t>;
    case Type::S32:
      return checkedBinary<Op, int32_t>;
    case Type::U64:
      return checkedBinary<Op, uint64_t>;
    case Type::S64:
      return checkedBinary<Op, int64_t>;
    default:
      return nullptr;
  }
}
template <class Op>
Handler wide2(Type t) {
  switch (t) {
    case Type::U16:
      return binary<Op, uint32_t, uint16_t>;
    case Type::S16:
      return binary<Op, int32_t, int16_t>;
    case Type::U32:
      return binary<Op, uint64_t, uint32_t>;
    case Type::S32:
      return binary<Op, int64_t, int32_t>;
    default:
      return nullptr;
  }
}
template <class Op>
Handler wide3(Type t) {
  switch (t) {
    case Type::U16:
      return ternary<Op, uint32_t, uint16_t, uint16_t, uint32_t>;
    case Type::S16:
      return ternary<Op, int32_t, int16_t, int16_t, int32_t>;
    case Type::U32:
      return ternary<Op, uint64_t, uint32_t, uint32_t, uint64_t>;
    case Type::S32:
      return ternary<Op, int64_t, int32_t, int32_t, int64_t>;
    default:
      return nullptr;
  }
}
template <class Op>
Handler countBits(Type t) {  // 32-bit result
  switch (t) {
    case Type::B32:
    case Type::U32:
      return unary<Op, uint32_t, uint32_t>;
    case Type::B64:
    case Type::U64:
      return unary<Op, uint32_t, uint64_t>;
    case Type::S32:
      return unary<Op, uint32_t, int32_t>;
    case Type::S64:
      return unary<Op, uint32_t, int64_t>;
    default:
      return nullptr;
  }
}
template <class Op>
Handler shiftFor(Type t) {
  switch (t) {
    case Type::B16:
    case Type::U16:
      return binary<Op, uint16_t, uint16_t, uint32_t>;
    case Type::S16:
      return binary<Op, int16_t, int16_t, uint32_t>;
    case Type::B32:
    case Type::U32:
      return binary<Op, uint32_t, uint32_t, uint32_t>;
    case Type::S32:
      return binary<Op, int32_t, int32_t, uint32_t>;
    case Type::B64:
    case Type::U64:
      return binary<Op, uint64_t, uint64_t, uint32_t>;
    case Type::S64:
      return binary<Op, int64_t, int64_t, uint32_t>;
    default:
      return nullptr;
  }
}

// --------------------------------------------------------------------------------- decoding

bool isFloatWord(const Build& b) {  // any float type among the modifiers?
  for (size_t k = 1; k < b.words.size(); ++k) {
    const Type t = typeFromName(b.words[k]);
    if (isFloat(t)) return true;
    if (t != Type::None) return false;
  }
  return false;
}

void buildAddSub(Build& b) {
  if (isFloatWord(b)) return buildFloatArithmetic(b, b.takeType());
  const bool sub = b.words[0] == "sub";
  b.i.carryOut = b.take("cc");
  b.i.sat = b.take("sat");
  const Type t = b.i.t = b.needType();
  const int s = slotBytes(t);
  b.want = {s, s, s};
  if (b.i.carryOut) {
    b.i.sub = sub;
    b.i.fn = s == 8 ? addCarry<uint64_t> : addCarry<uint32_t>;
  } else if (b.i.sat) {
    if (t != Type::S32) b.unsupported(".sat is for s32");
    b.i.fn = sub ? binary<SubSat, int32_t, int32_t> : binary<AddSat, int32_t, int32_t>;
  } else if (t == Type::U16x2 || t == Type::S16x2) {
    if (sub) b.unsupported();
    b.i.fn = binary<Pair<Add, uint16_t>, uint32_t, uint32_t>;
  } else {
    b.i.fn = sub ? binaryFor<Sub>(t) : binaryFor<Add>(t);
  }
}

void buildAddc(Build& b) {
  b.i.sub = b.words[0] == "subc";
  b.i.carryIn = true;
  b.i.carryOut = b.take("cc");
  const int s = slotBytes(b.i.t = b.needType());
  b.want = {s, s, s};
  b.i.fn = s == 8 ? addCarry<uint64_t> : addCarry<uint32_t>;
}

void buildMul(Build& b) {
  if (isFloatWord(b)) return buildFloatArithmetic(b, b.takeType());
  const bool hi = b.take("hi"), wide = b.take("wide");
  b.take("lo");
  const Type t = b.i.t = b.needType();
  const int s = slotBytes(t);
  b.want = {s, s, s};
  if (wide) {
    b.want[0] = t == Type::U32 || t == Type::S32 ? 8 : 4;
    b.i.fn = wide2<MulWide>(t);
  } else {
    b.i.fn = hi ? binaryFor<MulHi>(t) : binaryFor<MulLo>(t);
  }
}

void buildMad(Build& b) {
  if (isFloatWord(b)) return buildFloatArithmetic(b, b.takeType());
  b.i.carryIn = b.words[0] == "madc";
  b.i.carryOut = b.take("cc");
  const bool hi = b.i.hi = b.take("hi"), wide = b.take("wide"), sat = b.take("sat");
  b.take("lo");
  const Type t = b.i.t = b.needType();
  const int s = slotBytes(t);
  b.want = {s, s, s, s};
  if (b.i.carryIn || b.i.carryOut) {
    b.i.fn = t == Type::U32   ? madCarry<uint32_t>
             : t == Type::S32 ? madCarry<int32_t>
             : t == Type::U64 ? madCarry<uint64_t>
             : t == Type::S64 ? madCarry<int64_t>
                              : nullptr;
  } else if (wide) {
    b.want[0] = b.want[3] = t == Type::U32 || t == Type::S32 ? 8 : 4;
    b.i.fn = wide3<MadWide>(t);
  } else if (sat) {
    if (!hi || t != Type::S32) b.unsupported(".sat is for mad.hi.s32");
    b.i.fn = ternary<MadHiSat, int32_t, int32_t>;
  } else {
    b.i.fn = hi ? ternaryFor<MadHi>(t) : ternaryFor<MadLo>(t);
  }
}

void build24(Build& b) {
  const bool mad = b.words[0] == "mad24", hi = b.take("hi"), sat = b.take("sat");
  b.take("lo");
  const Type t = b.i.t = b.needType();
  b.want = {4, 4, 4};
  if (mad) b.want.push_back(4);
  const bool s = t == Type::S32;
  if (t != Type::U32 && !s) b.unsupported();
  if (!mad)
    b.i.fn = hi ? (s ? binary<Mul24Hi, int32_t, int32_t> : binary<Mul24Hi, uint32_t, uint32_t>)
                : (s ? binary<Mul24Lo, int32_t, int32_t> : binary<Mul24Lo, uint32_t, uint32_t>);
  else if (sat)
    b.i.fn = hi && s ? ternary<Mad24HiSat, int32_t, int32_t> : nullptr;
  else
    b.i.fn = hi ? (s ? ternary<Mad24Hi, int32_t, int32_t> : ternary<Mad24Hi, uint32_t, uint32_t>)
                : (s ? ternary<Mad24Lo, int32_t, int32_t> : ternary<Mad24Lo, uint32_t, uint32_t>);
}

void buildSad(Build& b) {
  const Type t = b.i.t = b.needType();
  const int s = slotBytes(t);
  b.want = {s, s, s, s};
  b.i.fn = ternaryFor<Sad>(t);
}
void buildDivRem(Build& b) {
  if (isFloatWord(b)) return buildFloatArithmetic(b, b.takeType());
  const Type t = b.i.t = b.needType();
  const int s = slotBytes(t);
  b.want = {s, s, s};
  b.i.fn = b.words[0] == "div" ? checkedFor<Div>(t) : checkedFor<Rem>(t);
}
void buildAbsNeg(Build& b) {
  if (isFloatWord(b)) return buildFloatArithmetic(b, b.takeType());
  const Type t = b.i.t = b.needType();
  const int s = slotBytes(t);
  b.want = {s, s};
  b.i.fn = b.words[0] == "abs" ? unarySigned<Abs>(t) : unarySigned<Neg>(t);
}
void buildMinMax(Build& b) {
  if (isFloatWord(b)) return buildFloatArithmetic(b, b.takeType());
  const bool max = b.words[0] == "max", relu = b.take("relu");
  const Type t = b.i.t = b.needType();
  const int s = slotBytes(t);
  b.want = {s, s, s};
  if (t == Type::U16x2 && !relu)
    b.i.fn = max ? binary<Pair<Max, uint16_t>, uint32_t, uint32_t>
                 : binary<Pair<Min, uint16_t>, uint32_t, uint32_t>;
  else if (t == Type::S16x2)
    b.i.fn = relu ? (max ? binary<Pair<MaxRelu, int16_t>, uint32_t, uint32_t>
                         : binary<Pair<MinRelu, int16_t>, uint32_t, uint32_t>)
                  : (max ? binary<Pair<Max, int16_t>, uint32_t, uint32_t>
                         : binary<Pair<Min, int16_t>, uint32_t, uint32_t>);
  else if (relu)
    b.i.fn = t != Type::S32 ? nullptr
             : max          ? binary<MaxRelu, int32_t, int32_t>
                            : binary<MinRelu, int32_t, int32_t>;
  else
    b.i.fn = max ? binaryFor<Max>(t) : binaryFor<Min>(t);
}
void buildLogic(Build& b) {
  const std::string& n = b.words[0];
  const Type t = b.i.t = b.needType();
  if (t == Type::Pred) {
    b.i.sub = n == "and" ? 0 : n == "or" ? 1 : n == "xor" ? 2 : 3;
    b.i.fn = predicateLogic;
    b.want = {Build::Predicate, Build::Predicate, Build::Predicate};
    if (n == "not") b.want.pop_back();
    return;
  }
  const int s = slotBytes(t);
  b.want = {s, s, s};
  if (n == "not" || n == "cnot") {
    b.want.pop_back();
    b.i.fn = n == "not" ? unaryBits<Not>(t) : unaryBits<Cnot>(t);
  } else if (typeName(t)[0] == 'b') {
    b.i.fn = n == "and" ? binaryFor<And>(t) : n == "or" ? binaryFor<Or>(t) : binaryFor<Xor>(t);
  }
}
void buildLop3(Build& b) {
  if (b.take("or") || b.take("and")) b.unsupported("the predicate form");
  if (b.needType() != Type::B32) b.unsupported();
  b.want = {4, 4, 4, 4, 4};
  b.i.fn = lop3;
}
void buildBits(Build& b) {  // popc, clz, brev, bfind
  const std::string& n = b.words[0];
  const bool shift = b.take("shiftamt");
  const Type t = b.i.t = b.needType();
  const int s = slotBytes(t);
  b.want = {4, s};
  if (n == "popc")
    b.i.fn = countBits<Popc>(t);
  else if (n == "clz")
    b.i.fn = countBits<Clz>(t);
  else if (n == "bfind")
    b.i.fn = shift ? countBits<BfindShift>(t) : countBits<Bfind>(t);
  else {
    b.want[0] = s;
    b.i.fn = t == Type::B32 || t == Type::B64 ? unaryBits<Brev>(t) : nullptr;
  }
}
void buildShift(Build& b) {
  const Type t = b.i.t = b.needType();
  const int s = slotBytes(t);
  b.want = {s, s, 4};
  b.i.fn = b.words[0] == "shl" ? shiftFor<Shl>(t) : shiftFor<Shr>(t);
}
void buildShf(Build& b) {
  const bool left = b.take("l"), clamp = b.take("clamp");
  if (!left && !b.take("r")) b.unsupported();
  if (!clamp && !b.take("wrap")) b.unsupported();
  b.needType();
  b.want = {4, 4, 4, 4};
  b.i.fn = left ? (clamp ? ternary<Shf<true, true>, uint32_t, uint32_t>
                         : ternary<Shf<true, false>, uint32_t, uint32_t>)
                : (clamp ? ternary<Shf<false, true>, uint32_t, uint32_t>
                         : ternary<Shf<false, false>, uint32_t, uint32_t>);
}
void buildPrmt(Build& b) {
  b.needType();
  const std::pair<const char*, int> modes[] = {{"f4e", kF4e}, {"b4e", kB4e}, {"rc8", kRc8},
                                               {"ecl", kEcl}, {"ecr", kEcr}, {"rc16", kRc16}};
  for (auto& [name, mode] : modes)
    if (b.take(name)) b.i.sub = static_cast<uint8_t>(mode);
  b.want = {4, 4, 4, 4};
  b.i.fn = prmt;
}
void buildBfe(Build& b) {
  const Type t = b.i.t = b.needType();
  const int s = slotBytes(t);
  b.want = {s, s, 4, 4};
  b.i.fn = t == Type::U32   ? ternary<Bfe, uint32_t, uint32_t>
           : t == Type::S32 ? ternary<Bfe, int32_t, int32_t, uint32_t, uint32_t>
           : t == Type::U64 ? ternary<Bfe, uint64_t, uint64_t, uint32_t, uint32_t>
           : t == Type::S64 ? ternary<Bfe, int64_t, int64_t, uint32_t, uint32_t>
                            : nullptr;
}
void buildBfi(Build& b) {
  const Type t = b.i.t = b.needType();
  const int s = slotBytes(t);
  b.want = {s, s, s, 4, 4};
  b.i.fn = t == Type::B32 ? bfi<uint32_t> : t == Type::B64 ? bfi<uint64_t> : nullptr;
}
void buildFns(Build& b) {
  b.needType();
  b.want = {4, 4, 4, 4};
  b.i.fn = fns;
}
void buildBmsk(Build& b) {
  const bool wrap = b.take("wrap");
  if (!wrap && !b.take("clamp")) b.unsupported();
  b.needType();
  b.want = {4, 4, 4};
  b.i.fn = wrap ? binary<BmskWrap, uint32_t, uint32_t> : binary<Bmsk, uint32_t, uint32_t>;
}
void buildSzext(Build& b) {
  const bool wrap = b.take("wrap");
  if (!wrap && !b.take("clamp")) b.unsupported();
  const Type t = b.needType();
  b.want = {4, 4, 4};
  b.i.fn = t == Type::S32 ? (wrap ? binary<Szext<false>, int32_t, int32_t, uint32_t>
                                  : binary<Szext<true>, int32_t, int32_t, uint32_t>)
                          : (wrap ? binary<Szext<false>, uint32_t, uint32_t>
                                  : binary<Szext<true>, uint32_t, uint32_t>);
}
void buildDp(Build& b) {
  const bool four = b.words[0] == "dp4a", hi = b.take("hi");
  if (!four && !hi && !b.take("lo")) b.unsupported();
  const bool sa = isSigned(b.needType()), sb = isSigned(b.needType());
  b.want = {4, 4, 4, 4};
  using S = int8_t;
  using U = uint8_t;
  using S2 = int16_t;
  using U2 = uint16_t;
  if (four)
    b.i.fn = sa ? (sb ? ternary<Dp4a<S, S>, uint32_t, uint32_t>
                      : ternary<Dp4a<S, U>, uint32_t, uint32_t>)
                : (sb ? ternary<Dp4a<U, S>, uint32_t, uint32_t>
                      : ternary<Dp4a<U, U>, uint32_t, uint32_t>);
  else if (hi)
    b.i.fn = sa ? (sb ? ternary<Dp2a<S2, S, 1>, uint32_t, uint32_t>
                      : ternary<Dp2a<S2, U, 1>, uint32_t, uint32_t>)
                : (sb ? ternary<Dp2a<U2, S, 1>, uint32_t, uint32_t>
                      : ternary<Dp2a<U2, U, 1>, uint32_t, uint32_t>);
  else
    b.i.fn = sa ? (sb ? ternary<Dp2a<S2, S, 0>, uint32_t, uint32_t>
                      : ternary<Dp2a<S2, U, 0>, uint32_t, uint32_t>)
                : (sb ? ternary<Dp2a<U2, S, 0>, uint32_t, uint32_t>
                      : ternary<Dp2a<U2, U, 0>, uint32_t, uint32_t>);
}

bool takeCompare(Build& b) {
  static const std::pair<const char*, Cmp> names[] = {
      {"eq", Cmp::EQ},   {"ne", Cmp::NE},   {"lt", Cmp::LT},   {"le", Cmp::LE},
      {"gt", Cmp::GT},   {"ge", Cmp::GE},   {"lo", Cmp::LT},   {"ls", Cmp::LE},
      {"hi", Cmp::GT},   {"hs", Cmp::GE},   {"equ", Cmp::EQU}, {"neu", Cmp::NEU},
      {"ltu", Cmp::LTU}, {"leu", Cmp::LEU}, {"gtu", Cmp::GTU}, {"geu", Cmp::GEU},
      {"num", Cmp::NUM}, {"nan", Cmp::NAN_}};
  for (auto& [name, c] : names)
    if (b.take(name)) {
      b.i.cmp = c;
      return true;
    }
  return false;
}
void buildSetp(Build& b) {
  const bool set = b.words[0] == "set";
  if (!takeCompare(b)) b.unsupported("no comparison");
  b.i.boolOp = b.take("and") ? 1 : b.take("or") ? 2 : b.take("xor") ? 3 : 0;
  b.i.hi = set;
  if (set) b.i.t = b.needType();
  const Type t = b.i.t2 = b.needType();
  const int s = slotBytes(t);
  b.want = {set ? slotBytes(b.i.t) : int(Build::Predicate), s, s};
  if (b.i.boolOp) b.want.push_back(Build::Predicate);
  if (isFloat(t)) return buildFloatCompare(b, t);
  if (set && slotBytes(b.i.t) != 4) b.unsupported();
  switch (t) {
    case Type::B16:
    case Type::U16:
      b.i.fn = setpInt<uint16_t>;
      break;
    case Type::S16:
      b.i.fn = setpInt<int16_t>;
      break;
    case Type::B32:
    case Type::U32:
      b.i.fn = setpInt<uint32_t>;
      break;
    case Type::S32:
      b.i.fn = setpInt<int32_t>;
      break;
    case Type::B64:
    case Type::U64:
      b.i.fn = setpInt<uint64_t>;
      break;
    case Type::S64:
      b.i.fn = setpInt<int64_t>;
      break;
    default:
      break;
  }
  if (b.i.cmp > Cmp::GE) b.unsupported("that comparison is for floats");
}
void buildSelp(Build& b) {
  const int s = slotBytes(b.i.t = b.needType());
  b.want = {s, s, s, Build::Predicate};
  b.i.fn = s == 8 ? selp<uint64_t> : selp<uint32_t>;
}
void buildSlct(Build& b) {
  b.i.ftz = b.take("ftz");
  const int s = slotBytes(b.i.t = b.needType());
  const bool f = b.needType() == Type::F32;
  b.want = {s, s, s, 4};
  b.i.fn = s == 8 ? (f ? slct<uint64_t, true> : slct<uint64_t, false>)
                  : (f ? slct<uint32_t, true> : slct<uint32_t, false>);
}
void buildVideo(Build& b) {
  std::string n = b.words[0].substr(1);
  b.i.vec = 32;
  if (n.back() == '2')
    b.i.vec = 16, n.pop_back();
  else if (n.back() == '4')
    b.i.vec = 8, n.pop_back();
  const std::pair<const char*, int> names[] = {{"add", 0}, {"sub", 1}, {"absdiff", 2},
                                               {"min", 3}, {"max", 4}, {"avrg", 5}};
  bool known = false;
  for (auto& [name, code] : names)
    if (n == name) b.i.sub = static_cast<uint8_t>(code), known = true;
  if (!known) b.unsupported();
  b.i.t = b.needType();
  b.i.t2 = b.needType();
  b.i.t3 = b.needType();
  b.i.sat = b.take("sat");
  b.i.boolOp = b.take("add");
  b.want = {4, 4, 4, 4};
  b.optional = b.i.vec == 32 && !b.i.boolOp ? 1 : 0;
  b.i.fn = video;
}

}  // namespace

const OpTable& integerOps() {
  static const OpTable table = {
      {"add", buildAddSub},      {"sub", buildAddSub},      {"addc", buildAddc},
      {"subc", buildAddc},       {"mul", buildMul},         {"mad", buildMad},
      {"madc", buildMad},        {"mul24", build24},        {"mad24", build24},
      {"sad", buildSad},         {"div", buildDivRem},      {"rem", buildDivRem},
      {"abs", buildAbsNeg},      {"neg", buildAbsNeg},      {"min", buildMinMax},
      {"max", buildMinMax},      {"and", buildLogic},       {"or", buildLogic},
      {"xor", buildLogic},       {"not", buildLogic},       {"cnot", buildLogic},
      {"lop3", buildLop3},       {"popc", buildBits},       {"clz", buildBits},
      {"brev", buildBits},       {"bfind", buildBits},      {"shl", buildShift},
      {"shr", buildShift},       {"shf", buildShf},         {"prmt", buildPrmt},
      {"bfe", buildBfe},         {"bfi", buildBfi},         {"fns", buildFns},
      {"bmsk", buildBmsk},       {"szext", buildSzext},     {"dp4a", buildDp},
      {"dp2a", buildDp},         {"setp", buildSetp},       {"set", buildSetp},
      {"selp", buildSelp},       {"slct", buildSlct},       {"vabsdiff", buildVideo},
      {"vabsdiff2", buildVideo}, {"vabsdiff4", buildVideo}, {"vadd", buildVideo},
      {"vadd2", buildVideo},     {"vadd4", buildVideo},     {"vsub", buildVideo},
      {"vsub2", buildVideo},     {"vsub4", buildVideo},     {"vmin", buildVideo},
      {"vmin2", buildVideo},     {"vmin4", buildVideo},     {"vmax", buildVideo},
      {"vmax2", buildVideo},     {"vmax4", buildVideo},     {"vavrg2", buildVideo},
      {"vavrg4", buildVideo}};
  return table;
}

}  // namespace ptxvm
