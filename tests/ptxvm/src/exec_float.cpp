// SPDX-License-Identifier: MIT
// Floating-point arithmetic: f32, f64, f16, bf16 and their packed pairs.  Compiled with
// -ffp-contract=off.
#include <cfenv>
#include <cmath>
#include <limits>

#include "exec.hpp"

namespace ptxvm {
namespace {

enum FloatOp : uint8_t {
  kAdd,
  kSub,
  kMul,
  kFma,
  kDiv,
  kMin,
  kMax,
  kAbs,
  kNeg,
  kRcp,
  kSqrt,
  kRsqrt,
  kEx2,
  kLg2,
  kSin,
  kCos,
  kTanh,
  kCopysign
};

inline float flush(float f) { return std::fabs(f) < 0x1p-126f ? std::copysign(0.0f, f) : f; }
inline float canonical(float f) { return f != f ? asFloat(0x7fffffffu) : f; }
inline double canonical(double f) { return f != f ? asDouble(0x7fffffffffffffffull) : f; }
template <class T>
T saturate(T f) {
  return f > T(0) ? (f < T(1) ? f : T(1)) : T(0);
}  // NaN and -0 become +0

// Sets the host's rounding direction for one instruction.
class RoundingScope {
 public:
  explicit RoundingScope(Rnd r) : changed_(r == Rnd::RZ || r == Rnd::RM || r == Rnd::RP) {
    if (changed_)
      std::fesetround(r == Rnd::RZ ? FE_TOWARDZERO : r == Rnd::RM ? FE_DOWNWARD : FE_UPWARD);
  }
  ~RoundingScope() {
    if (changed_) std::fesetround(FE_TONEAREST);
  }

