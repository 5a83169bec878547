// SPDX-License-Identifier: MIT
// Planar blocks <-> device tiles, without loss: a warp per tile, lane 4 g + t with its elements of
// rows g and g + 8, which are those of lane t of a quad that decodes the block. In between are
// ranks. Equal to pack_tiles and unpack_tiles byte for byte. docs/cuda.md, "Tiles".
#include "ecco/cuda/gemv_dense.cuh"
#include "ecco/cuda/gemv_fast.cuh"
#include "ecco/cuda/planar.cuh"
#include "launch.cuh"

namespace ecco::cuda::detail {
namespace {

constexpr unsigned kWarps = kThreads / kWarpLanes;
constexpr std::uint32_t kEachByte = 0x01010101u;

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

/// Writers of tiles: their tables in shared memory, and how a lane stores its share of row g + 8
/// half. `write` returns false when the codes do not fit; the row then counts as zeros.
template <int R>
struct FastWriter {
  using Tile = FastTile<R>;

  __device__ __forceinline__ void load(const RepackJob&) {}
  __device__ __forceinline__ bool write(const LaneRow& row, int half, int lane, Tile* tile) const {
    FastRow<R> out;
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      const std::uint32_t rank = row.ranks[i / 4] >> (8 * (i % 4)) & 255u;
      out.put(i / 8, i % 8, fast_code<R>(static_cast<int>(rank)));
    }
    if constexpr (R == 0) {
#pragma unroll
      for (int q = 0; q < 3; ++q) tile->words[Tile::nibbles_at(half, lane, q)] = out.nibbles[q];
    } else {
      *reinterpret_cast<uint4*>(tile->words + Tile::nibbles_at(half, lane, 0)) =
          make_uint4(out.nibbles[0], out.nibbles[1], out.nibbles[2], out.nibbles[3]);
    }
#pragma unroll
    for (int gate = 0; gate < Tile::kGates; ++gate) {
      tile->words[Tile::gates_at(half, lane, gate)] = out.gates[gate];
    }
    if (lane % 4 == 0) {
      reinterpret_cast<std::uint16_t*>(tile->words + Tile::kHeadersAt)[lane / 4 * 2 + half] =
          static_cast<std::uint16_t>(row.header);
    }
    return true;
  }
};

struct DenseWriter {
  using Tile = DenseTile;
  std::uint16_t codes[ClassCode::kSymbols];  ///< code | length << 12

  /// An entry of job.codes whose index has no bit past its length belongs to the code itself.
  __device__ __forceinline__ void load(const RepackJob& job) {
    for (unsigned i = threadIdx.x; i < 1u << ClassCode::kMaxLength; i += kThreads) {
      const std::uint32_t entry = job.codes[i];
      if (i >> (entry >> 27) != 0) continue;
      unsigned symbol = 0;
      for (int b = 3; b >= 0; --b) {
        const std::uint32_t nibble = entry >> (4 * b);
        const unsigned pair = (nibble & 8u) == 0 ? 0 : (nibble & 2u) == 0 ? 2 : 4;
        symbol = 5 * symbol + pair + (nibble >> 2 & 1u);
      }
      codes[symbol] = static_cast<std::uint16_t>(i | entry >> 27 << 12);
    }
  }
  /// Lanes 2 i and 2 i + 1 share a pool of 136 bits: what is past a lane's 64 goes to the middle
  /// byte, then to the neighbour's words from their far end.
  __device__ __forceinline__ bool write(const LaneRow& row, int half, int lane, Tile* tile) const {
    std::uint32_t m[2] = {};
    std::uint32_t bits[3] = {};
    std::uint32_t used = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const std::uint32_t classes = row.ranks[i] >> 2 & 0x07070707u;
      const std::uint32_t entry = codes[__dp4a(classes, 0x7D190501u, 0u)];  // 1, 5, 25, 125
      const std::uint64_t code = shift_left(entry & 0xfffu, used % 32);
      bits[0] |= used < 32 ? static_cast<std::uint32_t>(code) : 0u;
      bits[1] |= used < 32   ? static_cast<std::uint32_t>(code >> 32)
                 : used < 64 ? static_cast<std::uint32_t>(code)
                             : 0u;
      bits[2] |= used < 32   ? 0u
                 : used < 64 ? static_cast<std::uint32_t>(code >> 32)
                             : static_cast<std::uint32_t>(code);
      used += entry >> 12;
#pragma unroll
      for (int b = 0; b < 4; ++b) {
        m[i / 4] |= (row.ranks[i] >> (8 * b) & 3u) << (4 * b + mantissa_shift(i));
      }
    }
    const bool fits = !quad_any(used + __shfl_xor_sync(kFullMask, used, 1) > kPoolBits, lane);
    bits[1] |= __brev(__shfl_xor_sync(kFullMask, bits[2], 1) >> 8);
    std::uint32_t middle = (lane & 1) != 0 ? __brev(bits[2]) >> 24 : bits[2] & 255u;
    middle |= __shfl_xor_sync(kFullMask, middle, 1);
    middle |= __shfl_xor_sync(kFullMask, middle, 2) << 8;
    *reinterpret_cast<uint4*>(tile->streams[half][lane]) =
        make_uint4(bits[0], bits[1], m[0], m[1]);
    if (lane % 4 == 0) {
      tile->headers[lane / 4][half] = (fits ? row.header : 0u) | middle << 16;
    }
    return fits;
  }
};

