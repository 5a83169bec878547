// SPDX-License-Identifier: MIT
#include "compute/kernels.hpp"

namespace ecco {

ComputeKernels avx2_compute_kernels() noexcept { return scalar_compute_kernels(); }

}  // namespace ecco
