// SPDX-License-Identifier: MIT
// One table of function pointers per instruction set; the rest of the library calls through it.
#pragma once

#include "compute/kernels.hpp"
#include "ecco/isa.hpp"
#include "encode/kernels.hpp"

namespace ecco {

struct Kernels {
  Isa isa = Isa::scalar;
  ComputeKernels compute;
  EncodeKernels encode;
};

/// Tables of the paths, defined in scalar.cpp and avx2.cpp. Precondition for calling through one:
/// isa_supported.
const Kernels& scalar_kernels() noexcept;
const Kernels& avx2_kernels() noexcept;

/// Table of a path. Precondition: isa_supported(isa).
const Kernels& kernels_of(Isa isa) noexcept;

/// Table of active_isa(), or its error.
Result<const Kernels*> active_kernels() noexcept;

}  // namespace ecco
