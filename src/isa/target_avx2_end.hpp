// SPDX-License-Identifier: MIT
// Closes the region that target_avx2_begin.hpp opened.
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
