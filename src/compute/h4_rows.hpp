// SPDX-License-Identifier: MIT
// H4 blocks of a tensor in chunks: sorted by codebook, decoded kLanes at a time, handed on with
// the end of their codes. Ops = what an instruction set does its own way.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "compute/h4_standard_codes.hpp"
#include "compute/h4_symbols.hpp"
#include "ecco/block.hpp"
#include "ecco/tensor.hpp"

namespace ecco::h4 {

/// Blocks decoded together: so many that few lanes go without a partner of the same codebook, so
/// few that their values stay in the L1 cache.
inline constexpr std::size_t kChunk = 128;

/// A block whose symbols are known.
struct CodedBlock {
  const std::uint8_t* block;
  const std::uint8_t* last;  ///< symbol of element 127; element e lies 127 - e bytes above
  int coded;                 ///< elements whose symbol means something
  int end;                   ///< first bit after the codes
  const std::int8_t* pattern;
  fp8_e4m3 scale;

  [[nodiscard]] std::uint8_t symbol(int element) const noexcept {
    return last[kGroup - 1 - element];
  }
};

/// Portable Ops.
struct ScalarOps {
  /// Sum of lengths[symbols[i]] over 128 symbols.
  static int sum_lengths(const std::uint8_t* symbols, const std::uint8_t* lengths) noexcept {
    return code_bits(symbols, lengths);
  }
  /// out[127 - i] = table[symbols[i]] over 128 symbols.
  static void look_up_reversed(const std::uint8_t* symbols, const std::int8_t* table,
                               std::int8_t* out) noexcept {
    for (int i = 0; i < kGroup; ++i) out[kGroup - 1 - i] = table[symbols[i]];
  }
};

/// The outliers behind the codes, in stored order; returns their number.
[[gnu::always_inline]] inline int read_outliers(const CodedBlock& coded,
                                                Outlier* outlier) noexcept {
  if (coded.coded < kGroup) return 0;
  const int slots = std::min(outlier_slots(coded.end), kMaxOutliers);  // for GCC 14: never more
  int count = 0;
  for (int at = coded.end; count < slots; at += kOutlierBits) {
    const int byte = std::min(at / 8, kBlockBits / 8 - 4);
    std::uint32_t word;
    std::memcpy(&word, coded.block + byte, sizeof word);
    word >>= at - 8 * byte;
    outlier[count++] = {static_cast<std::uint8_t>(word & 127u),
                        fp8_e4m3{static_cast<std::uint8_t>(word >> 7 & 255u)}};
  }
  return count;
}

/// The same as h4::decode_int8 from known symbols.
template <typename Ops>
[[gnu::always_inline]] inline void to_int8(const CodedBlock& coded, float tensor_scale,
                                           Int8Block& out) noexcept {
  out.factor = int8_factor(coded.scale, tensor_scale);
  out.outliers = 0;
  if ((coded.scale.bits & 0x7fu) == 0) {
    std::memset(out.values, 0, sizeof out.values);
    return;
  }
  alignas(16) std::int8_t table[huffman::kSymbols];
  int8_of_symbols(coded.pattern, table);
  Ops::look_up_reversed(coded.last, table, out.values);
  if (coded.coded < kGroup) {
    std::fill(out.values + coded.coded, out.values + kGroup, std::int8_t{0});
    return;
  }
  Outlier outlier[kMaxOutliers];
  const int count = read_outliers(coded, outlier);
  take_outliers(outlier, count, tensor_scale, out);
}

/// Decode tables of a tensor's codebooks: those of its table, the standard ones, or its own.
class Codes {
 public:
  explicit Codes(const TensorView& tensor) : shared_(tensor.table().codes) {
    if (shared_ == nullptr) shared_ = standard_code_tables(tensor.table().codebooks);
    if (shared_ == nullptr) own_.emplace(tensor.table().codebooks);
  }
  [[nodiscard]] const huffman::MultiStep* of(int codebook) const noexcept {
    return (shared_ != nullptr ? *shared_ : *own_).multi()[codebook].data();
  }

 private:
  const CodeTables* shared_;
  std::optional<CodeTables> own_;
};

/// Decodes blocks of one tensor; holds the buffers, so make one per thread and call.
template <typename Ops>
class RowDecoder {
 public:
  explicit RowDecoder(const TensorView& tensor)
      : table_(tensor.table().h4()), header_bits_(table_.header_bits()), codes_(tensor) {}

