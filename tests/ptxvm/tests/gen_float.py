#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes opcodes_float.cu: float arithmetic, comparisons and conversions against ref_float.cpp."""
N = 2048
T = {8: "uint16_t", 16: "uint16_t", 32: "uint32_t", 64: "uint64_t"}
CON = {16: "h", 32: "r", 64: "l"}
tests = []  # name, d bits, [(bits, kind)], asm, expr; registers carry bit patterns, asm moves them into float registers


def reg(t):
    return {"f16": "b16", "bf16": "b16", "f16x2": "b32", "bf16x2": "b32", "f32": "f32", "f64": "f64"}[t]


def add(name, d, ins, asm, expr):
    tests.append((name.replace(".", "_"), d, ins, asm, expr))


def fop(ptx, t, n, expr):
    """ptx d, a, b{, c} on registers of float type t."""
    bits = {"f16": 16, "bf16": 16, "f32": 32, "f64": 64}.get(t, 32)
    if t in ("f32", "f64"):
        r, m = t, f"mov.b{bits}"
        decl = f"{{ .reg .{r} d, x, y, z; " + " ".join(f"{m} {'xyz'[k]}, %{k + 1};" for k in range(n))
        asm = decl + f" {ptx} d, " + ", ".join("xyz"[:n]) + f"; {m} %0, d; }}"
    else:
        asm = ptx + " " + ", ".join(f"%{k}" for k in range(n + 1)) + ";"
    add(ptx, bits, [(bits, t)] * n, asm, expr)


R = ("rn", "rz", "rm", "rp")
for rnd in R:
    q = rnd[1]
    for ftz in ("", ".ftz"):
        for sat in ("", ".sat"):
            a = f"{'true' if ftz else 'false'}, {'true' if sat else 'false'}"
            fop(f"add.{rnd}{ftz}{sat}.f32", "f32", 2, f"refF32('+', a, b, 0, '{q}', {a})")
            fop(f"sub.{rnd}{ftz}{sat}.f32", "f32", 2, f"refF32('-', a, b, 0, '{q}', {a})")
            fop(f"mul.{rnd}{ftz}{sat}.f32", "f32", 2, f"refF32('*', a, b, 0, '{q}', {a})")
            fop(f"fma.{rnd}{ftz}{sat}.f32", "f32", 3, f"refF32('f', a, b, c, '{q}', {a})")
    for ftz in ("", ".ftz"):
        f = "true" if ftz else "false"
        fop(f"div.{rnd}{ftz}.f32", "f32", 2, f"refF32('/', a, b, 0, '{q}', {f}, false)")
        fop(f"sqrt.{rnd}{ftz}.f32", "f32", 1, f"refF32('q', a, 0, 0, '{q}', {f}, false)")
        fop(f"rcp.{rnd}{ftz}.f32", "f32", 1, f"refF32('/', 0x3f800000u, a, 0, '{q}', {f}, false)")
    for n, c, k in (("add", "+", 2), ("sub", "-", 2), ("mul", "*", 2), ("fma", "f", 3), ("div", "/", 2)):
        fop(f"{n}.{rnd}.f64", "f64", k, f"refF64('{c}', a, b, {'c' if k == 3 else 0}, '{q}')")
    fop(f"sqrt.{rnd}.f64", "f64", 1, f"refF64('q', a, 0, 0, '{q}')")
    fop(f"rcp.{rnd}.f64", "f64", 1, f"refF64('/', 0x3ff0000000000000ull, a, 0, '{q}')")
