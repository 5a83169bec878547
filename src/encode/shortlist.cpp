// SPDX-License-Identifier: MIT
#include "encode/shortlist.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace ecco {
namespace {

constexpr int kSampleRows = 1024;             // of which the basis is computed
constexpr int kIterations = 12;               // of the subspace iteration
constexpr double kFeatureDeviation = 2048.0;  // of 32767: room for blocks unlike the usual
constexpr double kGreatestFactor = 8191.0;

/// Value at the middle of a bin, over the root mean square.
double bin_value(int bin) { return (bin - kScoreBins / 2) / static_cast<double>(kBinsPerRms); }

/// Weight of a bin in the basis: densities of Student t distributions with 31, 5 and 3 degrees of
/// freedom, of variance 1, and a floor for values far out.
double bin_weight(int bin) {
  const double t = bin_value(bin);
  const double light = 1.0 + t * t / 29.0;
  const double light4 = light * light * light * light;
  const double light16 = light4 * light4 * light4 * light4;
  const double middle = 1.0 + t * t / 3.0;
  const double heavy = 1.0 + t * t;
  return 0.12 / light16 + 0.15 / (middle * middle * middle) + 0.25 / (heavy * heavy) + 1e-6;
}

using Vector = std::array<float, kScoreBins>;

double dot(const Vector& a, const Vector& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  return sum;
}

/// Gram-Schmidt; a vector that vanishes is left zero.
void orthonormalize(std::vector<Vector>& vectors) {
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    const double before = dot(vectors[i], vectors[i]);
    for (int pass = 0; pass < 2; ++pass) {
      for (std::size_t j = 0; j < i; ++j) {
        const auto d = static_cast<float>(dot(vectors[i], vectors[j]));
        for (std::size_t b = 0; b < kScoreBins; ++b) vectors[i][b] -= d * vectors[j][b];
      }
    }
    const double square = dot(vectors[i], vectors[i]);
    const double factor = square > 1e-9 * before ? 1.0 / std::sqrt(square) : 0.0;
    for (float& v : vectors[i]) v = static_cast<float>(static_cast<double>(v) * factor);
  }
}

// The two loops below are nearly all of the preparation, and their bounds are constants; checked
// access by access they would take the sanitizers a hundred times as long.
#if defined(__clang__)
#define ECCO_UNCHECKED __attribute__((no_sanitize("address", "undefined", "coverage")))
#else
#define ECCO_UNCHECKED
#endif

/// out[r] = sum of row[b] * projection[b][r] over the bins in their order, so that vectorising
/// across the coefficients changes nothing.
ECCO_UNCHECKED void project(const float* row, const float* projection, float* out) {
  float sum[kScoreRank] = {};
  for (std::size_t b = 0; b < kScoreBins; ++b) {
    for (std::size_t r = 0; r < kScoreRank; ++r) sum[r] += row[b] * projection[b * kScoreRank + r];
  }
  for (std::size_t r = 0; r < kScoreRank; ++r) out[r] = sum[r];
}

/// basis[r][b] += along[r] * row[b]
ECCO_UNCHECKED void add_outer(const float* along, const float* row, float* basis) {
  for (std::size_t r = 0; r < kScoreRank; ++r) {
    for (std::size_t b = 0; b < kScoreBins; ++b) basis[r * kScoreBins + b] += along[r] * row[b];
  }
}

/// The first kScoreRank principal directions of the rows, by subspace iteration.
std::vector<Vector> principal_directions(const std::vector<Vector>& rows) {
  std::vector<Vector> basis(kScoreRank);
  std::uint32_t state = 1;
  for (Vector& vector : basis) {
    for (float& v : vector) {
      state = state * 1664525u + 1013904223u;
      v = static_cast<float>(state >> 8) * 0x1p-24f - 0.5f;
    }
  }
  orthonormalize(basis);
  std::vector<std::array<float, kScoreRank>> by_bin(kScoreBins);
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    for (std::size_t b = 0; b < kScoreBins; ++b) {
      for (std::size_t r = 0; r < kScoreRank; ++r) by_bin[b][r] = basis[r][b];
    }
    for (Vector& vector : basis) vector.fill(0.0f);
    for (const Vector& row : rows) {
      std::array<float, kScoreRank> along{};
      project(row.data(), by_bin.data()->data(), along.data());
      add_outer(along.data(), row.data(), basis.data()->data());
    }
    orthonormalize(basis);
  }
  return basis;
}

