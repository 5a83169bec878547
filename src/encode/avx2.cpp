// SPDX-License-Identifier: MIT
// The AVX2 encode kernels. Each equals its scalar counterpart bit for bit.
#include "encode/kernels.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>
#include <limits>

#include "ecco/detail/index_of_least.hpp"

#include "isa/target_avx2_begin.hpp"

namespace ecco {
namespace {

inline __m256i load(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }
inline void store(void* at, __m256i value) {
  _mm256_storeu_si256(static_cast<__m256i*>(at), value);
}
inline std::int64_t sum_of_64(__m256i v) {
  const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  return _mm_cvtsi128_si64(two) + _mm_extract_epi64(two, 1);
}

// ---- quantities of the block's values

inline float greatest_of(__m256 v) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

/// As rd::scalar::sum_of_lanes.
inline double sum_of_lanes(const __m256d (&lane)[2]) {
  const __m256d pairs = _mm256_add_pd(lane[0], lane[1]);  // lanes 0 + 4, 1 + 5, 2 + 6, 3 + 7
  const __m128d both = _mm_add_pd(_mm256_castpd256_pd128(pairs), _mm256_extractf128_pd(pairs, 1));
  return _mm_cvtsd_f64(_mm_add_sd(both, _mm_unpackhi_pd(both, both)));
}

rd::Measure measure(const float* values) noexcept {
  __m256d squares[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
  __m256d magnitudes[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
  const __m256d sign = _mm256_set1_pd(-0.0);
  __m256 least = _mm256_setzero_ps();
  __m256 greatest = _mm256_setzero_ps();
  for (int i = 0; i < kGroup; i += 8) {
    const __m256 v = _mm256_loadu_ps(values + i);
    least = _mm256_min_ps(least, v);
    greatest = _mm256_max_ps(greatest, v);
    const __m256d half[2] = {_mm256_cvtps_pd(_mm256_castps256_ps128(v)),
                             _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1))};
    for (int h = 0; h < 2; ++h) {
      squares[h] = _mm256_fmadd_pd(half[h], half[h], squares[h]);  // the square is exact
      magnitudes[h] = _mm256_add_pd(magnitudes[h], _mm256_andnot_pd(sign, half[h]));
    }
  }
  rd::Measure out;
  out.sum_of_squares = sum_of_lanes(squares);
  out.sum_of_magnitudes = sum_of_lanes(magnitudes);
  out.low = greatest_of(_mm256_sub_ps(_mm256_setzero_ps(), least));
  out.high = greatest_of(greatest);
  return out;
}

inline __m256i quantize_eight(const float* values, __m256 factor) {
  const __m256 most = _mm256_set1_ps(static_cast<float>(rd::kMaxTarget));
  const __m256 product = _mm256_mul_ps(_mm256_loadu_ps(values), factor);
  const __m256 least = _mm256_sub_ps(_mm256_setzero_ps(), most);
  return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(product, least), most));
}

void quantize(const float* values, float inverse, std::int16_t* targets) noexcept {
  const __m256 factor = _mm256_set1_ps(inverse);
  for (int i = 0; i < kGroup; i += 16) {
    const __m256i packed = _mm256_packs_epi32(quantize_eight(values + i, factor),
                                              quantize_eight(values + i + 8, factor));
    store(targets + i, _mm256_permute4x64_epi64(packed, 0xd8));
  }
}

// ---- envelope lines

/// Bytes of a table of 16 * kTables entries, looked up by 32 indices below 16 * kTables.
template <int kTables>
struct ByteTable {
  __m256i part[kTables];

  explicit ByteTable(const void* bytes) {
    for (int i = 0; i < kTables; ++i) {
      part[i] =
          _mm256_broadcastsi128_si256(_mm_load_si128(static_cast<const __m128i*>(bytes) + i));
    }
  }
  __m256i operator[](__m256i index) const {
    if constexpr (kTables == 1) return _mm256_shuffle_epi8(part[0], index);
    __m256i out = _mm256_setzero_si256();
    for (int i = 0; i < kTables; ++i) {
      // Indices of other parts get their top bit set, and so look up zero.
      const __m256i own =
          _mm256_adds_epu8(_mm256_sub_epi8(index, _mm256_set1_epi8(static_cast<char>(16 * i))),
                           _mm256_set1_epi8(0x70));
      out = _mm256_or_si256(out, _mm256_shuffle_epi8(part[i], own));
    }
    return out;
  }
};

