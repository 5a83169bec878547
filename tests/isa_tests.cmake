# SPDX-License-Identifier: MIT
# The same test programs under other instruction sets: ECCO_FORCE_ISA, and an emulated x86-64
# CPU without AVX.

foreach(forced scalar avx2 bogus)
  add_test(NAME isa_test.${forced} COMMAND isa_test)
  set_tests_properties(isa_test.${forced} PROPERTIES
    LABELS unit TIMEOUT 600 ENVIRONMENT "ECCO_FORCE_ISA=${forced}")
endforeach()
add_test(NAME isa_test.empty COMMAND isa_test)
set_tests_properties(isa_test.empty PROPERTIES LABELS unit TIMEOUT 600 ENVIRONMENT
  "ECCO_FORCE_ISA=")

# Sanitizers reserve address space that the emulator does not have.
if(ECCO_ISA_TESTS AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64" AND NOT ECCO_SANITIZE)
  find_program(ECCO_QEMU NAMES qemu-x86_64 qemu-x86_64-static
    DOC "User-mode emulator of x86-64 (Debian: qemu-user), for tests without AVX")
  if(NOT ECCO_QEMU)
    message(FATAL_ERROR "qemu-x86_64 not found: the tests run the library on an emulated CPU "
      "without AVX. Install qemu-user, or set ECCO_ISA_TESTS=OFF.")
  endif()
  # Nehalem has SSE4.2 and POPCNT, but neither AVX nor FMA, BMI and F16C. Forcing avx2 there must
  # be an error; the other programs take the path that they find.
  foreach(name isa_test decode_test gemv_test gemm_test)
    add_test(NAME baseline.${name} COMMAND ${ECCO_QEMU} -cpu Nehalem $<TARGET_FILE:${name}>)
    set_tests_properties(baseline.${name} PROPERTIES
      LABELS unit TIMEOUT 600 ENVIRONMENT "ECCO_TEST_BASELINE=1;ECCO_FORCE_ISA=")
  endforeach()
  set_tests_properties(baseline.isa_test PROPERTIES
    ENVIRONMENT "ECCO_TEST_BASELINE=1;ECCO_FORCE_ISA=avx2")
endif()
