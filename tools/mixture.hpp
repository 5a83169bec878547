// SPDX-License-Identifier: MIT
// Random blocks of weights that come out the same on every machine.
//
// The generators of <random> and the functions of <cmath> differ between standard libraries in
// their last bits. So everything here stands on 64-bit integers and on + - * / and sqrt, which
// IEEE 754 rounds exactly; compile it without contraction to fused operations.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>

namespace ecco::tools {

/// SplitMix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// In (0, 1), 53 bits.
  double uniform() { return (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53; }
  double sign() { return (next() >> 63) != 0 ? -1.0 : 1.0; }
  double normal();
  /// Gamma of shape >= 1 (Marsaglia, Tsang 2000).
  double gamma(double shape);
  /// Student's t with `freedom` degrees.
  double student(int freedom);

 private:
  std::uint64_t state_;
};

/// Natural logarithm of a positive normal number, to about 1e-15.
inline double natural_log(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  int exponent = static_cast<int>(bits >> 52) - 1023;
  double mantissa = std::bit_cast<double>((bits & 0xfffffffffffffu) | 0x3ff0000000000000u);
  if (mantissa > 1.4142135623730951) {
    mantissa *= 0.5;
    ++exponent;
  }
  const double z = (mantissa - 1.0) / (mantissa + 1.0);  // log m = 2 artanh z, |z| < 0.172
  double sum = 0.0;
  for (int k = 21; k >= 1; k -= 2) sum = sum * z * z + 1.0 / k;
  return 2.0 * z * sum + exponent * 0.6931471805599453;
}

/// e^x for |x| < 700, to about 1e-15.
inline double exponential(double x) {
  const double turns = x * 1.4426950408889634;
  const int n = static_cast<int>(turns + (turns < 0.0 ? -0.5 : 0.5));
  const double r = x - n * 0.6931471805599453;
  double sum = 1.0;
  for (int k = 14; k >= 1; --k) sum = 1.0 + sum * r / k;
  return sum * std::bit_cast<double>(static_cast<std::uint64_t>(n + 1023) << 52);
}

inline double Random::normal() {  // polar method, one of its two values
  for (;;) {
    const double a = 2.0 * uniform() - 1.0;
    const double b = 2.0 * uniform() - 1.0;
    const double s = a * a + b * b;
    if (s < 1.0 && s > 0.0) return a * std::sqrt(-2.0 * natural_log(s) / s);
  }
}

inline double Random::gamma(double shape) {
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  for (;;) {
    const double x = normal();
    const double root = 1.0 + c * x;
    if (root <= 0.0) continue;
    const double v = root * root * root;
    if (natural_log(uniform()) < 0.5 * x * x + d - d * v + d * natural_log(v)) return d * v;
  }
}

inline double Random::student(int freedom) {
  double squares = 0.0;
  for (int i = 0; i < freedom; ++i) {
    const double x = normal();
    squares += x * x;
  }
  return normal() / std::sqrt(squares / freedom);
}

/// Kinds of blocks of the mixture.
enum class Source : std::uint8_t {
  gaussian,
  laplace,
  student3,
  student4,
  student5,
  student8,
  power,     ///< density ~ exp(-|x|^0.7)
  outliers,  ///< Gaussian with 1..3 values of 5..12 root mean squares
  columns,   ///< Gaussian with log-normal scales of the columns
};

/// Fills a block with values of the source; its scale is log-uniform over one octave, so that the
/// E5M3 scale meets it at every phase.
inline void draw(Source source, Random& random, std::span<float, 128> block) {
  std::array<double, 128> x{};
  for (double& v : x) {
    switch (source) {
      case Source::laplace:
        v = random.sign() * natural_log(random.uniform()) * 0.7071067811865476;
        break;
      case Source::student3:
        v = random.student(3) * 0.5773502691896258;
        break;
      case Source::student4:
        v = random.student(4) * 0.7071067811865476;
        break;
      case Source::student5:
        v = random.student(5) * 0.7745966692414834;
        break;
      case Source::student8:
        v = random.student(8) * 0.8660254037844386;
        break;
      case Source::power:
        v = random.sign() * exponential(natural_log(random.gamma(1.0 / 0.7)) / 0.7) * 0.35;
        break;
      case Source::columns:
        v = random.normal() * exponential(0.5 * random.normal());
        break;
      default:
        v = random.normal();
    }
  }
  if (source == Source::outliers) {
    const auto count = 1 + random.next() % 3;
    for (std::uint64_t i = 0; i < count; ++i) {
      x[random.next() % 128] = random.sign() * (5.0 + 7.0 * random.uniform());
    }
  }
  const double scale = exponential(0.6931471805599453 * random.uniform());
  for (std::size_t e = 0; e < 128; ++e) block[e] = static_cast<float>(scale * x[e]);
}

}  // namespace ecco::tools
