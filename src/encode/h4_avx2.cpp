// SPDX-License-Identifier: MIT
// The AVX2 path of the H4 and A8 encoders. Divisions, products and sums are the
// reference's, one by one; what is parallel here is independent there.
#include "encode/h4_kernels.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "ecco/a8.hpp"
#include "ecco/detail/index_of_least.hpp"

#include "isa/target_avx2_begin.hpp"

namespace ecco {
namespace {

// |x|, and NaN -> 0, infinity -> largest finite.
inline __m256 magnitude(__m256 x) noexcept { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
inline __m256 negated(__m256 x) noexcept { return _mm256_xor_ps(x, _mm256_set1_ps(-0.0f)); }
inline __m256 finite(__m256 x) noexcept {
  const __m256 most = _mm256_set1_ps(std::numeric_limits<float>::max());
  const __m256 number = _mm256_and_ps(x, _mm256_cmp_ps(x, x, _CMP_ORD_Q));
  return _mm256_max_ps(_mm256_min_ps(number, most), negated(most));
}

inline float horizontal_max(__m256 x) noexcept {
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

// ---- Rate-aware search ----

void place_values_avx2(const float* values, int count, float m, std::int16_t* places) {
  const float most = static_cast<float>(h4::detail::kMaxPlace) / (128 * h4::kPlaces);
  const __m256 limit = _mm256_set1_ps(most);
  const auto place = [&](int e) {
    const __m256 quotient = _mm256_div_ps(_mm256_loadu_ps(values + e), _mm256_set1_ps(m));
    const __m256 bounded = _mm256_max_ps(_mm256_min_ps(quotient, limit), negated(limit));
    return _mm256_cvtps_epi32(_mm256_mul_ps(bounded, _mm256_set1_ps(128 * h4::kPlaces)));
  };
  int e = 0;
  for (; e + 16 <= count; e += 16) {
    const __m256i mixed = _mm256_packs_epi32(place(e), place(e + 8));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(places + e),
                        _mm256_permute4x64_epi64(mixed, 0xd8));
  }
  for (; e < count; ++e) places[e] = h4::detail::place_of(values[e], m);
}

inline __m256i load_words(const std::int32_t* from) noexcept {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

// Error and bits of one pair in eight lanes each.
struct PairSums {
  __m256i error;
  __m256i bits;
};

inline PairSums sum_pair(const h4::PlainSums& sums, const h4::PatternSteps& pattern,
                         const h4::CodebookSteps& codebook, const h4::Thresholds& bins) noexcept {
  PairSums out{_mm256_setzero_si256(), _mm256_setzero_si256()};
  for (std::size_t half = 0; half < 16; half += 8) {
    const auto at = [&](std::size_t k) { return sums[static_cast<std::size_t>(bins[half + k])]; };
    const __m256i sum = _mm256_setr_epi32(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7));
    const __m256i count = _mm256_and_si256(sum, _mm256_set1_epi32(255));
    const __m256i places = _mm256_srai_epi32(sum, 8);
    const __m256i squares = load_words(pattern.square_step.data() + half);
    const __m256i twice = load_words(pattern.minus_twice.data() + half);
    out.error = _mm256_add_epi32(out.error, _mm256_add_epi32(_mm256_mullo_epi32(squares, count),
                                                             _mm256_mullo_epi32(twice, places)));
    // Both factors fit 16 bits, so one product of pairs is their product.
    const __m256i lengths = load_words(codebook.length_step.data() + half);
    out.bits = _mm256_add_epi32(out.bits, _mm256_madd_epi16(lengths, count));
  }
  return out;
}

// The error and the bits as two 64-bit integers.
inline __m128i add_lanes(const PairSums& cost) noexcept {
  const __m256i two = _mm256_hadd_epi32(cost.error, cost.bits);  // e e b b, per 128 bits
  const __m256i one = _mm256_hadd_epi32(two, two);               // e b e b
  const __m128i both =
      _mm_add_epi32(_mm256_castsi256_si128(one), _mm256_extracti128_si256(one, 1));
  return _mm_cvtepi32_epi64(both);
}

void score_pairs_avx2(const h4::RateTables& tables, const h4::PlainSums& sums, int rung,
                      h4::Cost* out) {
  const int codebooks = tables.codebooks();
  const h4::Thresholds* bins = &tables.thresholds(0, rung);
  for (int p = 0; p < tables.patterns(); ++p) {
    for (int h = 0; h < codebooks; ++h, ++bins, ++out) {
      const PairSums cost = sum_pair(sums, tables.pattern(p), tables.codebook(h), *bins);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out), add_lanes(cost));
    }
  }
}

h4::Cost evaluate_avx2(const h4::RateTables& tables, const h4::PlainSums& sums, int pair,
                       int rung) {
  const int codebooks = tables.codebooks();
  const PairSums cost = sum_pair(sums, tables.pattern(pair / codebooks),
                                 tables.codebook(pair % codebooks), tables.thresholds(pair, rung));
  h4::Cost out;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(&out), add_lanes(cost));
  return out;
}

