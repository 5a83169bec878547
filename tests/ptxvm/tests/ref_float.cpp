// SPDX-License-Identifier: MIT
#include "ref_float.hpp"

#include <cfenv>
#include <cmath>
#include <cstring>
#include <vector>

namespace {

struct Table {
  std::vector<double>
      values;  // of the non-negative codes 0, 1, 2, ...; then what comes after the largest one
  uint32_t signBit, nan, largest;
  bool infinity;
};
double decode(RefFormat f, uint32_t code) {
  const int mantissa = f == kRefHalf || f == kRefTf32 ? 10
                       : f == kRefBfloat              ? 7
                       : f == kRefE4M3                ? 3
                                                      : 2;
  const int bias = f == kRefHalf || f == kRefE5M2 ? 15 : f == kRefE4M3 ? 7 : 127;
  const int e = static_cast<int>(code >> mantissa),
            m = static_cast<int>(code & ((1u << mantissa) - 1));
  return e == 0 ? std::ldexp(m, 1 - bias - mantissa)
                : std::ldexp((1 << mantissa) + m, e - bias - mantissa);
}
const Table& table(RefFormat f) {
  static Table tables[5];
  Table& t = tables[f];
  if (t.values.empty()) {
    t.infinity = f != kRefE4M3;
    t.largest = f == kRefHalf     ? 0x7bff
                : f == kRefBfloat ? 0x7f7f
                : f == kRefE4M3   ? 0x7e
                : f == kRefE5M2   ? 0x7b
                                  : 0x3fbff;
    t.signBit = f == kRefHalf || f == kRefBfloat ? 0x8000 : f == kRefTf32 ? 0x40000 : 0x80;
    t.nan = f == kRefHalf || f == kRefBfloat ? 0x7fff : f == kRefTf32 ? 0x3ffff : 0x7f;
    for (uint32_t c = 0; c <= t.largest + 1; ++c) t.values.push_back(decode(f, c));
  }
  return t;
}

// The code whose value is the rounded magnitude of x; x is given exactly.
template <class Real>
uint32_t roundMagnitude(const Table& t, Real x, bool negative, char rnd) {
  uint32_t lo = 0, hi = t.largest + 1;
  if (x >= Real(t.values[hi]))
    return rnd == 'n' || rnd == 'a' || (rnd == 'p' && !negative) || (rnd == 'm' && negative)
               ? hi
               : t.largest;
  while (hi - lo > 1) {
    const uint32_t mid = (lo + hi) / 2;
    (Real(t.values[mid]) <= x ? lo : hi) = mid;
  }
  const Real below = x - Real(t.values[lo]), above = Real(t.values[hi]) - x;
  if (below == 0) return lo;
  switch (rnd) {
    case 'z':
      return lo;
    case 'm':
      return negative ? hi : lo;
    case 'p':
      return negative ? lo : hi;
    case 'a':
      return below >= above ? hi : lo;
    default:
      return below > above || (below == above && (lo & 1)) ? hi : lo;
  }
}
template <class Real>
uint32_t roundReal(RefFormat f, Real x, bool negative, char rnd, bool satfinite) {
  const Table& t = table(f);
  uint32_t code = roundMagnitude(t, negative ? -x : x, negative, rnd);
  if (code > t.largest) code = satfinite ? t.largest : t.infinity ? code : t.nan;
  return code == t.nan ? code : code | (negative ? t.signBit : 0);
}
float flush(float v) { return std::fpclassify(v) == FP_SUBNORMAL ? std::copysign(0.0f, v) : v; }
float f32(uint32_t u) {
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}
double f64(uint64_t u) {
  double f;
  std::memcpy(&f, &u, 8);
  return f;
}
void direction(char rnd) {
  std::fesetround(rnd == 'z'   ? FE_TOWARDZERO
                  : rnd == 'm' ? FE_DOWNWARD
                  : rnd == 'p' ? FE_UPWARD
                               : FE_TONEAREST);
}
template <class T>
T hostOp(char op, T a, T b, T c, char rnd) {
  volatile T x = a, y = b, z = c, r = 0;
  direction(rnd);
  switch (op) {
    case '+':
      r = x + y;
      break;
    case '-':
      r = x - y;
      break;
    case '*':
      r = x * y;
      break;
    case '/':
      r = x / y;
      break;
    case 'f':
      r = std::fma(static_cast<T>(x), static_cast<T>(y), static_cast<T>(z));
      break;
    default:
      r = std::sqrt(static_cast<T>(x));
      break;
  }
  direction('n');
  return r;
}

}  // namespace

double refValue(RefFormat f, uint32_t code) {
  const Table& t = table(f);
  const bool negative = code & t.signBit;
  const uint32_t magnitude = code & (t.signBit - 1);
  double v = magnitude <= t.largest                     ? t.values[magnitude]
             : t.infinity && magnitude == t.largest + 1 ? INFINITY
                                                        : NAN;
  return negative ? -v : v;
}