 private:
  bool changed_;
};

// -0 is below +0; a NaN loses against a number unless .NaN asks for it.
template <class T>
T minimum(T a, T b, bool nan) {
  if (a != a || b != b)
    return nan || (a != a && b != b) ? std::numeric_limits<T>::quiet_NaN() : a != a ? b : a;
  if (a == b) return std::signbit(a) ? a : b;
  return a < b ? a : b;
}
template <class T>
T maximum(T a, T b, bool nan) {
  if (a != a || b != b)
    return nan || (a != a && b != b) ? std::numeric_limits<T>::quiet_NaN() : a != a ? b : a;
  if (a == b) return std::signbit(a) ? b : a;
  return a < b ? b : a;
}

template <int Op, class T>
inline T arithmetic(T a, T b, T c) {
  if constexpr (Op == kAdd)
    return a + b;
  else if constexpr (Op == kSub)
    return a - b;
  else if constexpr (Op == kMul)
    return a * b;
  else if constexpr (Op == kFma)
    return std::fma(a, b, c);
  else
    return a / b;
}

template <int Op, bool Ftz>
void float32(Machine&, Warp& w, const Ins& i, uint32_t mask) {  // round to nearest, no saturation
  const auto *a = slot<uint32_t>(w, i.o[1]), *b = slot<uint32_t>(w, i.o[2]);
  const auto* c = slot<uint32_t>(w, i.o[Op == kFma ? 3 : 2]);
  auto in = [](uint32_t u) { return Ftz ? flush(asFloat(u)) : asFloat(u); };
  eachLane<float>(w, i.o[0], mask, [=](int l) {
    const float r = canonical(arithmetic<Op>(in(a[l]), in(b[l]), in(c[l])));
    return Ftz ? flush(r) : r;
  });
}
template <int Op>
void float32Any(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto *a = slot<uint32_t>(w, i.o[1]), *b = slot<uint32_t>(w, i.o[2]);
  const auto* c = slot<uint32_t>(w, i.o[Op == kFma ? 3 : 2]);
  RoundingScope scope(i.rnd);
  auto in = [&](uint32_t u) { return i.ftz ? flush(asFloat(u)) : asFloat(u); };
  activeLanes<float>(w, i.o[0], mask, [&](int l) {
    float r = canonical(arithmetic<Op>(in(a[l]), in(b[l]), in(c[l])));
    if (i.ftz) r = flush(r);
    return i.sat ? saturate(r) : r;
  });
}
template <int Op>
void float64(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto *a = slot<uint64_t>(w, i.o[1]), *b = slot<uint64_t>(w, i.o[2]);
  const auto* c = slot<uint64_t>(w, i.o[Op == kFma ? 3 : 2]);
  RoundingScope scope(i.rnd);
  activeLanes<double>(w, i.o[0], mask, [&](int l) {
    return canonical(arithmetic<Op>(asDouble(a[l]), asDouble(b[l]), asDouble(c[l])));
  });
}

// One half or bfloat16 operation on 16-bit codes.
template <bool Bf>
inline float widen(uint16_t v) {
  return Bf ? bfloatToFloat(v) : halfToFloat(v);
}
template <bool Bf>
inline uint16_t narrow(float f) {
  return Bf ? floatToBfloat(f) : floatToHalf(f);
}
template <bool Bf>
inline uint16_t flushSmall(uint16_t v) {
  return (v & (Bf ? 0x7f80 : 0x7c00)) ? v : v & 0x8000;
}
template <int Op, bool Bf>
inline uint16_t smallFloat(uint16_t a, uint16_t b, uint16_t c, const Ins& i) {
  if (i.ftz) a = flushSmall<Bf>(a), b = flushSmall<Bf>(b), c = flushSmall<Bf>(c);
  uint16_t r;
  if constexpr (Op == kMin || Op == kMax) {
    const float x = widen<Bf>(a), y = widen<Bf>(b);
    float v = Op == kMin ? minimum(x, y, i.nan) : maximum(x, y, i.nan);
    if (i.xorsign && v == v)
      v = std::copysign(std::fabs(v), std::signbit(x) != std::signbit(y) ? -1.0f : 1.0f);
    r = narrow<Bf>(v);
  } else if constexpr (Op == kFma) {
    r = Bf ? bfloatFma(a, b, c) : halfFma(a, b, c);
  } else if constexpr (Op == kMul) {
    r = Bf ? floatToBfloat(fmaOdd(bfloatToFloat(a), bfloatToFloat(b), -0.0f))
           : narrow<Bf>(widen<Bf>(a) * widen<Bf>(b));
    if (Bf && (r & 0x7fff) == 0) r = (a ^ b) & 0x8000;
  } else {
    r = narrow<Bf>(arithmetic<Op>(widen<Bf>(a), widen<Bf>(b), widen<Bf>(c)));
  }
  if (i.ftz) r = flushSmall<Bf>(r);
  if (i.sat) r = narrow<Bf>(saturate(widen<Bf>(r)));
  if (i.relu && !(widen<Bf>(r) != widen<Bf>(r)) && (r & 0x8000)) r = 0;
  return r;
}
template <int Op, bool Bf, bool Packed>
void half(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto *a = slot<uint32_t>(w, i.o[1]), *b = slot<uint32_t>(w, i.o[2]);
  const auto* c = slot<uint32_t>(w, i.o[Op == kFma ? 3 : 2]);
  activeLanes<uint32_t>(w, i.o[0], mask, [&](int l) -> uint32_t {
    auto lo = smallFloat<Op, Bf>(uint16_t(a[l]), uint16_t(b[l]), uint16_t(c[l]), i);
    if (!Packed) return lo;
    auto hi =
        smallFloat<Op, Bf>(uint16_t(a[l] >> 16), uint16_t(b[l] >> 16), uint16_t(c[l] >> 16), i);
    return lo | uint32_t(hi) << 16;
  });
}

#ifdef __F16C__
// f16x2 add, sub, mul and fma without modifiers, eight lanes at a time.
inline __m256i canonicalHalves(
    __m128i lo, __m128i hi) {  // 8 + 8 halves, NaNs made canonical, merged into 8 words
  auto fix = [](__m128i v) {
    const __m128i magnitude = _mm_and_si128(v, _mm_set1_epi16(0x7fff));
    const __m128i nan = _mm_cmpgt_epi16(magnitude, _mm_set1_epi16(0x7c00));
    return _mm_blendv_epi8(v, _mm_set1_epi16(0x7fff), nan);
  };
  const __m256i l = _mm256_cvtepu16_epi32(fix(lo)), h = _mm256_cvtepu16_epi32(fix(hi));
  return _mm256_or_si256(l, _mm256_slli_epi32(h, 16));
}
inline __m128i lowHalves(__m256i v) {
  const __m256i packed =
      _mm256_packus_epi32(_mm256_and_si256(v, _mm256_set1_epi32(0xffff)), _mm256_setzero_si256());
  return _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08));
}
inline __m128i highHalves(__m256i v) {
  const __m256i packed = _mm256_packus_epi32(_mm256_srli_epi32(v, 16), _mm256_setzero_si256());
  return _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08));
}
// a * b + c rounded to odd in float, four lanes (see fmaOdd).
inline __m128 fmaOdd4(__m128 a, __m128 b, __m128 c) {
  const __m256d p = _mm256_mul_pd(_mm256_cvtps_pd(a), _mm256_cvtps_pd(b)), z = _mm256_cvtps_pd(c);
  const __m256d s = _mm256_add_pd(p, z), t = _mm256_sub_pd(s, p);
  const __m256d error = _mm256_add_pd(_mm256_sub_pd(p, _mm256_sub_pd(s, t)), _mm256_sub_pd(z, t));
  // Truncate s toward zero when it was rounded away, then mark inexactness in its last bit.
  const __m256d zero = _mm256_setzero_pd();
  const __m256d inexact = _mm256_cmp_pd(error, zero, _CMP_NEQ_OQ);
  const __m256d away = _mm256_and_pd(inexact, _mm256_xor_pd(_mm256_cmp_pd(error, zero, _CMP_GT_OQ),
                                                            _mm256_cmp_pd(s, zero, _CMP_GT_OQ)));
  __m256i bits =
      _mm256_add_epi64(_mm256_castpd_si256(s), _mm256_castpd_si256(away));  // all ones is -1
  bits =
      _mm256_or_si256(bits, _mm256_and_si256(_mm256_castpd_si256(inexact), _mm256_set1_epi64x(1)));
  // The product and sum of halves are no float subnormals, so sticking the low 29 bits together is
  // enough.
  const __m256i low = _mm256_and_si256(bits, _mm256_set1_epi64x((1 << 29) - 1));
  const __m256i none = _mm256_cmpeq_epi64(low, _mm256_setzero_si256());
  const __m256i sticky = _mm256_andnot_si256(none, _mm256_set1_epi64x(1 << 29));
  bits = _mm256_or_si256(_mm256_andnot_si256(_mm256_set1_epi64x((1 << 29) - 1), bits), sticky);
  const __m256d special =
      _mm256_cmp_pd(_mm256_sub_pd(s, s), zero, _CMP_UNORD_Q);  // inf and NaN keep s
  return _mm256_cvtpd_ps(_mm256_blendv_pd(_mm256_castsi256_pd(bits), s, special));
}
inline __m256 fmaOdd8(__m256 a, __m256 b, __m256 c) {
  const __m128 lo =
      fmaOdd4(_mm256_castps256_ps128(a), _mm256_castps256_ps128(b), _mm256_castps256_ps128(c));
  const __m128 hi = fmaOdd4(_mm256_extractf128_ps(a, 1), _mm256_extractf128_ps(b, 1),
                            _mm256_extractf128_ps(c, 1));
  return _mm256_set_m128(hi, lo);
}
template <int Op>
inline __m256 wideOp(__m256 a, __m256 b, __m256 c) {
  if constexpr (Op == kAdd)
    return _mm256_add_ps(a, b);
  else if constexpr (Op == kSub)
    return _mm256_sub_ps(a, b);
  else if constexpr (Op == kMul)
    return _mm256_mul_ps(a, b);
  else
    return fmaOdd8(a, b, c);
}
template <int Op>
void half2(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto *a = slot<uint32_t>(w, i.o[1]), *b = slot<uint32_t>(w, i.o[2]);
  const auto* c = slot<uint32_t>(w, i.o[Op == kFma ? 3 : 2]);
  auto* d = slot<uint32_t>(w, i.o[0]);
  alignas(32) uint32_t r[32];
  for (int l = 0; l < 32; l += 8) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + l));
    const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + l));
    const __m256i z = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(c + l));
    const __m256 lo = wideOp<Op>(_mm256_cvtph_ps(lowHalves(x)), _mm256_cvtph_ps(lowHalves(y)),
                                 _mm256_cvtph_ps(lowHalves(z)));
    const __m256 hi = wideOp<Op>(_mm256_cvtph_ps(highHalves(x)), _mm256_cvtph_ps(highHalves(y)),
                                 _mm256_cvtph_ps(highHalves(z)));
    const __m256i out = canonicalHalves(_mm256_cvtps_ph(lo, _MM_FROUND_TO_NEAREST_INT),
                                        _mm256_cvtps_ph(hi, _MM_FROUND_TO_NEAREST_INT));
    _mm256_store_si256(reinterpret_cast<__m256i*>(r + l), out);
  }
  if (mask == ~0u)
    std::memcpy(d, r, sizeof r);
  else
    for (int l = 0; l < 32; ++l) d[l] = (mask >> l & 1) ? r[l] : d[l];
}
#endif