/// Lines of 2 * kPairs vectors of 16 targets, as bytes: line[i] holds those of the first and
/// second vector of pair i, whose lower eight elements fill its lower half.
template <int kPairs>
inline void find_lines(const std::int16_t* targets, const rd::Rung& rung, __m256i* line) {
  __m256i t[2 * kPairs];
  __m256i count[2 * kPairs];
  for (int i = 0; i < 2 * kPairs; ++i) {
    t[i] = load(targets + 16 * i);
    count[i] = _mm256_setzero_si256();
  }
  for (std::size_t k = 0; k + 1 < static_cast<std::size_t>(rung.size); ++k) {
    const __m256i limit = _mm256_set1_epi32(rung.threshold[k]);
    for (int i = 0; i < 2 * kPairs; ++i) {
      count[i] = _mm256_sub_epi16(count[i], _mm256_cmpgt_epi16(t[i], limit));
    }
  }
  for (int i = 0; i < kPairs; ++i) line[i] = _mm256_packus_epi16(count[2 * i], count[2 * i + 1]);
}

/// Differences of two vectors of targets to their centroids, which are bytes in the order of
/// find_lines.
struct Differences {
  __m256i first;
  __m256i second;

  Differences(const std::int16_t* targets, __m256i centroids) {
    const __m256i zero = _mm256_setzero_si256();
    static_assert(rd::kFraction == 32);
    const __m256i low = _mm256_srai_epi16(_mm256_unpacklo_epi8(zero, centroids), 3);
    const __m256i high = _mm256_srai_epi16(_mm256_unpackhi_epi8(zero, centroids), 3);
    first = _mm256_sub_epi16(load(targets), low);
    second = _mm256_sub_epi16(load(targets + 16), high);
  }
};

/// Sums of the bytes of both 128-bit halves.
inline std::array<int, 2> sums_of_halves(__m256i bytes) {
  const __m256i sums = _mm256_sad_epu8(bytes, _mm256_setzero_si256());
  const __m256i both = _mm256_add_epi64(sums, _mm256_unpackhi_epi64(sums, sums));
  return {_mm_cvtsi128_si32(_mm256_castsi256_si128(both)),
          _mm_cvtsi128_si32(_mm256_extracti128_si256(both, 1))};
}

template <int kTables>
rd::Cost evaluate(const std::int16_t* targets, const rd::Rung& rung) noexcept {
  const ByteTable<kTables> centroids(rung.centroid.data());
  const ByteTable<kTables> bits(rung.bits.data());
  __m256i error = _mm256_setzero_si256();  // 32 bits hold 16 squares of at most 12127, unsigned
  __m256i used = _mm256_setzero_si256();
  for (int i = 0; i < kGroup; i += 64) {
    __m256i line[2];
    find_lines<2>(targets + i, rung, line);
    for (int pair = 0; pair < 2; ++pair) {
      const Differences d(targets + i + 32 * pair, centroids[line[pair]]);
      error = _mm256_add_epi32(error, _mm256_add_epi32(_mm256_madd_epi16(d.first, d.first),
                                                       _mm256_madd_epi16(d.second, d.second)));
      used = _mm256_add_epi8(used, bits[line[pair]]);
    }
  }
  const __m256i even = _mm256_and_si256(error, _mm256_set1_epi64x(0xffffffff));
  return {sum_of_64(_mm256_add_epi64(even, _mm256_srli_epi64(error, 32))), sums_of_halves(used)};
}

/// Sums of the products of eight pairs of unsigned 32-bit lanes, in four 64-bit lanes.
inline __m256i sums_of_products(__m256i a, __m256i b) {
  return _mm256_add_epi64(_mm256_mul_epu32(a, b),
                          _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32)));
}

