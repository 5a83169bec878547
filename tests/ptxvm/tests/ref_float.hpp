// SPDX-License-Identifier: MIT
// Reference arithmetic for the float opcode tests, written apart from the executor: tables and
// quad precision.
#pragma once
#include <cstdint>

enum RefFormat { kRefHalf, kRefBfloat, kRefE4M3, kRefE5M2, kRefTf32 };
double refValue(RefFormat f, uint32_t code);
// rnd: 'n' nearest even, 'z' toward zero, 'm' down, 'p' up, 'a' nearest away.
uint32_t refRound(RefFormat f, double x, char rnd, bool satfinite);
uint32_t refSmall(RefFormat f, char op, uint32_t a, uint32_t b, uint32_t c);  // op: + - * f
uint32_t refF32(char op, uint32_t a, uint32_t b, uint32_t c, char rnd, bool ftz,
                bool sat);  // + - * f / q(sqrt)
uint64_t refF64(char op, uint64_t a, uint64_t b, uint64_t c, char rnd);
uint64_t refFloatToInt(double x, bool sourceF64, int bits, bool isSigned, char rnd);
uint64_t refIntToFloat(int64_t s, uint64_t u, bool isSigned, int kind,
                       char rnd);  // kind: 0 f32, 1 f64, 2 f16
