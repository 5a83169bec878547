// SPDX-License-Identifier: MIT
// A lane's share of planar blocks as ranks, read and written by a quad of lanes: lane 4 g + t has
// the elements that lane t of a quad decodes of the block of row g or g + 8. For repack.cu.
#pragma once

#include "ecco/cuda/planar.cuh"
#include "launch.cuh"

namespace ecco::cuda::detail {
namespace {

inline constexpr std::uint32_t kEachByte = 0x01010101u;

/// A lane's share of a row of a tile.
struct LaneRow {
  std::uint32_t ranks[8];  ///< word i = 2 q + h, byte b: of element 16 i + 4 t + b
  std::uint32_t header;    ///< pattern | scale << 8
};

/// Bit 0 of the bytes that are at least `least` (1..128); bytes of `words` below 128.
__device__ __forceinline__ std::uint32_t at_least(std::uint32_t words, int least) {
  return (words + static_cast<std::uint32_t>(128 - least) * kEachByte) >> 7 & kEachByte;
}

/// True in all lanes of a quad if `condition` is in any.
__device__ __forceinline__ bool quad_any(bool condition, int lane) {
  return (__ballot_sync(kFullMask, condition) >> (lane & 28) & 15u) != 0;
}

/// Whether a block breaks a rule of docs/format.md, section 2, the same in its whole quad; as
/// planar::check. Whole warps call it.
template <int R>
__device__ __forceinline__ bool invalid(const planar::LaneWords<R>& words, int used, int lane,
                                        unsigned patterns) {
  std::uint32_t any = words.head.x | words.head.y | words.head.z | words.head.w | words.upper;
#pragma unroll
  for (int plane = 0; plane < R; ++plane) any |= words.mantissa[plane];
  const bool not_zero = quad_any(any != 0, lane);
  const int other = __shfl_xor_sync(kFullMask, used, 2);
  const int low = (lane & 2) != 0 ? other : used;
  const int high = (lane & 2) != 0 ? used : other;
  if ((words.head.x >> 8 & 255u) == 0) return not_zero;
  if ((words.head.x & 255u) >= patterns || low > kHalfTailBits || high > kHalfTailBits)
    return true;
  const int unused = kTailBits - low - high;
  if (unused < 0) return true;
  const std::uint64_t bottom = static_cast<std::uint64_t>(words.head.x) >> 16 |
                               static_cast<std::uint64_t>(words.head.y) << 16 |
                               static_cast<std::uint64_t>(words.head.z) << 48;
  const std::uint64_t top = static_cast<std::uint64_t>(words.head.w) << 32 | words.head.z;
  const std::uint64_t gap = ~shift_left(~0ull, static_cast<std::uint32_t>(unused));
  const std::uint64_t above =  // the bits 64..111 without those of the high half
      shift_left(top >> 16 << 16, static_cast<std::uint32_t>(high));
  return (shift_right(bottom, static_cast<std::uint32_t>(low)) & gap) != 0 || above != 0;
}

/// Reads lane t's share of a block; one that is not valid, and `block` = nullptr, reads as zeros.
/// Returns whether it was valid. Whole warps call it.
template <int R>
__device__ __forceinline__ bool read_block(const std::uint8_t* block, int lane,
                                           const std::uint8_t* deposit, unsigned patterns,
                                           LaneRow& row) {
  planar::LaneWords<R> words{};
  if (block != nullptr) words = planar::load_words<R>(block, lane % 4);
  const planar::ClassMasks classes =
      planar::decode_classes(words.head, words.upper, lane % 4, deposit);
  const bool good = !invalid<R>(words, classes.used, lane, patterns);
  const std::uint32_t third = words.upper ^ classes.second ^ classes.fourth ^ classes.odd;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    std::uint32_t rank = (words.upper >> i & kEachByte) + (classes.second >> i & kEachByte) +
                         (third >> i & kEachByte) + (classes.fourth >> i & kEachByte);
#pragma unroll
    for (int plane = 0; plane < R; ++plane) {
      rank = 2 * rank + (words.mantissa[plane] >> i & kEachByte);
    }
    row.ranks[i] = good ? rank : 0;
  }
  row.header = good ? words.head.x & 0xffffu : 0;
  return good;
}

/// Bits of `word` where `mask` is 1, gathered at the low end.
__device__ __forceinline__ std::uint32_t extract(std::uint32_t word, std::uint32_t mask) {
  std::uint32_t result = 0;
  for (int at = 0; mask != 0; mask &= mask - 1, ++at) {
    result |= (word & mask & (0u - mask)) != 0 ? 1u << at : 0u;
  }
  return result;
}

/// Writes lane t's share of a block; one that needs more tail bits than a block has, or `known` =
/// false, is written as zeros. Returns whether it was not. Whole warps call it; `block` = nullptr
/// writes nothing.
template <int R>
__device__ __forceinline__ bool write_block(const LaneRow& row, bool known, int lane,
                                            std::uint8_t* block) {
  const bool high = (lane & 2) != 0;
  std::uint32_t masks[4] = {};  // of class >= 1, 2, 3, 4
  std::uint32_t planes[R > 0 ? R : 1] = {};
#pragma unroll
  for (int i = 0; i < 8; ++i) {
#pragma unroll
    for (int s = 1; s <= 4; ++s) masks[s - 1] |= at_least(row.ranks[i], s << R) << i;
#pragma unroll
    for (int plane = 0; plane < R; ++plane) {
      planes[plane] |= (row.ranks[i] >> (R - 1 - plane) & kEachByte) << i;
    }
  }
  std::uint64_t tail = 0;
  int used = 0;
#pragma unroll
  for (int level = 1; level < 4; ++level) {
    const int own = __popc(masks[level - 1]);
    const int other = __shfl_xor_sync(kFullMask, own, 1);
    const int before = (lane & 1) != 0 ? other : 0;
    const int place = high ? 64 - used - own - other + before : used + before;
    const std::uint64_t chunk = extract(masks[level], masks[level - 1]);
    if (place >= 0) tail |= shift_left(chunk, static_cast<std::uint32_t>(place));
    used += own + other;
  }
  tail |= __shfl_xor_sync(kFullMask, tail, 1);
  const std::uint64_t opposite = __shfl_xor_sync(kFullMask, tail, 2);
  const int sum = used + __shfl_xor_sync(kFullMask, used, 2);
  const bool overflow = quad_any(used > kHalfTailBits || sum > kTailBits, lane);
  const bool zero = (row.header >> 8 & 255u) == 0;
  const bool good = zero || (known && !overflow);
  if (block == nullptr) return true;
  const std::uint32_t keep = zero || !good ? 0 : ~0u;
  if (lane % 4 == 0) {  // tail = the bits 0..63, opposite = the bits 48..111
    const auto top = static_cast<std::uint32_t>(opposite >> 32);
    *reinterpret_cast<uint4*>(block) = make_uint4(
        (row.header & 0xffffu & keep) | (static_cast<std::uint32_t>(tail) << 16 & keep),
        static_cast<std::uint32_t>(tail >> 16) & keep,
        (static_cast<std::uint32_t>(tail >> 48) | static_cast<std::uint32_t>(opposite)) & keep,
        top & keep);
  }
  auto* words = reinterpret_cast<std::uint32_t*>(block + 16) + lane % 4;
  words[0] = masks[0] & keep;
#pragma unroll
  for (int plane = 0; plane < R; ++plane) words[4 * plane + 4] = planes[plane] & keep;
  return good;
}

}  // namespace
}  // namespace ecco::cuda::detail
