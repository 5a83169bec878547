// SPDX-License-Identifier: MIT
// cvt in all its forms, and mov.
#include <cmath>

#include "exec.hpp"

namespace ptxvm {
namespace {

inline float flush(float f) { return std::fabs(f) < 0x1p-126f ? std::copysign(0.0f, f) : f; }
uint64_t keep(uint64_t v, int bytes) { return bytes >= 8 ? v : v & ((1ull << (8 * bytes)) - 1); }
int64_t extend(uint64_t v, int bytes) {
  const int s = 64 - 8 * bytes;
  return s <= 0 ? static_cast<int64_t>(v) : static_cast<int64_t>(v << s) >> s;
}

double asReal(uint64_t v, Type t) {
  switch (t) {
    case Type::F16:
      return halfToFloat(static_cast<uint16_t>(v));
    case Type::BF16:
      return bfloatToFloat(static_cast<uint16_t>(v));
    case Type::F32:
      return asFloat(static_cast<uint32_t>(v));
    default:
      return asDouble(v);
  }
}

// A double rounded to a float type; 64-bit integers pass the part that does not fit as a sticky
// bit.
uint64_t fromReal(double x, Type t, Rnd rnd, bool satfinite) {
  switch (t) {
    case Type::F16:
      return roundTo(kHalf, x, rnd, satfinite);
    case Type::BF16:
      return roundTo(kBfloat, x, rnd, satfinite);
    case Type::F32:
      return roundTo(kSingle, x, rnd, satfinite);
    case Type::TF32:
      return uint64_t(roundTo(kTf32, x, rnd, satfinite)) << 13;
    default:
      return x != x ? 0x7fffffffffffffffull : asBits(x);
  }
}

double roundToInteger(double x, Rnd r) {
  switch (r) {
    case Rnd::RNI:
    case Rnd::RN:
      return std::nearbyint(x);
    case Rnd::RMI:
    case Rnd::RM:
      return std::floor(x);
    case Rnd::RPI:
    case Rnd::RP:
      return std::ceil(x);
    default:
      return std::trunc(x);
  }
}

uint64_t realToInteger(double x, Type to, Type from, Rnd rnd) {
  const int bytes = typeBytes(to);
  if (std::isnan(x))  // zero unless source or destination is 64 bits wide: then the top bit alone
    return from == Type::F64 || bytes == 8 ? 1ull << (8 * bytes - 1) : 0;
  x = roundToInteger(x, rnd);
  if (isSigned(to)) {
    const double limit = std::ldexp(1.0, 8 * bytes - 1);
    if (x >= limit) return (1ull << (8 * bytes - 1)) - 1;
    if (x < -limit) x = -limit;
    return keep(static_cast<uint64_t>(static_cast<int64_t>(x)), bytes);
  }
  if (x <= 0) return 0;
  if (x >= std::ldexp(1.0, 8 * bytes)) return keep(~0ull, bytes);
  return static_cast<uint64_t>(x);
}

uint64_t integerToReal(uint64_t v, Type to, Type from, Rnd rnd) {
  const bool negative = isSigned(from) && extend(v, typeBytes(from)) < 0;
  const uint64_t magnitude =
      negative ? 0 - static_cast<uint64_t>(extend(v, typeBytes(from))) : keep(v, typeBytes(from));
  if (magnitude == 0) return 0;
  const int top = 63 - __builtin_clzll(magnitude);
  if (to == Type::F64 && top > 52) {  // round here: the double is the result
    const int drop = top - 52;
    uint64_t kept = magnitude >> drop;
    const uint64_t rest = magnitude & ((1ull << drop) - 1), half = 1ull << (drop - 1);
    const bool up = rnd == Rnd::RZ   ? false
                    : rnd == Rnd::RM ? negative && rest
                    : rnd == Rnd::RP ? !negative && rest
                                     : rest > half || (rest == half && (kept & 1));
    const double d = std::ldexp(static_cast<double>(kept + up), drop);
    return asBits(negative ? -d : d);
  }
  uint64_t exact = magnitude;
  if (top > 52) {  // to a smaller float: keep 53 bits, odd when inexact
    const int drop = top - 52;
    exact = magnitude >> drop << drop;
    if (exact != magnitude) exact |= 1ull << drop;
  }
  const double d = static_cast<double>(exact);
  return fromReal(negative ? -d : d, to, rnd, false);
}

uint64_t integerToInteger(uint64_t v, Type to, Type from, bool sat) {
  const int bytes = typeBytes(to), source = typeBytes(from);
  if (isSigned(from)) {
    int64_t x = extend(v, source);
    if (sat) {
      if (isSigned(to)) {
        if (bytes < 8) {
          const int64_t hi = (int64_t{1} << (8 * bytes - 1)) - 1;
          x = std::min(std::max(x, -hi - 1), hi);
        }
      } else {
        if (x < 0)
          x = 0;
        else if (bytes < 8)
          x = std::min(x, static_cast<int64_t>((1ull << (8 * bytes)) - 1));
      }
    }
    return keep(static_cast<uint64_t>(x), bytes);
  }
  uint64_t x = keep(v, source);
  if (sat) {
    const uint64_t hi = isSigned(to) ? (1ull << (8 * bytes - 1)) - 1
                        : bytes >= 8 ? ~0ull
                                     : (1ull << (8 * bytes)) - 1;
    x = std::min(x, hi);
  }
  return keep(x, bytes);
}

uint64_t convert(uint64_t v, const Ins& i) {
  if (!isFloat(i.t2))
    return isFloat(i.t) ? integerToReal(v, i.t, i.t2, i.rnd)
                        : integerToInteger(v, i.t, i.t2, i.sat);
  double x = asReal(v, i.t2);
  if (i.t2 == Type::F32 && i.ftz) x = flush(static_cast<float>(x));
  if (!isFloat(i.t)) return realToInteger(x, i.t, i.t2, i.rnd);
  if (i.rnd >= Rnd::RNI) x = roundToInteger(x, i.rnd);
  if (i.sat) x = x > 0 ? std::min(x, 1.0) : 0.0;  // also NaN
  if (i.relu && x == x && std::signbit(x)) x = 0;
  const Rnd rnd = i.rnd >= Rnd::RNI || i.rnd == Rnd::None ? Rnd::RN : i.rnd;
  uint64_t r = fromReal(x, i.t, rnd, i.nan);
  if (i.t == Type::F32 && i.ftz) r = asBits(flush(asFloat(static_cast<uint32_t>(r))));
  return r;
}

void cvtAny(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const bool extends = isSigned(i.t);
  const int bytes = typeBytes(i.t);
  forLanes(mask, [&](int l) {
    uint64_t r = convert(keep(laneValue(w, i.o[1], l), typeBytes(i.t2)), i);
    if (extends) r = static_cast<uint64_t>(extend(r, bytes));  // a wider register gets the sign
    setLane(w, i.o[0], l, r);
  });
}

// Integer to integer without .sat: only sign, zero extension and truncation.
template <class D, class From, class To>
void cvtInt(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto* a = slot<SlotOf<From>>(w, i.o[1]);
  eachLane<D>(w, i.o[0], mask,
              [=](int l) { return static_cast<D>(static_cast<To>(fromSlot<From>(a[l]))); });
}
void cvtS32F32(Machine&, Warp& w, const Ins& i, uint32_t mask) {  // int to float, to nearest
  const auto* a = slot<uint32_t>(w, i.o[1]);
  if (i.t2 == Type::S32)
    eachLane<float>(w, i.o[0], mask,
                    [=](int l) { return static_cast<float>(static_cast<int32_t>(a[l])); });
  else
    eachLane<float>(w, i.o[0], mask, [=](int l) { return static_cast<float>(a[l]); });
}
void cvtF32F16(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto* a = slot<uint32_t>(w, i.o[1]);
  activeLanes<float>(w, i.o[0], mask, [=](int l) {
    const float f = halfToFloat(static_cast<uint16_t>(a[l]));
    return f != f ? asFloat(0x7fffffff) : f;
  });
}
void cvtF16F32(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto* a = slot<uint32_t>(w, i.o[1]);
  activeLanes<uint16_t>(w, i.o[0], mask, [=](int l) { return floatToHalf(asFloat(a[l])); });
}

// d = {cvt(a), cvt(b)}: f16x2, bf16x2, e4m3x2 and e5m2x2 from two floats; a is the upper half.
void cvtPair(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto *a = slot<uint32_t>(w, i.o[1]), *b = slot<uint32_t>(w, i.o[2]);
  const Format& f = i.t == Type::F16x2    ? kHalf
                    : i.t == Type::BF16x2 ? kBfloat
                    : i.t == Type::E4M3x2 ? kE4M3
                                          : kE5M2;
  const int shift = typeBytes(i.t) == 4 ? 16 : 8;
  auto one = [&](uint32_t u) {
    double x = asFloat(u);
    if (i.relu && x == x && std::signbit(x)) x = 0;
    return roundTo(f, x, i.rnd, i.nan);
  };
  activeLanes<uint32_t>(w, i.o[0], mask, [&](int l) { return one(a[l]) << shift | one(b[l]); });
}
void cvtFp8FromHalves(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto* a = slot<uint32_t>(w, i.o[1]);
  const Format& f = i.t == Type::E4M3x2 ? kE4M3 : kE5M2;
  auto one = [&](uint32_t u) {
    double x = i.t2 == Type::BF16x2 ? bfloatToFloat(uint16_t(u)) : halfToFloat(uint16_t(u));
    if (i.relu && x == x && std::signbit(x)) x = 0;
    return roundTo(f, x, Rnd::RN, true);
  };
  activeLanes<uint32_t>(w, i.o[0], mask,
                        [&](int l) { return one(a[l] >> 16) << 8 | one(a[l] & 0xffff); });
}
void cvtHalvesFromFp8(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto* a = slot<uint32_t>(w, i.o[1]);
  auto one = [&](uint32_t v) -> uint32_t {
    const float f = i.t2 == Type::E4M3x2 ? e4m3ToFloat(uint8_t(v)) : e5m2ToFloat(uint8_t(v));
    const uint16_t h = floatToHalf(f);
    return i.relu && f == f && (h & 0x8000) ? 0 : h;
  };
  activeLanes<uint32_t>(w, i.o[0], mask,
                        [&](int l) { return one(a[l] >> 8) << 16 | one(a[l] & 0xff); });
}

// cvt.pack.sat.type.s32{.b32} d, a, b{, c}: two saturated numbers, above them what c holds.
void cvtPack(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto *a = slot<uint32_t>(w, i.o[1]), *b = slot<uint32_t>(w, i.o[2]);
  const uint32_t* c = i.nops > 3 ? slot<uint32_t>(w, i.o[3]) : nullptr;
  const int bits = 8 * typeBytes(i.t);
  activeLanes<uint32_t>(w, i.o[0], mask, [&](int l) {
    const auto lo = static_cast<uint32_t>(integerToInteger(b[l], i.t, Type::S32, true));
    const auto hi = static_cast<uint32_t>(integerToInteger(a[l], i.t, Type::S32, true));
    return (c ? c[l] << (2 * bits) : 0) | hi << bits | lo;
  });
}

template <class T>
void movSame(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto* a = slot<T>(w, i.o[1]);
  eachLane<T>(w, i.o[0], mask, [=](int l) { return a[l]; });
}
void movPredicate(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  setPredicate(w, i.o[0].off, mask, predicate(w, i.o[1]));
}

// mov with vectors, the clock, or registers wider than the type: by lane.
void movAny(Machine& m, Warp& w, const Ins& i, uint32_t mask) {
  const Function& f = *w.frame->f;
  const Operand &d = i.o[0], &s = i.o[1];
  const int bytes = typeBytes(i.t);
  auto wide = [&](const Operand& o, int l) -> unsigned __int128 {
    if (o.kind == Operand::Clock) return (m.steps * 4 + 1000) >> (o.imm ? 32 : 0);
    if (o.bytes != 16) return laneValue(w, o, l);
    unsigned __int128 v;
    std::memcpy(&v, w.base[o.kind] + o.off + 16 * l, 16);
    return v;
  };
  auto put = [&](const Operand& o, int l, unsigned __int128 v) {
    if (o.bytes == 16)
      std::memcpy(w.base[o.kind] + o.off + 16 * l, &v, 16);
    else
      setLane(w, o, l, static_cast<uint64_t>(v));
  };
  if (d.kind == Operand::Vec && s.kind == Operand::Vec) fail("mov from vector to vector");
  forLanes(mask, [&](int l) {
    unsigned __int128 v = 0;
    if (s.kind == Operand::Vec) {
      const int each = 8 * bytes / s.count;
      for (int k = 0; k < s.count; ++k) {
        const unsigned __int128 part = wide(f.vec[static_cast<size_t>(s.off + k)], l);
        v |= (part & (((unsigned __int128)1 << each) - 1)) << (each * k);
      }
    } else {
      v = wide(s, l);
    }
    if (d.kind == Operand::Vec) {
      const int each = 8 * bytes / d.count;
      for (int k = 0; k < d.count; ++k)
        put(f.vec[static_cast<size_t>(d.off + k)], l,
            (v >> (each * k)) & (((unsigned __int128)1 << each) - 1));
    } else {
      put(d, l, v);
    }
  });
  if (s.kind == Operand::Clock) ++m.steps;
}

// 32 bits to two 16-bit registers and back: the commonest vector mov.
void unpackHalves(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const Function& f = *w.frame->f;
  const auto* a = slot<uint32_t>(w, i.o[1]);
  uint32_t copy[32];
  std::memcpy(copy, a, sizeof copy);
  const uint32_t* v = copy;
  eachLane<uint32_t>(w, f.vec[static_cast<size_t>(i.o[0].off)], mask,
                     [=](int l) { return v[l] & 0xffff; });
  eachLane<uint32_t>(w, f.vec[static_cast<size_t>(i.o[0].off) + 1], mask,
                     [=](int l) { return v[l] >> 16; });
}
void packHalves(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const Function& f = *w.frame->f;
  const auto* a = slot<uint32_t>(w, f.vec[static_cast<size_t>(i.o[1].off)]);
  const auto* b = slot<uint32_t>(w, f.vec[static_cast<size_t>(i.o[1].off) + 1]);
  eachLane<uint32_t>(w, i.o[0], mask, [=](int l) { return (a[l] & 0xffff) | b[l] << 16; });
}

void movDispatch(Machine& m, Warp& w, const Ins& i, uint32_t mask) {
  const Operand &d = i.o[0], &s = i.o[1];
  const bool scalar = d.kind != Operand::Vec && s.kind != Operand::Vec && s.kind != Operand::Clock;
  const bool four = typeBytes(i.t) == 4;
  const Function& f = *w.frame->f;
  auto narrowVec = [&](const Operand& o) {
    return o.kind == Operand::Vec && o.count == 2 &&
           f.vec[static_cast<size_t>(o.off)].bytes == 4 &&
           f.vec[static_cast<size_t>(o.off) + 1].bytes == 4;
  };
  Handler fn = movAny;
  if (scalar && d.bytes == 4 && s.bytes == 4)
    fn = movSame<uint32_t>;
  else if (scalar && d.bytes == 8 && s.bytes == 8)
    fn = movSame<uint64_t>;
  else if (four && narrowVec(d) && s.bytes == 4)
    fn = unpackHalves;
  else if (four && narrowVec(s) && d.bytes == 4)
    fn = packHalves;
  const_cast<Ins&>(i).fn = fn;  // decided once
  fn(m, w, i, mask);
}

void buildMov(Build& b) {
  const Type t = b.i.t = b.needType();
  if (t == Type::Pred) {
    b.want = {Build::Predicate, Build::Predicate};
    b.i.fn = movPredicate;
    return;
  }
  b.want = {Build::AnyOrVector, Build::AnyOrVector};
  b.i.fn = movDispatch;
}

// With both slots of their natural width the common integer conversions have fast handlers.
template <class From, class To>
Handler intHandler() {
  return cvtInt<
      std::conditional_t<(sizeof(To) < 4),
                         std::conditional_t<std::is_signed_v<To>, int32_t, uint32_t>, To>,
      From, To>;
}
template <class From>
Handler intTo(Type to) {
  switch (to) {
    case Type::U8:
      return intHandler<From, uint8_t>();
    case Type::S8:
      return intHandler<From, int8_t>();
    case Type::U16:
      return intHandler<From, uint16_t>();
    case Type::S16:
      return intHandler<From, int16_t>();
    case Type::U32:
      return intHandler<From, uint32_t>();
    case Type::S32:
      return intHandler<From, int32_t>();
    case Type::U64:
      return intHandler<From, uint64_t>();
    default:
      return intHandler<From, int64_t>();
  }
}
Handler intFast(Type to, Type from) {
  switch (from) {
    case Type::U8:
      return intTo<uint8_t>(to);
    case Type::S8:
      return intTo<int8_t>(to);
    case Type::U16:
      return intTo<uint16_t>(to);
    case Type::S16:
      return intTo<int16_t>(to);
    case Type::U32:
      return intTo<uint32_t>(to);
    case Type::S32:
      return intTo<int32_t>(to);
    case Type::U64:
      return intTo<uint64_t>(to);
    default:
      return intTo<int64_t>(to);
  }
}
void cvtDispatch(Machine& m, Warp& w, const Ins& i, uint32_t mask) {
  Handler fn = cvtAny;
  const bool natural = i.o[0].bytes == slotBytes(i.t) && i.o[1].bytes == slotBytes(i.t2);
  const bool plain = !i.sat && !i.relu && !i.ftz && !i.nan;
  if (natural && plain) {
    if (!isFloat(i.t) && !isFloat(i.t2))
      fn = intFast(i.t, i.t2);
    else if (i.t == Type::F32 && (i.t2 == Type::S32 || i.t2 == Type::U32) && i.rnd == Rnd::RN)
      fn = cvtS32F32;
    else if (i.t == Type::F32 && i.t2 == Type::F16)
      fn = cvtF32F16;
    else if (i.t == Type::F16 && i.t2 == Type::F32 && i.rnd == Rnd::RN)
      fn = cvtF16F32;
  }
  const_cast<Ins&>(i).fn = fn;
  fn(m, w, i, mask);
}

void buildCvt(Build& b) {
  Ins& i = b.i;
  if (b.take("pack")) {
    if (!b.take("sat")) b.unsupported();
    i.t = b.needType();
    if (b.needType() != Type::S32) b.unsupported();
    const bool third = b.takeType() == Type::B32;
    b.want = {4, 4, 4};
    if (third) b.want.push_back(4);
    i.fn = cvtPack;
    return;
  }
  i.ftz = b.take("ftz");
  i.sat = b.take("sat");
  i.nan = b.take("satfinite");
  i.relu = b.take("relu");
  i.rnd = b.takeRounding(Rnd::None);
  const Type d = i.t = b.needType(), s = i.t2 = b.needType();
  i.cls = isFloat(d) ? floatClass(d) : isFloat(s) ? floatClass(s) : Class::Int;
  const bool fp8 = d == Type::E4M3x2 || d == Type::E5M2x2,
             fromFp8 = s == Type::E4M3x2 || s == Type::E5M2x2;
  if (fp8 || fromFp8) i.cls = Class::F16;
  if ((fp8 || d == Type::F16x2 || d == Type::BF16x2) && s == Type::F32) {
    b.want = {4, 4, 4};
    if (i.rnd != Rnd::RN && i.rnd != Rnd::RZ) b.unsupported("rounding");
    if (i.sat || i.ftz) b.unsupported();
    i.fn = cvtPair;
    return;
  }
  b.want = {4, 4};
  if (fp8 && (s == Type::F16x2 || s == Type::BF16x2)) {
    i.fn = cvtFp8FromHalves;
    return;
  }
  if (fromFp8 && d == Type::F16x2) {
    i.fn = cvtHalvesFromFp8;
    return;
  }
  auto scalar = [](Type t) {
    return (t >= Type::U8 && t <= Type::S64) || t == Type::F16 || t == Type::BF16 ||
           t == Type::F32 || t == Type::F64;
  };
  if (!(scalar(d) || (d == Type::TF32 && s == Type::F32)) || !scalar(s))
    b.unsupported("these types");
  if (isFloat(s) && !isFloat(d) && i.rnd == Rnd::None) b.unsupported("no rounding");
  b.want = {Build::AnyWidth, Build::AnyWidth};
  i.fn = cvtDispatch;
}

}  // namespace

const OpTable& convertOps() {
  static const OpTable table = {{"cvt", buildCvt}, {"mov", buildMov}};
  return table;
}

}  // namespace ptxvm
