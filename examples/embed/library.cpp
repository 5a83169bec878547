// SPDX-License-Identifier: MIT
// The whole of it: compress a matrix, multiply it with a vector, straight on its blocks.
#include <cstdio>
#include <vector>

#include "ecco/ecco.hpp"

int main() {
  std::vector<float> weights(64 * 256), x(256, 1.0f), y(64);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = float(i * 2654435761u % 97) - 48;
  const auto tensor = ecco::compress(ecco::dense_view<const float>(weights.data(), 64, 256));
  if (!tensor || !ecco::gemv(tensor->view(), x, y)) return 1;
  std::printf("y[0] = %g at %g bits per weight\n", y[0], tensor->view().bits_per_weight());
}
