// SPDX-License-Identifier: MIT
// PTX instructions that C++ does not reach, or reaches with more instructions than needed.
#pragma once

#include <cstdint>

#include "ecco/types.hpp"

namespace ecco::cuda {

inline constexpr int kWarpLanes = 32;
inline constexpr unsigned kFullMask = 0xffffffffu;

/// Byte permutation with the whole selector: bit 3 of a nibble replicates the byte's sign, which
/// __byte_perm masks away.
__device__ __forceinline__ std::uint32_t prmt(std::uint32_t a, std::uint32_t b,
                                              std::uint32_t selector) {
  std::uint32_t result;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(selector));
  return result;
}

/// Any function of three bits: kFunction's bit 4 a + 2 b + c. As inline PTX because the compiler
/// splits the function into two instructions when an argument is a literal.
template <int kFunction>
__device__ __forceinline__ std::uint32_t lop3(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  std::uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(result) : "r"(a), "r"(b), "r"(c), "n"(kFunction));
  return result;
}

/// Bits of `a` where `mask` is 1, of `b` elsewhere.
__device__ __forceinline__ std::uint32_t select_bits(std::uint32_t a, std::uint32_t b,
                                                     std::uint32_t mask) {
  return lop3<0xE4>(a, b, mask);
}

/// 64-bit shifts that give 0 from 64 on.
__device__ __forceinline__ std::uint64_t shift_right(std::uint64_t value, std::uint32_t count) {
  std::uint64_t result;
  asm("shr.b64 %0, %1, %2;" : "=l"(result) : "l"(value), "r"(count));
  return result;
}
__device__ __forceinline__ std::uint64_t shift_left(std::uint64_t value, std::uint32_t count) {
  std::uint64_t result;
  asm("shl.b64 %0, %1, %2;" : "=l"(result) : "l"(value), "r"(count));
  return result;
}

/// Two values rounded to nearest even, the first one in the low half.
template <typename T>
__device__ __forceinline__ std::uint32_t round_pair(float low, float high);
template <>
__device__ __forceinline__ std::uint32_t round_pair<half>(float low, float high) {
  std::uint32_t result;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
}
template <>
__device__ __forceinline__ std::uint32_t round_pair<bfloat16>(float low, float high) {
  std::uint32_t result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
}

/// Widens exactly; a NaN stays a NaN.
__device__ __forceinline__ float widen(half value) {
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
}
__device__ __forceinline__ float widen(bfloat16 value) { return to_float(value); }
__device__ __forceinline__ float widen(float value) { return value; }

/// a + b in every byte, modulo 256.
__device__ __forceinline__ std::uint32_t add_bytes(std::uint32_t a, std::uint32_t b) {
  return ((a & 0x7f7f7f7fu) + (b & 0x7f7f7f7fu)) ^ ((a ^ b) & 0x80808080u);
}

/// (byte - 128) * factor for the bytes of a word, each product rounded once to binary32.
__device__ __forceinline__ void scale_bytes(std::uint32_t bytes, float factor,
                                            float (&values)[4]) {
#pragma unroll
  for (unsigned b = 0; b < 4; ++b) {  // 0x4B0000cc is 2^23 + cc
    const std::uint32_t biased = prmt(bytes, 0x4B000000u, 0x7440u + b);
    values[b] = __fmul_rn(__uint_as_float(biased) - 8388736.0f, factor);
  }
}

/// Lane index of the calling thread in a one-dimensional block.
__device__ __forceinline__ int lane_index() { return static_cast<int>(threadIdx.x % kWarpLanes); }

/// Warp index in the block, the same register in all lanes as far as the compiler knows.
__device__ __forceinline__ int warp_index() {
  return __shfl_sync(kFullMask, static_cast<int>(threadIdx.x / kWarpLanes), 0);
}

/// The lane's own value, through a shuffle: ptxas keeps the result in a register instead of
/// computing it again in a loop. Whole warps call it.
__device__ __forceinline__ int pinned(int value) {
  return __shfl_sync(kFullMask, value, lane_index());
}

/// The largest magnitude among the values of a warp; NaN if one of them is not finite. Whole warps
/// call it.
__device__ __forceinline__ float warp_largest(const float (&values)[4]) {
  float largest = 0.0f;
  bool finite = true;
#pragma unroll
  for (const float value : values) {
    finite = finite && fabsf(value) < INFINITY;
    largest = fmaxf(largest, fabsf(value));
  }
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(kFullMask, largest, distance));
  }
  return __all_sync(kFullMask, finite) ? largest : NAN;
}

/// Loads four consecutive values, zeros past the row's end: `at` is the column of the first one.
/// kVector: `from` is aligned to 4 * sizeof(T) and cols % 4 == 0.
template <bool kVector, typename T>
__device__ __forceinline__ void load_four(const T* from, unsigned at, unsigned cols,
                                          float (&values)[4]) {
  if constexpr (!kVector) {
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) values[i] = at + i < cols ? widen(from[i]) : 0.0f;
  } else if constexpr (sizeof(T) == 4) {
    const float4 read = at < cols ? __ldg(reinterpret_cast<const float4*>(from)) : float4{};
    values[0] = read.x;
    values[1] = read.y;
    values[2] = read.z;
    values[3] = read.w;
  } else {
    const uint2 read = at < cols ? __ldg(reinterpret_cast<const uint2*>(from)) : uint2{};
    const std::uint32_t words[2] = {read.x, read.y};
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
      values[i] = widen(T{static_cast<std::uint16_t>(words[i / 2] >> 16 * (i % 2))});
    }
  }
}

/// Stores four consecutive values, rounded to T, where the row has them: `at` is the column of the
/// first one. kVector: `out` + 4 values is aligned to 4 * sizeof(T) and cols % 4 == 0.
template <bool kVector, typename T>
__device__ __forceinline__ void store_four(T* out, const float (&values)[4], unsigned at,
                                           unsigned cols) {
  if constexpr (!kVector) {
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
      if (at + i < cols) out[i] = from_float<T>(values[i]);
    }
  } else if constexpr (sizeof(T) == 4) {
    if (at < cols) {
      *reinterpret_cast<float4*>(out) = make_float4(values[0], values[1], values[2], values[3]);
    }
  } else if (at < cols) {
    *reinterpret_cast<uint2*>(out) =
        make_uint2(round_pair<T>(values[0], values[1]), round_pair<T>(values[2], values[3]));
  }
}

}  // namespace ecco::cuda