  /// Calls use(index, CodedBlock) for each of `count` <= kChunk blocks, in no order.
  template <typename Use>
  [[gnu::always_inline]] inline void decode(const std::uint8_t* const* blocks, std::size_t count,
                                            const Use& use) {
    sort_by_codebook(blocks, count);
    std::size_t begin = 0;  // order_[begin .. end) share a codebook
    std::size_t rest = 0;   // those that found no full group, moved to the front of rest_
    for (int h = 0; h < table_.codebooks; ++h) {
      const std::size_t end = ends_[static_cast<std::size_t>(h)];
      for (; begin + kLanes <= end; begin += kLanes) {
        decode_group<true>(blocks, order_.data() + begin, kLanes, use);
      }
      for (; begin < end; ++begin) rest_[rest++] = order_[begin];
    }
    for (std::size_t at = 0; at < rest; at += kLanes) {
      const std::size_t lanes = std::min<std::size_t>(kLanes, rest - at);
      decode_group<false>(blocks, rest_.data() + at, lanes, use);
    }
  }

 private:
  [[nodiscard]] int codebook_of(const std::uint8_t* block) const noexcept {
    const int codebook = block[0] & ((1 << index_bits(table_.codebooks)) - 1);
    return codebook < table_.codebooks ? codebook : 0;
  }

  void sort_by_codebook(const std::uint8_t* const* blocks, std::size_t count) noexcept {
    ends_.fill(0);
    for (std::size_t i = 0; i < count; ++i) {
      codebook_[i] = static_cast<std::uint8_t>(codebook_of(blocks[i]));
      ++ends_[codebook_[i]];
    }
    std::size_t sum = 0;
    for (std::size_t& end : ends_) {
      sum += end;
      end = sum - end;  // for now where the codebook begins
    }
    for (std::size_t i = 0; i < count; ++i) {
      order_[ends_[codebook_[i]]++] = static_cast<std::uint8_t>(i);
    }
  }

  template <bool Shared, typename Use>
  [[gnu::always_inline]] inline void decode_group(const std::uint8_t* const* blocks,
                                                  const std::uint8_t* members, std::size_t lanes,
                                                  const Use& use) {
    const std::uint8_t* block[kLanes];
    const huffman::MultiStep* codes[kLanes];
    for (std::size_t k = 0; k < kLanes; ++k) {
      const std::size_t member = members[k < lanes ? k : 0];
      block[k] = blocks[member];
      codes[k] = codes_.of(codebook_[member]);
    }
    decode_symbols<Shared>(block, codes, header_bits_, copies_, symbols_);
    for (std::size_t k = 0; k < lanes; ++k) {
      use(std::size_t{members[k]}, finish(block[k], symbols_.last(k), codebook_[members[k]]));
    }
  }

  [[gnu::always_inline]] inline CodedBlock finish(const std::uint8_t* block,
                                                  const std::uint8_t* last,
                                                  int codebook) const noexcept {
    const std::uint8_t* lengths = table_.codebook(codebook);
    CodedBlock out{block, last, kGroup, header_bits_, nullptr, {}};
    out.end += Ops::sum_lengths(last, lengths);
    if (out.end > kBlockBits) find_clip(lengths, out);
    std::uint32_t header;
    std::memcpy(&header, block, sizeof header);
    header >>= index_bits(table_.codebooks);
    const int pattern_bits = index_bits(table_.patterns);
    out.pattern = table_.pattern(static_cast<int>(header & ((1u << pattern_bits) - 1u)));
    out.scale.bits = static_cast<std::uint8_t>(header >> pattern_bits & 255u);
    return out;
  }

  void find_clip(const std::uint8_t* lengths, CodedBlock& out) const noexcept {
    out.end = header_bits_;
    out.coded = 0;
    while (out.end + lengths[out.symbol(out.coded)] <= kBlockBits) {
      out.end += lengths[out.symbol(out.coded++)];
    }
  }

  TableView table_;
  int header_bits_;
  Codes codes_;
  LaneBlocks copies_;
  LaneSymbols symbols_;
  std::array<std::uint8_t, kChunk> codebook_;
  std::array<std::uint8_t, kChunk> order_;
  std::array<std::uint8_t, kChunk> rest_;
  std::array<std::size_t, kMaxCodebooks> ends_;
};

}  // namespace ecco::h4