// Factors of the sums at each threshold: {places, count, weight, unused} as
// WeightedSum has them.
struct alignas(32) WeightedSteps {
  std::int32_t error[huffman::kSymbols][4];
  explicit WeightedSteps(const h4::PatternSteps& pattern) noexcept {
    for (std::size_t k = 0; k < huffman::kSymbols; ++k) {
      error[k][0] = pattern.minus_twice[k];
      error[k][1] = 0;
      error[k][2] = pattern.square_step[k];
      error[k][3] = 0;
    }
  }
};

// Two thresholds at a time: products of places and weights in the even lanes,
// and the counts, whose products fit 32 bits, in lane 1.
inline h4::Cost weighted_cost(const h4::WeightedSums& sums, const WeightedSteps& steps,
                              const std::int32_t (&lengths)[huffman::kSymbols][4],
                              const h4::Thresholds& bins) noexcept {
  __m256i error = _mm256_setzero_si256();
  __m256i bits = _mm256_setzero_si256();
  const auto sum_at = [&](std::size_t k) {
    return reinterpret_cast<const __m128i*>(&sums[static_cast<std::size_t>(bins[k])]);
  };
  for (std::size_t k = 0; k < huffman::kSymbols; k += 2) {
    const __m256i sum = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_load_si128(sum_at(k))),
                                                _mm_load_si128(sum_at(k + 1)), 1);
    error = _mm256_add_epi64(error, _mm256_mul_epi32(sum, load_words(steps.error[k])));
    bits = _mm256_add_epi32(bits, _mm256_madd_epi16(sum, load_words(lengths[k])));
  }
  const __m128i errors =
      _mm_add_epi64(_mm256_castsi256_si128(error), _mm256_extracti128_si256(error, 1));
  const __m128i lengths_sum =
      _mm_add_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
  return {_mm_cvtsi128_si64(errors) + _mm_extract_epi64(errors, 1),
          _mm_extract_epi32(lengths_sum, 1)};
}

void score_weighted_avx2(const h4::RateTables& tables, const h4::WeightedSums& sums, int rung,
                         h4::Cost* out) {
  const int codebooks = tables.codebooks();
  alignas(32) std::int32_t lengths[h4::kMaxCodebooks][huffman::kSymbols][4] = {};
  for (int h = 0; h < codebooks; ++h) {
    for (std::size_t k = 0; k < huffman::kSymbols; ++k) {
      lengths[h][k][1] = tables.codebook(h).length_step[k];
    }
  }
  const h4::Thresholds* bins = &tables.thresholds(0, rung);
  for (int p = 0; p < tables.patterns(); ++p) {
    const WeightedSteps steps(tables.pattern(p));
    for (int h = 0; h < codebooks; ++h) *out++ = weighted_cost(sums, steps, lengths[h], *bins++);
  }
}

// Symbol by number of thresholds above the value's bin; the last entry, 0,
// never is.
inline std::uint8_t count_thresholds(const h4::Thresholds& bins, int place) noexcept {
  const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bins.data()));
  const auto bin = static_cast<short>(h4::detail::bin_of(place));
  const __m256i above = _mm256_cmpgt_epi16(all, _mm256_set1_epi16(bin));
  const auto mask = static_cast<unsigned>(_mm256_movemask_epi8(above));
  return static_cast<std::uint8_t>(huffman::kSymbols - 1 - std::popcount(mask) / 2);
}