for t, F in (("f16", "kRefHalf"), ("bf16", "kRefBfloat")):
    for n, c, k in (("add", "+", 2), ("sub", "-", 2), ("mul", "*", 2), ("fma", "f", 3)):
        rn = ".rn" if n == "fma" or True else ""
        args = "a, b, c" if k == 3 else "a, b, 0"
        fop(f"{n}{rn}.{t}", t, k, f"refSmall({F}, '{c}', {args})")
        fop(f"{n}{rn}.{t}x2", t + "x2", k, f"two([&](uint32_t a, uint32_t b, uint32_t c) {{ return refSmall({F}, '{c}', a, b, c); }}, a, b, {'c' if k == 3 else '0'})")
    fop(f"fma.rn.relu.{t}", t, 3, f"relu({F}, refSmall({F}, 'f', a, b, c))")
    if t == "f16":
        for n, c, k in (("add", "+", 2), ("mul", "*", 2), ("fma", "f", 3)):
            args = "a, b, c" if k == 3 else "a, b, 0"
            fop(f"{n}.rn.sat.f16", "f16", k, f"sat({F}, refSmall({F}, '{c}', {args}))")
            fop(f"{n}.rn.sat.f16x2", "f16x2", k, f"two([&](uint32_t a, uint32_t b, uint32_t c) {{ return sat({F}, refSmall({F}, '{c}', a, b, c)); }}, a, b, {'c' if k == 3 else '0'})")
    for n in ("min", "max"):
        for nan in ("", ".NaN"):
            e = f"minMax({F}, a, b, {int(n == 'max')}, {int(nan != '')})"
            fop(f"{n}{nan}.{t}", t, 2, e)
            fop(f"{n}{nan}.{t}x2", t + "x2", 2, f"two([&](uint32_t a, uint32_t b, uint32_t) {{ return {e}; }}, a, b, 0)")
    for n, e1, e2 in (("neg", "a ^ 0x8000", "a ^ 0x80008000u"), ("abs", "a & 0x7fff", "a & 0x7fff7fffu")):
        fop(f"{n}.{t}", t, 1, e1)
        fop(f"{n}.{t}x2", t + "x2", 1, e2)
for n, e in (("neg", "a ^ 0x80000000u"), ("abs", "a & 0x7fffffffu")):
    fop(f"{n}.f32", "f32", 1, e)
for n, e in (("neg", "a ^ (1ull << 63)"), ("abs", "a & ~(1ull << 63)")):
    fop(f"{n}.f64", "f64", 1, e)
for n in ("min", "max"):
    for nan in ("", ".NaN"):
        for ftz in ("", ".ftz"):
            fop(f"{n}{ftz}{nan}.f32", "f32", 2, f"minMax32(a, b, {int(n == 'max')}, {int(nan != '')}, {int(ftz != '')})")
    fop(f"{n}.f64", "f64", 2, f"minMax64(a, b, {int(n == 'max')})")
fop("copysign.f32", "f32", 2, "(a & 0x80000000u) | (b & 0x7fffffffu)")
fop("copysign.f64", "f64", 2, "(a & (1ull << 63)) | (b & ~(1ull << 63))")
# approximations: the executor gives the rounded exact value; only closeness is asked for
for ptx, e in (("ex2.approx.f32", "std::exp2(x)"), ("lg2.approx.f32", "std::log2(x)"), ("sin.approx.f32", "std::sin(x)"),
               ("cos.approx.f32", "std::cos(x)"), ("tanh.approx.f32", "std::tanh(x)"), ("rsqrt.approx.f32", "1 / std::sqrt(x)"),
               ("rcp.approx.f32", "1 / x"), ("sqrt.approx.f32", "std::sqrt(x)")):
    fop(ptx, "f32", 1, f"near32(g, [](double x) {{ return {e}; }}, a)")
fop("div.approx.f32", "f32", 2, "near32(g, [&](double x) { return x / f32(b); }, a)")
fop("div.full.f32", "f32", 2, "near32(g, [&](double x) { return x / f32(b); }, a)")
fop("rsqrt.approx.f64", "f64", 1, "near64(g, [](double x) { return 1 / std::sqrt(x); }, a)")
for t, F in (("f16", "kRefHalf"), ("bf16", "kRefBfloat")):
    for n, fn in (("ex2", "exp2"), ("tanh", "tanh")):
        m = f"{n}.approx{'.ftz' if t == 'bf16' and n == 'ex2' else ''}.{t}"
        fop(m, t, 1, f"nearSmall({F}, g, std::{fn}(refValue({F}, a)))")
