# SPDX-License-Identifier: MIT
"""Planted errors in the decoders of H4 blocks; README.md has the form."""
MUTANTS = {
    ("include/ecco/cuda/h4.cuh", "cuda/decode_h4.cu", "decode"): [
        ("bound", "codebook < tables.codebook_count ? codebook : 0", "codebook"),
        ("bound", "pattern < tables.pattern_count ? pattern : 0", "pattern"),
        ("sign", "zero ? 0u : scale}", "scale}"),
    ],
    ("include/ecco/cuda/h4_lane.cuh", "cuda/decode_h4.cu", "decode"): [
        ("table column", "(upper >> 1) + 0x32103210u", "(upper >> 1) + 0x32103201u"),
        ("mask", "and.b32 %0, %1, 0x88888888;", "and.b32 %0, %1, 0x88888880;"),
        ("tail tile", "return {kGroup, end}", "return {kGroup, kBlockBits}"),
        ("shift by 0", "block[at / 32 + 1], at);", "block[at / 32], at);"),
        ("bound", "kWarpLanes * i, 4 * count - 1)", "kWarpLanes * i, 4 * count + 3)"),
        ("mask", "at >> 5 & 0x7ffu", "at >> 5 & 0x1ffu"),
        ("stale accumulator", "at += three + entry[3]", "at = three + entry[3]"),
        ("shift", "__funnelshift_r(codes, 0u, three) << kIndexShift", "window"),
    ],
    ("include/ecco/cuda/h4_warp.cuh", "cuda/decode_h4.cu", "decode"): [
        ("tail tile", "index == kChunks - 1 ?", "index == kChunks ?"),
        ("lane", "if (lane >= distance) run", "if (lane > distance) run"),
        ("lane", "if (lane == 0) element = offset = 0;", ""),
        ("sync", "} __syncwarp(); return {static_cast<int>(total",
         "} return {static_cast<int>(total"),
        ("bound", "bits >> 7 & 255u", "bits >> 8 & 255u"),
    ],
    ("cuda/decode_h4.cu", "cuda/decode_h4.cu", "decode"): [
        ("sync", "__syncwarp(); h4::write_rows", "h4::write_rows"),
        ("tail tile", "block < job.block_count ? min(room, kGroup) : 0", "min(room, kGroup)"),
        ("grid", "step = gridDim.x * kLaneThreads", "step = 65536 * kLaneThreads"),
        ("lane", "place.column * kGroup + 4 * static_cast<unsigned>(lane)",
         "place.column * kGroup + static_cast<unsigned>(lane)"),
    ],
    ("include/ecco/cuda/h4_tables.cuh", "cuda/decode_h4.cu", "decode"): [
        ("sync", "codes[i] = tables.codes[i]; __syncthreads();", "codes[i] = tables.codes[i];"),
        ("bound", "i < count; i += blockDim.x", "i + 32 < count; i += blockDim.x"),
        ("table column", "codes[i] = tables.codes[i]", "codes[i] = tables.codes[0]"),
    ],
    ("cuda/launch.cuh", "cuda/decode_h4.cu", "decode"): [
        ("bound", "if (column >= per_row)", "if (column > per_row)"),
        ("stale accumulator", "column += step.column;", ""),
    ],
    ("include/ecco/cuda/h4_store.cuh", "cuda/decode_h4.cu", "decode"): [
        ("bound", "if (place < to.count)", "if (true)"),
        ("tail tile", "int e = walked.coded; e", "int e = walked.coded + 1; e"),
    ],
}