// Sixteen of 16 bits by symbol, of sixteen symbols.
struct WordTable {
  __m256i low;
  __m256i high;

  explicit WordTable(const std::int16_t* words) noexcept {
    const __m256i bytes = _mm256_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15, 0,
                                           2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    const __m256i split =
        _mm256_shuffle_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)), bytes);
    low = _mm256_permute4x64_epi64(split, 0x88);
    high = _mm256_permute4x64_epi64(split, 0xdd);
  }
  [[nodiscard]] __m256i operator[](__m128i symbols) const noexcept {
    const __m256i wide = _mm256_cvtepu8_epi16(symbols);
    // The high bytes of `wide` are 0: the table's first entry comes with them
    // and is masked off.
    const __m256i lows = _mm256_and_si256(_mm256_shuffle_epi8(low, wide), _mm256_set1_epi16(0xff));
    return _mm256_or_si256(lows, _mm256_slli_epi16(_mm256_shuffle_epi8(high, wide), 8));
  }
};

// weight * c * (c - 2 place) of sixteen elements, added to four sums of 64
// bits.
inline __m256i add_errors(__m256i sum, __m256i c, const std::int16_t* places,
                          const std::uint16_t* weights) noexcept {
  const __m256i place = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(places));
  const __m256i weight = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights));
  const __m256i factor = _mm256_sub_epi16(c, _mm256_add_epi16(place, place));
  const __m256i low = _mm256_mullo_epi16(c, factor);
  const __m256i high = _mm256_mulhi_epi16(c, factor);
  const __m256i zero = _mm256_setzero_si256();
  const auto add = [&](__m256i products, __m256i wide) {
    const __m256i even = _mm256_mul_epi32(products, wide);
    const __m256i odd =
        _mm256_mul_epi32(_mm256_srli_epi64(products, 32), _mm256_srli_epi64(wide, 32));
    sum = _mm256_add_epi64(sum, _mm256_add_epi64(even, odd));
  };
  add(_mm256_unpacklo_epi16(low, high), _mm256_unpacklo_epi16(weight, zero));
  add(_mm256_unpackhi_epi16(low, high), _mm256_unpackhi_epi16(weight, zero));
  return sum;
}

h4::Cost assign_symbols_avx2(const h4::RateTables& tables, int pair, const h4::Elements& elements,
                             std::uint8_t* symbols) {
  if (elements.count != kGroup) return h4::assign_symbols(tables, pair, elements, symbols);
  for (int e = 0; e < kGroup; ++e) {
    symbols[e] = count_thresholds(tables.thresholds(pair, elements.rungs[e]), elements.places[e]);
  }
  const h4::CodebookSteps& codebook = tables.codebook(pair % tables.codebooks());
  alignas(32) std::int16_t lengths[huffman::kSymbols];
  std::copy(codebook.length.begin(), codebook.length.end(), lengths);
  const WordTable centroid(tables.pattern(pair / tables.codebooks()).centroid.data());
  const WordTable length(lengths);
  __m256i error = _mm256_setzero_si256();
  __m256i bits = _mm256_setzero_si256();
  for (int e = 0; e < kGroup; e += 16) {
    const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i*>(symbols + e));
    error = add_errors(error, centroid[sixteen], elements.places + e, elements.weights + e);
    bits = _mm256_add_epi16(bits, length[sixteen]);
  }
  alignas(32) std::int64_t errors[4];
  alignas(32) std::int16_t lengths_sum[16];
  _mm256_store_si256(reinterpret_cast<__m256i*>(errors), error);
  _mm256_store_si256(reinterpret_cast<__m256i*>(lengths_sum), bits);
  h4::Cost cost{errors[0] + errors[1] + errors[2] + errors[3], 0};
  for (const std::int16_t sum : lengths_sum) cost.bits += sum;
  return cost;
}

// ---- KV mode, mode faithful ----

// A group on its way.
struct CodedGroup {
  alignas(32) float values[kGroup];
  alignas(32) float quotients[kGroup];
  alignas(32) std::int32_t order[kGroup];  // bits of the magnitudes; -1 once visited
  alignas(32) std::uint8_t symbols[kGroup];
};