/// Sums of weight * d * d of 16 elements, in four 64-bit lanes.
inline __m256i weighted_squares(__m256i d, __m256i weights) {
  const __m256i low = _mm256_mullo_epi16(d, d);
  const __m256i high = _mm256_mulhi_epi16(d, d);
  const __m256i zero = _mm256_setzero_si256();
  return _mm256_add_epi64(
      sums_of_products(_mm256_unpacklo_epi16(low, high), _mm256_unpacklo_epi16(weights, zero)),
      sums_of_products(_mm256_unpackhi_epi16(low, high), _mm256_unpackhi_epi16(weights, zero)));
}

template <int kTables>
rd::Cost evaluate_weighted(const std::int16_t* targets, const rd::GroupRungs& rungs,
                           const rd::BlockWeights& weights) noexcept {
  __m256i error = _mm256_setzero_si256();
  __m256i used[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  for (std::size_t g = 0; g < rungs.size(); ++g) {
    const rd::Rung& rung = *rungs[g];
    const __m256i t = load(targets + 16 * g);
    __m256i count = _mm256_setzero_si256();
    for (std::size_t k = 0; k + 1 < static_cast<std::size_t>(rung.size); ++k) {
      count = _mm256_sub_epi16(count, _mm256_cmpgt_epi16(t, _mm256_set1_epi32(rung.threshold[k])));
    }
    // 16-bit lanes: the upper byte of an index is 0, and entry 0 there is masked off.
    const __m256i low_byte = _mm256_set1_epi16(0x00ff);
    const __m256i c = ByteTable<kTables>(rung.centroid.data())[count];
    const __m256i centroid = _mm256_srai_epi16(_mm256_slli_epi16(c, 8), 3);
    const __m256i d = _mm256_sub_epi16(t, centroid);
    error = _mm256_add_epi64(error, weighted_squares(d, load(weights.weight.data() + 16 * g)));
    const __m256i bits = _mm256_and_si256(ByteTable<kTables>(rung.bits.data())[count], low_byte);
    for (std::size_t h = 0; h < 2; ++h) {
      const __m256i mask = _mm256_cvtepi8_epi16(
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights.half_mask[h].data() + 16 * g)));
      used[h] = _mm256_add_epi8(used[h], _mm256_and_si256(bits, mask));
    }
  }
  const std::array<int, 2> low = sums_of_halves(used[0]);
  const std::array<int, 2> high = sums_of_halves(used[1]);
  return {sum_of_64(error), {low[0] + low[1], high[0] + high[1]}};
}

template <int kTables>
void decide(const std::int16_t* targets, const rd::GroupRungs& rungs,
            std::uint8_t* ranks) noexcept {
  for (std::size_t g = 0; g < rungs.size(); g += 2) {
    __m256i line[1];
    if (rungs[g] == rungs[g + 1]) {
      find_lines<1>(targets + 16 * g, *rungs[g], line);
      const ByteTable<kTables> table(rungs[g]->rank.data());
      store(ranks + 16 * g, _mm256_permute4x64_epi64(table[line[0]], 0xd8));
      continue;
    }
    alignas(32) std::uint8_t both[32];
    for (std::size_t i = 0; i < 2; ++i) {
      find_lines<1>(targets + 16 * g, *rungs[g + i], line);
      const ByteTable<kTables> table(rungs[g + i]->rank.data());
      store(both, _mm256_permute4x64_epi64(table[line[0]], 0xd8));
      std::memcpy(ranks + 16 * (g + i), both + 16 * i, 16);
    }
  }
}

// ---- packing

__extension__ using Wide = unsigned __int128;

/// Tail bits of a half, in the order of its stack: the first chunk lowest (low half) ...
inline Wide low_stack(const std::uint64_t (&mask)[4]) {
  const int n1 = static_cast<int>(_mm_popcnt_u64(mask[0]));
  const int n2 = static_cast<int>(_mm_popcnt_u64(mask[1]));
  return Wide{_pext_u64(mask[1], mask[0])} | Wide{_pext_u64(mask[2], mask[1])} << n1 |
         Wide{_pext_u64(mask[3], mask[2])} << (n1 + n2);
}
/// ... or highest (high half).
inline Wide high_stack(const std::uint64_t (&mask)[4]) {
  const int m1 = kTailBits - static_cast<int>(_mm_popcnt_u64(mask[0]));
  const int m2 = m1 - static_cast<int>(_mm_popcnt_u64(mask[1]));
  const int m3 = m2 - static_cast<int>(_mm_popcnt_u64(mask[2]));
  return Wide{_pext_u64(mask[1], mask[0])} << m1 | Wide{_pext_u64(mask[2], mask[1])} << m2 |
         Wide{_pext_u64(mask[3], mask[2])} << m3;
}

