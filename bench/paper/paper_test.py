#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the pure functions of bench/paper; needs NumPy alone, and no built program."""
import pathlib
import struct
import tempfile
import unittest

import numpy as np

import baselines
import measures
import weights


class Weights(unittest.TestCase):
    def test_kinds(self):
        for name, kind in {
                "model.layers.3.mlp.up_proj.weight": "mlp.up_proj",
                "model.embed_tokens.weight": "embed_tokens",
                "encoder.layer.0.attention.self.key.weight": "attention.self.key",
                "decoder/layer_2/self_attention/linear_0/weight": "self_attention/linear_0",
                "encoder/conv1/weight": "encoder/conv1"}.items():
            self.assertEqual(weights.kind(name), kind)

    def test_safetensors_round_trip(self):
        tensors = {"a": np.arange(6, dtype="<f4").reshape(2, 3), "b": np.ones((1, 2), "<f2")}
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "t.safetensors"
            weights.write(path, tensors)
            back = weights.read(path)
        self.assertEqual(list(back), ["a", "b"])
        for name, values in tensors.items():
            np.testing.assert_array_equal(back[name], values)

    def test_ctranslate2(self):
        def text(word):
            return struct.pack("<H", len(word) + 1) + word + b"\0"
        matrix = np.arange(4, dtype="<f2").reshape(2, 2)
        data = struct.pack("<I", 6) + text(b"WhisperSpec") + struct.pack("<II", 3, 2)
        data += text(b"flag") + struct.pack("<BBI", 0, 1, 1) + b"\1"
        data += text(b"x/weight") + struct.pack("<BIIBI", 2, 2, 2, 4, 8) + matrix.tobytes()
        tensors = weights.from_ctranslate2(data)
        self.assertEqual(list(tensors), ["x/weight"])
        np.testing.assert_array_equal(tensors["x/weight"], matrix)


class Baselines(unittest.TestCase):
    def setUp(self):
        self.random = np.random.default_rng(1)

    def test_int4_keeps_its_own_grid(self):
        codes = self.random.integers(0, 16, (3, 128))
        codes[:, :2] = 0, 15
        values = (codes - 5) * np.float32(0.125)
        np.testing.assert_array_equal(baselines.int4(values), values)

    def test_int4_error_is_half_a_step(self):
        values = self.random.normal(size=(4, 300)).astype(np.float32)
        groups = baselines.grouped(values, 128)
        step = (groups.max(axis=2) - groups.min(axis=2)).max() / 15
        # The zero point is rounded too: the ends of the range lose up to another half step.
        self.assertLess(np.abs(baselines.int4(values) - values).max(), 1.01 * step)

    def test_nf4_keeps_its_levels(self):
        values = np.tile(baselines.NF4 * np.float32(0.5), 8)[None]
        np.testing.assert_array_equal(baselines.nf4(values), values)

    def test_awq_is_not_worse_than_plain_rounding(self):
        values = self.random.normal(size=(16, 256)).astype(np.float32)
        mean_squares = self.random.lognormal(0, 2, 256).astype(np.float32)
        weighted = lambda v: (np.square(v - values) * mean_squares).sum()
        fake, alpha = baselines.awq(values, mean_squares)
        self.assertLess(weighted(fake), weighted(baselines.int4(values)))
        self.assertGreater(alpha, 0)
        flat, _ = baselines.awq(values, np.ones(256, np.float32))
        np.testing.assert_array_equal(flat, baselines.int4(values))

    def test_rmse_is_relative(self):
        original = {"w": np.full((2, 2), 2, np.float16), "bias": np.ones(2, np.float16)}
        self.assertEqual(baselines.rmse({"w": np.full((2, 2), 3, np.float16)}, original), 0.5)


class Measures(unittest.TestCase):
    def test_entropy(self):
        self.assertEqual(measures.entropy([[1] * 16]), 4.0)
        self.assertEqual(measures.entropy([[3] + [0] * 15]), 0.0)
        # Two codebooks that are certain each, and equal shares of both together.
        rows = [[4, 0], [0, 4]]
        self.assertEqual(measures.entropy(rows), 0.0)
        self.assertEqual(measures.entropy(measures.pooled(rows)), 1.0)

    def test_what_is_compressed(self):
        shape = lambda *s, dtype=np.float16: measures.is_compressed(np.zeros(s, dtype))
        self.assertTrue(shape(2, 128))
        self.assertTrue(shape(2, 64))
        self.assertFalse(shape(2, 63))
        self.assertFalse(shape(256))
        self.assertFalse(shape(2, 128, dtype=np.int64))
        self.assertTrue(shape(2, 32, dtype=np.float32))

    def test_kurtosis(self):
        signs = np.where(np.arange(256) % 2, 1, -1).reshape(2, 128)
        self.assertEqual(measures.kurtosis(signs * np.array([[1.0], [100.0]])), 1.0)
        self.assertEqual(measures.kurtosis(np.eye(1, 128)), 128.0)

    def test_grid(self):
        grid = measures.sweep_grid(measures.MODES, False)
        self.assertEqual(len(grid), 16)
        self.assertEqual(len(set(grid)), 16)
        self.assertIn(("rate-aware", 256, 4), grid)
        self.assertIn(("faithful", 64, 8), grid)

    def test_weighed_by_values(self):
        parts = [{"values": 1, "x": 0.0}, {"values": 3, "x": 4.0}]
        self.assertEqual(measures.weigh(parts, "x"), 3.0)


if __name__ == "__main__":
    unittest.main()
