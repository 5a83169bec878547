// SPDX-License-Identifier: MIT
#include "compute/kernels.hpp"

namespace ecco {

ComputeKernels avx2_compute_kernels() noexcept { return {}; }

}  // namespace ecco