/// Adds the rows that `good` is false for, of which each quad has one, to the faults.
__device__ __forceinline__ void count_faults(bool good, int lane, std::uint32_t* faults) {
  const unsigned bad = __ballot_sync(kFullMask, !good && lane % 4 == 0);
  if (bad != 0 && lane == 0) atomicAdd(faults, static_cast<std::uint32_t>(__popc(bad)));
}

/// Place of row g + 8 half of a tile among the blocks, nullptr past the last row.
template <int R, typename Byte>
__device__ __forceinline__ Byte* block_of(Byte* blocks, const RepackJob& job, unsigned tile,
                                          int lane, int half) {
  const unsigned row =
      tile / job.column_tiles * kTileRows + static_cast<unsigned>(lane / 4 + 8 * half);
  if (row >= job.rows) return nullptr;
  return blocks + (static_cast<std::size_t>(row) * job.column_tiles + tile % job.column_tiles) *
                      sizeof(PlanarBlock<R>);
}

template <int R, typename Writer>
__global__ void __launch_bounds__(kThreads) pack_kernel(RepackJob job) {
  __shared__ Writer writer;
  __shared__ std::uint8_t deposit[256];
  planar::load_deposit(deposit);
  writer.load(job);
  __syncthreads();
  const int lane = pinned(lane_index());
  auto* tiles = reinterpret_cast<typename Writer::Tile*>(job.to);
  for (unsigned tile = blockIdx.x * kWarps + static_cast<unsigned>(warp_index()); tile < job.tiles;
       tile += gridDim.x * kWarps) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      LaneRow row;
      bool good = read_block<R>(block_of<R>(job.from, job, tile, lane, half), lane, deposit,
                                job.pattern_count, row);
      good = writer.write(row, half, lane, tiles + tile) && good;
      count_faults(good, lane, job.faults);
    }
  }
}

/// The look-up of products, with ranks in place of centroids: none is negative, so tables that are
/// off read as 0.
template <int R, typename Lane>
__global__ void __launch_bounds__(kThreads) unpack_kernel(RepackJob job) {
  __shared__ std::uint32_t codes[Lane::kCodes > 0 ? Lane::kCodes : 1];
  if constexpr (Lane::kCodes > 0) copy_words(codes, job.codes);
  __syncthreads();
  Gated<Lane::kTableWords> ranks;
#pragma unroll
  for (int i = 0; i < Lane::kTableWords; ++i) ranks.words[i] = 0x03020100u + 4 * i * kEachByte;
  const int lane = pinned(lane_index());
  const auto* tiles = reinterpret_cast<const uint4*>(job.from);
  for (unsigned tile = blockIdx.x * kWarps + static_cast<unsigned>(warp_index()); tile < job.tiles;
       tile += gridDim.x * kWarps) {
    Lane share;
    share.load(tiles + static_cast<std::size_t>(tile) * Lane::kWords, lane);
    const Gated<Lane::kTableWords> gated[2] = {ranks, ranks};
    LaneRow rows[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) rows[half].header = share.header_of(half) & 0xffffu;
    typename Lane::Decoder decoder(share, codes, lane % 4);
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      std::uint32_t parts[Lane::kParts][4];
      decoder.decode(q, gated, parts);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        std::uint32_t sum = parts[0][i];
#pragma unroll
        for (int k = 1; k < Lane::kParts; ++k) sum |= parts[k][i];
        rows[i % 2].ranks[2 * q + i / 2] = sum;
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const bool known = (rows[half].header & 255u) < job.pattern_count;
      const bool good =
          write_block<R>(rows[half], known, lane, block_of<R>(job.to, job, tile, lane, half));
      count_faults(good, lane, job.faults);
    }
  }
}

cudaError_t launch(void (*kernel)(RepackJob), const RepackJob& job, cudaStream_t stream) {
  unsigned grid = 0;
  const cudaError_t error = grid_size(kernel, job.tiles, kWarps, kThreads, 0, grid);
  if (error != cudaSuccess) return error;
  kernel<<<grid, kThreads, 0, stream>>>(job);
  return cudaGetLastError();
}

}  // namespace

cudaError_t repack_to_tiles(Codec codec, bool dense, const RepackJob& job, cudaStream_t stream) {
  if (dense) return launch(pack_kernel<2, DenseWriter>, job, stream);
  return ecco::planar::dispatch(codec, [&](auto planes) {
    constexpr int kPlanes = decltype(planes)::value;
    return launch(pack_kernel<kPlanes, FastWriter<kPlanes>>, job, stream);
  });
}

cudaError_t repack_to_blocks(Codec codec, bool dense, const RepackJob& job, cudaStream_t stream) {
  if (dense) return launch(unpack_kernel<2, DenseLane>, job, stream);
  return ecco::planar::dispatch(codec, [&](auto planes) {
    constexpr int kPlanes = decltype(planes)::value;
    return launch(unpack_kernel<kPlanes, FastLane<kPlanes>>, job, stream);
  });
}

}  // namespace ecco::cuda::detail
