// SPDX-License-Identifier: MIT
// The table of the AVX2 path (AVX2, FMA, BMI2, F16C).
#include "isa/kernels.hpp"

#if defined(__x86_64__)
namespace ecco {

const Kernels& avx2_kernels() noexcept {
  static const Kernels kernels = {Isa::avx2, avx2_compute_kernels(), avx2_encode_kernels()};
  return kernels;
}

}  // namespace ecco
#endif
