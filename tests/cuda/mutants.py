#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants small errors in the kernels, one at a time, and checks that a test fails on ptxvm.

Usage: mutants.py --nvcc NVCC --library LIBECCO_CUDA_PTXVM --runtime LIBCUDART_PTXVM
    --test NAME=OBJECTS... [--every N] [--only TEXT]
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INC = "include/ecco/cuda/"

# (kind, file with the error, kernel source to compile, test, old text, new text). The old text
# stands in the file once, white space aside.
PLANAR = (INC + "planar.cuh", "cuda/decode_planar.cu", "decode")
PLANAR_CU = ("cuda/decode_planar.cu", "cuda/decode_planar.cu", "decode")
STORE = (INC + "intrinsics.cuh", "cuda/decode_planar.cu", "decode")
A8 = (INC + "a8.cuh", "cuda/decode_a8.cu", "decode")
A8_CU = ("cuda/decode_a8.cu", "cuda/decode_a8.cu", "decode")
H4 = (INC + "h4.cuh", "cuda/decode_h4.cu", "decode")
LANE = (INC + "h4_lane.cuh", "cuda/decode_h4.cu", "decode")
WARP = (INC + "h4_warp.cuh", "cuda/decode_h4.cu", "decode")
H4_CU = ("cuda/decode_h4.cu", "cuda/decode_h4.cu", "decode")
QUANTIZE = ("cuda/quantize.cu", "cuda/quantize.cu", "gemv")
FAST_P2 = (INC + "gemv_fast.cuh", "cuda/gemv_p2.cu", "gemv")
FAST_P3 = (INC + "gemv_fast.cuh", "cuda/gemv_p3.cu", "gemv")
FAST_P4 = (INC + "gemv_fast.cuh", "cuda/gemv_p4.cu", "gemv")
FAST_P5 = (INC + "gemv_fast.cuh", "cuda/gemv_p5.cu", "gemv")
NIBBLE = (INC + "gemv_h4.cuh", "cuda/gemv_h4.cu", "gemv")
TILES_H4 = ("cuda/gemv_tiles.cuh", "cuda/gemv_h4.cu", "gemv")
NIBBLES = ("cuda/decode_nibbles.cu", "cuda/decode_nibbles.cu", "decode")
DENSE = (INC + "gemv_dense.cuh", "cuda/gemv_dense.cu", "gemv")
GEMV = (INC + "gemv.cuh", "cuda/gemv_p4.cu", "gemv")
GEMV_P5 = (INC + "gemv.cuh", "cuda/gemv_p5.cu", "gemv")
TILES = ("cuda/gemv_tiles.cuh", "cuda/gemv_p4.cu", "gemv")
REPACK = ("cuda/repack.cu", "cuda/repack.cu", "repack")
FINISH = ("cuda/gemv.cu", "cuda/gemv.cu", "gemv")
DECODE_TILES = ("cuda/decode_tiles.cuh", "cuda/decode_fast.cu", "decode")
ADD_BYTES = (INC + "intrinsics.cuh", "cuda/decode_fast.cu", "decode")
RAW = (INC + "gemv_raw.cuh", "cuda/gemv_raw.cu", "gemv")
GEMM = ("cuda/gemm.cuh", "cuda/gemm_fast.cu", "gemm")
LARGEST = (INC + "intrinsics.cuh", "cuda/quantize.cu", "gemv")
ROUND = ("cuda/round_half.cu", "cuda/round_half.cu", "gemm")
RAW_H4 = (INC + "gemv_raw_h4.cuh", "cuda/gemv_raw_h4.cu", "gemv")
RAW_H4_CU = ("cuda/gemv_raw_h4.cu", "cuda/gemv_raw_h4.cu", "gemv")
MUTANTS = [
    ("shift by 64", *PLANAR, "place >= 0 ? shift_right(tail", "place >= -63 ? shift_right(tail"),
    ("lane", *PLANAR, "(t & 1) != 0 ? other : 0", "(t & 2) != 0 ? other : 0"),
    ("bound", *PLANAR, "code == 0 ? kZeroPattern :", "code == 1 ? kZeroPattern :"),
    ("stale accumulator", *PLANAR, "used += own + other", "used = own + other"),
    ("table column", *PLANAR, "prmt(p[2], p[3], s.index);", "prmt(p[3], p[2], s.index);"),
    ("table column", *PLANAR, "prmt(p[8], p[9], s.index)", "prmt(p[8], p[8], s.index)"),
    ("mask", *PLANAR, "classes.second & ~classes.fourth", "classes.second"),
    ("shift", *PLANAR, "chunk >>= entry >> 4;", "chunk >>= entry >> 5;"),
    ("sync", *PLANAR_CU, "tables, table); __syncthreads();", "tables, table);"),
    ("tail tile", *PLANAR_CU, "live ? job.cols : 0", "job.cols"),
    ("bound", *PLANAR_CU, "live ? block : job.block_count - 1", "block"),
    ("rounding", *STORE, "cvt.rn.f16x2.f32", "cvt.rz.f16x2.f32"),
    ("rounding", *STORE, "cvt.rn.bf16x2.f32", "cvt.rz.bf16x2.f32"),
    ("tail tile", *STORE, "if (at + i < cols) out", "if (at < cols) out"),
    ("lane", *A8, "code >> (lane & kBlockLanes) >> 1", "code >> 1"),
    ("mask", *A8, "(code | code >> 2) & 0x0f0fu", "(code | code >> 2) & 0x0707u"),
    ("lane", *A8, "if ((lane & 1) != 0) word", "if ((lane & 2) != 0) word"),
    ("tail tile", *A8_CU, "live ? job.cols : 0", "job.cols"),
    ("table column", *LANE, "(upper >> 1) + 0x32103210u", "(upper >> 1) + 0x32103201u"),
    ("mask", *LANE, "and.b32 %0, %1, 0x88888888;", "and.b32 %0, %1, 0x88888880;"),
    ("bound", *H4, "codebook < tables.codebook_count ? codebook : 0", "codebook"),
    ("bound", *H4, "pattern < tables.pattern_count ? pattern : 0", "pattern"),
    ("sign", *H4, "zero ? 0u : scale}", "scale}"),
    ("tail tile", *LANE, "return {kGroup, end}", "return {kGroup, kBlockBits}"),
    ("shift by 0", *LANE, "block[at / 32 + 1], at);", "block[at / 32], at);"),
    ("bound", *LANE, "kWarpLanes * i, 4 * count - 1)", "kWarpLanes * i, 4 * count + 3)"),
    ("mask", *LANE, "at >> 5 & 0x7ffu", "at >> 5 & 0x1ffu"),
    ("stale accumulator", *LANE, "at += three + entry[3]", "at = three + entry[3]"),
    ("shift", *LANE, "__funnelshift_r(codes, 0u, three) << kIndexShift", "window"),
    ("tail tile", *WARP, "index == kChunks - 1 ?", "index == kChunks ?"),
    ("lane", *WARP, "if (lane >= distance) run", "if (lane > distance) run"),
    ("lane", *WARP, "if (lane == 0) element = offset = 0;", ""),
    ("sync", *WARP, "} __syncwarp(); return {static_cast<int>(total",
     "} return {static_cast<int>(total"),
    ("bound", *WARP, "bits >> 7 & 255u", "bits >> 8 & 255u"),
    ("sync", *H4_CU, "__syncwarp(); write_blocks", "write_blocks"),
    ("bound", *H4_CU, "if (place < to.count)", "if (true)"),
    ("tail tile", *H4_CU, "int e = walked.coded; e", "int e = walked.coded + 1; e"),
    ("rounding", *QUANTIZE, "__float2int_rn", "__float2int_rz"),
    ("rounding", *QUANTIZE, "(q + 128) >> 8", "q >> 8"),
    ("lane", *QUANTIZE, "lane / 8 % 2 * 2 + lane / 4 % 2", "lane / 4 % 2 * 2 + lane / 8 % 2"),
    ("tail tile", *QUANTIZE, "at, job.cols, values)", "at, job.cols + 1, values)"),
    ("bound", *QUANTIZE, "largest < 0x1p-100f ? 0.0f", "zero ? 0.0f"),
    ("tail tile", *QUANTIZE, "kValues * ecco::a8::kValues < job.cols",
     "kValues * ecco::a8::kValues <= job.cols"),
    ("tail tile", *QUANTIZE, "if (at + i >= job.cols)", "if (at >= job.cols)"),
    ("lane", *QUANTIZE, "__ldg(words + at / 4)", "__ldg(words + lane)"),
    ("shift", *FAST_P2, "words[2] >> 1", "words[2] >> 2"),
    ("mask", *FAST_P2, "words[q] & ~kGateBits;", "words[q];"),
    ("mask", *FAST_P2, "words[1] >> 2, 0x11111111u", "words[1] >> 2, 0x11111101u"),
    ("lane", *FAST_P2, "nibbles[1][0] = first.w, nibbles[1][1]",
     "nibbles[1][0] = first.z, nibbles[1][1]"),
    ("mask", *FAST_P3, "select[0] ^ kGateBits", "select[0] | kGateBits"),
    ("table column", *FAST_P3, "parts, half + 2)", "parts, half)"),
    ("lane", *FAST_P3, "words + Tile::kHeadersAt + lane / 4",
     "words + Tile::kHeadersAt + lane / 8"),
    ("shift", *FAST_P4, "gates[half][0] << q, select[0], kGateBits); select[2]",
     "gates[half][0] << 1, select[0], kGateBits); select[2]"),
    ("mask", *FAST_P4, "gates[half][0] << q, select[0], kGateBits); select[2]",
     "gates[half][0] << q, select[0], kGateBits & ~8u); select[2]"),
    ("mask", *FAST_P5, "lop3<0xDA>", "lop3<0xDE>"),
    ("mask", *FAST_P5, "lop3<0xD2>", "lop3<0xF2>"),
    ("shift", *FAST_P5, "gates[half][1] << q;", "gates[half][1];"),
    ("lane", *FAST_P5, "gates[1][0] = bits.z", "gates[1][0] = bits.y"),
    ("lane", *NIBBLE, "row % kTileRows / 8 * 16", "row % 8 * 16"),
    ("shift", *NIBBLE, "e / 64 * (NB * 64)", "e / 64 * (NB * 32)"),
    ("lane", *NIBBLE, "e / 32 % 2 * 8 + e / 16 % 2 * 4", "e / 16 % 2 * 8 + e / 32 % 2 * 4"),
    ("tail tile", *NIBBLE, "i < last; i += kWarpLanes", "i <= last; i += kWarpLanes"),
    ("rounding", *NIBBLE, "__fmul_rn(rest, x.factors[at * 8 + c]), digit", "__fmul_rz(rest, x.factors[at * 8 + c]), digit"),
    ("lane", *NIBBLE, "int distance = 16;", "int distance = 8;"),
    ("split-K", *TILES_H4, "count * blockIdx.y / gridDim.y)", "count * blockIdx.y / job.column_tiles)"),
    ("tail tile", *TILES_H4, "if (row >= job.rows) return;", ""),
    ("lane", *TILES_H4, "apart[row % kTileRows]", "apart[lane / 4]"),
    ("stale accumulator", *TILES_H4, "sum = __fadd_rn(sum, apart", "sum = __fadd_rn(0.0f, apart"),
    ("sign", *NIBBLES, "8388736.0f - biased", "biased - 8388736.0f"),
    ("table column", *NIBBLES, "0x7440u + b", "0x7440u"),
    ("tail tile", *NIBBLES, "i < end; i", "i + 1 < end; i"),
    ("lane", *NIBBLES, "row < job.rows;", "row + 1 < job.rows;"),
    ("lane", *DENSE, "__shfl_xor_sync(kFullMask, words.y, 1)",
     "__shfl_xor_sync(kFullMask, words.x, 1)"),
    ("lane", *DENSE, "0x4756u >> (4 * t)", "0x4765u >> (4 * t)"),
    ("shift", *DENSE, "if (q < 1) bits[2] >>= used;", ""),
    ("table column", *GEMV, "? table.words[2 * k + 1] : 0u",
     "? table.words[2 * k + 1] : table.words[2 * k]"),
    ("table column", *GEMV_P5, "out.words[i] = tables.values[i * kMaxPatterns",
     "out.words[i] = tables.values[8 * kMaxPatterns"),
    ("mask", *GEMV, "0x7A", "0x3A"),
    ("stale accumulator", *GEMV, "mma_s8(d[n], parts[k], b0, b1, d[n]);",
     "mma_s8(d[n], parts[k], b0, b1, kStart);"),
    ("rounding", *GEMV, "__fmaf_rn(factor, product, acc[n][i])",
     "__fmaf_rz(factor, product, acc[n][i])"),
    ("lane", *GEMV, "row_factor[i / 2]", "row_factor[i % 2]"),
    ("tail tile", *TILES, "row < job.rows && column", "column"),
    ("sync", *TILES, "NT>(sums, apart, job, row_tile); __syncthreads();",
     "NT>(sums, apart, job, row_tile);"),
    ("sync", *TILES, "} __syncthreads(); reduce", "} reduce"),
    ("split-K", *TILES, "(blockIdx.y + 1) * job.slice), static_cast<int>(job.column_tiles))",
     "(blockIdx.y + 1) * job.slice), static_cast<int>((blockIdx.y + 1) * job.slice))"),
    ("stale accumulator", *TILES, "if (left > 2) cursor.load(even, 2 * kWarps);", ""),
    ("split-K", *FINISH, "slice < job.slices; ++slice", "slice + 1 < job.slices; ++slice"),
    ("split-K", *FINISH, "vector * job.digits + digit", "vector + digit"),
    ("stale accumulator", *DECODE_TILES, "sum = add_bytes(sum, parts[k][at])",
     "sum = parts[k][at]"),
    ("tail tile", *DECODE_TILES, "row < job.rows ? job.cols : 0", "job.cols"),
    ("sign", *DECODE_TILES, "code == 0 ? 0x80808080u :", "code == 1 ? 0x80808080u :"),
    ("lane", *DECODE_TILES, "32 * q + i / 2 * 16", "32 * q + i % 2 * 16"),
    ("mask", *ADD_BYTES, "(a ^ b) & 0x80808080u", "(a ^ b) & 0x80808000u"),
    ("tail tile", *RAW, "wanted < row_count ? wanted : row_count - 1", "wanted"),
    ("lane", *RAW, "t(lane % 4)", "t(lane / 4 % 4)"),
    ("table column", *RAW, "parts[0][half + 2] = fragments[half][2 * q + 1]",
     "parts[0][half + 2] = fragments[half][2 * q]"),
    ("lane", *RAW, "fragments[half][i + 4] = pair.high", "fragments[half][i + 4] = pair.low"),
    ("stale accumulator", *RAW, "row[1] += columns * kWords;", ""),
    ("sync", *GEMM, "wait_for_copies(); __syncthreads();", "wait_for_copies();"),
    ("sync", *GEMM, "wait_for_copies(); __syncthreads();", "__syncthreads();"),
    ("sync", *GEMM, "n_tiles, acc); __syncthreads();", "n_tiles, acc);"),
    ("stale accumulator", *GEMM, "__fmaf_rn(factor, d[m][j], acc[m][n][j])",
     "__fmul_rn(factor, d[m][j])"),
    ("rounding", *GEMM, "__fmaf_rn(factor, d[m][j], acc[m][n][j])",
     "__fmaf_rz(factor, d[m][j], acc[m][n][j])"),
    ("lane", *GEMM, "0x4342u", "0x4140u"),
    ("bound", *GEMM, "if (n >= n_tiles) break;", "if (n + 1 >= n_tiles) break;"),
    ("tail tile", *GEMM, "row < job.rows && vector < job.batch", "row < job.rows"),
    ("tail tile", *GEMM, "min(row_tile + m, job.row_tiles - 1)", "row_tile + m"),
    ("lane", *GEMM, "tiles[m].factors[j / 2]", "tiles[m].factors[j % 2]"),
    ("shift", *ROUND, "254u + kTopExponent - exponent", "253u + kTopExponent - exponent"),
    ("tail tile", *ROUND, "vector < job.batch ? job.cols : 0", "job.cols"),
    ("bound", *LARGEST, "fabsf(value) < INFINITY", "true"),
    ("lane", *LARGEST, "int distance = 16; distance > 0; distance /= 2) { largest",
     "int distance = 8; distance > 0; distance /= 2) { largest"),
    ("lane", *REPACK, "(lane & 28) & 15u", "(lane & 24) & 15u"),
    ("bound", *REPACK, "(words.head.x & 255u) >= patterns", "(words.head.x & 255u) > patterns"),
    ("mask", *REPACK, "top >> 16 << 16", "top"),
    ("shift by 64", *REPACK, "~shift_left(~0ull, static_cast<std::uint32_t>(unused))",
     "(1ull << (unused & 63)) - 1"),
    ("lane", *REPACK, "(lane & 1) != 0 ? other : 0; const int place = high",
     "(lane & 2) != 0 ? other : 0; const int place = high"),
    ("sync", *REPACK, "writer.load(job); __syncthreads();", "writer.load(job);"),
    ("stale accumulator", *REPACK, "tail |= shift_left(chunk,", "tail = shift_left(chunk,"),
    ("shift", *REPACK, "bits[2], 1) >> 8)", "bits[2], 1))"),
    ("lane", *REPACK, "__shfl_xor_sync(kFullMask, middle, 2) << 8",
     "__shfl_xor_sync(kFullMask, middle, 1) << 8"),
    ("table column", *REPACK, "4 * i * kEachByte", "4 * i"),
    ("shift", *REPACK, "4 * b + mantissa_shift(i)", "4 * b + mantissa_shift(b)"),
    ("tail tile", *REPACK, "k < Lane::kParts; ++k) sum", "k + 1 < Lane::kParts; ++k) sum"),
    ("tail tile", *REPACK, "if (row >= job.rows) return nullptr;", ""),
    ("bound", *REPACK, "!good && lane % 4 == 0", "!good"),
]