# comparisons
CM = ("eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan")
for c in CM:
    for t, b, v in (("f32", 32, "f32(X)"), ("f64", 64, "f64(X)"), ("f16", 16, "refValue(kRefHalf, X)"), ("bf16", 16, "refValue(kRefBfloat, X)")):
        mv = f"mov.b{b}"
        rt = reg(t)
        if b == 16:
            add(f"setp_{c}_{t}", 32, [(b, t), (b, t)], f"{{ .reg .pred p; setp.{c}.{t} p, %1, %2; selp.u32 %0, 1, 2, p; }}",
                f"compare(\"{c}\", {v.replace('X', 'a')}, {v.replace('X', 'b')}) ? 1 : 2")
            continue
        add(f"setp_{c}_{t}", 32, [(b, t), (b, t)],
            f"{{ .reg .pred p, q; .reg .{rt} x, y; {mv} x, %1; {mv} y, %2; setp.{c}.{t} p|q, x, y; selp.u32 %0, 1, 0, p; @q add.u32 %0, %0, 2; }}",
            f"compare(\"{c}\", {v.replace('X', 'a')}, {v.replace('X', 'b')}) ? 1 : 2")
    for t, F in (("f16", "kRefHalf"), ("bf16", "kRefBfloat")):
        add(f"setp_{c}_{t}x2", 32, [(32, t + "x2")] * 2,
            f"{{ .reg .pred p, q; setp.{c}.{t}x2 p|q, %1, %2; selp.u32 %0, 1, 0, p; @q add.u32 %0, %0, 2; }}",
            f"compare(\"{c}\", refValue({F}, a & 0xffff), refValue({F}, b & 0xffff)) + 2 * compare(\"{c}\", refValue({F}, a >> 16), refValue({F}, b >> 16))")
add("setp_lt_ftz_f32", 32, [(32, "f32")] * 2,
    "{ .reg .pred p; .reg .f32 x, y; mov.b32 x, %1; mov.b32 y, %2; setp.lt.ftz.f32 p, x, y; selp.u32 %0, 1, 0, p; }",
    "flush(f32(a)) < flush(f32(b))")
add("set_gt_u32_f32", 32, [(32, "f32")] * 2, "{ .reg .f32 x, y; mov.b32 x, %1; mov.b32 y, %2; set.gt.u32.f32 %0, x, y; }", "f32(a) > f32(b) ? 0xffffffffu : 0")
add("set_gt_f16x2_f16x2", 32, [(32, "f16x2")] * 2, "set.gt.f16x2.f16x2 %0, %1, %2;",
    "(refValue(kRefHalf, a & 0xffff) > refValue(kRefHalf, b & 0xffff) ? 0x3c00u : 0) | (refValue(kRefHalf, a >> 16) > refValue(kRefHalf, b >> 16) ? 0x3c000000u : 0)")
for k, c in enumerate(("finite", "infinite", "number", "notanumber", "normal", "subnormal")):
    e = ("std::isfinite(x)", "std::isinf(x)", "!std::isnan(x)", "std::isnan(x)", "std::isnormal(x)", "std::fpclassify(x) == FP_SUBNORMAL")[k]
    add(f"testp_{c}_f32", 32, [(32, "f32")], f"{{ .reg .pred p; .reg .f32 x; mov.b32 x, %1; testp.{c}.f32 p, x; selp.u32 %0, 1, 0, p; }}", f"[](float x) {{ return {e}; }}(f32(a))")
    add(f"testp_{c}_f64", 32, [(64, "f64")], f"{{ .reg .pred p; .reg .f64 x; mov.b64 x, %1; testp.{c}.f64 p, x; selp.u32 %0, 1, 0, p; }}", f"[](double x) {{ return {e}; }}(f64(a))")


# conversions
def cvt(ptx, d, s, db, sb, expr, kind=None):
    dr = {"f32": "f32", "f64": "f64"}.get(d, f"b{db}")
    sr = {"f32": "f32", "f64": "f64"}.get(s, f"b{sb}")
    add(ptx, db, [(sb, kind or s)], f"{{ .reg .{dr} x; .reg .{sr} y; mov.b{sb} y, %1; {ptx} x, y; mov.b{db} %0, x; }}", expr)


BITS = {"u8": 8, "s8": 8, "u16": 16, "s16": 16, "u32": 32, "s32": 32, "u64": 64, "s64": 64}
VAL = {"f32": "(double)f32(a)", "f64": "f64(a)", "f16": "refValue(kRefHalf, a)", "bf16": "refValue(kRefBfloat, a)"}
FB = {"f32": 32, "f64": 64, "f16": 16, "bf16": 16}
for s in ("f32", "f64", "f16"):
    for d in ("u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"):
        for rnd in R:
            b = BITS[d]
            slot = max(16, b)
            e = f"refFloatToInt({VAL[s]}, {'true' if s == 'f64' else 'false'}, {b}, {'true' if d[0] == 's' else 'false'}, '{rnd[1]}')"
            if b == 8 and d[0] == "s":
                e = f"(uint16_t)(int16_t)(int8_t)({e})"
            cvt(f"cvt.{rnd}i.{d}.{s}", d, s, slot, FB[s], e)
