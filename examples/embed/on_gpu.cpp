// SPDX-License-Identifier: MIT
// A compressed matrix on a GPU: upload, multiply, fetch the result.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <vector>

#include "ecco/cuda/device.hpp"
#include "ecco/ecco.hpp"

int main() {
  const std::vector<float> weights(64 * 256, 1.0f), x(256, 1.0f);
  std::vector<float> y(64);
  const auto tensor = ecco::compress(ecco::dense_view<const float>(weights.data(), 64, 256));
  if (!tensor) return 1;
  const auto device = ecco::cuda::upload(tensor->view(), ecco::cuda::Layout::automatic);
  if (!device) {  // no GPU, for example
    std::printf("no product: %s\n", device.error().message().c_str());
    return 0;
  }
  const auto activations = ecco::cuda::Activations::int16;
  const auto in = ecco::cuda::DeviceMemory::allocate(256 * sizeof(float));
  const auto out = ecco::cuda::DeviceMemory::allocate(64 * sizeof(float));
  const auto workspace = ecco::cuda::DeviceMemory::allocate(
      ecco::cuda::gemv_workspace_bytes(device->view(), 1, activations));
  if (!in || !out || !workspace) return 1;
  cudaMemcpy(in->data(), x.data(), in->bytes(), cudaMemcpyHostToDevice);
  const ecco::Status status = ecco::cuda::gemv(
      device->view(), ecco::dense_view(reinterpret_cast<const float*>(in->data()), 1, 256),
      ecco::dense_view(reinterpret_cast<float*>(out->data()), 1, 64), activations,
      {workspace->data(), workspace->bytes()}, nullptr);
  if (!status) return 1;
  cudaMemcpy(y.data(), out->data(), out->bytes(), cudaMemcpyDeviceToHost);
  std::printf("y[0] = %g\n", y[0]);
}