// Index of the first element whose key is the largest.
inline int first_largest(const std::int32_t* keys) noexcept {
  const auto at = [&](int i) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(keys + i));
  };
  __m256i most = at(0);
  for (int i = 8; i < kGroup; i += 8) most = _mm256_max_epi32(most, at(i));
  most = _mm256_max_epi32(most, _mm256_permute2x128_si256(most, most, 1));
  most = _mm256_max_epi32(most, _mm256_shuffle_epi32(most, 0x4e));
  most = _mm256_max_epi32(most, _mm256_shuffle_epi32(most, 0xb1));
  for (int i = 0;; i += 8) {
    const int equal = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(at(i), most)));
    if (equal != 0) return i + std::countr_zero(static_cast<unsigned>(equal));
  }
}

inline int choose_pattern(const CodingTables& tables, float least, float greatest) noexcept {
  alignas(32) float distance[kMaxPatterns];
  const std::size_t patterns = tables.patterns.size();
  for (std::size_t p = 0; p < patterns; p += 8) {
    const __m256 low =
        _mm256_sub_ps(_mm256_loadu_ps(tables.lowest.data() + p), _mm256_set1_ps(least));
    const __m256 high =
        _mm256_sub_ps(_mm256_loadu_ps(tables.highest.data() + p), _mm256_set1_ps(greatest));
    _mm256_store_ps(distance + p,
                    _mm256_add_ps(_mm256_mul_ps(low, low), _mm256_mul_ps(high, high)));
  }
  return detail::index_of_least(static_cast<int>(patterns), [&](int p) { return distance[p]; });
}

// Number of boundaries below each of eight quotients.
inline __m256i count_boundaries(__m256 quotients, const CodingTables::Pattern& pattern) noexcept {
  __m256i count = _mm256_setzero_si256();
  for (std::size_t k = 0; k + 1 < h4::kCentroids; ++k) {
    const __m256 above =
        _mm256_cmp_ps(quotients, _mm256_broadcast_ss(&pattern.boundary[k]), _CMP_GT_OQ);
    count = _mm256_sub_epi32(count, _mm256_castps_si256(above));
  }
  return count;
}

// Symbols of 32 quotients, in order.
inline __m256i symbols_of(const float* quotients, const CodingTables::Pattern& pattern) noexcept {
  const auto at = [&](int i) { return count_boundaries(_mm256_load_ps(quotients + i), pattern); };
  const __m256i low = _mm256_packs_epi32(at(0), at(8));
  const __m256i high = _mm256_packs_epi32(at(16), at(24));
  const __m256i mixed = _mm256_packs_epi16(low, high);  // dwords 0 2 4 6 | 1 3 5 7
  const __m256i counts =
      _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  const __m256i symbol = _mm256_broadcastsi128_si256(
      _mm_load_si128(reinterpret_cast<const __m128i*>(pattern.symbol.data())));
  return _mm256_shuffle_epi8(symbol, counts);
}

inline int count_bits(const std::uint8_t* symbols,
                      const CodingTables::Codebook& codebook) noexcept {
  const __m256i lengths = _mm256_broadcastsi128_si256(
      _mm_load_si128(reinterpret_cast<const __m128i*>(codebook.length.data())));
  __m256i sum = _mm256_setzero_si256();
  for (int e = 0; e < kGroup; e += 32) {
    const __m256i some = _mm256_load_si256(reinterpret_cast<const __m256i*>(symbols + e));
    sum = _mm256_add_epi64(
        sum, _mm256_sad_epu8(_mm256_shuffle_epi8(lengths, some), _mm256_setzero_si256()));
  }
  const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  return static_cast<int>(_mm_cvtsi128_si64(two) + _mm_extract_epi64(two, 1));
}

// Appends bits, least significant first, 32 at a time.
class BitWriter {
 public:
  explicit BitWriter(std::uint8_t* out) noexcept : out_(out) {}
  void put(std::uint64_t bits, int count) noexcept {
    held_ |= bits << size_;
    size_ += count;
    if (size_ < 32) return;
    const auto word = static_cast<std::uint32_t>(held_);
    std::memcpy(out_, &word, sizeof(word));
    out_ += sizeof(word);
    held_ >>= 32;
    size_ -= 32;
  }
  // Zeros up to the end of the block.
  void finish(const std::uint8_t* end) noexcept {
    while (out_ < end) put(0, 32 - size_);
  }

