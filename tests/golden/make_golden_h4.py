#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the golden files of codec h4 beside it, as make_golden.py does for the planar codecs.

Written from docs/format.md, section 5, with strings of "0" and "1"; shares no code with the
library or docs/reader.py.
"""
import json
import random
import struct

from make_golden import (GROUP, HERE, container, f32, f32_bits, round_to, table_bytes, wrapped,
                         xxh3)

CODEBOOKS = [[4] * 16,
             [5, 5, 5, 4, 4, 4, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5],
             [2, 2, 2, 5, 5, 5, 5, 5, 5, 6, 6, 7, 7, 8, 8, 7],
             [7, 8, 8, 7, 7, 6, 6, 5, 5, 5, 5, 5, 5, 2, 2, 2]]


def centroids(pattern):
    """The tables of the golden blocks: ascending, and no two patterns of 13 alike."""
    return [16 * k - 115 + 5 * pattern % 13 for k in range(15)]


def canonical(lengths):
    """Codes as strings, the most significant bit first."""
    assert sum(2 ** -length for length in lengths) == 1
    codes, code = {}, 0
    for length in range(2, 9):
        for symbol in range(16):
            if lengths[symbol] == length:
                codes[symbol] = format(code, f"0{length}b")
                code += 1
        code <<= 1
    return codes


def fixed(value, width):
    """A field of fixed width, its least significant bit first."""
    return "".join(str(value >> i & 1) for i in range(width))


def to_bytes(bits):
    assert len(bits) == 512
    return bytes(sum(int(bits[8 * k + i]) << i for i in range(8)) for k in range(64))


def to_bits(block):
    return "".join(str(byte >> i & 1) for byte in block for i in range(8))


def fp8(code):
    e, m = code >> 3 & 15, code & 7
    magnitude = m / 8 * 2 ** -6 if e == 0 else (1 + m / 8) * 2 ** (e - 7)
    return -magnitude if code & 128 else magnitude


def width_of(count):
    return (count - 1).bit_length()


def header(s, h, book, pattern, scale):
    return fixed(book, width_of(h)) + fixed(pattern, width_of(s)) + fixed(scale, 8)


def block_of(s, h, book, pattern, scale, symbols, outliers=(), end=""):
    """A whole block: codes, then outliers (position, code), then zeros, or the clipped rest."""
    codes = canonical(CODEBOOKS[book])
    bits = header(s, h, book, pattern, scale) + "".join(codes[u] for u in symbols)
    if len(bits) > 512:
        return to_bytes(bits[:512])
    bits += "".join(fixed(position, 7) + fixed(code, 8) for position, code in outliers) + end
    return to_bytes(bits.ljust(512, "0"))


def parse(block, s, h):
    bits = to_bits(block)
    number = lambda at, width: int(bits[at:at + width][::-1] or "0", 2)
    book, at = number(0, width_of(h)), width_of(h)
    pattern, at = number(at, width_of(s)), at + width_of(s)
    scale, at = number(at, 8), at + 8
    symbol_of = {code: u for u, code in canonical(CODEBOOKS[book if book < h else 0]).items()}
    symbols, outliers = [], []
    while len(symbols) < GROUP:
        n = next((n for n in range(2, 9) if at + n <= 512 and bits[at:at + n] in symbol_of), None)
        if n is None:
            return book, pattern, scale, symbols, outliers, ""
        symbols.append(symbol_of[bits[at:at + n]])
        at += n
    while at + 15 <= 512:
        outliers.append((number(at, 7), number(at + 7, 8)))
        at += 15
    return book, pattern, scale, symbols, outliers, bits[at:]


def decode(block, s, h, tensor_scale):
    book, pattern, scale, symbols, outliers, _ = parse(block, s, h)
    values = [0.0] * GROUP
    if scale & 127 == 0:
        return values
    m = f32(tensor_scale * fp8(scale))
    row = centroids(pattern if pattern < s else 0)
    for e, u in enumerate(symbols):
        values[e] = m if u == 15 else f32(m * (row[u] / 128))
    for position, code in outliers:
        values[position] = f32(tensor_scale * fp8(code))
    return values


def fault(block, s, h):
    book, pattern, scale, _, _, rest = parse(block, s, h)
    if scale & 127 == 0:
        return "dirty_zero" if any(block) else "none"
    if book >= h:
        return "unknown_codebook"
    if pattern >= s:
        return "unknown_pattern"
    return "dirty_end" if "1" in rest else "none"


def golden_blocks():
    rng = random.Random(20260901)
    bell = lambda: [min(14, max(0, round(rng.gauss(7, 1.6)))) for _ in range(GROUP - 1)] + [15]
    mixed = bell()
    yield "h4-zero-scale.valid", 64, 4, 1.0, bytes(64)
    yield "h4-padded.valid", 64, 4, 0.3, block_of(
        64, 4, 1, 37, 0xC5, mixed, [(5, 0x41), (127, 0xC3), (5, 0x80)])
    yield "h4-clipped-at-the-end.valid", 16, 1, 0.01, block_of(16, 1, 0, 11, 0x7F, mixed)
    yield "h4-exact-fit.valid", 64, 4, 1.0, block_of(  # 16 header bits, 496 of codes
        64, 4, 1, 5, 0x40, [7] * 24 + [4] * 96 + [0] * 8)
    yield "h4-all-shortest.valid", 64, 4, 1.0, block_of(
        64, 4, 2, 0, 0x38, [e % 3 for e in range(GROUP)], [(e, 0x30 + e) for e in range(16)])
    yield "h4-all-longest.valid", 64, 4, 1.0, block_of(64, 4, 2, 1, 0x38, [13, 14] * 64)
    yield "h4-clipped.valid", 64, 4, 1.0, block_of(64, 4, 0, 63, 0xB9, mixed)
    yield "h4-kv-table.valid", 16, 4, 1.0, block_of(16, 4, 1, 15, 0x5A, bell(), [(0, 1)])
    yield "h4-odd-shape.valid", 100, 3, 1.0, block_of(100, 3, 1, 99, 0x01, bell())
    yield "h4-largest-scale.valid", 64, 4, 1e34, block_of(64, 4, 1, 7, 0x7F, mixed)
    yield "h4-subnormal-values.valid", 64, 4, 2.0 ** -130 * 1.1, block_of(64, 4, 1, 7, 3, mixed)
    yield "h4-unknown-codebook.invalid", 100, 3, 1.0, block_of(100, 4, 3, 1, 0x38, [13] * GROUP)
    yield "h4-unknown-pattern.invalid", 100, 3, 1.0, block_of(128, 3, 1, 100, 0x38, mixed)
    yield "h4-dirty-end.invalid", 64, 4, 1.0, to_bytes(to_bits(block_of(
        64, 4, 1, 2, 0x38, mixed, [(9, 0x22)]))[:511] + "1")
    yield "h4-zero-scale-with-codes.invalid", 64, 4, 1.0, block_of(64, 4, 1, 2, 0x80, mixed)
    yield "h4-all-ones.invalid", 17, 3, 1.0, b"\xff" * 64
    for i in range(4):
        noise = bytes(rng.randrange(256) for _ in range(64))
        verdict = "valid" if fault(noise, 64, 4) == "none" else "invalid"
        yield f"h4-noise-{i}.{verdict}", 64, 4, 0.7, noise


def write_blocks():
    records = [
        "# Written by make_golden_h4.py. centroid[p][k] = 16 k - 115 + 5 p mod 13; codebooks: the",
        "# first ones of " + " | ".join(" ".join(map(str, book)) for book in CODEBOOKS),
        "# fault: as ecco::h4::Fault. coded: elements whose code is whole, whose symbols follow.",
        "# tensor_scale and values: bits of binary32."]
    for name, s, h, scale, block in golden_blocks():
        scale, found = f32(scale), fault(block, s, h)
        assert (found == "none") == name.endswith(".valid"), (name, found)
        (HERE / f"{name}.bin").write_bytes(block)
        _, _, _, symbols, outliers, _ = parse(block, s, h)
        values = decode(block, s, h, scale)
        records.append("\n".join([
            f"block {name}.bin", f"patterns {s} codebooks {h}",
            f"tensor_scale {f32_bits(scale):08x} fault {found}",
            f"coded {len(symbols)} outliers {len(outliers)}",
            "symbols", wrapped([str(u) for u in symbols], 32),
            "values", wrapped([f"{f32_bits(v):08x}" for v in values], 8)]))
    (HERE / "h4_blocks.txt").write_text("\n".join(records) + "\n")


def codebook_bytes(h):
    return b"".join(bytes(book) for book in CODEBOOKS[:h])


def h4_file():
    """Two matrices under tables of their own: padding, arbitrary bytes, odd S and H."""
    rng = random.Random(8)
    tensors, tables, plain = [], [], []
    metadata = {"format": 1, "tensors": {}, "carried": {}, "tables": {}}
    cases = [("F16", [3, 200], 0.01, 100, 3), ("BF16", [2, 2, 128], 0.25, 16, 4),
             ("F32", [4, 130], 1.5, 17, 1)]
    for i, (dtype, shape, scale, s, h) in enumerate(cases):
        rows, per_row, scale = 1, -(-shape[-1] // GROUP), f32(scale)
        for extent in shape[:-1]:
            rows *= extent
        data, values = b"", []
        for _ in range(rows):
            row = []
            for _ in range(per_row):
                block = bytes(rng.randrange(256) for _ in range(64))
                if rng.random() < 0.5:
                    symbols = [min(15, max(0, round(rng.gauss(7, 2)))) for _ in range(GROUP)]
                    block = block_of(s, h, h - 1, rng.randrange(s), rng.randrange(256), symbols)
                data += block
                row += decode(block, s, h, scale)
            values += row[:shape[-1]]
        table, books = table_bytes([centroids(p) for p in range(s)]), codebook_bytes(h)
        metadata["tensors"][f"w{i}"] = {"codec": "h4", "shape": shape, "dtype": dtype,
                                        "tensor_scale": scale, "table": f"ecco.table.{i}",
                                        **xxh3(data)}
        metadata["tables"][f"ecco.table.{i}"] = {"codec": "h4", **xxh3(table)}
        metadata["tables"][f"ecco.codebook.{i}"] = {"codec": "h4", **xxh3(books)}
        tensors.append((f"w{i}", "U8", [rows, per_row, 64], data))
        tables += [(f"ecco.table.{i}", "I8", [s, 15], table),
                   (f"ecco.codebook.{i}", "U8", [h, 16], books)]
        plain.append((f"w{i}", dtype, shape, round_to(dtype, values)))
    return tensors + tables, metadata, plain


def write_containers():
    tensors, metadata, plain = h4_file()
    (HERE / "h4.valid.safetensors").write_bytes(container(tensors, metadata, header_xxh3=True))
    (HERE / "h4.decoded.safetensors").write_bytes(container(plain, None))

    def invalid(name, edit):
        """`edit` changes {name: [dtype, shape, bytes]} and the metadata in place."""
        parts = {n: list(rest) for n, *rest in tensors}
        changed = json.loads(json.dumps(metadata))
        edit(parts, changed)
        for part in parts:
            if part in changed["tables"]:
                changed["tables"][part].update(xxh3(parts[part][2]))
        (HERE / f"{name}.invalid.safetensors").write_bytes(
            container([(n, *rest) for n, rest in parts.items()], changed))

    def set_bytes(name, edits):
        def edit(parts, _):
            data = bytearray(parts[name][2])
            for at, value in edits.items():
                data[at] = value & 255
            parts[name][2] = bytes(data)
        return edit

    def drop_codebook(parts, changed):
        del parts["ecco.codebook.0"], changed["tables"]["ecco.codebook.0"]

    def orphan(parts, changed):
        parts["ecco.codebook.x"] = ["U8", [1, 16], bytes([4] * 16)]
        changed["tables"]["ecco.codebook.x"] = {"codec": "h4"}

    def few_patterns(parts, _):
        parts["ecco.table.1"] = ["I8", [15, 15], parts["ecco.table.1"][2][:225]]

    def planar_codebook(_, changed):
        changed["tables"]["ecco.codebook.1"]["codec"] = "p4"

    def codebook_as_table(parts, changed):
        changed["tensors"]["w1"]["table"] = "ecco.codebook.2"
        for name in "ecco.table.1", "ecco.codebook.1":
            del parts[name], changed["tables"][name]

    invalid("h4-missing-codebook", drop_codebook)
    invalid("h4-codebook-as-table", codebook_as_table)
    invalid("h4-codebook-alone", orphan)
    invalid("h4-codebook-of-p4", planar_codebook)
    invalid("h4-15-patterns", few_patterns)
    invalid("h4-incomplete-code", set_bytes("ecco.codebook.1", {3: 5}))
    invalid("h4-code-length-9", set_bytes("ecco.codebook.2", {0: 9}))
    invalid("h4-descending-centroids", set_bytes("ecco.table.0", {7: -128 + 20}))
    invalid("h4-centroid-128", set_bytes("ecco.table.0", {0: -128}))


if __name__ == "__main__":
    write_blocks()
    write_containers()