ENCODE_A8 = (INC + "encode_a8.cuh", "cuda/encode_a8.cu", "encode")
ENCODE_A8_CU = ("cuda/encode_a8.cu", "cuda/encode_a8.cu", "encode")
ENCODE_H4 = (INC + "encode_h4.cuh", "cuda/encode_h4.cu", "encode")
ENCODE_H4_CU = ("cuda/encode_h4.cu", "cuda/encode_h4.cu", "encode")
TARGETS = (INC + "encode_planar_targets.cuh", "cuda/encode_planar.cu", "encode_planar")
SEARCH = (INC + "encode_planar_search.cuh", "cuda/encode_planar.cu", "encode_planar")
PLANAR_ENC = (INC + "encode_planar.cuh", "cuda/encode_planar.cu", "encode_planar")
PLANAR_ENC_CU = ("cuda/encode_planar.cu", "cuda/encode_planar.cu", "encode_planar")
LOAD = (INC + "intrinsics.cuh", "cuda/encode_a8.cu", "encode")
KV_DOT = (INC + "kv_dot.cuh", "cuda/kv_scores.cu", "kv_page")
KV_SCORES = ("cuda/kv_scores.cu", "cuda/kv_scores.cu", "kv_page")
MUTANTS += [
    ("lane", *ENCODE_A8, "distance < kBlockLanes", "distance < kWarpLanes"),
    ("bound", *ENCODE_A8, "16 * part + 15", "16 * part + 14"),
    ("bound", *ENCODE_A8, "fits(16 * first + part,", "fits(16 * first + part + 1,"),
    ("rounding", *ENCODE_A8, "reference::nearest_odd(quotient) & ~1", "reference::nearest_even(quotient) & ~1"),
    ("shift", *ENCODE_A8, "lane % kBlockLanes / 2) & 1u", "lane / 2) & 1u"),
    ("bound", *ENCODE_A8, "values[i] = reference::finite(values[i]);", ""),
    ("tail tile", *ENCODE_A8_CU, "if (live) words", "words"),
    ("tail tile", *LOAD, "at + i < cols ? widen", "true ? widen"),
    ("lane", *ENCODE_H4, "if (keys[i] >= own) element", "if (keys[i] > own) element"),
    ("bound", *ENCODE_H4, "e == largest) continue", "false) continue"),
    ("bound", *ENCODE_H4, "e >= count ||", ""),
    ("table column", *ENCODE_H4, "exceeded + step - 1)", "exceeded + step)"),
    ("mask", *ENCODE_H4, "sum >> 8 & 0x00ff00ffu", "sum >> 8 & 0x000f00ffu"),
    ("bound", *ENCODE_H4, "bits < best.bits", "bits <= best.bits"),
    ("stale accumulator", *ENCODE_H4, "if (lane < 16) scratch.words[lane] = 0;",
     "if (lane < 15) scratch.words[lane] = 0;"),
    ("sync", *ENCODE_H4, "words[lane % 16]; __syncwarp();", "words[lane % 16];"),
    ("shift by 0", *ENCODE_H4, "__funnelshift_l(bits, 0u, at % 32)", "bits >> (32 - at % 32) % 32"),
    ("bound", *ENCODE_H4, "if (word < 15) atomicOr", "if (word < 14) atomicOr"),
    ("lane", *ENCODE_H4, "if (lane >= distance) end", "if (lane > distance) end"),
    ("stale accumulator", *ENCODE_H4, "open &= ~(1u << i)", "open &= ~0u"),
    ("rounding", *ENCODE_H4, "__fdiv_rn(values[i], m)", "values[i] * (1.0f / m)"),
    ("rounding", *TARGETS, "__float2int_rn(", "__float2int_rz("),
    ("lane", *TARGETS, "if (16 * (lane % 8) + 4 * t + lane / 8 < count)", "if (4 * lane + t < count)"),
    ("bound", *SEARCH, "steps < 2 && code >= least_code_ ? 0", "steps < 3 && code >= least_code_ ? 0"),
    ("bound", *SEARCH, "if (keys[j] < own) index", "if (keys[j] <= own) index"),
    ("table column", *TARGETS, "target << 16;", "target * 65536 + 65535;"),
    ("lane", *TARGETS, "__shfl_sync(kFullMask, lower, 31)", "__shfl_sync(kFullMask, lower, 30)"),
    ("stale accumulator", *SEARCH, "{  // the last step did not help: turn, or end candidate",
     "{ direction = -1; candidate"),
    ("shift", *TARGETS, "entry >> (8 + R)", "entry >> (7 + R)"),
    ("bound", *TARGETS, "half + extra > kHalfTailBits ||", "half + extra >= kHalfTailBits ||"),
    ("lane", *TARGETS, "if (lane_ == owner) taken", "if (lane_ / 8 == owner / 8) taken"),
    ("bound", *TARGETS, "spent > kTailBits - kHalfTailBits", "spent >= kTailBits - kHalfTailBits"),
    ("rounding", *SEARCH, "excess * excess * 3 / 20", "excess * 3 / 20"),
    ("stale accumulator", *SEARCH, "log_lambda_ = first_log(pattern, code) +",
     "log_lambda_ += first_log(pattern, code) +"),
    ("bound", *SEARCH, "|| error < targets_.zero_error()", "|| error <= targets_.zero_error() + 64"),
    ("lane", *PLANAR_ENC, "sum += __shfl_xor_sync(kFullMask, sum, 2);",
     "sum += __shfl_xor_sync(kFullMask, sum, 16);"),
    ("table column", *PLANAR_ENC, "own, 1), 0x5140u)", "own, 1), 0x4150u)"),
    ("sync", *PLANAR_ENC, "scale_of(base)); __syncwarp();", "scale_of(base));"),
    ("rounding", *PLANAR_ENC, "(sum >> 4, -32768)", "(sum >> 6, -32768)"),
    ("bound", *PLANAR_ENC, "sum = min(max(sum, -32768), 32767); } } return sum;", "} } return sum;"),
    ("mask", *PLANAR_ENC, "__popc(masks[t] & below);", "__popc(masks[t] & below >> 1);"),
    ("tail tile", *PLANAR_ENC, "search.valid(t) ? static_cast", "true ? static_cast"),
    ("tail tile", *PLANAR_ENC_CU, "min(static_cast<int>(job.cols - start), kGroup)", "kGroup"),
    ("tail tile", *ENCODE_H4_CU, "min(static_cast<int>(job.cols - start), kGroup)", "kGroup"),
    ("rounding", *KV_DOT, "sums[j] = __fmaf_rn(values[3], q.w, sums[j]);", "sums[j] += values[3] * q.w + 0x1p-24f;"),
    ("lane", *KV_DOT, "int distance = 1; distance < lanes", "int distance = 2; distance < lanes"),
    ("lane", *KV_DOT, "queries, 16 * i + 4 * t, sums", "queries, 16 * i + t, sums"),
    ("bound", *KV_DOT, "min(row, count - 1)", "row"),
    ("bound", *KV_DOT, "at > kBlockBits ? kNoSymbol", "at >= kBlockBits ? kNoSymbol"),
    ("table column", *KV_DOT, "word >> 8 * i & 31u", "word >> 8 * i & 15u"),
    ("bound", *KV_DOT, "int i = outliers - 1; i >= 0; --i", "int i = 0; i < outliers; ++i"),
    ("stale accumulator", *KV_DOT, "if (again) continue;", ""),
    ("shift by 64", *KV_DOT, "seen[0] |= place < 64 ? bit : 0;", "seen[0] |= bit;"),
    ("sync", *KV_SCORES, "__syncthreads();  // the values before are in use", ""),
    ("sync", *KV_SCORES, "query_value(job, at) : 0.0f; } __syncthreads();", "query_value(job, at) : 0.0f; }"),
    ("bound", *KV_SCORES, "j < run.count && d < job.head_values", "j < run.count"),
    ("lane", *KV_SCORES, "first += head * job.queries_per_head", "first += head"),
    ("tail tile", *KV_SCORES, "if (token < job.tokens) store_scores(job, run, token, sums); } /// One",
     "store_scores(job, run, token, sums); } /// One"),
    ("sync", *KV_SCORES, "static_cast<int>(job.tokens - first)); __syncwarp();",
     "static_cast<int>(job.tokens - first));"),
    ("stale accumulator", *KV_SCORES, "a8::dot_lanes(__ldg(words + 16 * b)", "a8::dot_lanes(__ldg(words)"),
    ("bound", *RAW_H4, "max(walked.coded - 32 * q, 0)", "max(walked.coded - 32 * q, 1)"),
    ("bound", *RAW_H4, "at <= kBlockBits - kOutlierBits; at", "at < kBlockBits - kOutlierBits; at"),
    ("mask", *RAW_H4, "& 0x01010101u) * 255u", "& 0x01010101u) * 127u"),
    ("stale accumulator", *RAW_H4, "if (known) continue;", ""),
    ("lane", *RAW_H4, "column % NB * 64", "column % 2 * 64"),
    ("rounding", *RAW_H4, "__fmul_rn(value, x.factors", "__fmul_rz(value, x.factors"),
    ("sign", *RAW_H4, "if (header.is_zero()) walked = {kGroup, kBlockBits};", ""),
    ("sync", *RAW_H4, "} __syncwarp(); if (lane < kTileRows) { const Header",
     "} if (lane < kTileRows) { const Header"),
    ("sync", *RAW_H4_CU, "acc, half); } __syncwarp();", "acc, half); }"),
    ("sync", *RAW_H4_CU, "__syncwarp(); } __syncthreads();", "__syncwarp(); }"),
    ("tail tile", *RAW_H4_CU, "job.rows - 1);", "job.rows);"),
    ("table column", *RAW_H4_CU, "symbols.part(1)), marks >> 16", "symbols.part(1)), marks"),
]