 private:
  std::uint8_t* out_;
  std::uint64_t held_ = 0;
  int size_ = 0;
};

// As h4::pad_with_outliers; writes the outliers.
inline void write_outliers(CodedGroup& group, const std::int8_t* centroids, int largest,
                           fp8_e4m3 scale, float tensor_scale, int slots,
                           BitWriter& writer) noexcept {
  const float m = tensor_scale * to_float(scale);
  const auto put = [&](unsigned position, fp8_e4m3 value) {
    writer.put(position | static_cast<unsigned>(value.bits) << 7, h4::kOutlierBits);
  };
  int written = 0;
  unsigned filler_position = static_cast<unsigned>(largest);
  fp8_e4m3 filler = scale;
  for (int visited = 0, e = largest; written < slots; ++visited) {
    const float value = group.values[e];
    const int numerator = h4::symbol_numerator(centroids, group.symbols[e]);
    const float decoded = m * (static_cast<float>(numerator) * 0x1p-7f);
    const fp8_e4m3 code = to_fp8_e4m3(value / tensor_scale);
    if (h4::distance(value, tensor_scale * to_float(code)) < h4::distance(value, decoded)) {
      if (written == 0) {
        filler_position = static_cast<unsigned>(e);
        filler = code;
      }
      put(static_cast<unsigned>(e), code);
      ++written;
    }
    if (visited == kGroup - 1) break;
    group.order[e] = -1;
    e = first_largest(group.order);
  }
  for (; written < slots; ++written) put(filler_position, filler);
}

// Takes 128 values; the index of the largest magnitude.
inline int load_group(const float* values, CodedGroup& group) noexcept {
  for (int e = 0; e < kGroup; e += 8) {
    const __m256 x = finite(_mm256_loadu_ps(values + e));
    _mm256_store_ps(group.values + e, x);
    _mm256_store_si256(reinterpret_cast<__m256i*>(group.order + e),
                       _mm256_castps_si256(magnitude(x)));
  }
  return first_largest(group.order);
}

inline void divide(CodedGroup& group, float m) noexcept {
  for (int e = 0; e < kGroup; e += 8) {
    const __m256 quotient = _mm256_div_ps(_mm256_load_ps(group.values + e), _mm256_set1_ps(m));
    _mm256_store_ps(group.quotients + e, quotient);
  }
}

// What follows the choice of the scale and the pattern, in both modes.
void encode_group(const CodingTables& tables, CodedGroup& group, int largest, fp8_e4m3 scale,
                  int pattern, float tensor_scale, std::uint8_t* block) noexcept {
  const CodingTables::Pattern& prepared = tables.patterns[static_cast<std::size_t>(pattern)];
  for (int e = 0; e < kGroup; e += 32) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(group.symbols + e),
                       symbols_of(group.quotients + e, prepared));
  }
  group.symbols[largest] = h4::kMaxSymbol;

  std::size_t codebook = 0;
  int bits = count_bits(group.symbols, tables.codebooks[0]);
  for (std::size_t h = 1; h < tables.codebooks.size(); ++h) {
    const int others = count_bits(group.symbols, tables.codebooks[h]);
    if (others < bits) {
      bits = others;
      codebook = h;
    }
  }
  const h4::TableView view = tables.view();
  const int slots = h4::outlier_slots(view.header_bits() + bits);
  if (slots < 0) {  // the codes are clipped
    h4::Fields fields{};
    fields.codebook = static_cast<int>(codebook);
    fields.pattern = pattern;
    fields.scale = scale;
    std::memcpy(fields.symbols, group.symbols, kGroup);
    h4::pack(fields, view, block);
    return;
  }
  const int codebook_bits = h4::index_bits(view.codebooks);
  BitWriter writer(block);
  writer.put(codebook | static_cast<unsigned>(pattern) << codebook_bits |
                 static_cast<unsigned>(scale.bits) << (view.header_bits() - 8),
             view.header_bits());
  const std::array<std::uint32_t, 256>& two_codes = tables.codebooks[codebook].two_codes;
  for (int e = 0; e < kGroup; e += 2) {
    const unsigned symbols = group.symbols[e] + 16u * group.symbols[e + 1];
    const std::uint32_t codes = two_codes[symbols];
    writer.put(codes & 0xffffu, static_cast<int>(codes >> 16));
  }
  write_outliers(group, view.pattern(pattern), largest, scale, tensor_scale, slots, writer);
  writer.finish(block + h4::kBlockBits / 8);
}