cvt("cvt.rzi.ftz.s32.f32", "s32", "f32", 32, 32, "refFloatToInt(flush(f32(a)), false, 32, true, 'z')")
cvt("cvt.rpi.ftz.s32.f32", "s32", "f32", 32, 32, "refFloatToInt(flush(f32(a)), false, 32, true, 'p')")
for s in ("u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"):
    b = BITS[s]
    sx = f"(int64_t)(int{b}_t)a, (uint64_t)(uint{b}_t)a, {'true' if s[0] == 's' else 'false'}"
    for kind, d in enumerate(("f32", "f64", "f16")):
        for rnd in R:
            cvt(f"cvt.{rnd}.{d}.{s}", d, s, FB[d], max(16, b), f"refIntToFloat({sx}, {kind}, '{rnd[1]}')", "int")
    for d in ("u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"):
        if d == s:
            continue
        db = BITS[d]
        src = f"(__int128)({'int' if s[0] == 's' else 'uint'}{b}_t)a"
        lo = f"-((__int128)1 << {db - 1})" if d[0] == "s" else "(__int128)0"
        hi = f"((__int128)1 << {db - 1}) - 1" if d[0] == "s" else f"((__int128)1 << {db}) - 1"
        ext = f"({'int' if d[0] == 's' else 'uint'}{db}_t)"
        cvt(f"cvt.{d}.{s}", d, s, max(16, db), max(16, b), f"(uint64_t)(int64_t){ext}({src})", "int")
        fits = db >= b if d[0] == s[0] else (d[0] == "s" and db > b)
        if not fits:  # ptxas refuses .sat where nothing can be lost
            cvt(f"cvt.sat.{d}.{s}", d, s, max(16, db), max(16, b), f"(uint64_t)(int64_t){ext}clamp128({src}, {lo}, {hi})", "int")
add("cvt_s8_s32_wide", 64, [(32, "int")], "{ .reg .b64 x; cvt.s8.s32 x, %1; mov.b64 %0, x; }", "(uint64_t)(int64_t)(int8_t)a")
for rnd in R:
    q = rnd[1]
    cvt(f"cvt.{rnd}.f32.f64", "f32", "f64", 32, 64, f"toF32(f64(a), '{q}', false, false)")
    cvt(f"cvt.{rnd}.f16.f64", "f16", "f64", 16, 64, f"refRound(kRefHalf, f64(a), '{q}', false)")
    cvt(f"cvt.{rnd}.f16.f32", "f16", "f32", 16, 32, f"refRound(kRefHalf, f32(a), '{q}', false)", "f32h")
    cvt(f"cvt.{rnd}.bf16.f32", "bf16", "f32", 16, 32, f"refRound(kRefBfloat, f32(a), '{q}', false)")
    for t in ("f32", "f64", "f16"):
        e = {"f32": f"toInt32(a, '{q}')", "f64": f"toInt64(a, '{q}')", "f16": f"refRound(kRefHalf, toInt(refValue(kRefHalf, a), '{q}'), 'n', false)"}[t]
        cvt(f"cvt.{rnd}i.{t}.{t}", t, t, FB[t], FB[t], e)
