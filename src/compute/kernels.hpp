// SPDX-License-Identifier: MIT
// Compute kernels behind the dispatch table: decode and products of whole rows.
#pragma once

namespace ecco {

struct ComputeKernels {};

ComputeKernels scalar_compute_kernels() noexcept;
ComputeKernels avx2_compute_kernels() noexcept;

}  // namespace ecco