// Loads a whole group and divides it by its scale; returns where its largest value is, or -1 once
// the block of a group whose scale is 0 is written.
int scale_group(const float* values, float tensor_scale, CodedGroup& group, fp8_e4m3& scale,
                std::uint8_t* block) noexcept {
  const int largest = load_group(values, group);
  scale = to_fp8_e4m3(group.values[largest] / tensor_scale);
  if ((scale.bits & 0x7fu) == 0) {
    std::memset(block, 0, h4::kBlockBits / 8);
    return -1;
  }
  divide(group, tensor_scale * to_float(scale));
  return largest;
}

void encode_kv_avx2(const CodingTables& tables, const float* values, int count, float tensor_scale,
                    std::uint8_t* block) noexcept {
  if (count != kGroup) {
    h4::encode_kv(values, count, tables.view(), tensor_scale, block);
    return;
  }
  CodedGroup group;
  fp8_e4m3 scale;
  const int largest = scale_group(values, tensor_scale, group, scale, block);
  if (largest < 0) return;
  // The extremes of the others: in the largest one's place stands a copy of its
  // neighbour.
  group.quotients[largest] = group.quotients[largest ^ 1];
  __m256 low = _mm256_set1_ps(std::numeric_limits<float>::infinity());
  __m256 minus_high = low;
  for (int e = 0; e < kGroup; e += 8) {
    const __m256 quotient = _mm256_load_ps(group.quotients + e);
    low = _mm256_min_ps(low, quotient);
    minus_high = _mm256_min_ps(minus_high, negated(quotient));
  }
  const int pattern =
      choose_pattern(tables, -horizontal_max(negated(low)), horizontal_max(negated(minus_high)));
  encode_group(tables, group, largest, scale, pattern, tensor_scale, block);
}

// Sums over the values of a cell and those above; integers below 2^53.
struct alignas(16) CellSums {
  double weight;
  double places;
};

// The weights as in h4::least_error_pattern; `largest` weighs nothing.
inline void integer_weights(const float* importance, int largest, std::int32_t* weights) noexcept {
  __m256 most = _mm256_setzero_ps();
  for (int e = 0; importance != nullptr && e < kGroup; e += 8) {
    most = _mm256_max_ps(most, _mm256_loadu_ps(importance + e));
  }
  const float heaviest = horizontal_max(most);
  for (int e = 0; e < kGroup; e += 8) {
    __m256i weight = _mm256_set1_epi32(1);
    if (heaviest > 0.0f) {
      const __m256 part = _mm256_div_ps(_mm256_loadu_ps(importance + e), _mm256_set1_ps(heaviest));
      const __m256 scaled = _mm256_mul_ps(part, _mm256_set1_ps(65536.0f));
      weight = _mm256_cvttps_epi32(_mm256_add_ps(scaled, _mm256_set1_ps(0.5f)));
    }
    _mm256_store_si256(reinterpret_cast<__m256i*>(weights + e), weight);
  }
  weights[largest] = 0;
}

