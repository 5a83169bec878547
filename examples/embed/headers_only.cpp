// SPDX-License-Identifier: MIT
// Without a library to link: the scalar reference encodes, decodes and multiplies.
#include <cstdio>
#include <vector>

#include "ecco/decode.hpp"
#include "ecco/encode.hpp"
#include "ecco/gemv.hpp"

int main() {
  std::vector<float> weights(4 * 256), back(4 * 256), x(256, 1.0f), y(4);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = float(i * 2654435761u % 97) - 48;
  const auto view = ecco::dense_view<const float>(weights.data(), 4, 256);
  const auto tensor = ecco::reference::compress(view);
  if (!tensor || !ecco::reference::gemv(tensor->view(), x, y)) return 1;
  if (!ecco::reference::decode_rows(tensor->view(), 0, ecco::dense_view(back.data(), 4, 256))) {
    return 1;
  }
  std::printf("y[0] = %g, weight %g decodes to %g\n", y[0], weights[0], back[0]);
}