template <int R>
void pack(const std::uint8_t* ranks, std::uint8_t pattern, std::uint8_t code,
          std::uint8_t* block) noexcept {
  __m128i mask[4] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(),
                     _mm_setzero_si128()};
  __m128i plane[R + 1];
  for (int m = 0; m < R; ++m) plane[m] = _mm_setzero_si128();
  const __m128i one = _mm_set1_epi8(1);
  for (int i = 0; i < 8; ++i) {
    const __m128i rank = _mm_loadu_si128(reinterpret_cast<const __m128i*>(ranks + 16 * i));
    const __m128i bit = _mm_slli_epi16(one, i);
    for (int t = 0; t < 4; ++t) {
      const __m128i above =
          _mm_cmpgt_epi8(rank, _mm_set1_epi8(static_cast<char>(((t + 1) << R) - 1)));
      mask[t] = _mm_or_si128(mask[t], _mm_and_si128(above, bit));
    }
    for (int m = 0; m < R; ++m) {
      const __m128i lowest = _mm_and_si128(_mm_srli_epi16(rank, R - 1 - m), one);
      plane[m] = _mm_or_si128(plane[m], _mm_slli_epi16(lowest, i));
    }
  }
  std::uint64_t low[4];
  std::uint64_t high[4];
  for (int t = 0; t < 4; ++t) {
    low[t] = static_cast<std::uint64_t>(_mm_cvtsi128_si64(mask[t]));
    high[t] = static_cast<std::uint64_t>(_mm_extract_epi64(mask[t], 1));
  }
  const Wide head =
      (low_stack(low) | high_stack(high)) << 16 | static_cast<unsigned>(pattern | code << 8);
  std::memcpy(block, &head, 16);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(block + 16), mask[0]);
  for (int m = 0; m < R; ++m) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(block + 32 + 16 * m), plane[m]);
  }
}

// ---- the shortlist

void features(const std::int16_t* bins, const std::int16_t* basis, Features& out) noexcept {
  alignas(32) std::int16_t place[kGroup];
  const __m256i middle = _mm256_set1_epi16(kScoreBins / 2);
  const __m256i last = _mm256_set1_epi16(kScoreBins - 1);
  for (int i = 0; i < kGroup; i += 16) {
    const __m256i bin = _mm256_add_epi16(load(bins + i), middle);
    store(place + i, _mm256_min_epi16(_mm256_max_epi16(bin, _mm256_setzero_si256()), last));
  }
  static_assert(kScoreRank == 32);
  __m256i low = _mm256_setzero_si256();
  __m256i high = _mm256_setzero_si256();
  for (const std::int16_t bin : place) {
    const std::int16_t* row = basis + bin * kScoreRank;
    low = _mm256_adds_epi16(low, load(row));
    high = _mm256_adds_epi16(high, load(row + 16));
  }
  store(out.data(), low);
  store(out.data() + 16, high);
}

