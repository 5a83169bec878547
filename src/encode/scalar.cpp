// SPDX-License-Identifier: MIT
#include "encode/kernels.hpp"

namespace ecco {

EncodeKernels scalar_encode_kernels() noexcept { return {}; }

}  // namespace ecco