template <class T>
void minMax(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  using S = SlotOf<T>;
  const auto *a = slot<S>(w, i.o[1]), *b = slot<S>(w, i.o[2]);
  activeLanes<T>(w, i.o[0], mask, [&](int l) {
    T x = fromSlot<T>(a[l]), y = fromSlot<T>(b[l]);
    if constexpr (sizeof(T) == 4)
      if (i.ftz) x = flush(x), y = flush(y);
    T r = i.sub == kMin
              ? minimum(i.xorsign ? std::fabs(x) : x, i.xorsign ? std::fabs(y) : y, i.nan)
              : maximum(i.xorsign ? std::fabs(x) : x, i.xorsign ? std::fabs(y) : y, i.nan);
    if (i.xorsign && r == r)
      r = std::copysign(r, std::signbit(x) != std::signbit(y) ? T(-1) : T(1));
    return canonical(r);
  });
}

template <class S>
void signBit(Machine&, Warp& w, const Ins& i,
             uint32_t mask) {  // abs and neg work on bits, also of NaNs
  const auto* a = slot<S>(w, i.o[1]);
  const S sign = i.t == Type::F64                            ? S(1ull << 63)
                 : i.t == Type::F32                          ? S(0x80000000u)
                 : i.t == Type::F16x2 || i.t == Type::BF16x2 ? S(0x80008000u)
                                                             : S(0x8000u);
  const bool neg = i.sub == kNeg, ftz = i.ftz && i.t == Type::F32;
  eachLane<S>(w, i.o[0], mask, [=](int l) -> S {
    const S v = neg ? a[l] ^ sign : a[l] & ~sign;
    if (sizeof(S) == 4 && ftz) return S(asBits(flush(asFloat(uint32_t(v)))));
    return v;
  });
}

