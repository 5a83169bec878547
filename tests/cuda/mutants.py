#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants small errors in the kernels, one at a time, and checks that a test fails on ptxvm. The
errors are in mutants/, a list per operation; mutants/README.md says how to add one.

Usage: mutants.py --nvcc NVCC --library LIBECCO_CUDA_PTXVM --runtime LIBCUDART_PTXVM
    --test NAME=OBJECTS... [--every N] [--only TEXT]
"""
import argparse
import collections
import hashlib
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LISTS = os.path.join(ROOT, "tests/cuda/mutants")
FEWEST = 3  # errors of a kernel


def read_lists():
    """(list, kind, file with the error, kernel source, test, old text, new text) of all lists."""
    names = sorted(n for n in os.listdir(LISTS) if n.endswith(".py"))
    return [(name, kind, *place, old, new) for name in names
            for place, errors in runpy.run_path(os.path.join(LISTS, name))["MUTANTS"].items()
            for kind, old, new in errors]


def pattern_of(text):
    """The text as a regular expression in which any white space matches any."""
    return r"\s*".join(re.escape(word) for word in re.findall(r"\w+|[^\w\s]", text))


def plant(mutant, folder):
    """Copies the sources to a folder and plants the error there."""
    _, _, path, _, _, old, new = mutant
    for name in ("cuda", "include"):
        shutil.copytree(os.path.join(ROOT, name), os.path.join(folder, name))
    changed = os.path.join(folder, path)
    with open(changed, encoding="utf-8") as file:
        text = file.read()
    with open(changed, "w", encoding="utf-8") as file:
        file.write(re.sub(pattern_of(old), lambda _: new, text))


def stale(mutants):
    """What is wrong with errors whose text does not stand once in its file."""
    for mutant in mutants:
        with open(os.path.join(ROOT, mutant[2]), encoding="utf-8") as file:
            count = len(re.findall(pattern_of(mutant[5]), file.read()))
        if count != 1:
            yield f"{mutant[0]}: {mutant[5]!r} stands {count} times in {mutant[2]}"


def thin(mutants):
    """Kernel sources with fewer errors than FEWEST, their headers' included, and headers of device
    code with fewer of their own."""
    count = collections.Counter(path for mutant in mutants for path in {mutant[2], mutant[3]})
    for folder in ("cuda", "include/ecco/cuda"):
        for name in sorted(os.listdir(os.path.join(ROOT, folder))):
            path = f"{folder}/{name}"
            if name.endswith((".cu", ".cuh")) and count[path] < FEWEST:
                yield f"{path}: {count[path]} planted errors, fewer than {FEWEST}"


def sample(mutants, every):
    """Every N-th mutant, from one that depends on what the kernels are: changes of them plant
    different samples one after the other."""
    digest = hashlib.sha256()
    for path in sorted({path for mutant in mutants for path in mutant[2:4]}):
        with open(os.path.join(ROOT, path), "rb") as file:
            digest.update(file.read())
    return mutants[int.from_bytes(digest.digest()[:4], "big") % every::every]


class Runner:
    def __init__(self, options):
        self.options = options
        self.tests = dict(test.split("=", 1) for test in options.test)

    def run(self, mutant):
        """None if a test fails, else what is wrong."""
        with tempfile.TemporaryDirectory() as folder:
            plant(mutant, folder)
            return self.build_and_run(folder, mutant[3], mutant[4])

    def build_and_run(self, folder, source, test):
        program = os.path.join(folder, "test")
        compile_command = [
            self.options.nvcc, "-std=c++20", "-O2", "--expt-relaxed-constexpr",
            "-gencode", "arch=compute_80,code=compute_80", "--compress-mode=none",
            "-DECCO_STATIC_DEFINE", "-I", os.path.join(folder, "include"),
            "-I", os.path.join(folder, "cuda"),
            "-c", os.path.join(folder, source), "-o", program + ".o"]
        link_command = (["g++", "-o", program] + self.tests[test].split(";") + [
            program + ".o", self.options.library, self.options.runtime, "-lgtest_main", "-lgtest",
            "-lpthread", "-ldl"])
        for command in (compile_command, link_command):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                return "does not build: " + (done.stderr or done.stdout)[-500:]
        few_blocks = {"PTXVM_SEED": "1", "PTXVM_BLOCKS_PER_SM": "1"}
        for schedule in ({"PTXVM_SEED": "0"}, few_blocks):
            try:
                done = subprocess.run(
                    [program, "--gtest_fail_fast"], capture_output=True, timeout=120,
                    env={**os.environ, **schedule, "PTXVM_MAX_STEPS": "20000000"})
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
    parser.add_argument("--only", default="",
                        help="mutants of lists and files whose name has this text")
    options = parser.parse_args()
    runner = Runner(options)
    mutants = read_lists()
    wrong_lists = [*stale(mutants), *thin(mutants)]
    if wrong_lists:
        sys.exit("\n".join(wrong_lists))
    chosen = [m for m in sample(mutants, options.every)
              if options.only in m[0] or options.only in m[2]]
    failures = 0
    for mutant in chosen:
        wrong = runner.run(mutant)
        failures += wrong is not None
        print(f"{'caught  ' if wrong is None else 'SURVIVED'} {mutant[1]:18} {mutant[2]}: "
              f"{mutant[5]!r} -> {mutant[6]!r}" + (f": {wrong}" if wrong else ""), flush=True)
    print(f"{len(chosen) - failures} of {len(chosen)} mutants caught")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
