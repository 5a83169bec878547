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

TABLES = pathlib.Path(__file__).parent.parent / "include/ecco/detail/standard_tables_data.hpp"


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


def decode(blocks, table, tensor_scale):
    """Section 2.4: the binary32 values [blocks, 128] of any bytes."""
    known = np.zeros((256, table.shape[1]), np.float32)
    known[:len(table)] = table
    centroids = np.take_along_axis(known[blocks[:, 0]], ranks(blocks), axis=1)
    factor = np.float32(tensor_scale) * block_scales(blocks[:, 1])
    values = factor[:, None] * centroids
    values[blocks[:, 1] == 0] = 0
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


def standard_table(codec):
    text = re.search(rf"kStandard{codec.upper()} = \{{(.*?)\}}", TABLES.read_text(), re.S).group(1)
    centroids = 5 << int(codec[1]) - 2
    return np.array(re.findall(r"-?\d+", text), np.int8).reshape(-1, centroids)


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
        if entry["table"] == "standard-1":
            table = standard_table(entry["codec"])
        else:
            table = np.frombuffer(data[entry["table"]], np.int8)
            table = table.reshape(header[entry["table"]]["shape"])
        rows, per_row, size = header[name]["shape"]
        values = decode(np.frombuffer(data[name], np.uint8).reshape(-1, size), table,
                        entry["tensor_scale"])
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
