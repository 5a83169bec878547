// SPDX-License-Identifier: MIT
// Opens a region of functions compiled for AVX2, FMA, BMI, BMI2, LZCNT, POPCNT and F16C: exactly
// what isa_supported(Isa::avx2) asks for. Include every header before it, so that no inline
// function of theirs is compiled for AVX2; close the region with target_avx2_end.hpp. No include
// guard.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2,lzcnt,popcnt,f16c"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,bmi,bmi2,lzcnt,popcnt,f16c")
#endif