double function(int op, double x) {
  switch (op) {
    case kRcp:
      return 1.0 / x;
    case kSqrt:
      return std::sqrt(x);
    case kRsqrt:
      return 1.0 / std::sqrt(x);
    case kEx2:
      return std::exp2(x);
    case kLg2:
      return std::log2(x);
    case kSin:
      return std::sin(x);
    case kCos:
      return std::cos(x);
    default:
      return std::tanh(x);
  }
}
// Approximate instructions give the correctly rounded value here; hardware differs in the last
// bits.
void function32(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto* a = slot<uint32_t>(w, i.o[1]);
  RoundingScope scope(i.rnd);
  activeLanes<float>(w, i.o[0], mask, [&](int l) {
    const float x = i.ftz ? flush(asFloat(a[l])) : asFloat(a[l]);
    const float r = canonical(i.sub == kSqrt  ? std::sqrt(x)
                              : i.sub == kRcp ? 1.0f / x
                                              : static_cast<float>(function(i.sub, x)));
    return i.ftz ? flush(r) : r;
  });
}
void function64(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto* a = slot<uint64_t>(w, i.o[1]);
  RoundingScope scope(i.rnd);
  activeLanes<double>(w, i.o[0], mask, [&](int l) {
    const double x = asDouble(a[l]);
    return canonical(i.sub == kSqrt ? std::sqrt(x) : i.sub == kRcp ? 1.0 / x : function(i.sub, x));
  });
}
template <bool Bf>
void functionSmall(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto* a = slot<uint32_t>(w, i.o[1]);
  const bool packed = i.t == Type::F16x2 || i.t == Type::BF16x2;
  auto one = [&](uint16_t v) -> uint16_t {
    const double r = function(i.sub, widen<Bf>(i.ftz ? flushSmall<Bf>(v) : v));
    const auto code = static_cast<uint16_t>(roundTo(Bf ? kBfloat : kHalf, r, Rnd::RN));
    return i.ftz ? flushSmall<Bf>(code) : code;
  };
  activeLanes<uint32_t>(w, i.o[0], mask, [&](int l) -> uint32_t {
    return one(uint16_t(a[l])) | (packed ? uint32_t(one(uint16_t(a[l] >> 16))) << 16 : 0);
  });
}