def pattern_of(text):
    """The text as a regular expression in which any white space matches any."""
    return r"\s*".join(re.escape(word) for word in re.findall(r"\w+|[^\w\s]", text))


class Runner:
    def __init__(self, options):
        self.options = options
        self.tests = dict(test.split("=", 1) for test in options.test)

    def run(self, mutant):
        """None if a test fails, else what is wrong."""
        _, path, source, test, old, new = mutant
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            text = file.read()
        found = re.findall(pattern_of(old), text)
        if len(found) != 1:
            return f"the text stands {len(found)} times in {path}"
        with tempfile.TemporaryDirectory() as folder:
            changed = os.path.join(folder, path)
            os.makedirs(os.path.dirname(changed))
            with open(changed, "w", encoding="utf-8") as file:
                file.write(re.sub(pattern_of(old), lambda _: new, text))
            return self.build_and_run(folder, path, source, test)

    def build_and_run(self, folder, path, source, test):
        program = os.path.join(folder, "test")
        compiled = os.path.join(folder, source)  # where it finds a changed neighbour first
        if path != source:
            os.makedirs(os.path.dirname(compiled), exist_ok=True)
            shutil.copy(os.path.join(ROOT, source), compiled)
        compile_command = [
            self.options.nvcc, "-std=c++20", "-O2", "--expt-relaxed-constexpr",
            "-gencode", "arch=compute_80,code=compute_80", "--compress-mode=none",
            "-DECCO_STATIC_DEFINE", "-I", os.path.join(folder, "include"),
            "-I", os.path.join(ROOT, "include"), "-I", os.path.join(ROOT, "cuda"),
            "-c", compiled, "-o", program + ".o"]
        link_command = (["g++", "-o", program] + self.tests[test].split(";") + [
            program + ".o", self.options.library, self.options.runtime, "-lgtest_main", "-lgtest",
            "-lpthread", "-ldl"])
        for command in (compile_command, link_command):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                return "does not build: " + (done.stderr or done.stdout)[-500:]
        for seed in ("0", "1"):
            try:
                done = subprocess.run(
                    [program, "--gtest_fail_fast"], capture_output=True, timeout=120,
                    env={**os.environ, "PTXVM_SEED": seed, "PTXVM_MAX_STEPS": "20000000"})
            except subprocess.TimeoutExpired:
                return None
            if b"[  FAILED  ]" in done.stdout:
                return None
            if done.returncode != 0:
                return f"cuda_{test}_test stopped without a failure: {done.stderr[-300:]!r}"
        return f"no failure in cuda_{test}_test"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nvcc", required=True)
    parser.add_argument("--library", required=True)
    parser.add_argument("--runtime", required=True)
    parser.add_argument("--test", action="append", required=True)
    parser.add_argument("--every", type=int, default=1, help="a sample: every N-th mutant")
    parser.add_argument("--only", default="", help="mutants of files whose name has this text")
    options = parser.parse_args()
    runner = Runner(options)
    chosen = [m for m in MUTANTS[::options.every] if options.only in m[1]]
    failures = 0
    for mutant in chosen:
        wrong = runner.run(mutant)
        failures += wrong is not None
        print(f"{'caught  ' if wrong is None else 'SURVIVED'} {mutant[0]:18} {mutant[1]}: "
              f"{mutant[4]!r} -> {mutant[5]!r}" + (f": {wrong}" if wrong else ""), flush=True)
    print(f"{len(chosen) - failures} of {len(chosen)} mutants caught")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
