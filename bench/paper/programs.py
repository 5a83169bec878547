# SPDX-License-Identifier: MIT
"""The built programs: ecco, ecco-llama, h4_probe, and callgrind. What they say is kept in the
work folder by command line, so an interrupted run goes on where it was."""
import hashlib
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time


class Programs:
    def __init__(self, binaries, work):
        self.binaries, self.work = pathlib.Path(binaries), pathlib.Path(work)
        (self.work / "memo").mkdir(parents=True, exist_ok=True)
        for program in "ecco", "ecco-llama", "h4_probe":
            if not (self.binaries / program).exists():
                sys.exit(f"run.py: {self.binaries / program} is missing: cmake --preset release && "
                         "cmake --build build/release --target ecco_cli ecco-llama h4_probe")
        # A rebuilt encoder or engine has other results.
        state = [(self.binaries / p).read_bytes() for p in ("ecco", "ecco-llama", "h4_probe")]
        self.version = hashlib.sha256(b"".join(state)).hexdigest()

    def memo(self, key, make):
        """What `make` returned for this key in this version of the programs, or does now."""
        digest = hashlib.sha256(f"{self.version} {key}".encode()).hexdigest()[:16]
        path = self.work / "memo" / f"{digest}.json"
        if not path.exists():
            begin = time.time()
            result = make()
            print(f"{time.time() - begin:6.1f} s  {key}", flush=True)
            path.write_text(json.dumps(result))
        return json.loads(path.read_text())

    def run(self, program, *arguments):
        """Standard output of a program; ends the run if it fails."""
        command = [str(self.binaries / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
        return done.stdout

    def json(self, program, *arguments):
        """What a program prints as JSON, now or when it was run before."""
        key = " ".join(map(str, [program, *arguments]))
        return self.memo(key, lambda: json.loads(self.run(program, *arguments)))

    def compress(self, source, label, *options):
        """Compresses to work/label (a directory or a file, as the source is); the report."""
        out = self.work / (label if source.is_dir() else f"{label}.safetensors")
        report = self.json("ecco", "compress", source, "-o", out, "--force", "--json", *options)
        if not out.exists():  # measured before, but the model is gone
            self.run("ecco", "compress", source, "-o", out, *options)
        return out, report

    def perplexity(self, model, text, *options):
        """`text` = path of the tokens and number of windows to read, 0 for all."""
        path, windows = text
        some = ["--windows", windows] if windows else []
        return self.json("ecco-llama", "eval", model, "--tokens", path, "--json", "--threads", 1,
                         *some, *options)

    def instructions(self, way, few=2, many=12):
        """Instructions of one block, by callgrind: the difference of two runs."""
        if shutil.which("valgrind") is None:
            return None

        def count(rounds):
            out = subprocess.run(
                ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                 self.binaries / "h4_probe", "decode", way, str(rounds)],
                capture_output=True, text=True, check=True)
            total = int(re.search(r"Collected : (\d+)", out.stderr).group(1))
            return total, json.loads(out.stdout)["blocks"]

        def measure():
            (low, blocks), (high, _) = count(few), count(many)
            return (high - low) / (many - few) / blocks
        return self.memo(f"callgrind h4_probe decode {way}", measure)