template <class T>
void copysignHandler(Machine&, Warp& w, const Ins& i,
                     uint32_t mask) {  // sign of a, magnitude of b
  const auto *a = slot<SlotOf<T>>(w, i.o[1]), *b = slot<SlotOf<T>>(w, i.o[2]);
  activeLanes<T>(w, i.o[0], mask,
                 [&](int l) { return std::copysign(fromSlot<T>(b[l]), fromSlot<T>(a[l])); });
}

template <class T>
void testp(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto* a = slot<SlotOf<T>>(w, i.o[1]);
  uint32_t r = 0;
  forLanes(mask, [&](int l) {
    const T x = fromSlot<T>(a[l]);
    bool v = false;
    switch (i.sub) {
      case 0:
        v = std::isfinite(x);
        break;
      case 1:
        v = std::isinf(x);
        break;
      case 2:
        v = !std::isnan(x);
        break;
      case 3:
        v = std::isnan(x);
        break;
      case 4:
        v = std::fpclassify(x) == FP_NORMAL;
        break;
      default:
        v = std::fpclassify(x) == FP_SUBNORMAL;
        break;
    }
    r |= uint32_t(v) << l;
  });
  setPredicate(w, i.o[0].off, mask, r);
}

template <class T>
inline bool compare(Cmp c, T a, T b) {
  const bool u = a != a || b != b;
  switch (c) {
    case Cmp::EQ:
      return !u && a == b;
    case Cmp::NE:
      return !u && a != b;
    case Cmp::LT:
      return !u && a < b;
    case Cmp::LE:
      return !u && a <= b;
    case Cmp::GT:
      return !u && a > b;
    case Cmp::GE:
      return !u && a >= b;
    case Cmp::EQU:
      return u || a == b;
    case Cmp::NEU:
      return u || a != b;
    case Cmp::LTU:
      return u || a < b;
    case Cmp::LEU:
      return u || a <= b;
    case Cmp::GTU:
      return u || a > b;
    case Cmp::GEU:
      return u || a >= b;
    case Cmp::NUM:
      return !u;
    default:
      return u;
  }
}