void scores(const Features* features_of, const std::int32_t* bias, const std::int16_t* factors,
            int candidates, std::int32_t* keys) noexcept {
  constexpr std::size_t kList = kScoreRank * 8;  // factors of eight candidates at one lambda
  std::int32_t pairs[kScoreBatch][kScoreRank / 2];
  std::memcpy(pairs, features_of, sizeof(pairs));
  const __m256i index_bits = _mm256_set1_epi32(3);
  for (int c = 0; c < candidates; c += 16) {
    __m256i greatest[kScoreBatch][2];
    for (int b = 0; b < kScoreBatch; ++b) {
      greatest[b][0] = greatest[b][1] =
          _mm256_set1_epi32(std::numeric_limits<std::int32_t>::min());
    }
    for (int l = 0; l < kScoreLambdas; ++l) {
      const std::int32_t* first_bias = bias + 8 * l;
      __m256i sum[kScoreBatch][2];
      for (int b = 0; b < kScoreBatch; ++b) {
        sum[b][0] = load(first_bias);
        sum[b][1] = load(first_bias + 8 * kScoreLambdas);
      }
      const std::int16_t* factor = factors + kList * static_cast<std::size_t>(l);
      for (std::size_t r = 0; r < kScoreRank / 2; ++r, factor += 16) {
        const __m256i f0 = load(factor);
        const __m256i f1 = load(factor + kList * kScoreLambdas);
        for (int b = 0; b < kScoreBatch; ++b) {
          const __m256i pair = _mm256_set1_epi32(pairs[b][r]);
          sum[b][0] = _mm256_add_epi32(sum[b][0], _mm256_madd_epi16(f0, pair));
          sum[b][1] = _mm256_add_epi32(sum[b][1], _mm256_madd_epi16(f1, pair));
        }
      }
      const __m256i index = _mm256_set1_epi32(l);
      for (int b = 0; b < kScoreBatch; ++b) {
        for (int i = 0; i < 2; ++i) {
          const __m256i key = _mm256_or_si256(_mm256_andnot_si256(index_bits, sum[b][i]), index);
          greatest[b][i] = _mm256_max_epi32(greatest[b][i], key);
        }
      }
    }
    for (int b = 0; b < kScoreBatch; ++b) {
      store(keys + b * candidates + c, greatest[b][0]);
      store(keys + b * candidates + c + 8, greatest[b][1]);
    }
    bias += 16 * kScoreLambdas;
    factors += 2 * kList * kScoreLambdas;
  }
}

inline std::int32_t least_of_group(const std::int32_t* keys) {
  __m256i least = load(keys);
  for (int i = 8; i < kScoreGroup; i += 8) least = _mm256_min_epi32(least, load(keys + i));
  __m128i m = _mm_min_epi32(_mm256_castsi256_si128(least), _mm256_extracti128_si256(least, 1));
  m = _mm_min_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_min_epi32(m, _mm_shuffle_epi32(m, 0xb1));
  return _mm_cvtsi128_si32(m);
}

inline int find_in_group(const std::int32_t* keys, std::int32_t key) {
  const __m256i wanted = _mm256_set1_epi32(key);
  for (int i = 0; i < kScoreGroup; i += 8) {
    const __m256i equal = _mm256_cmpeq_epi32(load(keys + i), wanted);
    const int found = _mm256_movemask_ps(_mm256_castsi256_ps(equal));
    if (found != 0) return i + __builtin_ctz(static_cast<unsigned>(found));
  }
  return 0;
}

void select(std::int32_t* keys, int candidates, int count, std::int16_t* indices,
            std::int32_t* selected_keys) noexcept {
  std::int32_t least[kMaxCandidates / kScoreGroup];
  const int groups = candidates / kScoreGroup;
  for (int g = 0; g < groups; ++g) least[g] = least_of_group(keys + g * kScoreGroup);
  for (int k = 0; k < count; ++k) {
    const int group = detail::index_of_least(groups, [&](int g) { return least[g]; });
    std::int32_t* const at = keys + group * kScoreGroup;
    const int index = find_in_group(at, least[group]);
    selected_keys[k] = least[group];
    indices[k] = static_cast<std::int16_t>(group * kScoreGroup + index);
    at[index] = std::numeric_limits<std::int32_t>::max();
    least[group] = least_of_group(at);
  }
}

}  // namespace

}  // namespace ecco

#include "isa/target_avx2_end.hpp"

namespace ecco {
namespace {

template <int R>
constexpr rd::Kernels search_kernels() {
  constexpr int kTables = ((kClasses << R) + 15) / 16;
  return {measure,         quantize, evaluate<kTables>, evaluate_weighted<kTables>,
          decide<kTables>, pack<R>};
}

}  // namespace

EncodeKernels avx2_encode_kernels() noexcept {
  return {{search_kernels<0>(), search_kernels<1>(), search_kernels<2>(), search_kernels<3>()},
          features,
          scores,
          select};
}

}  // namespace ecco
#else
namespace ecco {

EncodeKernels avx2_encode_kernels() noexcept { return {}; }

}  // namespace ecco
#endif
