// SPDX-License-Identifier: MIT
#include "compute/kernels.hpp"

namespace ecco {

ComputeKernels scalar_compute_kernels() noexcept { return {}; }

}  // namespace ecco