// Writes the result of setp (one or two predicates) or set (a mask or 1.0).
void deliver(Warp& w, const Ins& i, uint32_t mask, uint32_t r, uint32_t second, bool packed) {
  auto combine = [&](uint32_t v) {
    if (!i.boolOp) return v;
    const uint32_t p = predicate(w, i.o[3]);
    return i.boolOp == 1 ? v & p : i.boolOp == 2 ? v | p : v ^ p;
  };
  r = combine(r);
  second = combine(second);
  if (!i.hi) {
    setPredicate(w, i.o[0].off, mask, r);
    if (i.o[0].pair >= 0) setPredicate(w, i.o[0].pair, mask, second);
    return;
  }
  uint32_t one = ~0u;  // integer results
  if (i.t == Type::F32) one = 0x3f800000u;
  if (i.t == Type::F16 || i.t == Type::F16x2) one = 0x3c00u;
  if (i.t == Type::BF16 || i.t == Type::BF16x2) one = 0x3f80u;
  if (packed && !isFloat(i.t)) one = 0xffffu;
  if (slotBytes(i.t) == 4 && typeBytes(i.t) == 2 && !isFloat(i.t)) one = 0xffffu;
  eachLane<uint32_t>(w, i.o[0], mask, [=](int l) -> uint32_t {
    return (r >> l & 1 ? one : 0) | (packed && (second >> l & 1) ? one << 16 : 0);
  });
}
template <class T>
void compareHandler(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto *a = slot<SlotOf<T>>(w, i.o[1]), *b = slot<SlotOf<T>>(w, i.o[2]);
  uint32_t r = 0;
  forLanes(mask, [&](int l) {
    T x = fromSlot<T>(a[l]), y = fromSlot<T>(b[l]);
    if constexpr (sizeof(T) == 4)
      if (i.ftz) x = flush(x), y = flush(y);
    r |= uint32_t(compare(i.cmp, x, y)) << l;
  });
  deliver(w, i, mask, r, ~r, false);
}
template <bool Bf>
void compareSmall(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto *a = slot<uint32_t>(w, i.o[1]), *b = slot<uint32_t>(w, i.o[2]);
  const bool packed = i.t2 == Type::F16x2 || i.t2 == Type::BF16x2;
  uint32_t r = 0, s = 0;
  auto in = [&](uint32_t v) {
    return widen<Bf>(i.ftz ? flushSmall<Bf>(uint16_t(v)) : uint16_t(v));
  };
  forLanes(mask, [&](int l) {
    r |= uint32_t(compare(i.cmp, in(a[l]), in(b[l]))) << l;
    if (packed) s |= uint32_t(compare(i.cmp, in(a[l] >> 16), in(b[l] >> 16))) << l;
  });
  deliver(w, i, mask, r, packed ? s : ~r, packed);
}

// --------------------------------------------------------------------------------- decoding

template <int Op>
Handler halfHandler(Type t, [[maybe_unused]] const Ins& i) {
#ifdef __F16C__
  if constexpr (Op == kAdd || Op == kSub || Op == kMul || Op == kFma)
    if (t == Type::F16x2 && !i.ftz && !i.sat && !i.relu) return half2<Op>;
#endif
  switch (t) {
    case Type::F16:
      return half<Op, false, false>;
    case Type::F16x2:
      return half<Op, false, true>;
    case Type::BF16:
      return half<Op, true, false>;
    default:
      return half<Op, true, true>;
  }
}
template <int Op>
Handler arithmeticHandler(Type t, const Ins& i) {
  if (t == Type::F32) {
    if ((i.rnd == Rnd::RN || i.rnd == Rnd::None) && !i.sat)
      return i.ftz ? float32<Op, true> : float32<Op, false>;
    return float32Any<Op>;
  }
  if (t == Type::F64) return float64<Op>;
  if constexpr (Op == kDiv)
    return nullptr;
  else
    return halfHandler<Op>(t, i);
}

