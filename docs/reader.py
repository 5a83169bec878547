#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The executable twin of docs/format.md: decompresses one file, with NumPy alone.

usage: reader.py IN.safetensors OUT.safetensors [--f32]

OUT holds every tensor of IN but the tables, compressed ones decoded to the dtype of their source
or, with --f32, to binary32. Checksums are compared if the module xxhash is installed. The bytes of
the blocks may be any; the container is taken to be well formed. Section numbers are format.md's.
"""
import json
import math
import pathlib
import re
import sys

import numpy as np

try:
    import xxhash
except ImportError:
    xxhash = None

DETAIL = pathlib.Path(__file__).parent.parent / "include/ecco/detail"


def half_masks(blocks, half):
    """Section 2.3: level masks of one half as booleans [4, blocks, 64], bit j in column j."""
    bits = lambda at: np.unpackbits(blocks[:, at:at + 8], axis=1, bitorder="little").astype(bool)
    register = np.pad(bits(2 + 6 * half), ((0, 0), (1, 0)))  # column 0: what lies outside
    masks, used = [bits(16 + 8 * half)], 0
    for _ in range(3):
        n = masks[-1].sum(axis=1, keepdims=True)
        place = masks[-1].cumsum(axis=1) - 1 + (64 - used - n if half else used)
        inside = masks[-1] & (place >= 0) & (place < 64)
        masks.append(np.take_along_axis(register, np.where(inside, place + 1, 0), axis=1))
        used = used + n
    return np.stack(masks)


def by_element(bits):
    """Section 2.2: bits [..., 128] in the order of a plane's bytes -> in the order of elements."""
    return bits.reshape(*bits.shape[:-1], 16, 8).swapaxes(-1, -2).reshape(bits.shape)


def ranks(blocks):
    """Section 2: the ranks [blocks, 128] of planar blocks [blocks, block_bytes]."""
    masks = np.concatenate([half_masks(blocks, 0), half_masks(blocks, 1)], axis=2)
    rank = by_element(masks).sum(axis=0)
    for at in range(32, blocks.shape[1], 16):  # mantissa planes, most significant first
        plane = np.unpackbits(blocks[:, at:at + 16], axis=1, bitorder="little")
        rank = 2 * rank + by_element(plane)
    return rank


def block_scales(codes):
    """Section 2.4: E5M3."""
    codes = codes.astype(np.int32)
    scale = np.ldexp((1 + (codes & 7) / 8).astype(np.float32), (codes >> 3) - 24)
    return np.where(codes == 0, np.float32(0), scale)


def decode_planar(blocks, table, tensor_scale):
    """Section 2.4: the binary32 values [blocks, 128] of any bytes."""
    known = np.zeros((256, table.shape[1]), np.float32)
    known[:len(table)] = table
    centroids = np.take_along_axis(known[blocks[:, 0]], ranks(blocks), axis=1)
    factor = np.float32(tensor_scale) * block_scales(blocks[:, 1])
    values = factor[:, None] * centroids
    values[blocks[:, 1] == 0] = 0
    return values


def next_codes(lengths):
    """Section 5: symbol and length of the code that begins each byte, its first bit highest."""
    order = sorted(range(16), key=lambda s: (lengths[s], s))
    count = [1 << 8 - lengths[s] for s in order]
    return np.repeat(order, count), np.repeat([lengths[s] for s in order], count)


def fp8(codes):
    """Section 5: E4M3 without NaN."""
    codes = codes.astype(np.int32)
    e, m = codes >> 3 & 15, codes & 7
    size = np.where(e == 0, np.ldexp(m / 8, -6), np.ldexp(1 + m / 8, e - 7)).astype(np.float32)
    return np.where(codes >> 7 == 1, -size, size)


def decode_h4(blocks, table, codebooks, tensor_scale):
    """Section 5: the binary32 values [blocks, 128] of any bytes."""
    bits = np.pad(np.unpackbits(blocks, axis=1, bitorder="little"), ((0, 0), (0, 15)))
    row, scale = np.arange(len(blocks)), np.float32(tensor_scale)
    ahead = lambda at, width: bits[row[:, None], at[:, None] + np.arange(width)].astype(np.int64)
    number = lambda at, width: ahead(at, width) @ (1 << np.arange(width))
    at = np.zeros(len(blocks), np.int64)
    fields = []
    for width in (len(codebooks) - 1).bit_length(), (len(table) - 1).bit_length(), 8:
        fields.append(number(at, width))
        at = at + width
    book, pattern = (np.where(f < n, f, 0) for f, n in zip(fields, (len(codebooks), len(table))))
    symbol, length = np.stack([next_codes(lengths) for lengths in codebooks], axis=1)
    m = scale * fp8(fields[2])
    level = np.pad(table.astype(np.float32), ((0, 0), (0, 1)), constant_values=128) / 128
    values, whole = np.zeros((len(blocks), 128), np.float32), at >= 0
    for e in range(128):
        byte = ahead(at, 8) @ (128 >> np.arange(8))
        whole &= at + length[book, byte] <= 512
        values[:, e] = np.where(whole, m * level[pattern, symbol[book, byte]], 0)
        at = np.where(whole, at + length[book, byte], 512)
    while (at + 15 <= 512).any():
        some = at + 15 <= 512
        position, value = number(np.where(some, at, 0), 7), number(np.where(some, at + 7, 0), 8)
        values[row[some], position[some]] = (scale * fp8(value))[some]
        at = at + 15 * some
    values[fields[2] & 127 == 0] = 0
    return values


