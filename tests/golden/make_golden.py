#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the golden files beside it: blocks, containers and what they must decode to.

Written from docs/format.md and sharing no code with the library or docs/reader.py: bits are Python
integers here, handled one by one. Needs python3-xxhash. Run it only when the specification gains a
case: files that exist pin bytes that must never change meaning.
"""
import json
import pathlib
import random
import struct

import xxhash

HERE = pathlib.Path(__file__).parent
PLANES = {"p2": 0, "p3": 1, "p4": 2, "p5": 3}
GROUP = 128


def element_of(half, j):
    return 16 * (j % 8) + j // 8 + 8 * half


def centroid(pattern, rank):
    """The tables of the golden blocks: no two centroids of a pattern are equal."""
    return (37 * pattern + 11 * rank) % 247 - 123


def f32(value):
    """Rounds a binary64 to binary32, to nearest even."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


def f32_bits(value):
    return struct.unpack("<I", struct.pack("<f", value))[0]


def pack(codec, ranks, pattern, scale):
    """Block of any ranks; stacks that collide are cut off (they make no valid block)."""
    r = PLANES[codec]
    block = bytearray(32 + 16 * r)
    block[0], block[1] = pattern, scale
    for e, u in enumerate(ranks):
        if u >> r >= 1:
            block[16 + e % 16] |= 1 << e // 16
        for plane in range(r):
            if u >> r - 1 - plane & 1:
                block[32 + 16 * plane + e % 16] |= 1 << e // 16
    stacks = []
    for half in 0, 1:
        levels = [ranks[element_of(half, j)] >> r for j in range(64)]
        stacks.append([[int(s > t) for s in levels if s >= t] for t in (1, 2, 3)])
    tail, at = 0, 0
    for chunk in stacks[0]:  # upward from bit 0
        for bit in chunk:
            tail |= bit << at
            at += 1
    at = 112
    for chunk in stacks[1]:  # downward from bit 111, each chunk's bits in ascending order
        at -= len(chunk)
        for i, bit in enumerate(chunk):
            if at + i >= 0:
                tail |= bit << at + i
    block[2:16] = (tail & (1 << 112) - 1).to_bytes(14, "little")
    return bytes(block)


def deposit(chunk, mask):
    out, i = 0, 0
    for j in range(64):
        if mask >> j & 1:
            out |= (chunk >> i & 1) << j
            i += 1
    return out


def half_masks(block, half):
    word = lambda at: int.from_bytes(block[at:at + 8], "little")
    masks, register, used = [word(16 + 8 * half)], word(8 if half else 2), 0
    for _ in range(3):
        n = bin(masks[-1]).count("1")
        used += n
        if half:
            chunk = register >> 64 - n
            register = register << n & (1 << 64) - 1
        else:
            chunk = register & (1 << n) - 1
            register >>= n
        masks.append(deposit(chunk, masks[-1]))
    return masks, used


