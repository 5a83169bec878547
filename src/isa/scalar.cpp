// SPDX-License-Identifier: MIT
// The table of the scalar path.
#include "isa/kernels.hpp"

namespace ecco {

const Kernels& scalar_kernels() noexcept {
  static const Kernels kernels = {Isa::scalar, scalar_compute_kernels(), scalar_encode_kernels()};
  return kernels;
}

}  // namespace ecco