void sum_cells(const CodedGroup& group, const std::int32_t* weights, CellSums* sums) noexcept {
  constexpr int kCells = CodingTables::kCells;
  alignas(32) std::int32_t places[kGroup];
  alignas(32) std::int32_t cells[kGroup];
  const __m256 limit = _mm256_set1_ps(4.0f);
  for (int e = 0; e < kGroup; e += 8) {
    const __m256 quotient = _mm256_load_ps(group.quotients + e);
    const __m256 bounded = _mm256_max_ps(_mm256_min_ps(quotient, limit), negated(limit));
    const __m256i place = _mm256_cvtps_epi32(_mm256_mul_ps(bounded, _mm256_set1_ps(65536.0f)));
    // A value is above k / 128 / 2 when its place is above 256 k.
    const __m256i above = _mm256_srai_epi32(_mm256_sub_epi32(place, _mm256_set1_epi32(1)), 8);
    const __m256i cell = _mm256_sub_epi32(above, _mm256_set1_epi32(CodingTables::kLowestCell));
    _mm256_store_si256(reinterpret_cast<__m256i*>(places + e), place);
    _mm256_store_si256(reinterpret_cast<__m256i*>(cells + e),
                       _mm256_max_epi32(_mm256_min_epi32(cell, _mm256_set1_epi32(kCells - 1)),
                                        _mm256_setzero_si256()));
  }
  std::memset(sums, 0, kCells * sizeof *sums);
  for (int e = 0; e < kGroup; ++e) {
    CellSums& sum = sums[cells[e]];
    sum.weight += weights[e];
    sum.places += static_cast<double>(weights[e]) * places[e];
  }
  __m128d sum = _mm_setzero_pd();
  for (int k = kCells; k-- > 0;) {
    sum = _mm_add_pd(sum, _mm_load_pd(&sums[k].weight));
    _mm_store_pd(&sums[k].weight, sum);
  }
}

// As h4::least_error_pattern, by the exact sums.
int least_error_pattern(const CodingTables& tables, const CellSums* sums) noexcept {
  int best = 0;
  double best_error = std::numeric_limits<double>::infinity();
  for (std::size_t p = 0; p < tables.patterns.size(); ++p) {
    const CodingTables::Pattern& pattern = tables.patterns[p];
    __m256d error = _mm256_setzero_pd();
    const auto load = [&](std::size_t k) { return _mm_load_pd(&sums[pattern.cell[k]].weight); };
    for (std::size_t k = 0; k < 16; k += 4) {
      const __m256d low = _mm256_set_m128d(load(k + 2), load(k));       // w0 p0 w2 p2
      const __m256d high = _mm256_set_m128d(load(k + 3), load(k + 1));  // w1 p1 w3 p3
      const __m256d weights = _mm256_unpacklo_pd(low, high);
      const __m256d places = _mm256_unpackhi_pd(low, high);
      error = _mm256_fmadd_pd(weights, _mm256_load_pd(pattern.weight_step.data() + k), error);
      error = _mm256_fmadd_pd(places, _mm256_load_pd(pattern.place_step.data() + k), error);
    }
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(error), _mm256_extractf128_pd(error, 1));
    const double sum = _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
    if (sum < best_error) {
      best = static_cast<int>(p);
      best_error = sum;
    }
  }
  return best;
}

void encode_faithful_avx2(const CodingTables& tables, const float* values, const float* importance,
                          int count, float tensor_scale, std::uint8_t* block) noexcept {
  if (count != kGroup) {
    h4::encode_faithful(values, importance, count, tables.view(), tensor_scale, block);
    return;
  }
  CodedGroup group;
  fp8_e4m3 scale;
  const int largest = scale_group(values, tensor_scale, group, scale, block);
  if (largest < 0) return;
  alignas(32) std::int32_t weights[kGroup];
  integer_weights(importance, largest, weights);
  CellSums sums[CodingTables::kCells];
  sum_cells(group, weights, sums);
  encode_group(tables, group, largest, scale, least_error_pattern(tables, sums), tensor_scale,
               block);
}

// ---- A8 ----

// a8::detail::least_scale_code from a guess that is right but for rounding.
inline int scale_code(float tensor_scale, float plain, float carrier) noexcept {
  if (plain == 0.0f && carrier == 0.0f) return 0;
  const float need = std::max(plain / 127.5f, carrier / 128.0f) / tensor_scale;
  const auto place = static_cast<std::int64_t>(float_bits(need)) - (std::int64_t{103} << 23);
  const auto guess = static_cast<int>(std::clamp<std::int64_t>(place >> 20, 1, 254));
  const auto fits = [&](int code) { return a8::detail::fits(code, tensor_scale, plain, carrier); };
  if (fits(guess)) {
    if (guess == 1 || !fits(guess - 1)) return guess;
  } else if (fits(guess + 1)) {
    return guess + 1;
  }
  return a8::detail::least_scale_code(tensor_scale, plain, carrier);
}