std::int16_t to_int16(double value) {
  return static_cast<std::int16_t>(std::clamp(std::floor(value + 0.5), -32767.0, 32767.0));
}

}  // namespace

void Shortlist::fill_row(const rd::PreparedTable& table, int mantissa, int candidate, int l,
                         Row& row) const {
  constexpr int kBase = 192;  // any code of mantissa 0
  const rd::Ladder& ladder = table.ladders[static_cast<std::size_t>(pattern(candidate))];
  const int code = kBase + mantissa + ladder.scale_offset + distance(candidate);
  const double scale = static_cast<double>(rd::scale_of(code)) /
                       static_cast<double>(rd::scale_of(kBase + mantissa));
  const double step = scale / rd::kFraction;  // of fixed point, over the root mean square
  const double lambda = lambdas_[static_cast<std::size_t>(l)];
  rd::Rung rung;
  const double rung_lambda = std::min(lambda / (step * step) + 0.5, 1e9);
  rd::build_rung(rd::SortedCentroids(mantissa_planes(table.codec), ladder.centroids.data()),
                 static_cast<int>(rung_lambda), 3, rung);
  // The bins of one line of the envelope after the other.
  int bin = 0;
  for (int line = 0; line < rung.size; ++line) {
    const auto i = static_cast<std::size_t>(line);
    const double limit = line + 1 < rung.size ? (rung.limit(line) + 0.5) * step : 1e9;
    const double end = std::floor(limit * static_cast<double>(kBinsPerRms)) + kScoreBins / 2 + 1;
    const int stop = static_cast<int>(std::clamp(end, 0.0, static_cast<double>(kScoreBins)));
    const double centroid = rung.centroid[i] * scale;
    const double rate = lambda * (rung.bits[i] - static_cast<double>(kTailBits) / kGroup);
    for (; bin < stop; ++bin) {
      const double d = bin_value(bin) - centroid;
      row[static_cast<std::size_t>(bin)] = static_cast<float>(d * d + rate);
    }
  }
}

std::vector<Shortlist::Row> Shortlist::sample_rows(const rd::PreparedTable& table) const {
  const int all = 8 * candidates_ * kScoreLambdas;
  const int count = std::min(all, kSampleRows);
  std::vector<Row> rows(static_cast<std::size_t>(count));
  Row mean{};
  for (int i = 0; i < count; ++i) {
    // A stride prime to the number of rows, so that all mantissas and multipliers occur.
    const auto index = static_cast<int>(std::int64_t{i} * 7919 % all);
    Row& row = rows[static_cast<std::size_t>(i)];
    fill_row(table, index % 8, index / 8 % candidates_, index / 8 / candidates_, row);
    for (std::size_t b = 0; b < kScoreBins; ++b) {
      mean[b] += row[b] / static_cast<float>(count);
    }
  }
  for (Row& row : rows) {
    double square = 1e-3;
    for (int bin = 0; bin < kScoreBins; ++bin) {
      const auto b = static_cast<std::size_t>(bin);
      row[b] =
          static_cast<float>(static_cast<double>(row[b] - mean[b]) * std::sqrt(bin_weight(bin)));
      square += static_cast<double>(row[b]) * static_cast<double>(row[b]);
    }
    // Candidates that no block likes count less.
    const auto factor = static_cast<float>(1.0 / std::sqrt(square));
    for (float& v : row) v *= factor;
  }
  return rows;
}

