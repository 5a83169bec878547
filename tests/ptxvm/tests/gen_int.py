#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes opcodes_int.cu: one kernel per integer opcode and type, compared with host arithmetic.

The expected values are C++ expressions over a, b, c written here, not taken from the executor.
"""
N = 1536
CON = {8: "h", 16: "h", 32: "r", 64: "l"}
CTYPE = {16: ("uint16_t", "int16_t"), 32: ("uint32_t", "int32_t"), 64: ("uint64_t", "int64_t")}
WIDE = {"u16": "uint32_t", "s16": "int32_t", "u32": "uint64_t", "s32": "int64_t", "u64": "unsigned __int128", "s64": "__int128"}
tests = []  # (name, ptx, d bits, [input bits], expected expression)


def ct(t):
    b = int(t[1:])
    return CTYPE[b][1 if t[0] == "s" else 0]


def op(ptx, t_bits_d, ins, expr, extra=""):
    name = (ptx + extra).replace(".", "_").replace(":", "_").replace(" ", "").replace(",", "_").replace(";", "").replace("%", "").replace("{", "").replace("}", "")
    tests.append((name, ptx, t_bits_d, ins, expr, extra))


for t in ("u16", "s16", "u32", "s32", "u64", "s64"):
    b, c = int(t[1:]), ct(t)
    W = WIDE[t]
    A, B, C = f"({c})a", f"({c})b", f"({c})c"
    op(f"add.{t}", b, [b, b], "a + b")
    op(f"sub.{t}", b, [b, b], "a - b")
    op(f"mul.lo.{t}", b, [b, b], "(unsigned __int128)a * b")
    op(f"mul.hi.{t}", b, [b, b], f"(({W}){A} * ({W}){B}) >> {b}")
    op(f"mad.lo.{t}", b, [b, b, b], "(unsigned __int128)a * b + c")
    op(f"mad.hi.{t}", b, [b, b, b], f"(uint64_t)((({W}){A} * ({W}){B}) >> {b}) + c")
    op(f"div.{t}", b, [b, b], f"b == 0 ? ~0ull : (({c})-1 < 0 && {B} == ({c})-1) ? (uint64_t)(0 - a) : (uint64_t)({A} / {B})")
    op(f"rem.{t}", b, [b, b], f"b == 0 ? a : (({c})-1 < 0 && {B} == ({c})-1) ? 0 : (uint64_t)({A} % {B})")
    op(f"min.{t}", b, [b, b], f"{A} < {B} ? a : b")
    op(f"max.{t}", b, [b, b], f"{A} < {B} ? b : a")
    op(f"sad.{t}", b, [b, b, b], f"c + ({A} < {B} ? b - a : a - b)")
    op(f"shr.{t}", b, [b, 32], f"b >= {b} ? ({A} < 0 ? ~0ull : 0) : (uint64_t)({A} >> b)")
    if t[0] == "s":
        op(f"abs.{t}", b, [b], f"{A} < 0 ? 0 - a : a")
        op(f"neg.{t}", b, [b], "0 - a")
    if b < 64:
        op(f"mul.wide.{t}", 2 * b, [b, b], f"({W}){A} * ({W}){B}")
        op(f"mad.wide.{t}", 2 * b, [b, b, 2 * b], f"(uint64_t)(({W}){A} * ({W}){B}) + c")
for t in ("b16", "b32", "b64"):
    b = int(t[1:])
    for n, e in (("and", "a & b"), ("or", "a | b"), ("xor", "a ^ b")):
        op(f"{n}.{t}", b, [b, b], e)
    op(f"not.{t}", b, [b], "~a")
    op(f"cnot.{t}", b, [b], "a == 0")
    op(f"shl.{t}", b, [b, 32], f"b >= {b} ? 0 : a << b")
for s in ("u32", "s32"):
    lo24 = "(int64_t)((int32_t)((uint32_t)X << 8) >> 8)" if s == "s32" else "(int64_t)(X & 0xffffff)"
    x, y = lo24.replace("X", "a"), lo24.replace("X", "b")
    op(f"mul24.lo.{s}", 32, [32, 32], f"{x} * {y}")
    op(f"mul24.hi.{s}", 32, [32, 32], f"({x} * {y}) >> 16")
    op(f"mad24.lo.{s}", 32, [32, 32, 32], f"{x} * {y} + c")
    op(f"mad24.hi.{s}", 32, [32, 32, 32], f"(({x} * {y}) >> 16) + c")
op("add.sat.s32", 32, [32, 32], "clamp32((int64_t)(int32_t)a + (int32_t)b)")
op("sub.sat.s32", 32, [32, 32], "clamp32((int64_t)(int32_t)a - (int32_t)b)")
op("mad.hi.sat.s32", 32, [32, 32, 32], "clamp32((((int64_t)(int32_t)a * (int32_t)b) >> 32) + (int32_t)c)")
for b in (32, 64):
    op(f"popc.b{b}", 32, [b], "(uint64_t)ref_popc(a)")
    op(f"clz.b{b}", 32, [b], f"(uint64_t)ref_clz(a, {b})")
    op(f"brev.b{b}", b, [b], f"ref_brev(a, {b})")
    op(f"bfi.b{b}", b, [b, b, 32, 32], f"ref_bfi(a, b, c, d, {b})")
    for s in "us":
        op(f"bfind.{s}{b}", 32, [b], f"ref_bfind(a, {b}, {int(s == 's')}, 0)")
        op(f"bfind.shiftamt.{s}{b}", 32, [b], f"ref_bfind(a, {b}, {int(s == 's')}, 1)")
        op(f"bfe.{s}{b}", b, [b, 32, 32], f"ref_bfe(a, b, c, {b}, {int(s == 's')})")
for m in ("clamp", "wrap"):
    n = "(c > 32 ? 32 : c)" if m == "clamp" else "(c & 31)"
    op(f"shf.l.{m}.b32", 32, [32, 32, 32], f"(((b << 32 | a) << {n}) >> 32)")
    op(f"shf.r.{m}.b32", 32, [32, 32, 32], f"((b << 32 | a) >> {n})")
    op(f"bmsk.{m}.b32", 32, [32, 32], f"ref_bmsk(a, b, {int(m == 'clamp')})")
    for s in "us":
        op(f"szext.{m}.{s}32", 32, [32, 32], f"ref_szext(a, b, {int(m == 'clamp')}, {int(s == 's')})")
op("fns.b32", 32, [32, 32, 32], "ref_fns(a, b, (int32_t)c)")
op("prmt.b32", 32, [32, 32, 32], "ref_prmt(a, b, c, 0)")
for k, m in enumerate(("f4e", "b4e", "rc8", "ecl", "ecr", "rc16")):
    op(f"prmt.b32.{m}", 32, [32, 32, 32], f"ref_prmt(a, b, c, {k + 1})")
for lut in (0x00, 0x1B, 0x80, 0x96, 0xCA, 0xE8, 0xFF):
    op("lop3.b32", 32, [32, 32, 32], f"ref_lop3(a, b, c, {lut})", f", {lut}")
for x in "us":
    for y in "us":
        op(f"dp4a.{x}32.{y}32", 32, [32, 32, 32], f"ref_dp(a, b, c, 4, {int(x == 's')}, {int(y == 's')}, 0)")
        op(f"dp2a.lo.{x}32.{y}32", 32, [32, 32, 32], f"ref_dp(a, b, c, 2, {int(x == 's')}, {int(y == 's')}, 0)")
        op(f"dp2a.hi.{x}32.{y}32", 32, [32, 32, 32], f"ref_dp(a, b, c, 2, {int(x == 's')}, {int(y == 's')}, 2)")
for t in ("u16x2", "s16x2"):
    e = "(int16_t)" if t[0] == "s" else "(uint16_t)"
    op(f"add.{t}", 32, [32, 32], "((a + b) & 0xffff) | (((a >> 16) + (b >> 16)) & 0xffff) << 16")
    for n, rel in (("min", "<"), ("max", ">")):
        op(f"{n}.{t}", 32, [32, 32],
           f"({e}a {rel} {e}b ? a & 0xffff : b & 0xffff) | ({e}(a >> 16) {rel} {e}(b >> 16) ? a & 0xffff0000u : b & 0xffff0000u)")
op("min.relu.s32", 32, [32, 32], "((int32_t)a < (int32_t)b ? (int32_t)a : (int32_t)b) < 0 ? 0 : ((int32_t)a < (int32_t)b ? a : b)")
op("max.relu.s32", 32, [32, 32], "((int32_t)a > (int32_t)b ? (int32_t)a : (int32_t)b) < 0 ? 0 : ((int32_t)a > (int32_t)b ? a : b)")
op("vabsdiff4.u32.u32.u32.add", 32, [32, 32, 32], "ref_sad4(a, b) + c")
op("selp.b32", 32, [32, 32, 32], "c ? a : b")  # special asm below
op("slct.b32.s32", 32, [32, 32, 32], "(int32_t)c >= 0 ? a : b")
op("slct.b64.s32", 64, [64, 64, 32], "(int32_t)c >= 0 ? a : b")
# comparisons: setp, and set with a boolean operation
CMPS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
special = []
for t in ("u16", "s16", "u32", "s32", "u64", "s64", "b32", "b64"):
    b = int(t[1:])
    c = CTYPE[b][1 if t[0] == "s" else 0]
    for n, e in CMPS.items():
        if t[0] == "b" and n not in ("eq", "ne"):
            continue
        special.append((f"setp_{n}_{t}", 32, [b, b],
                        f"{{ .reg .pred p, q; setp.{n}.{t} p|q, %1, %2; selp.u32 %0, 1, 0, p; @q add.u32 %0, %0, 2; }}",
                        f"(({c})a {e} ({c})b) ? 1 : 2"))
for k, (n, e) in enumerate((("and", "&"), ("or", "|"), ("xor", "^"))):
    special.append((f"setp_lt_{n}_s32", 32, [32, 32, 32],
                    f"{{ .reg .pred p, q, r; setp.ne.u32 r, %3, 0; setp.lt.{n}.s32 p|q, %1, %2, r; selp.u32 %0, 1, 0, p; @q add.u32 %0, %0, 2; }}",
                    f"(((int32_t)a < (int32_t)b) {e} (c != 0)) + 2 * ((!((int32_t)a < (int32_t)b)) {e} (c != 0))"))
    special.append((f"pred_{n}", 32, [32, 32],
                    f"{{ .reg .pred p, q, r; setp.ne.u32 p, %1, 0; setp.gt.u32 q, %2, 5; {n}.pred r, p, !q; selp.u32 %0, 7, 9, r; }}",
                    f"((a != 0) {e} !(b > 5)) ? 7 : 9"))
special.append(("set_gt_u32_s32", 32, [32, 32], "set.gt.u32.s32 %0, %1, %2;", "(int32_t)a > (int32_t)b ? 0xffffffffu : 0"))
special.append(("set_eq_f32_u32", 32, [32, 32], "{ .reg .f32 f; set.eq.f32.u32 f, %1, %2; mov.b32 %0, f; }", "a == b ? 0x3f800000u : 0"))
special.append(("add_cc_chain", 32, [64, 64],
                "{ .reg .u32 a0, a1, b0, b1, r0, r1, r2; mov.b64 {a0, a1}, %1; mov.b64 {b0, b1}, %2; add.cc.u32 r0, a0, b0; addc.cc.u32 r1, a1, b1; addc.u32 r2, 0, 0; xor.b32 %0, r0, r1; add.u32 %0, %0, r2; }",
                "(uint32_t)((uint32_t)(a + b) ^ (uint32_t)((a + b) >> 32)) + (uint32_t)(((unsigned __int128)a + b) >> 64)"))
special.append(("sub_cc_chain", 64, [64, 64],
                "{ .reg .u32 a0, a1, b0, b1, r0, r1; mov.b64 {a0, a1}, %1; mov.b64 {b0, b1}, %2; sub.cc.u32 r0, a0, b0; subc.u32 r1, a1, b1; mov.b64 %0, {r0, r1}; }",
                "a - b"))
special.append(("sub_cc_borrow_u64", 64, [64, 64], "{ .reg .u64 t; sub.cc.u64 t, %1, %2; subc.u64 %0, 0, 0; }", "a < b ? ~0ull : 0"))
special.append(("mad_cc_chain", 64, [32, 32, 64],
                "{ .reg .u32 c0, c1, r0, r1; mov.b64 {c0, c1}, %3; mad.lo.cc.u32 r0, %1, %2, c0; madc.hi.u32 r1, %1, %2, c1; mov.b64 %0, {r0, r1}; }",
                "a * b + c"))
special.append(("mov_unpack_bytes", 32, [32], "{ .reg .b8 x0, x1, x2, x3; mov.b32 {x0, x1, x2, x3}, %1; mov.b32 %0, {x3, x2, x1, x0}; }",
                "__builtin_bswap32((uint32_t)a)"))
special.append(("predicated_guard", 32, [32, 32], "{ .reg .pred p; setp.lt.s32 p, %1, %2; mov.u32 %0, 1; @p mov.u32 %0, 2; @!p add.u32 %0, %0, 4; }",
                "(int32_t)a < (int32_t)b ? 2 : 5"))

print('''// Written by gen_int.py.
#include "check.hpp"
static uint64_t clamp32(int64_t v) { return (uint32_t)(int32_t)(v < INT32_MIN ? INT32_MIN : v > INT32_MAX ? INT32_MAX : v); }
static int ref_popc(uint64_t a) { int n = 0; for (; a; a >>= 1) n += a & 1; return n; }
static int ref_clz(uint64_t a, int bits) { int n = 0; while (n < bits && !(a >> (bits - 1 - n) & 1)) ++n; return n; }
static uint64_t ref_brev(uint64_t a, int bits) { uint64_t r = 0; for (int k = 0; k < bits; ++k) if (a >> k & 1) r |= 1ull << (bits - 1 - k); return r; }
static uint64_t ref_bfind(uint64_t a, int bits, bool s, bool shift) {
  if (s && (a >> (bits - 1) & 1)) a = ~a;
  for (int k = bits - 1; k >= 0; --k) if (a >> k & 1) return shift ? bits - 1 - k : k;
  return 0xffffffffu;
}
static uint64_t ref_bfe(uint64_t a, uint64_t b, uint64_t c, int bits, bool s) {  // the manual's own loop
  int pos = b & 255, len = c & 255, msb = bits - 1;
  bool sign = !s || len == 0 ? false : a >> (pos + len - 1 < msb ? pos + len - 1 : msb) & 1;
  uint64_t r = 0;
  for (int k = 0; k <= msb; ++k) r |= (uint64_t)(k < len && pos + k <= msb ? a >> (pos + k) & 1 : sign) << k;
  return r;
}
static uint64_t ref_bfi(uint64_t a, uint64_t b, uint64_t c, uint64_t d, int bits) {
  int pos = c & 255, len = d & 255;
  uint64_t r = b;
  for (int k = 0; k < len && pos + k < bits; ++k) { r &= ~(1ull << (pos + k)); r |= (a >> k & 1) << (pos + k); }
  return r;
}
static uint64_t ref_bmsk(uint64_t a, uint64_t b, bool clamp) {
  if (!clamp) a &= 31, b &= 31;
  uint64_t r = 0;
  for (uint64_t k = 0; k < 32; ++k) if (k >= a && k - a < b) r |= 1ull << k;
  return r;
}
static uint64_t ref_szext(uint64_t a, uint64_t n, bool clamp, bool s) {
  if (!clamp) n &= 31;
  if (n >= 32) return a;
  uint64_t r = 0;
  for (uint64_t k = 0; k < 32; ++k) { bool bit = k < n ? a >> k & 1 : s && n ? a >> (n - 1) & 1 : false; r |= (uint64_t)bit << k; }
  return r;
}
static uint64_t ref_fns(uint64_t m, uint64_t base, int32_t off) {  // find the n-th set bit
  if (off == 0) return base < 32 && (m >> base & 1) ? base : 0xffffffffu;
  int64_t pos = (int32_t)base, count = (off < 0 ? -(int64_t)off : off) - 1;
  for (; pos >= 0 && pos < 32; pos += off > 0 ? 1 : -1) if (m >> pos & 1) { if (count == 0) return pos; --count; }
  return 0xffffffffu;
}
static uint64_t ref_prmt(uint64_t a, uint64_t b, uint64_t c, int mode) {
  static const uint8_t table[6][4] = {{0x10, 0, 0, 0}};
  (void)table;
  uint8_t bytes[8];
  for (int k = 0; k < 4; ++k) bytes[k] = a >> 8 * k, bytes[4 + k] = b >> 8 * k;
  // selectors for d[3], d[2], d[1], d[0] as printed in the manual, per mode and c & 3
  static const char* sel[7][4] = {{"", "", "", ""}, {"3210", "4321", "5432", "6543"}, {"5670", "6701", "7012", "0123"},
    {"0000", "1111", "2222", "3333"}, {"3210", "3211", "3222", "3333"}, {"0000", "1110", "2210", "3210"}, {"1010", "3232", "1010", "3232"}};
  uint32_t r = 0;
  for (int k = 0; k < 4; ++k) {
    uint8_t v;
    if (mode == 0) { int s = c >> 4 * k & 15; v = bytes[s & 7]; if (s & 8) v = v & 128 ? 255 : 0; }
    else v = bytes[sel[mode][c & 3][3 - k] - '0'];
    r |= (uint32_t)v << 8 * k;
  }
  return r;
}
static uint64_t ref_lop3(uint64_t a, uint64_t b, uint64_t c, int lut) {
  uint32_t r = 0;
  for (int k = 0; k < 32; ++k) r |= (uint32_t)(lut >> ((a >> k & 1) * 4 + (b >> k & 1) * 2 + (c >> k & 1)) & 1) << k;
  return r;
}
static uint64_t ref_dp(uint64_t a, uint64_t b, uint64_t c, int n, bool sa, bool sb, int from) {
  uint32_t r = c;
  for (int k = 0; k < n; ++k) {
    int width = n == 4 ? 8 : 16;
    int64_t x = a >> width * k & ((1 << width) - 1), y = b >> 8 * (k + from) & 255;
    if (sa && x >> (width - 1)) x -= 1 << width;
    if (sb && y >> 7) y -= 256;
    r += (uint32_t)(x * y);
  }
  return r;
}
static uint64_t ref_sad4(uint64_t a, uint64_t b) { uint32_t r = 0; for (int k = 0; k < 4; ++k) { int d = (int)(a >> 8 * k & 255) - (int)(b >> 8 * k & 255); r += d < 0 ? -d : d; } return r; }
static std::vector<uint64_t> edges(int bits) {
  if (bits == 16) return {0, 1, 2, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff, 0xff, 0x100};
  if (bits == 32) return {0, 1, 2, 5, 8, 16, 31, 32, 33, 63, 64, 255, 256, 0x7ffffffe, 0x7fffffff, 0x80000000u, 0x80000001u, 0xfffffffeu, 0xffffffffu, 0xffffff, 0x800000, 0x1020, 0x2010};
  return {0, 1, 2, 31, 32, 63, 64, 0x7fffffff, 0x80000000u, 0xffffffffu, 0x100000000ull, 0x7fffffffffffffffull, 0x8000000000000000ull, 0x8000000000000001ull, 0xffffffffffffffffull};
}
template <class D, class F>
static void verify(const char* name, const std::vector<D>& got, int bits, F expect) {
  const uint64_t keep = bits == 64 ? ~0ull : (1ull << bits) - 1;
  for (size_t i = 0; i < got.size(); ++i) {
    const uint64_t e = expect(i) & keep, g = (uint64_t)got[i] & keep;
    if (e != g) return check(name, false, "input " + std::to_string(i) + ": got " + hex(g) + " expected " + hex(e));
  }
  check(name, true);
}
''')
calls = []
allt = []
for name, ptx, d, ins, expr, extra in tests:
    if ptx == "selp.b32":
        asm = "{ .reg .pred p; setp.ne.u32 p, %3, 0; selp.b32 %0, %1, %2, p; }"
    else:
        asm = ptx + " " + ", ".join(f"%{k}" for k in range(len(ins) + 1)) + extra + ";"
    allt.append((name, d, ins, asm, expr))
allt += special
for name, d, ins, asm, expr in allt:
    T = {16: "uint16_t", 32: "uint32_t", 64: "uint64_t"}
    sig = ", ".join(f"const {T[b]}* i{k}" for k, b in enumerate(ins))
    args = ", ".join(f'"{CON[b]}"(i{k}[i])' for k, b in enumerate(ins))
    print(f'__global__ void k_{name}({T[d]}* o, {sig}) {{ int i = blockIdx.x * blockDim.x + threadIdx.x; if (i >= {N}) return; {T[d]} r; asm volatile("{asm}" : "={CON[d]}"(r) : {args}); o[i] = r; }}')
    body = [f"static void t_{name}() {{"]
    for k, b in enumerate(ins):
        body.append(f"  std::vector<{T[b]}> v{k}; for (uint64_t x : inputs({N}, {k}, {b}, edges({b}))) v{k}.push_back(({T[b]})x); Buffer<{T[b]}> b{k}(v{k});")
    body.append(f"  Buffer<{T[d]}> out({N}); k_{name}<<<{N // 128}, 128>>>(out.p, {', '.join(f'b{k}.p' for k in range(len(ins)))});")
    names = "abcd"
    decl = " ".join(f"const uint64_t {names[k]} = v{k}[i]; (void){names[k]};" for k in range(len(ins)))
    body.append(f'  verify("{name}", out.get(), {d}, [&](size_t i) -> uint64_t {{ {decl} return (uint64_t)({expr}); }});')
    body.append("}")
    print("\n".join(body))
    calls.append(f"  t_{name}();")
print("int main() {\n" + "\n".join(calls) + '\n  check("no launch error", cudaGetLastError() == cudaSuccess);\n  return finish("integer opcodes");\n}')