def stored_as(values, dtype):
    """Rounds binary32 to the source's dtype, to nearest even; bytes as a file holds them."""
    if dtype == "F16":
        with np.errstate(over="ignore"):
            return values.astype("<f2").tobytes()
    if dtype == "BF16":
        bits = values.view(np.uint32)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").tobytes()
    return values.astype("<f4").tobytes()


def constants(file, name):
    text = re.search(rf"kStandard{name} = \{{(.*?)\}}", (DETAIL / file).read_text(), re.S).group(1)
    return np.array(re.findall(r"-?\d+", text), np.int8)


def table_of(entry, data):
    """Section 3 and 7.1: centroids [patterns, width] and, of h4, codebooks [H, 16]."""
    h4, name = entry["codec"] == "h4", entry["table"]
    width = 15 if h4 else 5 << int(entry["codec"][1]) - 2
    if name.startswith("standard-"):
        kind = "Kv" if name == "standard-kv-1" else "H4"
        if not h4:
            return constants("standard_tables_data.hpp", entry["codec"].upper()).reshape(-1, width)
        parts = [constants("standard_h4_tables_data.hpp", kind + part)
                 for part in ("Centroids", "Codebooks")]
    else:
        books = name.replace("ecco.table.", "ecco.codebook.", 1)
        parts = [np.frombuffer(data[n], np.int8) for n in (name, books) if n in data]
    parts[0] = parts[0].reshape(-1, width)
    return (parts[0], parts[1].reshape(-1, 16)) if h4 else parts[0]


def read_file(path, f32=False):
    """Section 7: {name: (dtype, shape, bytes)} of everything but the tables."""
    raw = pathlib.Path(path).read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    ecco = json.loads(header.pop("__metadata__")["ecco"])
    assert ecco["format"] == 1, "a newer format"
    sealed = ecco.get("header_xxh3", "")
    if xxhash and sealed:
        blank = raw[8:start].replace(sealed.encode(), b"0" * 16)
        assert xxhash.xxh3_64_hexdigest(blank) == sealed, "the header is damaged"
    data = {name: raw[start + t["data_offsets"][0]:start + t["data_offsets"][1]]
            for name, t in header.items()}
    for name, entry in {**ecco["tensors"], **ecco["carried"], **ecco["tables"]}.items():
        if xxhash and xxhash.xxh3_64_hexdigest(data[name]) != entry["xxh3"]:
            sys.exit(f"{path}: {name}: the checksum does not match")
    out = {name: (header[name]["dtype"], header[name]["shape"], data[name])
           for name in ecco["carried"]}
    for name, entry in ecco["tensors"].items():
        rows, per_row, size = header[name]["shape"]
        blocks = np.frombuffer(data[name], np.uint8).reshape(-1, size)
        table = table_of(entry, data)
        if entry["codec"] == "h4":
            values = decode_h4(blocks, *table, entry["tensor_scale"])
        else:
            values = decode_planar(blocks, table, entry["tensor_scale"])
        values = values.reshape(rows, 128 * per_row)[:, :entry["shape"][-1]]
        dtype = "F32" if f32 else entry["dtype"]
        out[name] = (dtype, entry["shape"], stored_as(np.ascontiguousarray(values), dtype))
    return out


def write_file(path, tensors):
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 8)
    body = b"".join(data for _, _, data in tensors.values())
    pathlib.Path(path).write_bytes(len(text).to_bytes(8, "little") + text + body)


if __name__ == "__main__":
    arguments = [a for a in sys.argv[1:] if a != "--f32"]
    if len(arguments) != 2:
        sys.exit(__doc__)
    tensors = read_file(arguments[0], f32="--f32" in sys.argv)
    write_file(arguments[1], tensors)
    for name, (dtype, shape, data) in sorted(tensors.items()):
        print(f"{name}: {dtype} {shape}, {math.prod(shape)} values, {len(data)} bytes")