// Eight quotients within +-127 to integers; the last lane, a carrier, to an odd
// one.
inline __m256i round_eight(__m256 quotients) noexcept {
  const __m256i even = _mm256_cvtps_epi32(quotients);
  const __m256 half = _mm256_mul_ps(magnitude(quotients), _mm256_set1_ps(0.5f));
  const __m256i floor = _mm256_cvttps_epi32(half);
  const __m256i tie = _mm256_and_si256(
      _mm256_castps_si256(_mm256_cmp_ps(_mm256_cvtepi32_ps(floor), half, _CMP_EQ_OQ)),
      _mm256_cmpgt_epi32(floor, _mm256_setzero_si256()));
  // 2 floor + 1, or 2 floor - 1 at ties; then the sign: (x ^ s) - s.
  const __m256i odd =
      _mm256_add_epi32(_mm256_add_epi32(floor, floor),
                       _mm256_add_epi32(_mm256_set1_epi32(1), _mm256_add_epi32(tie, tie)));
  const __m256i sign =
      _mm256_castps_si256(_mm256_cmp_ps(quotients, _mm256_setzero_ps(), _CMP_LT_OQ));
  const __m256i signed_odd = _mm256_sub_epi32(_mm256_xor_si256(odd, sign), sign);
  return _mm256_blend_epi32(even, signed_odd, 0x80);
}

inline void encode_a8_block(const float* values, float tensor_scale, std::uint8_t* out) noexcept {
  __m256 x[8];
  __m256 most = _mm256_setzero_ps();
  for (int i = 0; i < 8; ++i) {
    x[i] = finite(_mm256_loadu_ps(values + 8 * i));
    most = _mm256_max_ps(most, magnitude(x[i]));
  }
  const float plain = horizontal_max(_mm256_blend_ps(most, _mm256_setzero_ps(), 0x80));
  const float carrier = _mm_cvtss_f32(_mm_permute_ps(_mm256_extractf128_ps(most, 1), 0xff));
  const int code = scale_code(tensor_scale, plain, carrier);
  if (code == 0) {
    std::memset(out, 0, a8::kValues);
    return;
  }
  const __m256 factor =
      _mm256_set1_ps(tensor_scale * e5m3_to_float(static_cast<std::uint8_t>(code)));
  const __m256 limit = _mm256_set1_ps(127.0f);
  __m256i q[8];
  for (int i = 0; i < 8; ++i) {
    const __m256 quotient = _mm256_div_ps(x[i], factor);
    q[i] = round_eight(_mm256_max_ps(_mm256_min_ps(quotient, limit), negated(limit)));
  }
  for (int i = 0; i < 8; i += 4) {
    const __m256i mixed = _mm256_packs_epi16(_mm256_packs_epi32(q[i], q[i + 1]),
                                             _mm256_packs_epi32(q[i + 2], q[i + 3]));
    const __m256i bytes =
        _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    // Lane l of the four quadwords takes bit i + l of the code as its bit 56.
    const __m256i bit = _mm256_slli_epi64(
        _mm256_srlv_epi64(_mm256_set1_epi64x(code), _mm256_setr_epi64x(i, i + 1, i + 2, i + 3)),
        63);
    const __m256i carrier_bit = _mm256_set1_epi64x(std::int64_t{1} << 56);
    const __m256i marked =
        _mm256_or_si256(_mm256_andnot_si256(carrier_bit, bytes), _mm256_srli_epi64(bit, 7));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 8 * i), marked);
  }
}

void encode_a8_avx2(const float* values, std::size_t blocks, float tensor_scale,
                    std::uint8_t* out) noexcept {
  for (std::size_t b = 0; b < blocks; ++b) {
    encode_a8_block(values + b * a8::kValues, tensor_scale, out + b * a8::kValues);
  }
}

}  // namespace

H4EncodeKernels avx2_h4_encode_kernels() noexcept {
  return {{place_values_avx2, score_pairs_avx2, score_weighted_avx2, evaluate_avx2,
           assign_symbols_avx2},
          encode_kv_avx2,
          encode_faithful_avx2,
          encode_a8_avx2};
}

}  // namespace ecco

#include "isa/target_avx2_end.hpp"

#endif
