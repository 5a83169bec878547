#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants small errors in the kernels, one at a time, and checks that a test fails on ptxvm. The
errors are in mutants/, a list per operation; mutants/README.md says how to add one.

Usage: mutants.py --nvcc NVCC --library LIBECCO_CUDA_PTXVM --runtime LIBCUDART_PTXVM
    --test NAME=OBJECTS... [--every N] [--only TEXT]
"""
import argparse
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LISTS = os.path.join(ROOT, "tests/cuda/mutants")


def read_lists():
    """(list, kind, file with the error, kernel source, test, old text, new text) of all lists."""
    names = sorted(n for n in os.listdir(LISTS) if n.endswith(".py"))
    return [(name, kind, *place, old, new) for name in names
            for place, errors in runpy.run_path(os.path.join(LISTS, name))["MUTANTS"].items()
            for kind, old, new in errors]


def pattern_of(text):
    """The text as a regular expression in which any white space matches any."""
    return r"\s*".join(re.escape(word) for word in re.findall(r"\w+|[^\w\s]", text))


class Runner:
    def __init__(self, options):
        self.options = options
        self.tests = dict(test.split("=", 1) for test in options.test)

    def run(self, mutant):
        """None if a test fails, else what is wrong."""
        _, _, path, source, test, old, new = mutant
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
    parser.add_argument("--only", default="",
                        help="mutants of lists and files whose name has this text")
    options = parser.parse_args()
    runner = Runner(options)
    chosen = [m for m in read_lists()[::options.every]
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
