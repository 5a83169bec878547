// SPDX-License-Identifier: MIT
#include "encode/kernels.hpp"

namespace ecco {

EncodeKernels avx2_encode_kernels() noexcept { return {}; }

}  // namespace ecco