Shortlist::Shortlist(const rd::PreparedTable& table, int neighbours)
    : per_pattern_(2 * neighbours + 1),
      candidates_(table.patterns() * per_pattern_),
      padded_((candidates_ + kScoreGroup - 1) / kScoreGroup * kScoreGroup) {
  const double typical = rd::typical_lambda(mantissa_planes(table.codec));
  for (std::size_t l = 0; l < kScoreLambdas; ++l) {
    constexpr std::array<double, kScoreLambdas> kRatios = {0.2, 0.6, 1.7, 5.0};
    lambdas_[l] = typical * kRatios[l];
  }
  const std::vector<Vector> directions = principal_directions(sample_rows(table));

  // F is projected with the bins' weights and rebuilt without. Features are counted from their
  // mean and in units of their deviation, to make the most of 16 bits.
  Projection projection;
  std::array<double, kScoreRank> mean{};
  std::array<double, kScoreRank> deviation{};
  std::vector<std::array<double, kScoreRank>> exact(kScoreBins);
  double total = 0.0;
  for (int bin = 0; bin < kScoreBins; ++bin) {
    const auto b = static_cast<std::size_t>(bin);
    const double weight = bin_weight(bin);
    const double root = std::sqrt(weight);
    total += weight;
    for (std::size_t r = 0; r < kScoreRank; ++r) {
      const auto direction = static_cast<double>(directions[r][b]);
      projection[b][r] = static_cast<float>(direction * root);
      exact[b][r] = direction / root;
      mean[r] += exact[b][r] * weight;
      deviation[r] += exact[b][r] * exact[b][r] * weight;
    }
  }
  for (std::size_t r = 0; r < kScoreRank; ++r) {
    mean[r] /= total;
    const double variance = std::max(deviation[r] / total - mean[r] * mean[r], 1e-12);
    deviation[r] = std::sqrt(variance * kGroup) / kFeatureDeviation;  // of one step
  }
  basis_.resize(static_cast<std::size_t>(kScoreBins) * kScoreRank);
  for (std::size_t b = 0; b < kScoreBins; ++b) {
    for (std::size_t r = 0; r < kScoreRank; ++r) {
      basis_[b * kScoreRank + r] = to_int16((exact[b][r] - mean[r]) / deviation[r]);
    }
  }

  std::vector<Coefficients> coefficients;
  coefficients.reserve(static_cast<std::size_t>(8 * candidates_) * kScoreLambdas);
  Row row;
  for (int mantissa = 0; mantissa < 8; ++mantissa) {
    for (int c = 0; c < candidates_; ++c) {
      for (int l = 0; l < kScoreLambdas; ++l) {
        fill_row(table, mantissa, c, l, row);
        project(row.data(), projection.data()->data(), coefficients.emplace_back().data());
      }
    }
  }
  store(coefficients, mean, deviation);
}

void Shortlist::store(const std::vector<Coefficients>& coefficients,
                      const std::array<double, kScoreRank>& mean,
                      const std::array<double, kScoreRank>& deviation) {
  const auto per_mantissa = static_cast<std::size_t>(candidates_) * kScoreLambdas;
  // What all candidates of a mantissa share does not rank them.
  std::vector<std::array<double, kScoreRank>> shared(8);
  double greatest = 1e-30;
  for (std::size_t i = 0; i < coefficients.size(); ++i) {
    for (std::size_t r = 0; r < kScoreRank; ++r) {
      shared[i / per_mantissa][r] +=
          static_cast<double>(coefficients[i][r]) / static_cast<double>(per_mantissa);
    }
  }
  for (std::size_t i = 0; i < coefficients.size(); ++i) {
    for (std::size_t r = 0; r < kScoreRank; ++r) {
      const double a = static_cast<double>(coefficients[i][r]) - shared[i / per_mantissa][r];
      greatest = std::max(greatest, std::fabs(a * deviation[r]));
    }
  }
  const double unit = kGreatestFactor / greatest;
  bias_.assign(8 * lists(), 1 << 29);  // padding is never selected before a candidate
  factors_.assign(8 * lists() * kScoreRank, 0);
  for (std::size_t i = 0; i < coefficients.size(); ++i) {
    const std::size_t mantissa = i / per_mantissa;
    const std::size_t c = i % per_mantissa / kScoreLambdas;
    const std::size_t list = mantissa * lists() / 8 + c / 8 * kScoreLambdas + i % kScoreLambdas;
    double bias = 0.0;
    for (std::size_t r = 0; r < kScoreRank; ++r) {
      const double a = static_cast<double>(coefficients[i][r]) - shared[mantissa][r];
      bias += a * mean[r] * kGroup;
      factors_[(list * kScoreRank / 2 + r / 2) * 16 + c % 8 * 2 + r % 2] =
          to_int16(a * deviation[r] * unit);
    }
    bias_[list * 8 + c % 8] =
        static_cast<std::int32_t>(std::clamp(std::floor(bias * unit), -0x1p28, 0x1p28));
  }
}

}  // namespace ecco