void buildFunction(Build& b, Type t, int op) {
  const int s = slotBytes(t);
  b.want = {s, s};
  b.i.sub = static_cast<uint8_t>(op);
  b.i.fn = t == Type::F32                       ? function32
           : t == Type::F64                     ? function64
           : t == Type::F16 || t == Type::F16x2 ? functionSmall<false>
                                                : functionSmall<true>;
}
void buildFma(Build& b) { buildFloatArithmetic(b, b.needType()); }
void buildMath(Build& b) {
  static const std::pair<const char*, int> names[] = {
      {"rcp", kRcp}, {"sqrt", kSqrt}, {"rsqrt", kRsqrt}, {"ex2", kEx2},
      {"lg2", kLg2}, {"sin", kSin},   {"cos", kCos},     {"tanh", kTanh}};
  const bool approx = b.take("approx");
  b.i.ftz = b.take("ftz");
  b.i.rnd = b.takeRounding(Rnd::None);
  const Type t = b.i.t = b.needType();
  if (!isFloat(t)) b.unsupported();
  b.i.cls = floatClass(t);
  for (auto& [name, op] : names)
    if (b.words[0] == name) buildFunction(b, t, op);
  if (!approx && b.i.rnd == Rnd::None) b.unsupported("neither a rounding nor .approx");
}
void buildCopysign(Build& b) {
  const Type t = b.i.t = b.needType();
  const int s = slotBytes(t);
  b.want = {s, s, s};
  b.i.cls = floatClass(t);
  b.i.fn = t == Type::F32   ? copysignHandler<float>
           : t == Type::F64 ? copysignHandler<double>
                            : nullptr;
}
void buildTestp(Build& b) {
  const char* names[] = {"finite", "infinite", "number", "notanumber", "normal", "subnormal"};
  bool known = false;
  for (int k = 0; k < 6; ++k)
    if (b.take(names[k])) b.i.sub = static_cast<uint8_t>(k), known = true;
  if (!known) b.unsupported();
  const Type t = b.i.t = b.needType();
  b.want = {Build::Predicate, slotBytes(t)};
  b.i.cls = floatClass(t);
  b.i.fn = t == Type::F32 ? testp<float> : t == Type::F64 ? testp<double> : nullptr;
}

}  // namespace

void buildFloatCompare(Build& b, Type t) {
  b.i.ftz = b.take("ftz");
  b.i.cls = floatClass(t);
  b.i.fn = t == Type::F32                       ? compareHandler<float>
           : t == Type::F64                     ? compareHandler<double>
           : t == Type::F16 || t == Type::F16x2 ? compareSmall<false>
                                                : compareSmall<true>;
}

void buildFloatArithmetic(Build& b, Type t) {
  const std::string& n = b.words[0];
  Ins& i = b.i;
  i.t = t;
  if (!isFloat(t) || t == Type::TF32) b.unsupported();
  i.cls = floatClass(t);
  i.ftz = b.take("ftz");
  i.sat = b.take("sat");
  i.relu = b.take("relu");
  i.nan = b.take("NaN");
  i.rnd = b.takeRounding(Rnd::None);
  if (b.take("xorsign")) {
    if (!b.take("abs")) b.unsupported();
    i.xorsign = true;
  }
  if (isHalf(t) && i.rnd != Rnd::None && i.rnd != Rnd::RN)
    b.unsupported("half arithmetic rounds to nearest");
  const int s = slotBytes(t);
  b.want = {s, s, s};
  if (n == "add")
    i.fn = arithmeticHandler<kAdd>(t, i);
  else if (n == "sub")
    i.fn = arithmeticHandler<kSub>(t, i);
  else if (n == "mul")
    i.fn = arithmeticHandler<kMul>(t, i);
  else if (n == "fma" || n == "mad") {
    b.want.push_back(s);
    i.fn = arithmeticHandler<kFma>(t, i);
  } else if (n == "div") {
    b.take("approx");
    b.take("full");
    i.fn = arithmeticHandler<kDiv>(t, i);
  } else if (n == "min" || n == "max") {
    i.sub = n == "min" ? kMin : kMax;
    i.fn = t == Type::F32   ? minMax<float>
           : t == Type::F64 ? minMax<double>
           : n == "min"     ? halfHandler<kMin>(t, i)
                            : halfHandler<kMax>(t, i);
    if (isHalf(t) && i.xorsign) b.unsupported(".xorsign of halves");
  } else if (n == "abs" || n == "neg") {
    b.want = {s, s};
    i.sub = n == "neg" ? kNeg : kAbs;
    i.fn = s == 8 ? signBit<uint64_t> : signBit<uint32_t>;
  } else {
    b.unsupported();
  }
}

const OpTable& floatOps() {
  static const OpTable table = {
      {"fma", buildFma},   {"rcp", buildMath},          {"sqrt", buildMath},  {"rsqrt", buildMath},
      {"ex2", buildMath},  {"lg2", buildMath},          {"sin", buildMath},   {"cos", buildMath},
      {"tanh", buildMath}, {"copysign", buildCopysign}, {"testp", buildTestp}};
  return table;
}

}  // namespace ptxvm
