// SPDX-License-Identifier: MIT
// The three macros of the library: symbol visibility and host/device functions.
#pragma once

// ECCO_API marks what the compiled library exports; everything else is hidden.
#if defined(ECCO_STATIC_DEFINE)
#define ECCO_API
#else
#define ECCO_API __attribute__((visibility("default")))
#endif

// ECCO_HD marks functions that CUDA kernels share with the host.
#if defined(__CUDACC__)
#define ECCO_HD __host__ __device__
#else
#define ECCO_HD
#endif