uint32_t refRound(RefFormat f, double x, char rnd, bool satfinite) {
  const Table& t = table(f);
  if (std::isnan(x)) return t.nan;
  if (std::isinf(x))
    return (satfinite ? t.largest : t.infinity ? t.largest + 1 : t.nan) | (x < 0 ? t.signBit : 0);
  return roundReal(f, x, std::signbit(x), rnd, satfinite);
}

uint32_t refSmall(RefFormat f, char op, uint32_t a, uint32_t b, uint32_t c) {
  const double x = refValue(f, a), y = refValue(f, b), z = refValue(f, c);
  const double rough = op == '+' ? x + y : op == '-' ? x - y : op == '*' ? x * y : x * y + z;
  const Table& t = table(f);
  if (std::isnan(rough)) return t.nan;
  if (std::isinf(rough)) return (t.largest + 1) | (rough < 0 ? t.signBit : 0);
  // 113 bits hold every half result exactly. With bfloat16 one addend may be so much smaller that
  // it would be lost; only its sign matters then, so it is brought closer first.
  auto exactOp = [&]() -> __float128 {
    if (op == '*') return (__float128)x * y;
    __float128 p = op == 'f' ? (__float128)x * y : (__float128)x, q = op == 'f'   ? z
                                                                      : op == '-' ? -y
                                                                                  : y;
    auto size = [](__float128 v) { return v < 0 ? -v : v; };
    const __float128 far = 0x1p-60;
    if (p != 0 && q != 0 && size(q) < size(p) * far) q = q < 0 ? -size(p) * far : size(p) * far;
    if (p != 0 && q != 0 && size(p) < size(q) * far) p = p < 0 ? -size(q) * far : size(q) * far;
    return p + q;
  };
  const __float128 exact = exactOp();
  if (exact == 0) return std::signbit(rough) ? t.signBit : 0;
  return roundReal(f, exact, exact < 0, 'n', false);
}

uint32_t refF32(char op, uint32_t a, uint32_t b, uint32_t c, char rnd, bool ftz, bool sat) {
  float x = f32(a), y = f32(b), z = f32(c);
  if (ftz) x = flush(x), y = flush(y), z = flush(z);
  float r = hostOp(op, x, y, z, rnd);
  if (ftz) r = flush(r);
  if (sat) r = std::isnan(r) || r <= 0 ? 0.0f : r > 1 ? 1.0f : r;
  if (std::isnan(r)) return 0x7fffffff;
  uint32_t u;
  std::memcpy(&u, &r, 4);
  return u;
}
uint64_t refF64(char op, uint64_t a, uint64_t b, uint64_t c, char rnd) {
  const double r = hostOp(op, f64(a), f64(b), f64(c), rnd);
  uint64_t u;
  std::memcpy(&u, &r, 8);
  return std::isnan(r) ? 0x7fffffffffffffffull : u;
}

uint64_t refFloatToInt(double x, bool sourceF64, int bits, bool isSigned, char rnd) {
  const uint64_t keep = bits == 64 ? ~0ull : (1ull << bits) - 1;
  if (std::isnan(x)) return sourceF64 || bits == 64 ? 1ull << (bits - 1) : 0;
  __float128 v = rnd == 'n'   ? std::nearbyint(x)
                 : rnd == 'm' ? std::floor(x)
                 : rnd == 'p' ? std::ceil(x)
                              : std::trunc(x);
  const __float128 one = 1,
                   top = isSigned ? one * (1ull << (bits - 1)) : one * (1ull << (bits - 1)) * 2;
  const __float128 low = isSigned ? -top : 0;
  if (v < low) v = low;
  if (v >= top) v = top - 1;
  return (v < 0 ? static_cast<uint64_t>(static_cast<__int128>(v))
                : static_cast<uint64_t>(static_cast<unsigned __int128>(v))) &
         keep;
}

uint64_t refIntToFloat(int64_t s, uint64_t u, bool isSigned, int kind, char rnd) {
  if (kind == 2) {
    const __float128 v = isSigned ? static_cast<__float128>(s) : static_cast<__float128>(u);
    if (v == 0) return 0;
    return roundReal(kRefHalf, v, v < 0, rnd, false);
  }
  direction(rnd);
  volatile int64_t vs = s;
  volatile uint64_t vu = u;
  volatile float f = 0;
  volatile double d = 0;
  if (kind == 0)
    f = isSigned ? static_cast<float>(vs) : static_cast<float>(vu);
  else
    d = isSigned ? static_cast<double>(vs) : static_cast<double>(vu);
  direction('n');
  if (kind == 0) {
    const float r = f;
    uint32_t b;
    std::memcpy(&b, &r, 4);
    return b;
  }
  const double r = d;
  uint64_t b;
  std::memcpy(&b, &r, 8);
  return b;
}
