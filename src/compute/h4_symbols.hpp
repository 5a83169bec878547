// SPDX-License-Identifier: MIT
// Table-driven decoder of H4 codes: several blocks at once, up to 4 symbols per look-up. Plain C++
// that each instruction set's file compiles for itself (everything is always inlined).
//
// The chain of one look-up (index, load, shift) takes about 7 cycles in which little else happens,
// so kLanes blocks run side by side. Each lane holds the next bits of its block in one word, a set
// bit above them: when the word has been shifted, its leading zeros tell how far. A lane that has
// all its symbols runs on, harmlessly, into the padding behind its copy of the block until the
// slowest is done; lengths are summed afterwards, which finds the end of the codes without a
// branch.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "ecco/h4.hpp"
#include "ecco/h4_codes.hpp"

namespace ecco::h4 {

inline constexpr int kLanes = 6;
inline constexpr int kLookups = 5;  ///< between refills: 5 * 11 + 7 bits fit below the marker
static_assert(kLookups * huffman::kMultiBits + 7 < 63);

/// Symbols of kLanes blocks, written from the end of the array downward. The overrun of a lane is
/// below its 128 symbols: at most 4 * kLookups - 1 of the round that ends the block and as many of
/// each later one, which begin kOverrun above the bottom, and 4 bytes of no meaning.
struct alignas(64) LaneSymbols {
  static constexpr int kBelow = 64;
  static constexpr int kOverrun = 32;
  std::uint8_t bytes[kLanes][kBelow + kGroup];

  /// Element 127 of a lane; element e lies 127 - e bytes above. Past the last whole code of a
  /// clipped block the symbols mean nothing.
  [[nodiscard]] const std::uint8_t* last(std::size_t lane) const noexcept {
    return bytes[lane] + kBelow;
  }
};
static_assert(LaneSymbols::kBelow >= 4 * kLookups + 4 &&
              LaneSymbols::kOverrun >= 4 * kLookups + 4);

/// Copies of the blocks, with room for the slowest lane's company: 2 + 25 rounds of 7 bytes + 8.
struct alignas(64) LaneBlocks {
  std::uint8_t bytes[kLanes][256];
  LaneBlocks() { std::memset(bytes, 0, sizeof bytes); }
};

/// Calls body(std::integral_constant) for each lane: an unrolled loop.
template <typename Body, std::size_t... Lane>
[[gnu::always_inline]] inline void for_lanes(const Body& body, std::index_sequence<Lane...>) {
  (body(Lane), ...);
}
template <typename Body>
[[gnu::always_inline]] inline void for_lanes(const Body& body) {
  for_lanes(body, std::make_index_sequence<kLanes>());
}

/// The state of all lanes, as arrays so that it can live in registers.
struct LaneState {
  const std::uint8_t* at[kLanes];
  std::uint64_t bits[kLanes];
  std::uint8_t* out[kLanes];
};

inline constexpr std::uint64_t kMarker = std::uint64_t{1} << 63;

[[gnu::always_inline]] inline std::uint64_t load_bits(const std::uint8_t* at) noexcept {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word | kMarker;
}

/// kLookups look-ups in each lane, then a refill. Codes: one table for all lanes, or one for each.
template <bool Shared>
[[gnu::always_inline]] inline void decode_round(LaneState& state,
                                                const huffman::MultiStep* const* codes) noexcept {
  for (int i = 0; i < kLookups; ++i) {
    for_lanes([&](std::size_t k) {
      const huffman::MultiStep* table = Shared ? codes[0] : codes[k];
      const huffman::MultiStep step = table[state.bits[k] & ((1u << huffman::kMultiBits) - 1u)];
      state.bits[k] >>= step.word & 63u;
      std::memcpy(state.out[k] - sizeof step.word, &step.word, sizeof step.word);
      state.out[k] -= static_cast<std::uint8_t>(step.word >> 8);
    });
  }
  for_lanes([&](std::size_t k) {
    const int used = std::countl_zero(state.bits[k]);
    state.at[k] += used >> 3;
    state.bits[k] = load_bits(state.at[k]) >> (used & 7);
  });
}

/// Decodes kLanes blocks. Precondition: codes[k] = the table of block k's codebook, all the same
/// if Shared.
template <bool Shared>
[[gnu::always_inline]] inline void decode_symbols(const std::uint8_t* const* blocks,
                                                  const huffman::MultiStep* const* codes,
                                                  int header_bits, LaneBlocks& copies,
                                                  LaneSymbols& out) noexcept {
  LaneState state;
  for_lanes([&](std::size_t k) {
    std::memcpy(copies.bytes[k], blocks[k], kBlockBits / 8);
    state.at[k] = copies.bytes[k] + header_bits / 8;
    state.bits[k] = load_bits(state.at[k]) >> (header_bits % 8);
    state.out[k] = out.bytes[k] + sizeof out.bytes[k];
  });
  // 8 rounds yield at most 160 symbols and rarely fewer than 90.
  for (int i = 0; i < 8; ++i) decode_round<Shared>(state, codes);
  for (;;) {
    bool more = false;
    for_lanes([&](std::size_t k) {
      const bool open = state.at[k] < copies.bytes[k] + kBlockBits / 8;
      more |= (state.out[k] > out.last(k)) & open;
      std::uint8_t* const limit = out.bytes[k] + LaneSymbols::kOverrun;
      state.out[k] = state.out[k] > limit ? state.out[k] : limit;
    });
    if (!more) return;
    decode_round<Shared>(state, codes);
  }
}

}  // namespace ecco::h4