cvt("cvt.rn.relu.f16.f32", "f16", "f32", 16, 32, "relu(kRefHalf, refRound(kRefHalf, f32(a), 'n', false))", "f32h")
cvt("cvt.rn.relu.bf16.f32", "bf16", "f32", 16, 32, "relu(kRefBfloat, refRound(kRefBfloat, f32(a), 'n', false))")
cvt("cvt.rn.sat.f16.f32", "f16", "f32", 16, 32, "sat(kRefHalf, refRound(kRefHalf, f32(a), 'n', false))", "f32h")
cvt("cvt.sat.f32.f32", "f32", "f32", 32, 32, "[](float x) { return bits32(x > 0 ? (x > 1 ? 1.0f : x) : 0.0f); }(f32(a))")
cvt("cvt.ftz.f32.f32", "f32", "f32", 32, 32, "nanFix(bits32(flush(f32(a))))")
cvt("cvt.f32.f16", "f32", "f16", 32, 16, "toF32(refValue(kRefHalf, a), 'n', false, false)")
cvt("cvt.f64.f16", "f64", "f16", 64, 16, "toF64(refValue(kRefHalf, a))")
cvt("cvt.f64.f32", "f64", "f32", 64, 32, "toF64(f32(a))")
cvt("cvt.f32.bf16", "f32", "bf16", 32, 16, "nanFix(a << 16)")
cvt("cvt.rna.tf32.f32", "tf32", "f32", 32, 32, "refRound(kRefTf32, f32(a), 'a', false) << 13")
for d, F, sh, bits in (("f16x2", "kRefHalf", 16, 32), ("bf16x2", "kRefBfloat", 16, 32), ("e4m3x2", "kRefE4M3", 8, 16), ("e5m2x2", "kRefE5M2", 8, 16)):
    for rnd in (("rn", "rz") if sh == 16 else ("rn",)):
        for relu in ("", ".relu"):
            sf = ".satfinite" if sh == 8 else ""
            w = (lambda e: f"reluAny({F}, {e})") if relu else (lambda e: e)
            q = rnd[1]
            s8 = "true" if sh == 8 else "false"
            add(f"cvt.{rnd}{sf}{relu}.{d}.f32", bits, [(32, "f32h"), (32, "f32h")],
                f"{{ .reg .f32 x, y; mov.b32 x, %1; mov.b32 y, %2; cvt.{rnd}{sf}{relu}.{d}.f32 %0, x, y; }}",
                f"({w(f'refRound({F}, f32(a), {chr(39)}{q}{chr(39)}, {s8})')} << {sh}) | {w(f'refRound({F}, f32(b), {chr(39)}{q}{chr(39)}, {s8})')}")
for d, F in (("e4m3x2", "kRefE4M3"), ("e5m2x2", "kRefE5M2")):
    add(f"cvt.rn.satfinite.{d}.f16x2", 16, [(32, "f16x2")], f"cvt.rn.satfinite.{d}.f16x2 %0, %1;",
        f"(refRound({F}, refValue(kRefHalf, a >> 16), 'n', true) << 8) | refRound({F}, refValue(kRefHalf, a & 0xffff), 'n', true)")
    add(f"cvt.rn.f16x2.{d}", 32, [(16, "int")], f"cvt.rn.f16x2.{d} %0, %1;",
        f"(refRound(kRefHalf, refValue({F}, a >> 8 & 255), 'n', false) << 16) | refRound(kRefHalf, refValue({F}, a & 255), 'n', false)")
for t in ("s8", "u8", "s16", "u16"):
    b = BITS[t]
    lo, hi = (f"-(1 << {b - 1})", f"(1 << {b - 1}) - 1") if t[0] == "s" else ("0", f"(1 << {b}) - 1")
    one = lambda v: f"((uint32_t)clamp128((int32_t){v}, {lo}, {hi}) & {(1 << b) - 1}u)"
    if b == 8:
        add(f"cvt.pack.sat.{t}.s32.b32", 32, [(32, "int")] * 3, f"cvt.pack.sat.{t}.s32.b32 %0, %1, %2, %3;", f"((uint32_t)c << 16) | {one('a')} << 8 | {one('b')}")
    else:
        add(f"cvt.pack.sat.{t}.s32", 32, [(32, "int")] * 2, f"cvt.pack.sat.{t}.s32 %0, %1, %2;", f"{one('a')} << 16 | {one('b')}")

