// SPDX-License-Identifier: MIT
// Detection once, ECCO_FORCE_ISA, and the choice of the kernel table.
#include "ecco/isa.hpp"

#include <array>
#include <cstdlib>
#include <string>

#include "isa/kernels.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace ecco {
namespace {

constexpr std::array kAllIsas = {Isa::scalar, Isa::avx2};

#if defined(__x86_64__)
// Clang 14 knows neither "f16c" nor "lzcnt" in __builtin_cpu_supports. F16C instructions use the
// same registers as AVX, so the operating system's part is covered by the check of avx2.
bool cpu_has_f16c() noexcept {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
bool cpu_has_lzcnt() noexcept {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(0x80000001u, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_LZCNT) != 0;
}

bool detect_avx2() noexcept {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("popcnt") && cpu_has_f16c() && cpu_has_lzcnt();
}
#else
bool detect_avx2() noexcept { return false; }
#endif

Result<Isa> choose_isa() {
  const char* forced = std::getenv("ECCO_FORCE_ISA");
  if (forced == nullptr || *forced == '\0') {
    return isa_supported(Isa::avx2) ? Isa::avx2 : Isa::scalar;
  }
  for (const Isa isa : kAllIsas) {
    if (isa_name(isa) != forced) continue;
    if (isa_supported(isa)) return isa;
    return fail(StatusCode::unsupported, "ECCO_FORCE_ISA=" + std::string(forced) +
                                             ": this CPU lacks it; unset the variable or "
                                             "force scalar");
  }
  return fail(StatusCode::unsupported,
              "ECCO_FORCE_ISA=" + std::string(forced) + ": unknown; use scalar or avx2");
}

}  // namespace

bool isa_supported(Isa isa) noexcept {
  static const bool avx2 = detect_avx2();
  return isa == Isa::scalar || (isa == Isa::avx2 && avx2);
}

Result<Isa> active_isa() noexcept {
  static const Result<Isa> isa = choose_isa();
  return isa;
}

const Kernels& kernels_of(Isa isa) noexcept {
#if defined(__x86_64__)
  if (isa == Isa::avx2) return avx2_kernels();
#endif
  static_cast<void>(isa);
  return scalar_kernels();
}

Result<const Kernels*> active_kernels() noexcept {
  const Result<Isa> isa = active_isa();
  if (!isa) return fail(isa.error());
  return &kernels_of(*isa);
}

}  // namespace ecco
