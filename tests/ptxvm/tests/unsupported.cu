// SPDX-License-Identifier: MIT
// An opcode the executor does not know must be a hard error that names it, never skipped.
#include "check.hpp"
#include "ptxvm/ptxvm.h"
__global__ void k(int* p) {
  asm volatile("pmevent 3;");
  p[0] = 1;
}
int main() {
  Buffer<int> d(1);
  k<<<1, 1>>>(d.p);
  const std::string m = ptxvm_last_error();
  check("unknown opcode is refused", cudaGetLastError() == cudaErrorInvalidDeviceFunction);
  check("and named",
        m.find("pmevent") != std::string::npos && m.find("PTX line") != std::string::npos, m);
  check("nothing ran", d.get()[0] == 0);
  return finish("unsupported opcodes");
}