def decode_ranks(codec, block):
    ranks = [0] * GROUP
    for half in 0, 1:
        masks, _ = half_masks(block, half)
        for j in range(64):
            ranks[element_of(half, j)] = sum(mask >> j & 1 for mask in masks)
    for plane in range(PLANES[codec]):
        for e in range(GROUP):
            ranks[e] = 2 * ranks[e] + (block[32 + 16 * plane + e % 16] >> e // 16 & 1)
    return ranks


def fault(codec, block, patterns):
    if block[1] == 0:
        return "dirty_zero" if any(block) else "none"
    if block[0] >= patterns:
        return "unknown_pattern"
    low, high = half_masks(block, 0)[1], half_masks(block, 1)[1]
    if low > 64 or high > 64:
        return "half_overflow"
    if low + high > 112:
        return "tail_overflow"
    tail = int.from_bytes(block[2:16], "little")
    unused = (1 << 112 - high) - (1 << low)
    return "dirty_tail" if tail & unused else "none"


def decode(codec, block, table, tensor_scale):
    code = block[1]
    if code == 0:
        return [0.0] * GROUP
    factor = f32(tensor_scale * (1 + (code & 7) / 8) * 2.0 ** ((code >> 3) - 24))
    row = table[block[0]] if block[0] < len(table) else [0] * (5 << PLANES[codec])
    return [f32(factor * row[u]) for u in decode_ranks(codec, block)]


def golden_table(codec, patterns):
    return [[centroid(p, u) for u in range(5 << PLANES[codec])] for p in range(patterns)]


# ---- blocks ----------------------------------------------------------------------------------


def levels_only(codec, low, high, level):
    """`level` for the first elements of each half in mask order, class 0 for the others."""
    ranks = [0] * GROUP
    for half, count in (0, low), (1, high):
        for j in range(count):
            ranks[element_of(half, j)] = level << PLANES[codec]
    return ranks


def mixed_ranks(codec, rng):
    """Classes with the code's own probabilities, mantissas uniform, cut until they fit."""
    r = PLANES[codec]
    while True:
        ranks = []
        for _ in range(GROUP):
            s = 0
            while s < 4 and rng.random() < 0.45:
                s += 1
            ranks.append(s << r | rng.randrange(1 << r))
        use = [sum(min(ranks[element_of(h, j)] >> r, 3) for j in range(64)) for h in (0, 1)]
        if max(use) <= 64 and sum(use) <= 112:
            return ranks


def changed(block, **bytes_at):
    out = bytearray(block)
    for key, value in bytes_at.items():
        out[int(key[1:])] = value
    return bytes(out)


def golden_blocks():
    rng = random.Random(20250611)
    for codec in PLANES:
        size = 32 + 16 * PLANES[codec]
        mixed = pack(codec, mixed_ranks(codec, rng), 2, 165)
        yield f"{codec}-all-classes.valid", codec, 4, 0.3, mixed
        yield f"{codec}-all-ones.invalid", codec, 256, 1.0, b"\xff" * size
        noise = bytes(size - 1) + b"\1"
        while fault(codec, noise, 256) != "half_overflow":
            noise = bytes(rng.randrange(256) for _ in range(size))
        yield f"{codec}-noise.invalid", codec, 256, 1.0, noise
    mixed = pack("p4", mixed_ranks("p4", rng), 0, 130)
    first = lambda low, high, level: pack("p4", levels_only("p4", low, high, level), 0, 192)
    yield "p4-zero-scale.valid", "p4", 4, 1.0, bytes(64)
    yield "p4-all-rank-zero.valid", "p4", 4, 1.0, pack("p4", [0] * GROUP, 3, 192)
    yield "p4-low-half-full.valid", "p4", 4, 1.0, first(64, 48, 1)
    yield "p4-high-half-full.valid", "p4", 4, 1.0, first(48, 64, 1)
    yield "p4-deepest-class.valid", "p4", 4, 1.0, first(21, 16, 4)
    yield "p4-last-pattern.valid", "p4", 256, 1.0, changed(mixed, _0=255)
    yield "p4-largest-scale.valid", "p4", 4, 1e34, changed(mixed, _1=255)
    yield "p4-least-scale.valid", "p4", 4, 1.0, changed(mixed, _1=1)
    yield "p4-subnormal-values.valid", "p4", 4, 2.0 ** -120 * 1.1, changed(mixed, _1=9)
    yield "p4-low-half-overflow.invalid", "p4", 4, 1.0, first(22, 0, 4)
    yield "p4-high-half-overflow.invalid", "p4", 4, 1.0, first(0, 33, 2)
    yield "p4-tail-overflow.invalid", "p4", 4, 1.0, first(57, 56, 1)
    yield "p4-tail-bit-in-the-middle.invalid", "p4", 4, 1.0, changed(first(3, 3, 1), _9=0x10)
    yield "p4-tail-bit-above-low.invalid", "p4", 4, 1.0, changed(first(3, 3, 1), _2=0x08)
    yield "p4-unknown-pattern.invalid", "p4", 4, 1.0, changed(mixed, _0=4)
    yield "p4-zero-scale-with-pattern.invalid", "p4", 4, 1.0, changed(bytes(64), _0=1)
    yield "p4-zero-scale-with-planes.invalid", "p4", 4, 1.0, changed(mixed, _1=0)


def wrapped(values, per_line):
    lines = (values[i:i + per_line] for i in range(0, len(values), per_line))
    return "\n".join("  " + " ".join(line) for line in lines)


def write_blocks():
    records = ["# Written by make_golden.py. Table: centroid[p][u] = (37 p + 11 u) mod 247 - 123.",
               "# fault: as ecco::planar::Fault. tail: bits used by the low and the high half.",
               "# tensor_scale and values: bits of binary32."]
    for name, codec, patterns, scale, block in golden_blocks():
        scale = f32(scale)
        found = fault(codec, block, patterns)
        assert (found == "none") == name.endswith(".valid"), (name, found)
        (HERE / f"{name}.bin").write_bytes(block)
        values = decode(codec, block, golden_table(codec, patterns), scale)
        records.append("\n".join([
            f"block {name}.bin", f"codec {codec} patterns {patterns}",
            f"tensor_scale {f32_bits(scale):08x} fault {found}",
            f"tail {half_masks(block, 0)[1]} {half_masks(block, 1)[1]}",
            "ranks", wrapped([str(u) for u in decode_ranks(codec, block)], 32),
            "values", wrapped([f"{f32_bits(v):08x}" for v in values], 8)]))
    (HERE / "blocks.txt").write_text("\n".join(records) + "\n")


# ---- containers ------------------------------------------------------------------------------


def container(tensors, metadata, header_xxh3=False):
    """tensors: [(name, dtype, shape, bytes)] in the order of the data."""
    if header_xxh3:
        zeros = dict(metadata, header_xxh3="0" * 16)
        text = header_of(tensors, zeros)
        metadata = dict(metadata, header_xxh3=xxhash.xxh3_64_hexdigest(text))
    text = header_of(tensors, metadata)
    return struct.pack("<Q", len(text)) + text + b"".join(data for *_, data in tensors)


def header_of(tensors, metadata):
    header, at = {}, 0
    if metadata is not None:
        header["__metadata__"] = {"ecco": json.dumps(metadata, separators=(",", ":"))}
    for name, dtype, shape, data in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    return text + b" " * (-(8 + len(text)) % 64)


def xxh3(data):
    return {"xxh3": xxhash.xxh3_64_hexdigest(data)}


def table_bytes(table):
    return b"".join(struct.pack(f"{len(row)}b", *row) for row in table)


def round_to(dtype, values):
    if dtype == "F32":
        return struct.pack(f"<{len(values)}f", *values)
    if dtype == "F16":  # struct refuses what rounds to infinity
        return b"".join(struct.pack("<H", 0x7C00 | 0x8000 * (v < 0)) if abs(v) >= 65520
                        else struct.pack("<e", v) for v in values)
    out = b""
    for value in values:
        bits = f32_bits(value)
        out += struct.pack("<H", bits + 0x7FFF + (bits >> 16 & 1) >> 16)
    return out


# The block of the worked example in docs/format.md.
EXAMPLE_RANKS = {0: 19, 1: 9, 2: 3, 5: 12, 8: 5, 15: 14, 16: 6, 100: 16, 127: 18}
EXAMPLE_TABLE = [[0] * 20, [0, 7, -7, 14, -14, 21, -21, 29, -29, 37, -37, 46, -46, 56, -56, 68,
                            -68, 83, -83, 104]]


def minimal():
    ranks = [EXAMPLE_RANKS.get(e, 0) for e in range(GROUP)]
    block = pack("p4", ranks, 1, 165)
    table, bias = table_bytes(EXAMPLE_TABLE), struct.pack("<f", 0.5)
    metadata = {
        "format": 1,
        "tensors": {"w": {"codec": "p4", "shape": [1, 128], "dtype": "F16", "tensor_scale": 1.0,
                          "table": "ecco.table.t", **xxh3(block)}},
        "carried": {"b": xxh3(bias)},
        "tables": {"ecco.table.t": {"codec": "p4", **xxh3(table)}}}
    tensors = [("w", "U8", [1, 1, 64], block), ("b", "F32", [1], bias),
               ("ecco.table.t", "I8", [2, 20], table)]
    values = decode("p4", block, EXAMPLE_TABLE, 1.0)
    plain = [("w", "F16", [1, 128], round_to("F16", values)), ("b", "F32", [1], bias)]
    return tensors, metadata, plain


def all_codecs():
    """Each codec and dtype, three dimensions, padding, arbitrary block bytes, odd dtypes."""
    rng = random.Random(7)
    tensors, plain, tables = [], [], []
    metadata = {"format": 1, "tensors": {}, "carried": {}, "tables": {}}
    cases = [("p4", "F16", [3, 129], 0.25, 256), ("p2", "F32", [2, 2, 300], 2.0 ** -9, 5),
             ("p3", "BF16", [5, 128], 0.7, 17), ("p5", "F16", [1, 1000], 1.0, 3),
             ("p4", "BF16", [4, 64], 1.0, 1)]
    for i, (codec, dtype, shape, scale, patterns) in enumerate(cases):
        name, scale = f"layer.{i}.weight", f32(scale)
        cols, rows = shape[-1], 1
        for extent in shape[:-1]:
            rows *= extent
        per_row, size = -(-cols // GROUP), 32 + 16 * PLANES[codec]
        data, values = b"", []
        table = golden_table(codec, patterns)
        for _ in range(rows):
            row = []
            for _ in range(per_row):
                if rng.random() < 0.5:
                    block = bytearray(rng.randrange(256) for _ in range(size))
                    block[1] &= 0xBF if dtype == "F16" else 0xFF  # keeps most halves finite
                    block = bytes(block)
                else:
                    pattern = rng.randrange(patterns)
                    block = pack(codec, mixed_ranks(codec, rng), pattern, rng.randrange(100, 180))
                data += block
                row += decode(codec, block, table, scale)
            values += row[:cols]
        table_name, stored_table = f"ecco.table.{i}", table_bytes(table)
        metadata["tensors"][name] = {"codec": codec, "shape": shape, "dtype": dtype,
                                     "tensor_scale": scale, "table": table_name, **xxh3(data)}
        metadata["tables"][table_name] = {"codec": codec, **xxh3(stored_table)}
        tensors.append((name, "U8", [rows, per_row, size], data))
        plain.append((name, dtype, shape, round_to(dtype, values)))
        tables.append((table_name, "I8", [patterns, len(table[0])], stored_table))
    carried = [("scalar", "F64", [], struct.pack("<d", 0.1)),
               ("ids", "I64", [2], bytes(range(16))),
               ("norm", "F32", [3], struct.pack("<3f", 1, 2, 3)),
               ("mask", "BOOL", [2, 2], b"\1\0\0\1")]
    for name, *_, data in carried:
        metadata["carried"][name] = xxh3(data)
    return tensors + carried + tables, metadata, plain + carried


def write_containers():
    for name, make in ("minimal", minimal), ("all-codecs", all_codecs):
        tensors, metadata, plain = make()
        valid = container(tensors, metadata, header_xxh3=name == "all-codecs")
        (HERE / f"{name}.valid.safetensors").write_bytes(valid)
        (HERE / f"{name}.decoded.safetensors").write_bytes(container(plain, None))
    damaged = valid.replace(b'scale\\":0.25', b'scale\\":0.75')
    assert damaged != valid
    (HERE / "damaged-header.invalid.safetensors").write_bytes(damaged)
    copy = lambda: json.loads(json.dumps(minimal()[1]))
    tensors = minimal()[0]

    def invalid(name, edit, stored=None):
        metadata = copy()
        edit(metadata)
        path = HERE / f"{name}.invalid.safetensors"
        path.write_bytes(container(stored or tensors, metadata))

    def keep(_):
        pass

    flipped = [(n, d, s, b[:-1] + bytes([b[-1] ^ 1]) if n == "w" else b) for n, d, s, b in tensors]
    invalid("checksum", keep, flipped)
    invalid("newer-format", lambda m: m.update(format=2))
    invalid("unknown-codec", lambda m: m["tensors"]["w"].update(codec="p6"))
    invalid("a8-in-a-file", lambda m: m["tensors"]["w"].update(codec="a8"))
    invalid("missing-table", lambda m: m["tensors"]["w"].update(table="ecco.table.u"))
    invalid("unused-table", lambda m: m["tensors"]["w"].update(table="standard-1"))
    invalid("zero-tensor-scale", lambda m: m["tensors"]["w"].update(tensor_scale=0.0))
    invalid("tensor-in-no-group", lambda m: m["carried"].clear())
    invalid("blocks-too-few", lambda m: m["tensors"]["w"].update(shape=[2, 128]))
    bad_table = struct.pack("40b", *([0] * 39 + [124]))
    outside = [(n, d, s, bad_table if n == "ecco.table.t" else b) for n, d, s, b in tensors]
    invalid("centroid-out-of-range",
            lambda m: m["tables"]["ecco.table.t"].update(xxh3(bad_table)), outside)


if __name__ == "__main__":
    write_blocks()
    write_containers()
