// SPDX-License-Identifier: MIT
// A kernel of an engine that decodes blocks itself; see example_kernel.cu.
#include <cmath>

#include "cuda/support.hpp"
#include "ecco/block.hpp"

void sum_blocks(const std::uint8_t* blocks, int count, const std::uint8_t* table,
                float tensor_scale, float* sums);

namespace ecco {
namespace {

using CudaKernel = test::CudaTest;

TEST_F(CudaKernel, DecodesInRegisters) {
  std::mt19937 random(41);
  const auto tensor =
      CompressedTensor::create(37, 128, 0.5f, test::random_tables(random, Codec::p4, 256),
                               test::valid_blocks(random, Codec::p4, 37, 256));
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view());
  ASSERT_TRUE(device);
  const test::DeviceArray<float> sums(std::vector<float>(37));
  sum_blocks(device->view().blocks, 37, device->view().patterns, 0.5f, sums.data());
  ASSERT_EQ(cudaGetLastError(), cudaSuccess);
  const std::vector<float> got = sums.values();
  for (std::size_t r = 0; r < 37; ++r) {
    float values[128];
    decode_block(tensor->view(), tensor->view().row(r), values);
    double want = 0.0;
    for (const float value : values) want += std::fabs(value);
    EXPECT_NEAR(got[r], want, 1e-5 * want + 1e-30);
  }
}

}  // namespace
}  // namespace ecco
