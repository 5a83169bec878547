#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Static gates on the machine code of ecco_cuda: no spills and no local memory in any kernel,
registers and instructions per weight of the main loops, or in all, within budgets. A kernel without
a budget fails.

Usage: sass_test.py CUOBJDUMP LIBRARY ARCHITECTURE...
"""
import re
import subprocess
import sys

# Instructions that share the ALU pipe, half the issue rate on sm_80..sm_120 (docs/cuda.md).
ALU = set("""LOP3 PRMT SHF IADD3 ISETP SEL LEA FSETP FMNMX IMNMX FSEL VOTE PLOP3 LOP VIADD IADD
    VIADDMNMX VIMNMX IABS P2R R2P BMSK SGXT""".split())

# Kernel (a pattern of its mangled name), an instruction that only its main loop has, weights of a
# lane in one turn of that loop, and the budgets: instructions and ALU instructions per weight,
# registers. They hold for all architectures; docs/cuda.md, "Tests", has the command for all six.
LOOPS = [
    (r"gemv_kernelINS0_8FastLaneILi0E.*?EELi\dELi[248]ELi1E", "IMMA", 128, 1.7, 1.0, 64),
    (r"gemv_kernelINS0_8FastLaneILi0E.*?EELi\dELi8ELi2E", "IMMA", 128, 1.95, 0.95, 96),
    (r"gemv_kernelINS0_8FastLaneILi1E.*?EELi\dELi[248]ELi1E", "IMMA", 128, 1.9, 1.2, 64),
    (r"gemv_kernelINS0_8FastLaneILi1E.*?EELi\dELi8ELi2E", "IMMA", 128, 2.4, 1.2, 96),
    (r"gemv_kernelINS0_8FastLaneILi2E.*?EELi\dELi[248]ELi1E", "IMMA", 128, 2.75, 1.72, 64),
    (r"gemv_kernelINS0_8FastLaneILi2E.*?EELi\dELi8ELi2E", "IMMA", 128, 3.1, 1.72, 112),
    (r"gemv_kernelINS0_8FastLaneILi3E.*?EELi\dELi[248]ELi1E", "IMMA", 128, 4.2, 2.9, 112),
    (r"gemv_kernelINS0_8FastLaneILi3E.*?EELi\dELi8ELi2E", "IMMA", 128, 4.7, 2.9, 120),
    (r"gemv_kernelINS0_10NibbleLaneELi\dELi[248]ELi1E", "IMMA", 128, 1.9, 1.2, 80),
    (r"gemv_kernelINS0_10NibbleLaneELi\dELi8ELi2E", "IMMA", 128, 2.4, 1.2, 112),
    (r"gemv_kernelINS0_9DenseLaneELi\dELi[248]ELi1E", "IMMA", 128, 4.5, 2.8, 80),
    (r"gemv_kernelINS0_9DenseLaneELi\dELi8ELi2E", "IMMA", 128, 4.95, 2.85, 112),
    (r"gemv_kernelINS0_10PairedLaneELi\dELi[248]ELi1E", "IMMA", 128, 3.1, 2.1, 80),
    (r"gemv_kernelINS0_10PairedLaneELi\dELi8ELi2E", "IMMA", 128, 3.5, 2.1, 116),
    (r"gemv_kernelINS0_7RawLaneILi0EEELi\dELi[248]ELi1E", "IMMA", 128, 9.1, 6.2, 80),
    (r"gemv_kernelINS0_7RawLaneILi0EEELi\dELi8ELi2E", "IMMA", 128, 9.3, 6.2, 128),
    (r"gemv_kernelINS0_7RawLaneILi1EEELi\dELi[248]ELi1E", "IMMA", 128, 9.9, 7.0, 120),
    (r"gemv_kernelINS0_7RawLaneILi1EEELi\dELi8ELi2E", "IMMA", 128, 10.2, 7.1, 128),
    (r"gemv_kernelINS0_7RawLaneILi2EEELi\dELi[248]ELi1E", "IMMA", 128, 11.1, 8.2, 128),
    (r"gemv_kernelINS0_7RawLaneILi2EEELi\dELi8ELi2E", "IMMA", 128, 11.5, 8.2, 128),
    (r"gemv_kernelINS0_7RawLaneILi3EEELi\dELi[248]ELi1E", "IMMA", 128, 12.8, 9.6, 128),
    (r"gemv_kernelINS0_7RawLaneILi3EEELi\dELi8ELi2E", "IMMA", 128, 12.9, 9.5, 128),
    (r"gemm_kernelINS0_8FastLaneILi0E", "HMMA", 128, 6.6, 2.1, 216),
    (r"gemm_kernelINS0_8FastLaneILi1E", "HMMA", 128, 7.8, 3.4, 216),
    (r"gemm_kernelINS0_8FastLaneILi2E", "HMMA", 128, 8.7, 4.4, 224),
    (r"gemm_kernelINS0_8FastLaneILi3E", "HMMA", 128, 11.1, 6.6, 232),
    (r"gemm_kernelINS0_9DenseLaneE", "HMMA", 128, 10.9, 5.6, 224),
    (r"gemm_kernelINS0_10PairedLaneE", "HMMA", 128, 9.4, 4.8, 224),
    (r"gemm_kernelINS0_7RawLaneILi0E", "HMMA", 128, 13.5, 7.3, 232),
    (r"gemm_kernelINS0_7RawLaneILi1E", "HMMA", 128, 14.6, 8.2, 240),
    (r"gemm_kernelINS0_7RawLaneILi2E", "HMMA", 128, 15.5, 9.1, 232),
    (r"gemm_kernelINS0_7RawLaneILi3E", "HMMA", 128, 17.4, 10.6, 240),
    (r"gemm_kernelINS0_10NibbleLaneE", "HMMA", 128, 7.6, 3.3, 216),
    (r"decode_kernelINS0_8FastLaneILi2E.*?ENS_4halfELb1E", "F2FP", 64, 12.4, 6.4, 64),
    (r"decode_kernelINS0_8FastLaneILi0E.*?ENS_4halfELb1E", "F2FP", 64, 8.9, 3.9, 48),
    (r"decode_kernelINS0_8FastLaneILi1E.*?ENS_4halfELb1E", "F2FP", 64, 10.0, 4.7, 56),
    (r"decode_kernelINS0_8FastLaneILi3E.*?ENS_4halfELb1E", "F2FP", 64, 16.0, 9.5, 80),
    (r"decode_kernelINS\w+16NibbleDecodeLaneENS_4halfELb1E", "F2FP", 64, 11.0, 4.6, 56),
    (r"decode_kernelINS0_9DenseLaneENS_4halfELb1E", "F2FP", 64, 14.5, 7.6, 64),
    (r"decode_kernelINS0_10PairedLaneENS_4halfELb1E", "F2FP", 64, 12.8, 6.8, 72),
    (r"decode_kernelILi2ENS_4halfELb1E", "F2FP", 32, 16.2, 9.9, 40),
    (r"decode_kernelILi0ENS_4halfELb1E", "F2FP", 32, 15.9, 8.4, 40),
    (r"decode_kernelILi1ENS_4halfELb1E", "F2FP", 32, 16.9, 9.3, 40),
    (r"decode_kernelILi3ENS_4halfELb1E", "F2FP", 32, 19.5, 11.6, 56),
    # Encoders: the loop over blocks, each inner loop and slow path of a division counted once.
    (r"encode_a8_kernelI(NS_(4half|8bfloat16)E|f)Lb[01]E", "SHFL", 4, 90, 32, 40),
    (r"encode_h4_kernelI(NS_(4half|8bfloat16)E|f)Lb[01]E", "REDUX", 4, 400, 180, 60),
    (r"encode_planar_kernelILi0E", "REDUX", 4, 742, 356, 116),
    (r"encode_planar_kernelILi1E", "REDUX", 4, 746, 360, 112),
    (r"encode_planar_kernelILi2E", "REDUX", 4, 820, 400, 120),
    (r"encode_planar_kernelILi3E", "REDUX", 4, 950, 430, 120),
    (r"planar_scores_kernelILi2ELi1E", "FFMA", 32, 18.8, 10.4, 56),
    (r"planar_scores_kernelILi2ELi4E", "FFMA", 32, 22.6, 10.4, 80),
    (r"a8_scores_kernelILi1E", "FFMA", 4, 41, 17, 40),
    (r"sums_kernelINS\d?_10PlanarRowsILi2EEELi1E", "FFMA", 32, 16.2, 9.3, 84),
    (r"sums_kernelINS\d?_10PlanarRowsILi2EEELi4E", "FFMA", 32, 19.6, 9.4, 88),
    (r"sums_kernelINS\d?_6A8RowsELi1E", "FFMA", 8, 12, 6.9, 40),
    (r"sums_kernelINS\d?_6A8RowsELi4E", "FFMA", 8, 17.5, 7.7, 60),
    (r"planar_scores_kernelILi0ELi1E", "FFMA", 32, 16.7, 8.3, 48),
    (r"planar_scores_kernelILi0ELi4E", "FFMA", 32, 20.6, 8.6, 84),
    (r"planar_scores_kernelILi1ELi1E", "FFMA", 32, 17.9, 9.2, 52),
    (r"planar_scores_kernelILi1ELi4E", "FFMA", 32, 21.8, 9.5, 84),
    (r"planar_scores_kernelILi3ELi1E", "FFMA", 32, 20.5, 11.6, 68),
    (r"planar_scores_kernelILi3ELi4E", "FFMA", 32, 24.4, 11.6, 84),
    (r"sums_kernelINS\d?_10PlanarRowsILi0EEELi1E", "FFMA", 32, 13.9, 7.4, 76),
    (r"sums_kernelINS\d?_10PlanarRowsILi0EEELi4E", "FFMA", 32, 17.3, 7.4, 84),
    (r"sums_kernelINS\d?_10PlanarRowsILi1EEELi1E", "FFMA", 32, 15.0, 8.2, 76),
    (r"sums_kernelINS\d?_10PlanarRowsILi1EEELi4E", "FFMA", 32, 18.5, 8.3, 84),
    (r"sums_kernelINS\d?_10PlanarRowsILi3EEELi1E", "FFMA", 32, 17.7, 10.6, 80),
    (r"sums_kernelINS\d?_10PlanarRowsILi3EEELi4E", "FFMA", 32, 21.1, 10.6, 96),
    (r"a8_scores_kernelILi4E", "FFMA", 4, 44.3, 17.0, 44),
    # Conversions: the loop over tiles.
    (r"[^n]pack_kernel\w+10FastWriterILi0E", "SHFL", 64, 15.6, 11.0, 44),
    (r"[^n]pack_kernel\w+10FastWriterILi1E", "SHFL", 64, 15.2, 10.8, 44),
    (r"[^n]pack_kernel\w+10FastWriterILi2E", "SHFL", 64, 24.3, 18.7, 44),
    (r"[^n]pack_kernel\w+10FastWriterILi3E", "SHFL", 64, 28.4, 20.8, 64),
    (r"[^n]pack_kernel\w+11DenseWriter", "SHFL", 64, 20.3, 14.9, 44),
    (r"[^n]pack_kernel\w+12PairedWriter", "SHFL", 64, 30.2, 20.3, 44),
    (r"unpack_kernel\w+8FastLaneILi0E", "SHFL", 64, 10.3, 6.9, 44),
    (r"unpack_kernel\w+8FastLaneILi1E", "SHFL", 64, 11.6, 7.5, 52),
    (r"unpack_kernel\w+8FastLaneILi2E", "SHFL", 64, 13.0, 8.5, 52),
    (r"unpack_kernel\w+8FastLaneILi3E", "SHFL", 64, 15.6, 10.3, 52),
    (r"unpack_kernel\w+9DenseLane", "SHFL", 64, 14.9, 9.8, 52),
    (r"unpack_kernel\w+10PairedLane", "SHFL", 64, 13.5, 8.9, 52),
]

# Decoders to all types and forms of rows: weights of a lane in a turn, registers; instructions and
# ALU instructions per weight where rows are aligned or of float, of bfloat16 to rows of any
# alignment, and of half to those.
DECODERS = [
    (r"decode_kernelINS0_8FastLaneILi0E\w+?", 64, 52, (9.7, 5.7), (20.9, 13.6), (55.9, 35.3)),
    (r"decode_kernelINS0_8FastLaneILi1E\w+?", 64, 60, (10.7, 6.3), (22.1, 14.5), (57.1, 36.3)),
    (r"decode_kernelINS0_8FastLaneILi2E\w+?", 64, 68, (18.1, 8.9), (26.6, 16.8), (59.6, 37.9)),
    (r"decode_kernelINS0_8FastLaneILi3E\w+?", 64, 84, (16.7, 11.3), (29.9, 20.0), (63.0, 41.1)),
    (r"decode_kernelINS\d?_16NibbleDecodeLaneE", 64, 64, (11.7, 6.3), (23.0, 14.5), (58.1, 36.3)),
    (r"decode_kernelINS0_9DenseLaneE", 64, 68, (15.4, 9.4), (26.8, 17.6), (61.8, 39.3)),
    (r"decode_kernelINS0_10PairedLaneE", 64, 72, (13.7, 8.3), (25.1, 16.6), (60.1, 38.3)),
    (r"decode_kernelILi0E", 32, 44, (15.9, 9.7), (26.6, 17.9), (61.8, 39.7)),
    (r"decode_kernelILi1E", 32, 44, (16.9, 10.5), (27.8, 18.9), (62.8, 40.6)),
    (r"decode_kernelILi2E", 32, 44, (17.8, 11.7), (29.0, 19.9), (63.9, 41.5)),
    (r"decode_kernelILi3E", 32, 52, (19.5, 13.3), (30.7, 21.5), (65.6, 43.1)),
    (r"decode_kernelI(?=NS_4half|NS_8bf|f)", 4, 36, (19.4, 11.4), (29.7, 19.1), (65.2, 40.7)),
]
LOOPS += [
    (name + values, "PRMT", weights, *budget, registers)
    for name, weights, registers, *budgets in DECODERS
    for values, budget in zip((r"(NS_(4half|8bfloat16)ELb1|fLb[01])E", r"NS_8bfloat16ELb0E",
                               r"NS_4halfELb0E"), budgets)]

# Kernels without a main loop, or whose inner loops take as many turns as the data want: all their
# instructions, registers.
WHOLE = [
    (r"gemv_raw_h4_kernelILi[248]ELi1E", 1520, 84),
    (r"gemv_raw_h4_kernelILi8ELi2E", 1210, 96),
    (r"h4_scores_kernelILi1E", 1195, 76),
    (r"h4_scores_kernelILi4E", 1315, 108),
    (r"sums_kernelINS\d?_6H4RowsELi1E", 950, 88),
    (r"sums_kernelINS\d?_6H4RowsELi4E", 1075, 96),
    (r"parallel_kernelINS_4halfELb0E", 2380, 52),
    (r"parallel_kernelI(NS_4halfELb1|NS_8bfloat16ELb[01]|fLb[01])E", 2235, 52),
    (r"lane_kernelI(NS_(4half|8bfloat16)E|f)Lb[01]E", 760, 80),
    (r"place_kernelINS_4halfE", 90, 24),
    (r"place_kernelI(NS_8bfloat16E|fE)", 57, 24),
    (r"corrections_kernel", 355, 44),
    (r"quantize_kernelINS\d?_7NumbersI\w+?ELi1E", 255, 28),
    (r"quantize_kernelINS\d?_7NumbersI\w+?ELi2E", 295, 32),
    (r"quantize_kernelINS\d?_8A8BlocksELi1E", 290, 28),
    (r"quantize_kernelINS\d?_8A8BlocksELi2E", 330, 32),
    (r"12round_kernelI", 710, 68),
    (r"round_vectors_kernelINS_8bfloat16E", 340, 40),
    (r"round_vectors_kernelIfE", 460, 44),
    (r"scale_kernel", 36, 24),
    (r"slices_kernel", 360, 44),
]

# The lane decoder of H4: turns of its loops per 128 values of a lane. Its whole cost is what the
# loops cost plus the straight code around them, once per block.
H4_KERNEL = r"lane_kernelINS_4halfELb1E"
H4_BUDGET = 12.0  # instructions per value


def functions(tool, library, architecture):
    """Yields (name, [(address, instruction)])."""
    text = subprocess.run([tool, "-sass", "-arch", architecture, library], check=True,
                          capture_output=True, text=True).stdout
    for part in re.split(r"\n\s*Function : ", text)[1:]:
        found = re.finditer(r"\n\s+/\*([0-9a-f]{4,})\*/\s+(.*?);", part)
        yield part.split("\n")[0].strip(), [(int(m[1], 16), m[2]) for m in found]


def resources(tool, library, architecture):
    """Name -> {"REG": ..., "STACK": ..., "LOCAL": ...}."""
    text = subprocess.run([tool, "-res-usage", "-arch", architecture, library], check=True,
                          capture_output=True, text=True).stdout
    found = re.finditer(r"Function (\S+):\s*\n\s*(.*)", text)
    return {m[1]: {k: int(v) for k, v in re.findall(r"([A-Z]+):(\d+)", m[2])} for m in found}


def opcode(instruction):
    """PRMT of "@!P0 PRMT R1, ...", LDG.EF of a load that L1 evicts first."""
    words = instruction.split(None, 2)
    first, *modifiers = words[instruction.startswith("@")].split(".")
    return first + ".EF" if "EF" in modifiers else first


def loops(code):
    """All loops as (first address, last address, opcodes), shortest first."""
    found = []
    for address, instruction in code:
        target = re.search(r"BRA\S*\s+.*?0x([0-9a-f]+)", instruction)
        if target and int(target[1], 16) < address:
            begin = int(target[1], 16)
            found.append((begin, address, [opcode(i) for a, i in code if begin <= a <= address]))
    return sorted(found, key=lambda loop: len(loop[2]))


def inside(loop, outer):
    return outer[0] <= loop[0] and loop[1] <= outer[1]


def check_ahead(report, name, body):
    """The loads of the next tile (evict-first) come before the mma of the one in hand, in both
    halves of a turn. Left alone, ptxas puts them off to spare registers; warps wait for DRAM."""
    tile = body.count("IMMA") // 2
    before = [body[:i].count("IMMA") % tile for i, op in enumerate(body) if op == "LDG.EF"]
    report(before != [] and not any(before),
           f"{name}: {sum(b > 0 for b in before)} of {len(before)} loads behind an mma (none)")


def check_loop(report, name, code, used, entry):
    _, marker, weights, most_all, most_alu, most_registers = entry
    bodies = [loop[2] for loop in loops(code)]
    most = max((body.count(marker) for body in bodies), default=0)
    body = next((b for b in bodies if most and b.count(marker) == most), None)
    if body is None:
        report(False, f"{name}: no loop with {marker}")
        return
    total = len(body) / weights
    alu = sum(op in ALU for op in body) / weights
    report(total <= most_all, f"{name}: {total:.2f} instructions per weight (<= {most_all})")
    report(alu <= most_alu, f"{name}: {alu:.2f} ALU instructions per weight (<= {most_alu})")
    report(used["REG"] <= most_registers,
           f"{name}: {used['REG']} registers (<= {most_registers})")
    if marker == "IMMA" and "RawLane" not in name:  # raw blocks are not read ahead
        check_ahead(report, name, body)


def check_whole(report, name, code, used, entry):
    _, most, most_registers = entry
    total = sum(opcode(i) != "NOP" for _, i in code)
    report(total <= most, f"{name}: {total} instructions (<= {most})")
    report(used["REG"] <= most_registers,
           f"{name}: {used['REG']} registers (<= {most_registers})")


def check_h4(report, name, code):
    """Per block of 128 values: a loop over codes (eight per STS), one over rows (four rows of 16
    values per lane and turn), the code around them once; loops over outliers, over codes and values
    of clipped blocks are left out, and so are the three instructions that BRA.CONV skips when the
    warp is together."""
    found = loops(code)
    codes = next(p for p in found
                 if p[2].count("STS") and p[2].count("LDS") >= 6 * p[2].count("STS"))
    rows = next(p for p in found if p[2].count("PRMT") >= 32)
    whole = next(p for p in found[::-1] if "F2FP" in p[2] and inside(codes, p) and inside(rows, p))
    innermost = [p for p in found if inside(p, whole) and p is not whole
                 and not any(inside(q, p) for q in found if q is not p)]
    skipped = 3 * sum(i.startswith("BRA.CONV") and whole[0] <= a <= whole[1] for a, i in code)
    once = len(whole[2]) - skipped - sum(len(p[2]) for p in innermost)
    per_value = (len(codes[2]) / (8 * codes[2].count("STS")) + len(rows[2]) / 16 + once / 128)
    report(per_value <= H4_BUDGET,
           f"{name}: {per_value:.2f} instructions per value (<= {H4_BUDGET})")


def main():
    tool, library, *architectures = sys.argv[1:]
    failures = []

    def report(good, text):
        print(("ok    " if good else "FAILED ") + text)
        if not good:
            failures.append(text)

    for architecture in architectures:
        usage = resources(tool, library, architecture)
        code = dict(functions(tool, library, architecture))
        if not code:
            report(False, f"{architecture}: no machine code in {library}")
        for name, used in usage.items():
            if used["STACK"] or used["LOCAL"]:
                report(False, f"{architecture} {name}: stack {used['STACK']}, "
                       f"local {used['LOCAL']} bytes")
        for name in code:
            if any(opcode(i) in ("LDL", "STL") for _, i in code[name]):
                report(False, f"{architecture} {name}: local memory")
        seen = set()
        for check, entry in [(check_loop, e) for e in LOOPS] + [(check_whole, e) for e in WHOLE]:
            matching = [name for name in code if re.search(entry[0], name)]
            seen.update(matching)
            if not matching:
                report(False, f"{architecture}: no kernel {entry[0]}")
            for name in matching:
                short = f"{architecture} {re.search(entry[0], name)[0]}"
                check(report, short, code[name], usage[name], entry)
        for name in sorted(set(code) - seen):
            report(False, f"{architecture}: no budget for {name}")
        if not any(re.search(H4_KERNEL, name) for name in code):
            report(False, f"{architecture}: no kernel {H4_KERNEL}")
        for name in (n for n in code if re.search(H4_KERNEL, n)):
            check_h4(report, f"{architecture} {H4_KERNEL}", code[name])
    print(f"{len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