print(r'''// Written by gen_float.py.
#include <cmath>
#include "check.hpp"
#include "ref_float.hpp"
static float f32(uint64_t u) { float f; uint32_t v = (uint32_t)u; std::memcpy(&f, &v, 4); return f; }
static double f64(uint64_t u) { double f; std::memcpy(&f, &u, 8); return f; }
static uint32_t bits32(float f) { uint32_t u; std::memcpy(&u, &f, 4); return u; }
static uint64_t bits64(double f) { uint64_t u; std::memcpy(&u, &f, 8); return u; }
static float flush(float v) { return std::fpclassify(v) == FP_SUBNORMAL ? std::copysign(0.0f, v) : v; }
static uint32_t nanFix(uint64_t u) { return std::isnan(f32(u)) ? 0x7fffffffu : (uint32_t)u; }
static uint64_t toF64(double d) { return std::isnan(d) ? 0x7fffffffffffffffull : bits64(d); }
static uint32_t relu(RefFormat f, uint32_t v) { return std::isnan(refValue(f, v)) ? v : v & 0x8000 ? 0 : v; }
static uint32_t reluAny(RefFormat f, uint32_t v) { uint32_t s = f == kRefHalf || f == kRefBfloat ? 0x8000 : 0x80; return std::isnan(refValue(f, v)) ? v : v & s ? 0 : v; }
static uint32_t sat(RefFormat f, uint32_t v) { double x = refValue(f, v); return x > 0 ? (x > 1 ? refRound(f, 1.0, 'n', false) : v) : 0; }
template <class F> static uint32_t two(F f, uint64_t a, uint64_t b, uint64_t c) {
  return (f((uint32_t)a & 0xffff, (uint32_t)b & 0xffff, (uint32_t)c & 0xffff) & 0xffff) | f((uint32_t)a >> 16, (uint32_t)b >> 16, (uint32_t)c >> 16) << 16;
}
static uint32_t minMax(RefFormat f, uint32_t a, uint32_t b, bool mx, bool nan) {
  double x = refValue(f, a), y = refValue(f, b);
  if (std::isnan(x) || std::isnan(y)) return nan || (std::isnan(x) && std::isnan(y)) ? 0x7fff : std::isnan(x) ? b : a;
  if (x == y) return mx ? (std::signbit(x) ? b : a) : (std::signbit(x) ? a : b);
  return (x < y) != mx ? a : b;
}
static uint32_t minMax32(uint64_t a, uint64_t b, bool mx, bool nan, bool ftz) {
  float x = f32(a), y = f32(b);
  if (ftz) x = flush(x), y = flush(y);
  if (std::isnan(x) || std::isnan(y)) return nan || (std::isnan(x) && std::isnan(y)) ? 0x7fffffffu : bits32(std::isnan(x) ? y : x);
  if (x == y) return mx ? (std::signbit(x) ? bits32(y) : bits32(x)) : (std::signbit(x) ? bits32(x) : bits32(y));
  return bits32((x < y) != mx ? x : y);
}
static uint64_t minMax64(uint64_t a, uint64_t b, bool mx) {
  double x = f64(a), y = f64(b);
  if (std::isnan(x) || std::isnan(y)) return std::isnan(x) && std::isnan(y) ? 0x7fffffffffffffffull : std::isnan(x) ? b : a;
  if (x == y) return mx ? (std::signbit(x) ? b : a) : (std::signbit(x) ? a : b);
  return (x < y) != mx ? a : b;
}
// Passes the result through when it is close to f(x), and returns something else when not.
template <class F> static uint64_t near32(uint64_t g, F f, uint64_t a) {
  double e = f(f32(a)), v = f32(g);
  if (std::isnan(e)) return std::isnan(v) ? g : 0x7fffffff;
  if (std::isinf(e) || std::fabs(e) > 3.4e38) return std::isinf(v) || std::fabs(v) > 3.3e38 ? g : bits32((float)e);
  return std::fabs(v - e) <= 4e-7 * std::fabs(e) + 1e-44 ? g : bits32((float)e);
}
template <class F> static uint64_t near64(uint64_t g, F f, uint64_t a) {
  double e = f(f64(a)), v = f64(g);
  if (std::isnan(e)) return std::isnan(v) ? g : 0x7fffffffffffffffull;
  return e == v || std::fabs(v - e) <= 1e-9 * std::fabs(e) ? g : bits64(e);
}
static uint32_t nearSmall(RefFormat f, uint64_t g, double e) {
  double v = refValue(f, (uint32_t)g), unit = f == kRefHalf ? 2e-3 : 1.6e-2;
  if (std::isnan(e)) return std::isnan(v) ? (uint32_t)g : 0x7fff;
  if (std::isinf(v) && e > (f == kRefHalf ? 65000 : 3.3e38)) return (uint32_t)g;
  return std::fabs(v - e) <= unit * std::fabs(e) + (f == kRefHalf ? 6e-8 : 1.2e-38) ? (uint32_t)g : refRound(f, e, 'n', false);
}
static bool compare(const std::string& c, double x, double y) {
  bool u = std::isnan(x) || std::isnan(y);
  if (c == "num") return !u;
  if (c == "nan") return u;
  std::string k = c;
  bool un = c.size() == 3;
  if (un) k = c.substr(0, 2);
  if (u) return un;
  return k == "eq" ? x == y : k == "ne" ? x != y : k == "lt" ? x < y : k == "le" ? x <= y : k == "gt" ? x > y : x >= y;
}
static double toInt(double x, char r) { return r == 'n' ? std::nearbyint(x) : r == 'm' ? std::floor(x) : r == 'p' ? std::ceil(x) : std::trunc(x); }
static uint32_t toInt32(uint64_t a, char r) { return nanFix(bits32((float)toInt(f32(a), r))); }
static uint64_t toInt64(uint64_t a, char r) { return toF64(toInt(f64(a), r)); }
static uint32_t toF32(double x, char rnd, bool, bool) {
  if (std::isnan(x)) return 0x7fffffff;
  float f = (float)x;  // nearest; step to the neighbour the direction asks for
  if ((double)f != x) {
    bool above = (double)f > x;
    bool wantBelow = rnd == 'm' || (rnd == 'z' && x > 0), wantAbove = rnd == 'p' || (rnd == 'z' && x < 0);
    if (above && wantBelow) f = std::nextafter(f, -INFINITY);
    if (!above && wantAbove) f = std::nextafter(f, INFINITY);
  }
  return bits32(f);
}
static __int128 clamp128(__int128 v, __int128 lo, __int128 hi) { return v < lo ? lo : v > hi ? hi : v; }
static std::vector<uint64_t> edges(int bits, const std::string& kind) {
  if (kind == "int") {
    if (bits == 16) return {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x8001, 0xffff, 2047, 2049, 4097, 65519};
    if (bits == 32) return {0, 1, 127, 128, 255, 256, 32767, 32768, 65535, 65504, 65520, 0x7fffffff, 0x80000000u, 0xffffffffu, 0xffffff80u, 16777217, 16777219, 33554434};
    return {0, 1, 127, 255, 65535, 0x7fffffff, 0x80000000u, 0xffffffffu, 0x7fffffffffffffffull, 0x8000000000000000ull, 0xffffffffffffffffull, (1ull << 53) + 1, (1ull << 53) + 3, (1ull << 24) + 1, 0x8000004000000001ull, 0x8000004000000000ull};
  }
  if (kind == "f16") return {0, 0x8000, 0x3c00, 0xbc00, 0x0001, 0x8001, 0x03ff, 0x0400, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0xffff, 0x7c01, 0x3555, 0x3c01, 0x6400, 0x6401, 0x4248, 0x5bff};
  if (kind == "bf16") return {0, 0x8000, 0x3f80, 0xbf80, 0x0001, 0x8001, 0x007f, 0x0080, 0x7f7f, 0xff7f, 0x7f80, 0xff80, 0x7fc0, 0xffff, 0x7f81, 0x3f81, 0x4049, 0x0081, 0x1f80};
  if (kind == "f16x2") return {0, 0x80000001u, 0x3c00bc00u, 0x7bfffbffu, 0x7c00fc00u, 0x7e003c00u, 0x03ff0400u, 0x64006401u, 0x3555c248u, 0xffff0001u, 0x5bff5c00u};
  if (kind == "bf16x2") return {0, 0x80000001u, 0x3f80bf80u, 0x7f7fff7fu, 0x7f80ff80u, 0x7fc03f80u, 0x007f0080u, 0x40493f81u, 0xffff0001u};
  if (kind == "f32" || kind == "f32h") {
    std::vector<uint64_t> v = {0, 0x80000000u, 0x3f800000u, 0xbf800000u, 1, 0x80000001u, 0x007fffffu, 0x00800000u, 0x7f7fffffu, 0xff7fffffu, 0x7f800000u, 0xff800000u, 0x7fc00000u, 0xffc12345u, 0x7f800001u,
      0x3f000000u, 0x3fc00000u, 0x40200000u, 0xbf000000u, 0x4b000001u, 0x4f000000u, 0x4effffffu, 0xcf000000u, 0xcf000001u, 0x4f800000u, 0x5f000000u, 0x43fe0000u, 0x437f8000u, 0x42fe0000u, 0x3eaaaaabu};
    if (kind == "f32h") for (uint64_t x : {0x477fe000ull, 0x477fefffull, 0x477ff000ull, 0x38800000ull, 0x387fc000ull, 0x33800000ull, 0x33000000ull, 0x33000001ull, 0x38001000ull, 0x3f801000ull, 0x3f803000ull, 0x43e00000ull, 0x43e80000ull, 0x43f00000ull, 0x3a800000ull, 0x3b000000ull, 0xc3e80001ull}) v.push_back(x);
    return v;
  }
  return {0, 1ull << 63, 0x3ff0000000000000ull, 0xbff0000000000000ull, 1, 0x000fffffffffffffull, 0x0010000000000000ull, 0x7fefffffffffffffull, 0x7ff0000000000000ull, 0xfff0000000000000ull, 0x7ff8000000000000ull, 0x7ff0000000000001ull,
    0x3fe0000000000000ull, 0x3ff8000000000000ull, 0x4330000000000001ull, 0x41dfffffffc00000ull, 0x41e0000000000000ull, 0xc1e0000000200000ull, 0x43e0000000000000ull, 0xc3e0000000000000ull, 0x43f0000000000000ull,
    0x3ff0000010000000ull, 0x3ff0000030000000ull, 0x47efffffe0000000ull, 0x47effffff0000000ull, 0x3690000000000000ull, 0x36a0000000000001ull, 0x40effe0000000000ull, 0x3e70000000000000ull, 0x3ff0020000000000ull};
}
// Random floats of all sizes, but mostly of moderate exponents so that sums and products interact.
static std::vector<uint64_t> floats(size_t n, int which, int bits, const std::string& kind) {
  auto v = inputs(n, which, bits, edges(bits, kind));
  static std::mt19937_64 rng(99);
  for (size_t k = edges(bits, kind).size() * edges(bits, kind).size(); k < n; ++k) {
    if (kind == "int" || rng() % 3 == 0) continue;
    const uint64_t m = rng();
    if (kind == "f32") v[k] = (m & 0x807fffffu) | (100 + rng() % 60) << 23;
    if (kind == "f32h") v[k] = (m & 0x807fffffu) | (100 + rng() % 45) << 23, v[k] &= rng() % 2 ? ~0ull : 0xffffe000u | (rng() % 4) << 11;
    if (kind == "f64") v[k] = (m & 0x800fffffffffffffull) | (950 + rng() % 150) << 52;
    if (kind == "f16x2") v[k] = (m & 0x83ff83ffu) | (1 + rng() % 29) << 10 | (1 + rng() % 29) << 26;
    const uint64_t low = rng() % 4 ? 110 : 50;  // also products among the subnormals
    if (kind == "bf16x2") v[k] = (m & 0x807f807fu) | (low + rng() % 30) << 7 | (low + rng() % 30) << 23;
    if (kind == "bf16") v[k] = (m & 0x807fu) | (low + rng() % 20) << 7;
  }
  return v;
}
template <class D, class F>
static void verify(const char* name, const std::vector<D>& got, int bits, F expect) {
  const uint64_t keep = bits == 64 ? ~0ull : (1ull << bits) - 1;
  for (size_t i = 0; i < got.size(); ++i) {
    const uint64_t g = (uint64_t)got[i] & keep, e = expect(i, g) & keep;
    if (e != g) return check(name, false, "input " + std::to_string(i) + ": got " + hex(g) + " expected " + hex(e));
  }
  check(name, true);
}
''')
calls = []
for name, d, ins, asm, expr in tests:
    name = name.replace(".", "_")
    sig = ", ".join(f"const {T[b]}* i{k}" for k, (b, _) in enumerate(ins))
    args = ", ".join(f'"{CON[b]}"(i{k}[i])' for k, (b, _) in enumerate(ins))
    print(f'__global__ void k_{name}({T[d]}* o, {sig}) {{ int i = blockIdx.x * blockDim.x + threadIdx.x; if (i >= {N}) return; {T[d]} r; asm volatile("{asm}" : "={CON[d]}"(r) : {args}); o[i] = r; }}')
    print(f"static void t_{name}() {{")
    for k, (b, kind) in enumerate(ins):
        print(f'  std::vector<{T[b]}> v{k}; for (uint64_t x : floats({N}, {k}, {b}, "{kind}")) v{k}.push_back(({T[b]})x); Buffer<{T[b]}> b{k}(v{k});')
    decl = " ".join(f"const uint64_t {'abc'[k]} = v{k}[i]; (void){'abc'[k]};" for k in range(len(ins)))
    print(f"  Buffer<{T[d]}> out({N}); k_{name}<<<{N // 128}, 128>>>(out.p, {', '.join(f'b{k}.p' for k in range(len(ins)))});")
    print(f'  verify("{name}", out.get(), {d}, [&](size_t i, uint64_t g) -> uint64_t {{ (void)g; {decl} return (uint64_t)({expr}); }});\n}}')
    calls.append(f"  t_{name}();")
print("int main() {\n" + "\n".join(calls) + '\n  check("no launch error", cudaGetLastError() == cudaSuccess);\n  return finish("float and conversion opcodes");\n}')
