// SPDX-License-Identifier: MIT
// Encode kernels behind the dispatch table.
#pragma once

namespace ecco {

struct EncodeKernels {};

EncodeKernels scalar_encode_kernels() noexcept;
EncodeKernels avx2_encode_kernels() noexcept;

}  // namespace ecco
